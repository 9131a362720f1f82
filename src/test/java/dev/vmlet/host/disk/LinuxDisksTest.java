package dev.vmlet.host.disk;

import static dev.vmlet.host.disk.DiskFixture.KIB;
import static dev.vmlet.host.disk.DiskFixture.MIB;
import static dev.vmlet.host.disk.DiskFixture.blank;
import static dev.vmlet.host.disk.DiskFixture.disk;
import static dev.vmlet.host.disk.DiskFixture.raw;
import static dev.vmlet.host.disk.DiskFixture.vm;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import dev.vmlet.host.files.DurableFiles;
import dev.vmlet.model.DesiredDisk;
import dev.vmlet.model.DiskState;
import dev.vmlet.model.ImageFormat;
import dev.vmlet.model.ImageSource;
import dev.vmlet.model.Reason;
import dev.vmlet.model.RetainedDisk;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmId;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LinuxDisksTest {
    private static final VmId VM = vm("a");

    @TempDir
    Path folder;

    private DiskFixture fixture;

    @BeforeEach
    void open() throws Exception {
        fixture = new DiskFixture(folder);
    }

    @AfterEach
    void close() {
        fixture.close();
    }

    @Test
    void clonesAnImageSparselyAndGrowsTheClone() throws Exception {
        Path image = fixture.image("debian.raw", 8 * MIB);
        DesiredDisk disk = disk(raw("debian.raw"), 32L * MIB);
        assertThat(fixture.disks.observe(VM, disk)).isEqualTo(new DiskState.Missing());

        assertThat(fixture.prepared(VM, disk)).isEqualTo(new DiskState.Ready(32L * MIB));

        byte[] clone = Files.readAllBytes(fixture.path(VM, disk));
        byte[] original = Files.readAllBytes(image);
        assertThat(Arrays.copyOf(clone, original.length)).isEqualTo(original);
        assertThat(DiskFixture.allocated(fixture.path(VM, disk))).isLessThanOrEqualTo(DiskFixture.allocated(image));
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(fixture.path(VM, disk))))
                .isEqualTo("rw-------");
        fixture.assertNoTemps();
    }

    @Test
    void copiesTheSameWithoutHelpOfTheKernel() throws Exception {
        Path image = fixture.image("debian.raw", 8 * MIB);
        Path copy = Files.createFile(folder.resolve("copy"));
        try (OpenImage open = OpenImage.trusted(image, image)) {
            SparseCopy.copyBlocks(open, copy, open.size(), at -> {});
            SparseCopy.grow(copy, open.size());
        }
        assertThat(Files.mismatch(image, copy)).isEqualTo(-1);
        assertThat(DiskFixture.allocated(copy)).isLessThanOrEqualTo(DiskFixture.allocated(image));
    }

    @Test
    void takesTheImagesSizeWhereNoneIsAsked() throws Exception {
        fixture.image("debian.raw", 8 * MIB);
        assertThat(fixture.prepared(VM, disk(raw("debian.raw"), 0))).isEqualTo(new DiskState.Ready(8L * MIB));
    }

    @Test
    void makesABlankDiskOfHoles() throws Exception {
        DesiredDisk disk = blank("data", 1L << 30, false);
        assertThat(fixture.prepared(VM, disk)).isEqualTo(new DiskState.Ready(1L << 30));
        assertThat(DiskFixture.allocated(fixture.path(VM, disk))).isZero();
    }

    @Test
    void growsADiskAndNeverShrinksOrOverwritesIt() throws Exception {
        fixture.image("debian.raw", 8 * MIB);
        fixture.prepared(VM, disk(raw("debian.raw"), 16L * MIB));
        Path file = fixture.path(VM, disk(raw("debian.raw"), 1));
        Files.write(file, "written by the guest".getBytes(StandardCharsets.UTF_8), StandardOpenOption.WRITE);

        assertThat(fixture.prepared(VM, disk(raw("debian.raw"), 9L * MIB))).isEqualTo(new DiskState.Ready(16L * MIB));
        assertThat(fixture.prepared(VM, disk(raw("other.raw"), 24L * MIB))).isEqualTo(new DiskState.Ready(24L * MIB));

        assertThat(new String(Files.readAllBytes(file), 0, 20, StandardCharsets.UTF_8))
                .isEqualTo("written by the guest");
    }

    @Test
    void showsASmallerDiskAsItIsUntilItIsPrepared() throws Exception {
        fixture.image("debian.raw", 8 * MIB);
        fixture.prepared(VM, disk(raw("debian.raw"), 0));
        assertThat(fixture.disks.observe(VM, disk(raw("debian.raw"), 16L * MIB)))
                .isEqualTo(new DiskState.Ready(8L * MIB));
    }

    @Test
    void refusesAnImageLargerThanItsDisk() throws Exception {
        fixture.image("debian.raw", 8 * MIB);
        DiskState.Failed failed = fixture.failed(VM, disk(raw("debian.raw"), 4L * MIB));
        assertThat(failed.reason()).isEqualTo(Reason.ImageLargerThanDisk);
        assertThat(failed.message()).contains("8 MiB", "4 MiB", "debian.raw");
        assertThat(failed.retry()).isFalse();
    }

    @Test
    void saysThatAnImageIsMissingAndFindsItLater() throws Exception {
        DesiredDisk disk = disk(raw("sub/debian.raw"), 0);
        DiskState.Failed failed = fixture.failed(VM, disk);
        assertThat(failed.reason()).isEqualTo(Reason.ImageNotFound);
        assertThat(failed.message()).contains("disk root", "sub/debian.raw", fixture.imageDir.toString());
        assertThat(failed.retry()).isTrue();

        Files.createDirectory(fixture.imageDir.resolve("sub"));
        fixture.image("sub/debian.raw", MIB);
        assertThat(fixture.prepared(VM, disk)).isEqualTo(new DiskState.Ready(MIB));
    }

    @Test
    void forgetsAFailureWhenSomethingElseIsAsked() throws Exception {
        fixture.failed(VM, disk(raw("debain.raw"), 0));
        assertThat(fixture.disks.observe(VM, disk(raw("debian.raw"), 0))).isEqualTo(new DiskState.Missing());
    }

    @Test
    void opensNothingOutsideTheImageDirectory() throws Exception {
        Path secret = Files.write(folder.resolve("secret"), new byte[MIB]);
        Files.createSymbolicLink(fixture.imageDir.resolve("out"), secret);
        Files.createSymbolicLink(fixture.imageDir.resolve("up"), Path.of("../secret"));
        Files.createSymbolicLink(fixture.imageDir.resolve("dir"), folder);
        for (String path : List.of("../secret", "x/../../secret", secret.toString(), "", "out", "up", "dir/secret")) {
            DiskState.Failed failed = fixture.failed(VM, disk(raw(path), 0));
            assertThat(failed.reason()).as(path).isEqualTo(Reason.ImageRefused);
            assertThat(failed.retry()).as(path).isFalse();
        }
    }

    @Test
    void followsALinkThatStaysInside() throws Exception {
        fixture.image("debian-13.raw", MIB);
        Files.createSymbolicLink(fixture.imageDir.resolve("latest"), Path.of("debian-13.raw"));
        assertThat(fixture.prepared(VM, disk(raw("latest"), 0))).isEqualTo(new DiskState.Ready(MIB));
    }

    @Test
    void takesNoPathForAChecksumOrAName() {
        assertThatThrownBy(() -> new ImageSource.Url("http://x/", ImageFormat.RAW, "../vms/b/disks/root"))
                .isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> blank("../../b/disks/root", MIB, false)).isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void opensOnlyRegularFiles() throws Exception {
        Files.createDirectory(fixture.imageDir.resolve("folder"));
        assertThat(fixture.failed(VM, disk(raw("folder"), 0)).message()).contains("not a regular file");
    }

    @Test
    void saysThatThereIsNoImageDirectory() throws Exception {
        ImageSettings s = fixture.settings;
        fixture.restart(new ImageSettings(
                s.paths(),
                Optional.empty(),
                s.urlAllow(),
                s.urlDeny(),
                s.mirror(),
                false,
                "qemu-img",
                65_534,
                s.thresholds(),
                s.limits()));
        assertThat(fixture.failed(VM, disk(raw("debian.raw"), 0)).message()).contains("--image-dir");
    }

    @Test
    void checksTheDeclaredSha256() throws Exception {
        Path image = fixture.image("debian.raw", MIB);
        String right = DiskFixture.sha256(Files.readAllBytes(image));
        DesiredDisk wrong = disk(new ImageSource.File("debian.raw", ImageFormat.RAW, "0".repeat(64)), 0);
        DiskState.Failed failed = fixture.failed(VM, wrong);
        assertThat(failed.reason()).isEqualTo(Reason.ImageChecksumMismatch);
        assertThat(failed.message()).contains(right, "0".repeat(64));

        DesiredDisk declared = disk(new ImageSource.File("debian.raw", ImageFormat.RAW, right), 0);
        assertThat(fixture.prepared(VM, declared)).isEqualTo(new DiskState.Ready(MIB));

        // A file that was changed under the same name is checked anew.
        fixture.image("debian.raw", 2 * MIB);
        assertThat(fixture.failed(vm("b"), declared).reason()).isEqualTo(Reason.ImageChecksumMismatch);
    }

    @Test
    void refusesARawImageThatIsSomethingElse() throws Exception {
        Files.write(fixture.imageDir.resolve("q"), new byte[] {'Q', 'F', 'I', (byte) 0xfb, 0, 0, 0, 3});
        Files.writeString(fixture.imageDir.resolve("page"), "\n<!DOCTYPE html><html><title>Not here</title></html>");
        Files.write(fixture.imageDir.resolve("xz"), new byte[] {(byte) 0xfd, '7', 'z', 'X', 'Z', 0, 0, 0});
        Files.createFile(fixture.imageDir.resolve("empty"));
        assertThat(fixture.failed(VM, disk(raw("q"), 0)).message()).contains("declare format qcow2");
        assertThat(fixture.failed(VM, disk(raw("page"), 0)).message()).contains("HTML page");
        assertThat(fixture.failed(VM, disk(raw("xz"), 0)).message()).contains("xz-compressed");
        assertThat(fixture.failed(VM, disk(raw("empty"), 0)).reason()).isEqualTo(Reason.ImageFormatMismatch);
    }

    @Test
    void copiesBootFilesAsTheyAreAndReplacesThemWhenOthersAreAsked() throws Exception {
        Files.write(fixture.imageDir.resolve("initrd"), new byte[] {0x1f, (byte) 0x8b, 8, 1, 2});
        Files.write(fixture.imageDir.resolve("initrd-2"), new byte[] {0x1f, (byte) 0x8b, 8, 1, 2, 3});
        DesiredDisk first =
                new DesiredDisk("initramfs", DesiredDisk.Role.INITRAMFS, Optional.of(raw("initrd")), 0, false);
        DesiredDisk second =
                new DesiredDisk("initramfs", DesiredDisk.Role.INITRAMFS, Optional.of(raw("initrd-2")), 0, false);

        assertThat(fixture.prepared(VM, first)).isEqualTo(new DiskState.Ready(5));
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(fixture.path(VM, first))))
                .isEqualTo("r--r--r--");
        assertThat(fixture.disks.observe(VM, second)).isEqualTo(new DiskState.Missing());
        assertThat(fixture.prepared(VM, second)).isEqualTo(new DiskState.Ready(6));
    }

    @Test
    void takesTheOperatorsOwnFileByItsPath() throws Exception {
        Path firmware = Files.write(folder.resolve("CLOUDHV.fd"), new byte[4 * KIB]);
        DesiredDisk disk = new DesiredDisk(
                "firmware",
                DesiredDisk.Role.FIRMWARE,
                Optional.of(new ImageSource.Host(firmware.toString(), ImageFormat.RAW, "")),
                0,
                false);
        assertThat(fixture.prepared(VM, disk)).isEqualTo(new DiskState.Ready(4L * KIB));
    }

    @Test
    void asksForSpaceBeforeItCopies() throws Exception {
        fixture.image("debian.raw", 8 * MIB);
        fixture.space = any -> 100 * KIB;
        DiskState.Failed failed = fixture.failed(VM, disk(raw("debian.raw"), 0));
        assertThat(failed.reason()).isEqualTo(Reason.NoSpace);
        assertThat(failed.message()).contains("512 KiB", "100 KiB");
        assertThat(failed.retry()).isTrue();
        assertThat(fixture.path(VM, disk(raw("debian.raw"), 0))).doesNotExist();
    }

    @Test
    void leavesNothingBehindWhenTheFileSystemFillsUp() throws Exception {
        assumeThat(Tool.isRoot()).as("root, who may mount a small file system").isTrue();
        Path small = Files.createDirectory(folder.resolve("small"));
        Tool.Result mounted = Tool.run(
                folder,
                Duration.ofSeconds(10),
                Map.of(),
                List.of("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", small.toString()));
        assumeThat(mounted.code())
                .as("mount of a small tmpfs: " + mounted.output())
                .isZero();
        try (DiskFixture full = new DiskFixture(small)) {
            Path image = folder.resolve("big.raw");
            byte[] data = new byte[4 * MIB];
            Arrays.fill(data, (byte) 7);
            Files.write(image, data);
            DesiredDisk disk = disk(new ImageSource.Host(image.toString(), ImageFormat.RAW, ""), 0);
            full.space = any -> Long.MAX_VALUE;

            DiskState.Failed failed = full.failed(VM, disk);

            assertThat(failed.reason()).isEqualTo(Reason.NoSpace);
            assertThat(failed.message()).contains("No space left on device");
            assertThat(full.path(VM, disk)).doesNotExist();
        } finally {
            Tool.run(folder, Duration.ofSeconds(10), Map.of(), List.of("umount", small.toString()));
        }
    }

    @Test
    void removesWhatACrashLeftAndStartsAnew() throws Exception {
        fixture.image("debian.raw", MIB);
        DesiredDisk disk = disk(raw("debian.raw"), 0);
        Path target = fixture.path(VM, disk);
        Files.createDirectories(target.getParent());
        Path temp = Files.write(DurableFiles.temp(target), new byte[KIB]);

        fixture.restart(fixture.settings);

        assertThat(temp).doesNotExist();
        assertThat(fixture.disks.observe(VM, disk)).isEqualTo(new DiskState.Missing());
        assertThat(fixture.prepared(VM, disk)).isEqualTo(new DiskState.Ready(MIB));
    }

    @Test
    void deletesEverythingButTheRecord() throws Exception {
        fixture.image("debian.raw", MIB);
        fixture.prepared(VM, disk(raw("debian.raw"), 0));
        Files.writeString(Path.of(fixture.paths.serialLog("a")), "login:");
        Files.writeString(Path.of(fixture.paths.vmRecord("a")), "{}");
        assertThat(fixture.disks.leftovers(VM)).isEqualTo(Seen.present(true));

        fixture.disks.delete(VM, List.of());

        assertThat(fixture.disks.leftovers(VM)).isEqualTo(Seen.present(false));
        assertThat(Path.of(fixture.paths.vmRecord("a"))).exists();
        assertThat(fixture.disks.traces()).containsExactly("a");
        Files.delete(Path.of(fixture.paths.vmRecord("a")));
        fixture.disks.delete(VM, List.of());
        fixture.disks.delete(VM, List.of());
        assertThat(fixture.disks.traces()).isEmpty();
    }

    @Test
    void keepsARetainedDiskForTheNextVmOfThatName() throws Exception {
        DesiredDisk data = blank("data", MIB, true);
        fixture.prepared(VM, data);
        Files.write(fixture.path(VM, data), "kept".getBytes(StandardCharsets.UTF_8));
        fixture.disks.delete(VM, List.of("data", "never-made"));
        assertThat(Path.of(fixture.paths.retainedDir(), "default", "vm-a", "data.raw"))
                .exists();

        VmId next = new VmId("default", "vm-a", "b");
        assertThat(fixture.prepared(next, blank("data", 2L * MIB, true))).isEqualTo(new DiskState.Ready(2L * MIB));
        assertThat(new String(Files.readAllBytes(fixture.path(next, data)), 0, 4, StandardCharsets.UTF_8))
                .isEqualTo("kept");
        assertThat(Path.of(fixture.paths.retainedDir(), "default", "vm-a", "data.raw"))
                .doesNotExist();
    }

    @Test
    void givesARetainedDiskNeitherToAnotherVmNorToOneThatWouldDeleteIt() throws Exception {
        DesiredDisk data = blank("data", MIB, true);
        fixture.prepared(VM, data);
        fixture.disks.delete(VM, List.of("data"));

        fixture.prepared(vm("b"), data);
        fixture.prepared(new VmId("other", "vm-a", "c"), data);
        fixture.prepared(new VmId("default", "vm-a", "d"), blank("data", MIB, false));

        assertThat(Path.of(fixture.paths.retainedDir(), "default", "vm-a", "data.raw"))
                .exists();
    }

    @Test
    void keepsADiskOfAVmWhoseNameIsLostWhereNoVmTakesItUp() throws Exception {
        VmId nameless = VmId.nameless("a9");
        fixture.prepared(nameless, blank("data", MIB, false));
        fixture.prepared(nameless, blank("root", MIB, false));
        assertThat(fixture.disks.names(nameless)).isEqualTo(Seen.present(List.of("data", "root")));
        fixture.disks.delete(nameless, List.of("data", "root"));
        assertThat(Path.of(fixture.paths.retainedDir(), "_nameless", "a9", "data.raw"))
                .exists();
        assertThat(fixture.disks.retained())
                .extracting(RetainedDisk::namespace, RetainedDisk::vmName, RetainedDisk::disk)
                .containsExactly(
                        org.assertj.core.api.Assertions.tuple("_nameless", "a9", "data"),
                        org.assertj.core.api.Assertions.tuple("_nameless", "a9", "root"));
        assertThat(fixture.disks.names(nameless)).isEqualTo(Seen.present(List.of()));
    }

    @Test
    void neverReplacesARetainedDiskByAnother() throws Exception {
        for (String uid : List.of("a1", "a2")) {
            VmId vm = new VmId("default", "same", uid);
            fixture.prepared(vm, blank("data", MIB, false));
            fixture.disks.delete(vm, List.of("data"));
        }
        try (var kept = Files.list(Path.of(fixture.paths.retainedDir(), "default", "same"))) {
            assertThat(kept.map(path -> path.getFileName().toString()))
                    .containsExactlyInAnyOrder("data.raw", "data.a2.raw");
        }
    }

    @Test
    void takesARetainedDiskAsItIsWhereLessIsAskedFor() throws Exception {
        DesiredDisk large = blank("data", 4L * MIB, true);
        fixture.prepared(VM, large);
        byte[] content = new byte[4 * MIB];
        content[content.length - 1] = 7;
        Files.write(fixture.path(VM, large), content);
        fixture.disks.delete(VM, List.of("data"));

        VmId next = new VmId("default", "vm-a", "b");
        DesiredDisk small = blank("data", MIB, true);
        assertThat(fixture.prepared(next, small)).isEqualTo(new DiskState.Ready(4L * MIB));
        assertThat(fixture.path(next, small)).hasBinaryContent(content);
    }

    @Test
    void listsRetainedDisksWithWhomTheyWaitFor() throws Exception {
        assertThat(fixture.disks.retained()).isEmpty();
        for (String uid : List.of("a1", "a2")) {
            VmId vm = new VmId("default", "same", uid);
            fixture.prepared(vm, blank("data", MIB, false));
            fixture.disks.delete(vm, List.of("data"));
        }
        String folder = fixture.paths.retainedDir() + "/default/same/";
        assertThat(fixture.disks.retained())
                .containsExactly(
                        new RetainedDisk("default", "same", "data.a2", MIB, folder + "data.a2.raw"),
                        new RetainedDisk("default", "same", "data", MIB, folder + "data.raw"));
    }
}
