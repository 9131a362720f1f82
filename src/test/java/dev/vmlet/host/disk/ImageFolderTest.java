package dev.vmlet.host.disk;

import static dev.vmlet.host.disk.DiskFixture.MIB;
import static dev.vmlet.host.disk.DiskFixture.disk;
import static dev.vmlet.host.disk.DiskFixture.vm;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;
import static org.awaitility.Awaitility.await;

import dev.vmlet.model.DesiredDisk;
import dev.vmlet.model.DiskState;
import dev.vmlet.model.HostException;
import dev.vmlet.model.ImageCache;
import dev.vmlet.model.ImageCache.CachedImage;
import dev.vmlet.model.ImageFormat;
import dev.vmlet.model.ImageSource;
import dev.vmlet.model.Seen;
import dev.vmlet.plan.ImagePlanner;
import dev.vmlet.plan.Plan;
import dev.vmlet.plan.PlannedStep;
import dev.vmlet.plan.Step;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The cache of images as files: what is used, when, and what is removed when the file system is full. */
class ImageFolderTest {
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

    private static byte[] bytes(long seed, int length) {
        byte[] bytes = new byte[length];
        new Random(seed).nextBytes(bytes);
        bytes[0] = 1;
        return bytes;
    }

    /** A VM of that uid gets its disk from an image of its own; the image's file. */
    private static String fetched(DiskFixture fixture, String uid, byte[] image) throws Exception {
        try (ImageServer server = new ImageServer(image)) {
            String sha256 = DiskFixture.sha256(image);
            assertThat(fixture.prepared(vm(uid), disk(server.url("/image", sha256), 0)))
                    .isEqualTo(new DiskState.Ready(image.length));
            return sha256 + ".raw";
        }
    }

    private static ImageCache look(DiskFixture fixture) {
        return ((Seen.Present<ImageCache>) fixture.disks.images()).value();
    }

    private static List<String> files(DiskFixture fixture) {
        return look(fixture).images().stream().map(CachedImage::file).toList();
    }

    private static void usedAt(DiskFixture fixture, String file, Instant time) throws IOException {
        Files.setLastModifiedTime(Path.of(fixture.paths.imagesDir(), "used", file), FileTime.from(time));
    }

    /** As the node's pass does it. */
    private static Plan collect(DiskFixture fixture, String... needed) throws HostException {
        Plan plan = ImagePlanner.plan(fixture.disks.images(), Set.of(needed), Instant.now());
        for (PlannedStep step : plan.steps()) {
            switch (step.step()) {
                case Step.DeleteImage(String file, var _) -> fixture.disks.deleteImage(file);
                case Step.DeletePartialImage(String name) -> fixture.disks.deletePartialImage(name);
                default -> throw new AssertionError(step);
            }
        }
        return plan;
    }

    @Test
    void remembersTheLastUseOfAnImageAcrossRestarts() throws Exception {
        String file = fetched(fixture, "a", bytes(1, MIB));
        Instant old = Instant.parse("2026-01-01T00:00:00Z");
        usedAt(fixture, file, old);
        fixture.restart(fixture.settings);
        assertThat(look(fixture).images()).containsExactly(new CachedImage(file, MIB, old, false));

        fetched(fixture, "b", bytes(1, MIB));
        assertThat(look(fixture).images().getFirst().lastUsed()).isAfter(old.plus(Duration.ofDays(1)));

        // An image of an earlier version, without a note, is as old as its file.
        Files.delete(Path.of(fixture.paths.imagesDir(), "used", file));
        Files.setLastModifiedTime(Path.of(fixture.paths.imagesDir(), file), FileTime.from(old));
        assertThat(look(fixture).images().getFirst().lastUsed()).isEqualTo(old);
    }

    @Test
    void removesTheLeastRecentlyUsedFromASmallFileSystem() throws Exception {
        assumeThat(Tool.isRoot()).as("root, who may mount a small file system").isTrue();
        Path small = Files.createDirectory(folder.resolve("small"));
        Tool.Result mounted = Tool.run(
                folder,
                Duration.ofSeconds(10),
                Map.of(),
                List.of("mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", small.toString()));
        assumeThat(mounted.code())
                .as("mount of a small tmpfs: " + mounted.output())
                .isZero();
        try (DiskFixture full = new DiskFixture(small)) {
            List<String> images = List.of(
                    fetched(full, "a", bytes(1, 2 * MIB)),
                    fetched(full, "b", bytes(2, 2 * MIB)),
                    fetched(full, "c", bytes(3, 2 * MIB)));
            // Images and clones: 12 of 16 MiB.
            assertThat(collect(full)).isEqualTo(Plan.nothing());
            Files.write(small.resolve("somebody-elses"), bytes(4, 5 * MIB / 2));
            assertThat(collect(full).steps()).as("all are fresh").isEmpty();

            for (int i = 0; i < 3; i++) {
                usedAt(full, images.get(i), Instant.now().minusSeconds(3600L * (i == 1 ? 9 : i + 1)));
            }
            Plan plan = collect(full);
            assertThat(plan.waitingFor()).isEmpty();
            assertThat(files(full)).containsExactlyInAnyOrder(images.get(0), images.get(2));
            assertThat(look(full).isPressed()).isFalse();
            assertThat(collect(full)).isEqualTo(Plan.nothing());
            // The disk that was made of it is a file of its own.
            assertThat(full.path(vm("b"), disk(new ImageSource.Host("/x", ImageFormat.RAW, ""), 0)))
                    .hasBinaryContent(bytes(2, 2 * MIB));
        } finally {
            Tool.run(folder, Duration.ofSeconds(10), Map.of(), List.of("umount", small.toString()));
        }
    }

