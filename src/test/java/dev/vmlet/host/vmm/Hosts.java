package dev.vmlet.host.vmm;

import dev.vmlet.model.DesiredDisk;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.LaunchSpec;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.MacAddress;
import dev.vmlet.model.Mebibytes;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmRecord;
import dev.vmlet.model.VmmKind;
import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Values and directories that tests of guest processes share. */
public final class Hosts {
    public static final VmId WEB = new VmId("default", "web", "3f2a9c1e-5b7d-4e8f-9a0b-1c2d3e4f5a6b");
    public static final int USER = 60001;

    private Hosts() {}

    /** A guest with two disks, a seed, two NICs. */
    public static LaunchSpec launch(VmmKind vmm) {
        return new LaunchSpec(
                WEB,
                vmm,
                3,
                "",
                USER,
                2,
                new Mebibytes(1024),
                List.of(
                        drive("root", DesiredDisk.Role.DISK, "/state/vms/u/disks/root.raw", false),
                        drive("data", DesiredDisk.Role.DISK, "/state/vms/u/disks/data.raw", false),
                        drive("seed", DesiredDisk.Role.DISK, "/state/vms/u/seed.img", true)),
                "",
                List.of(
                        nic("lab", "vmt-aaaaaaaaaa", "52:00:00:00:00:01"),
                        nic("dmz", "vmt-bbbbbbbbbb", "52:00:00:00:00:02")));
    }

    /** A guest with nothing but a processor and memory. */
    public static LaunchSpec bare(VmmKind vmm, VmId id, int user) {
        return new LaunchSpec(id, vmm, 1, "", user, 1, new Mebibytes(64), List.of(), "", List.of());
    }

    public static LaunchSpec with(LaunchSpec launch, List<LaunchSpec.Drive> drives, String cmdline) {
        return new LaunchSpec(
                launch.id(),
                launch.vmm(),
                launch.generation(),
                launch.restartToken(),
                launch.userId(),
                launch.cores(),
                launch.memory(),
                drives,
                cmdline,
                launch.nics());
    }

    public static LaunchSpec.Drive drive(String name, DesiredDisk.Role role, String path, boolean readOnly) {
        return new LaunchSpec.Drive(name, role, path, readOnly);
    }

    public static LaunchSpec.Nic nic(String network, String tap, String mac) {
        return new LaunchSpec.Nic(network, new LinkName(tap), new MacAddress(mac));
    }

    public static VmRecord.Launch launched(LaunchSpec spec, String bootId, boolean ran) {
        return new VmRecord.Launch(
                spec, bootId, Instant.EPOCH, ran ? Optional.of(Instant.EPOCH) : Optional.empty(), "");
    }

    public static VmRecord record(LaunchSpec spec, String bootId) {
        return new VmRecord(
                spec.id(),
                spec.userId(),
                List.of(),
                List.of(),
                Duration.ZERO,
                Optional.of(launched(spec, bootId, false)),
                Optional.empty(),
                Optional.empty(),
                0,
                0,
                Optional.empty());
    }

    public static VmRecord recordWithoutLaunch(VmId id) {
        return new VmRecord(
                id,
                USER,
                List.of(),
                List.of(),
                Duration.ZERO,
                Optional.empty(),
                Optional.empty(),
                Optional.empty(),
                0,
                0,
                Optional.empty());
    }

    /** Root, and not only of a user namespace that knows no other user. */
    public static boolean isRootOfTheMachine() throws IOException {
        return "root".equals(System.getProperty("user.name"))
                && Files.readString(Path.of("/proc/self/uid_map")).strip().endsWith("4294967295");
    }

    /** A directory that any user may pass through, unlike JUnit's own; its path is short enough for sockets. */
    public static Path directory() throws IOException {
        Path dir = Files.createTempDirectory(Path.of("/tmp"), "vmm");
        Files.setPosixFilePermissions(dir, PosixFilePermissions.fromString("rwxr-xr-x"));
        return dir;
    }

    public static HostPaths paths(Path dir) {
        return new HostPaths(dir + "/state", dir + "/run");
    }

    public static VmFiles files(Path dir) {
        return new VmFiles(paths(dir), WEB.uid());
    }

    public static void delete(Path dir) throws IOException {
        Files.walkFileTree(dir, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
                Files.delete(file);
                return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult postVisitDirectory(Path done, @Nullable IOException failure) throws IOException {
                Files.delete(done);
                return FileVisitResult.CONTINUE;
            }
        });
    }
}
