package dev.vmlet.host.disk;

import static dev.vmlet.host.disk.DiskFixture.MIB;
import static dev.vmlet.host.disk.DiskFixture.disk;
import static dev.vmlet.host.disk.DiskFixture.vm;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import dev.vmlet.model.DesiredDisk;
import dev.vmlet.model.DiskState;
import dev.vmlet.model.ImageFormat;
import dev.vmlet.model.ImageSource;
import dev.vmlet.model.Reason;
import dev.vmlet.model.VmId;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class Qcow2ImagesTest {
    private static final VmId VM = vm("a");

    @TempDir
    Path folder;

    private DiskFixture fixture;

    @BeforeEach
    void open() throws Exception {
        assumeThat(Tool.find("qemu-img"))
                .as("qemu-img (package qemu-utils) on this machine")
                .isPresent();
        assumeThat(Tool.find("setpriv"))
                .as("setpriv (package util-linux) on this machine")
                .isPresent();
        // The converter's own user passes through to its work folder, as it does below /var/lib.
        if (Tool.isRoot()) {
            Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwx--x--x"));
        }
        fixture = new DiskFixture(folder);
    }

    @AfterEach
    void close() {
        if (fixture != null) {
            fixture.close();
        }
    }

    private static ImageSource.File qcow2(String path) {
        return new ImageSource.File(path, ImageFormat.QCOW2, "");
    }

    private Path qemuImg(String name, String... arguments) throws Exception {
        List<String> command = new ArrayList<>(List.of("qemu-img"));
        command.addAll(List.of(arguments));
        Tool.Result result = Tool.run(fixture.imageDir, Duration.ofSeconds(20), Map.of(), command);
        assertThat(result.code()).as(result.output()).isZero();
        return fixture.imageDir.resolve(name);
    }

    @Test
    void convertsOnceAndClonesTheSameBytes() throws Exception {
        Path raw = fixture.image("plain", 8 * MIB);
        Path image = qemuImg("i.qcow2", "convert", "-c", "-f", "raw", "-O", "qcow2", "plain", "i.qcow2");
        Files.setPosixFilePermissions(image, PosixFilePermissions.fromString("rw-------"));
        DesiredDisk disk = disk(qcow2("i.qcow2"), 0);

        assertThat(fixture.prepared(VM, disk)).isEqualTo(new DiskState.Ready(8L * MIB));
        assertThat(Files.mismatch(fixture.path(VM, disk), raw)).isEqualTo(-1);
        Path cached = Path.of(fixture.paths.imagesDir(), DiskFixture.sha256(Files.readAllBytes(image)) + ".qcow2.raw");
        assertThat(DiskFixture.allocated(cached)).isLessThan(MIB);
        assertThat(Files.getAttribute(cached, "unix:uid")).isEqualTo(fixture.userId);
        fixture.assertNoTemps();

        Object made = Files.getAttribute(cached, "unix:ctime");
        assertThat(fixture.prepared(vm("b"), disk(qcow2("i.qcow2"), 16L * MIB)))
                .isEqualTo(new DiskState.Ready(16L * MIB));
        assertThat(Files.getAttribute(cached, "unix:ctime")).isEqualTo(made);
    }

    @Test
    void convertsWhatItFetched() throws Exception {
        Path raw = fixture.image("plain", 8 * MIB);
        byte[] image =
                Files.readAllBytes(qemuImg("i.qcow2", "convert", "-f", "raw", "-O", "qcow2", "plain", "i.qcow2"));
        try (ImageServer server = new ImageServer(image)) {
            String sha256 = DiskFixture.sha256(image);
            DesiredDisk disk = disk(new ImageSource.Url(server.url("/image", "").url(), ImageFormat.QCOW2, sha256), 0);
            assertThat(fixture.prepared(VM, disk)).isEqualTo(new DiskState.Ready(8L * MIB));
            assertThat(Files.mismatch(fixture.path(VM, disk), raw)).isEqualTo(-1);
        }
    }

    @Test
    void refusesAnImageThatBuildsOnAnotherFile() throws Exception {
        qemuImg("b.qcow2", "create", "-q", "-f", "qcow2", "-b", "/etc/passwd", "-F", "raw", "b.qcow2");
        DiskState.Failed failed = fixture.failed(VM, disk(qcow2("b.qcow2"), 0));
        assertThat(failed.reason()).isEqualTo(Reason.ImageFormatMismatch);
        assertThat(failed.message()).contains("backing file");
        assertThat(failed.retry()).isFalse();
    }

    @Test
    void refusesAnImageWithItsDataElsewhere() throws Exception {
        qemuImg("d.qcow2", "create", "-q", "-f", "qcow2", "-o", "data_file=d.data", "d.qcow2", "1M");
        DiskState.Failed failed = fixture.failed(VM, disk(qcow2("d.qcow2"), 0));
        assertThat(failed.reason()).isEqualTo(Reason.ImageFormatMismatch);
        assertThat(failed.message()).contains("data is in another file");
    }

    @Test
    void refusesAnEncryptedImage() throws Exception {
        // crypt_method 2, LUKS; making one would take qemu-img seconds.
        patch(qemuImg("e.qcow2", "create", "-q", "-f", "qcow2", "e.qcow2", "1M"), 32, 2);
        assertThat(fixture.failed(VM, disk(qcow2("e.qcow2"), 0)).message()).contains("encrypted");
    }

    private static void patch(Path image, int offset, int value) throws IOException {
        try (var file = new RandomAccessFile(image.toFile(), "rw")) {
            file.seek(offset);
            file.writeInt(value);
        }
    }

    @Test
    void refusesAnImageThatUnfoldsBeyondTheLimit() throws Exception {
        qemuImg("big.qcow2", "create", "-q", "-f", "qcow2", "big.qcow2", "8T");
        DiskState.Failed failed = fixture.failed(VM, disk(qcow2("big.qcow2"), 0));
        assertThat(failed.reason()).isEqualTo(Reason.ImageRefused);
        assertThat(failed.message()).contains("8 TiB", "1 GiB");
    }

    @Test
    void refusesTenTebibytesHoweverSmallTheFile() throws Exception {
        ImageSettings s = fixture.settings;
        fixture.restart(new ImageSettings(
                s.paths(),
                s.imageDir(),
                s.urlAllow(),
                s.urlDeny(),
                s.mirror(),
                false,
                s.qemuImg(),
                s.unprivilegedUser(),
                s.thresholds(),
                ImageSettings.Limits.DEFAULT));
        qemuImg("huge.qcow2", "create", "-q", "-f", "qcow2", "huge.qcow2", "10T");
        DiskState.Failed failed = fixture.failed(VM, disk(qcow2("huge.qcow2"), 0));
        assertThat(failed.reason()).isEqualTo(Reason.ImageRefused);
        assertThat(failed.message())
                .isEqualTo(
                        "disk root: image huge.qcow2: its disk is 10 TiB large, more than the limit of 2 TiB; make it"
                                + " smaller (qemu-img resize --shrink), and ask for the size of the VM's disk in the VM");
    }

    @Test
    void asksForSpaceForTheRawFormBeforeItConverts() throws Exception {
        byte[] even = new byte[4 * MIB];
        java.util.Arrays.fill(even, (byte) 7);
        Files.write(fixture.imageDir.resolve("plain"), even);
        qemuImg("i.qcow2", "convert", "-c", "-f", "raw", "-O", "qcow2", "plain", "i.qcow2");
        long compressed = Files.size(fixture.imageDir.resolve("i.qcow2"));
        assertThat(compressed).isLessThan(MIB);
        // Room for a copy of the image, but not for what it unfolds to.
        fixture.space = any -> compressed;
        DiskState.Failed failed = fixture.failed(VM, disk(qcow2("i.qcow2"), 0));
        assertThat(failed.reason()).isEqualTo(Reason.NoSpace);
        assertThat(failed.message())
                .startsWith("disk root: the raw form of image i.qcow2 needs 4 MiB and the file system of ");
    }

    @Test
    void leavesNothingBehindWhenTheFileSystemFillsUpWhileItConverts() throws Exception {
        assumeThat(Tool.isRoot()).as("root, who may mount a small file system").isTrue();
        Path small = Files.createDirectory(folder.resolve("small"));
        Tool.Result mounted = Tool.run(
                folder,
                Duration.ofSeconds(10),
                Map.of(),
                List.of("mount", "-t", "tmpfs", "-o", "size=3m,mode=711", "tmpfs", small.toString()));
        assumeThat(mounted.code())
                .as("mount of a small tmpfs: " + mounted.output())
                .isZero();
        byte[] even = new byte[4 * MIB];
        java.util.Arrays.fill(even, (byte) 7);
        Files.write(fixture.imageDir.resolve("plain"), even);
        Path image = qemuImg("i.qcow2", "convert", "-c", "-f", "raw", "-O", "qcow2", "plain", "i.qcow2");
        try (DiskFixture full = new DiskFixture(small)) {
            full.space = any -> Long.MAX_VALUE;
            ImageSource.Host source = new ImageSource.Host(image.toString(), ImageFormat.QCOW2, "");
            DiskState.Failed failed = full.failed(VM, disk(source, 0));
            assertThat(failed.reason()).isEqualTo(Reason.NoSpace);
            assertThat(failed.message()).contains("No space left on device", "free some space");
            assertThat(failed.retry()).isTrue();
            try (var entries = Files.list(Path.of(full.paths.imagesDir()))) {
                assertThat(entries.filter(p -> p.toString().endsWith(".raw"))).isEmpty();
            }
        } finally {
            Tool.run(folder, Duration.ofSeconds(10), Map.of(), List.of("umount", small.toString()));
        }
    }

    @Test
    void refusesWhatIsDeclaredQcow2AndIsNot() throws Exception {
        fixture.image("plain", MIB);
        assertThat(fixture.failed(VM, disk(qcow2("plain"), 0)).reason()).isEqualTo(Reason.ImageFormatMismatch);
    }

    @Test
    void refusesABrokenQcow2() throws Exception {
        // cluster_bits: clusters larger than the world.
        patch(qemuImg("i.qcow2", "create", "-q", "-f", "qcow2", "i.qcow2", "8M"), 20, 63);
        DiskState.Failed failed = fixture.failed(VM, disk(qcow2("i.qcow2"), 0));
        assertThat(failed.reason()).isEqualTo(Reason.ImageFormatMismatch);
        assertThat(failed.message()).contains("qemu-img cannot read it");
    }

    @Test
    void saysWhichPackageIsMissing() throws Exception {
        qemuImg("i.qcow2", "create", "-q", "-f", "qcow2", "i.qcow2", "1M");
        ImageSettings s = fixture.settings;
        fixture.restart(new ImageSettings(
                s.paths(),
                s.imageDir(),
                s.urlAllow(),
                s.urlDeny(),
                s.mirror(),
                false,
                "no-such-qemu-img",
                65_534,
                s.thresholds(),
                s.limits()));
        assertThat(fixture.failed(VM, disk(qcow2("i.qcow2"), 0)).message())
                .contains("no-such-qemu-img is missing", "qemu-utils");
    }

    @Test
    void isNotFooledByAHeaderThatHidesTheBackingFileFromUs() throws Exception {
        // What our own look at the header passes, qemu-img's is asked about as well.
        qemuImg("b.qcow2", "create", "-q", "-f", "qcow2", "-b", "/etc/passwd", "-F", "raw", "b.qcow2");
        Path work = Files.createDirectory(folder.resolve("work"));
        Path input = Files.copy(fixture.imageDir.resolve("b.qcow2"), work.resolve("in"));
        QemuImg qemu = new QemuImg(fixture.settings);
        qemu.open(work);
        assertThatThrownBy(() -> qemu.inspect(input, qcow2("b.qcow2")))
                .isInstanceOf(DiskFailure.class)
                .hasMessageContaining("builds on another file, /etc/passwd");
    }

    @Test
    void runsTheConverterWithoutRights() throws Exception {
        assumeThat(Tool.isRoot()).as("root, who has rights to lose").isTrue();
        Path spy = folder.resolve("spy");
        Files.writeString(
                spy,
                "#!/bin/sh\nid -u >said; grep -E 'NoNewPrivs|CapEff|CapPrm' /proc/self/status >>said; ulimit -f >>said; exit 1\n");
        Files.setPosixFilePermissions(spy, PosixFilePermissions.fromString("rwxr-xr-x"));
        ImageSettings s = fixture.settings;
        ImageSettings spying = new ImageSettings(
                s.paths(),
                s.imageDir(),
                s.urlAllow(),
                s.urlDeny(),
                s.mirror(),
                false,
                spy.toString(),
                65_534,
                s.thresholds(),
                s.limits());
        Path work = Files.createDirectory(folder.resolve("work"));
        Path input = Files.writeString(work.resolve("in"), "x");
        QemuImg qemu = new QemuImg(spying);
        qemu.open(work);
        assertThatThrownBy(() -> qemu.inspect(input, qcow2("x"))).isInstanceOf(DiskFailure.class);
        assertThat(Files.readAllLines(work.resolve("said")))
                .contains("65534", "NoNewPrivs:\t1", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000");
    }
}
