package dev.vmlet.host.disk;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.model.DesiredDisk;
import dev.vmlet.model.DiskState;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.ImageCache;
import dev.vmlet.model.ImageFormat;
import dev.vmlet.model.ImageSource;
import dev.vmlet.model.VmId;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;

/** Disks in a folder of the test's, and a way to wait for what they prepare. */
final class DiskFixture implements AutoCloseable {
    static final int KIB = 1 << 10;
    static final int MIB = 1 << 20;

    /** This process's own: a chown to it needs no privilege. */
    final int userId;

    final HostPaths paths;
    final Path imageDir;
    final Map<String, Semaphore> woken = new ConcurrentHashMap<>();
    volatile Space space = Space.ofFileSystem();
    ImageSettings settings;
    LinuxDisks disks;

    DiskFixture(Path folder) throws IOException, HostException {
        userId = (Integer) Files.getAttribute(folder, "unix:uid");
        paths = new HostPaths(
                folder.resolve("state").toString(), folder.resolve("run").toString());
        imageDir = Files.createDirectory(folder.resolve("images"));
        settings = new ImageSettings(
                paths,
                Optional.of(imageDir),
                List.of("127.0.0.1"),
                List.of(),
                Optional.empty(),
                false,
                "qemu-img",
                65_534,
                new ImageCache.Thresholds(85, 80),
                new ImageSettings.Limits(
                        64L * MIB,
                        1L << 30,
                        Duration.ofSeconds(5),
                        Duration.ofSeconds(5),
                        Duration.ofSeconds(30),
                        3,
                        Duration.ofMillis(10),
                        Duration.ofSeconds(30)));
        disks = open();
    }

    LinuxDisks open() throws HostException {
        return new LinuxDisks(
                settings,
                uid -> woken.computeIfAbsent(uid, key -> new Semaphore(0)).release(),
                new Space() {
                    @Override
                    public long usable(Path any) throws IOException {
                        return space.usable(any);
                    }

                    @Override
                    public long total(Path any) throws IOException {
                        return space.total(any);
                    }
                });
    }

    /** A new agent with other settings, or simply after the old one. */
    void restart(ImageSettings with) throws HostException {
        disks.close();
        settings = with;
        disks = open();
    }

    static VmId vm(String uid) {
        return new VmId("default", "vm-" + uid, uid);
    }

    static DesiredDisk disk(ImageSource image, long size) {
        return new DesiredDisk("root", DesiredDisk.Role.DISK, Optional.of(image), size, false);
    }

    static DesiredDisk blank(String name, long size, boolean retain) {
        return new DesiredDisk(name, DesiredDisk.Role.DISK, Optional.empty(), size, retain);
    }

    static ImageSource.File raw(String path) {
        return new ImageSource.File(path, ImageFormat.RAW, "");
    }

    /** Prepares and waits for the wake-up call; what is seen then. */
    DiskState prepared(VmId vm, DesiredDisk disk) throws Exception {
        disks.prepare(vm, disk, userId);
        awaitWake(vm);
        return disks.observe(vm, disk);
    }

    void awaitWake(VmId vm) throws InterruptedException {
        Semaphore calls = woken.computeIfAbsent(vm.uid(), key -> new Semaphore(0));
        assertThat(calls.tryAcquire(30, TimeUnit.SECONDS))
                .as("woken within 30 s")
                .isTrue();
    }

    DiskState.Failed failed(VmId vm, DesiredDisk disk) throws Exception {
        DiskState state = prepared(vm, disk);
        assertThat(state).isInstanceOf(DiskState.Failed.class);
        assertNoTemps();
        return (DiskState.Failed) state;
    }

    Path path(VmId vm, DesiredDisk disk) {
        return Path.of(paths.disk(vm.uid(), disk));
    }

    /** Nothing half done is anywhere in the state directory. */
    void assertNoTemps() throws IOException {
        try (var all = Files.walk(Path.of(paths.stateDir()))) {
            assertThat(all.filter(path -> path.getFileName().toString().endsWith(".tmp")))
                    .isEmpty();
        }
    }

    /** Data, a hole, data, and a hole at the end: the shape of a cloud image. */
    Path image(String name, int size) throws IOException {
        Path file = imageDir.resolve(name);
        byte[] data = new byte[256 * KIB];
        new Random(name.hashCode()).nextBytes(data);
        data[0] = 1;
        try (var out = new RandomAccessFile(file.toFile(), "rw")) {
            out.write(data);
            out.seek(size / 2);
            out.write(data);
            out.setLength(size);
        }
        return file;
    }

    static String sha256(byte[] content) throws Exception {
        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(content));
    }

    static long allocated(Path file) throws Exception {
        try (OpenImage image = OpenImage.trusted(file, file)) {
            return image.allocated();
        }
    }

    @Override
    public void close() {
        disks.close();
    }
}