    /** Full whatever is removed, so that everything goes that may. */
    private void fill() {
        fixture.space = new Space() {
            @Override
            public long usable(Path any) {
                return 1;
            }

            @Override
            public long total(Path any) {
                return 1L << 40;
            }
        };
    }

    @Test
    void keepsWhatIsNeededAndFetchesWhatWasRemovedAnew() throws Exception {
        byte[] image = bytes(1, MIB);
        String needed = fetched(fixture, "a", image);
        String other = fetched(fixture, "b", bytes(2, MIB));
        for (String file : List.of(needed, other)) {
            usedAt(fixture, file, Instant.EPOCH);
        }
        fill();
        assertThat(fixture.disks.imageFile(
                        new ImageSource.Url("http://any/", ImageFormat.RAW, needed.substring(0, 64))))
                .isEqualTo(Seen.present(needed));
        Plan plan = collect(fixture, needed);
        assertThat(plan.waitingFor()).isPresent();
        assertThat(files(fixture)).containsExactly(needed);
        assertThat(Path.of(fixture.paths.imagesDir(), "used", other)).doesNotExist();

        collect(fixture);
        assertThat(files(fixture)).isEmpty();
        fixture.space = Space.ofFileSystem();
        assertThat(fetched(fixture, "c", image)).isEqualTo(needed);
        assertThat(files(fixture)).containsExactly(needed);
    }

    @Test
    void refusesToRemoveAnImageThatIsBeingCloned() throws Exception {
        String file = fetched(fixture, "a", bytes(1, MIB));
        ImageFolder images = new ImageFolder(
                Path.of(fixture.paths.imagesDir()), Space.ofFileSystem(), fixture.settings.thresholds());
        try (OpenImage first = images.open(file, "x")) {
            try (OpenImage second = images.open(file, "x")) {
                assertThat(second.size()).isEqualTo(MIB);
            }
            assertThat(first.size()).isEqualTo(MIB);
            assertThat(images.look().images().getFirst().inUse()).isTrue();
            assertThatThrownBy(() -> images.delete(file))
                    .isInstanceOf(HostException.Busy.class)
                    .hasMessage("remove the image " + file + ": a disk is being cloned from it");
        }
        assertThat(images.look().images().getFirst().inUse()).isFalse();
        images.delete(file);
        assertThat(images.find(file, "x")).isEmpty();
        images.delete(file);
    }

    @Test
    void sweepsWhatIsHalfMadeAndNobodys() throws Exception {
        byte[] image = bytes(1, MIB);
        try (ImageServer server = new ImageServer(image)) {
            DesiredDisk disk = disk(server.url("/slow", DiskFixture.sha256(image)), 0);
            fixture.disks.prepare(vm("a"), disk, fixture.userId);
            await().atMost(Duration.ofSeconds(10)).until(() -> server.requests.get() == 1);
            Path left = Files.createDirectory(Path.of(fixture.paths.imagesDir(), ":work.1-1.tmp"));
            Files.write(left.resolve("in"), new byte[1]);

            assertThat(look(fixture).abandoned()).containsExactly(":work.1-1.tmp");
            collect(fixture);
            assertThat(left).doesNotExist();

            // Somebody works on the other one.
            try (var entries = Files.list(Path.of(fixture.paths.imagesDir()))) {
                String live = entries.map(p -> p.getFileName().toString())
                        .filter(n -> n.endsWith(".tmp"))
                        .findFirst()
                        .orElseThrow();
                assertThatThrownBy(() -> fixture.disks.deletePartialImage(live)).isInstanceOf(HostException.Busy.class);
            }
            server.slow.countDown();
            fixture.awaitWake(vm("a"));
            assertThat(fixture.path(vm("a"), disk)).hasBinaryContent(image);
        }
    }

    @Test
    void removesNothingButImages() throws Exception {
        Path outside = Files.writeString(folder.resolve("x.raw"), "x");
        for (String name : List.of("../../x.raw", "by-url", "used", "", "/etc/passwd")) {
            assertThatThrownBy(() -> fixture.disks.deleteImage(name)).as(name).isInstanceOf(HostException.class);
            assertThatThrownBy(() -> fixture.disks.deletePartialImage(name))
                    .as(name)
                    .isInstanceOf(HostException.class);
        }
        assertThat(outside).exists();
    }

    @Test
    void aLookFromOutsideTouchesNothingAndJudgesNobody() throws Exception {
        Files.createDirectory(Path.of(fixture.paths.imagesDir(), ":work.1-1.tmp"));
        try (LinuxDisks looking = LinuxDisks.toLook(fixture.settings)) {
            assertThat(looking.images())
                    .isInstanceOfSatisfying(
                            Seen.Present.class,
                            seen -> assertThat(((ImageCache) seen.value()).abandoned())
                                    .isEmpty());
        }
        Folders.delete(Path.of(fixture.paths.imagesDir()));
        assertThat(fixture.disks.images()).isEqualTo(Seen.missing());
    }
}
