package dev.vmlet.host.survey;

import dev.vmlet.doctor.Facts;
import dev.vmlet.host.disk.Reflinks;
import dev.vmlet.host.files.FileRecords;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.Seen;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The state and run directories, or the nearest directories that exist on the way to them. */
final class Directories {
    private static final int OTHERS_PASS = 01;

    /** As long as the uid of an object is. */
    private static final String SOME_UID = "0".repeat(36);

    private Directories() {}

    static Facts.StateDirectory state(HostPaths paths) throws IOException {
        Path wanted = Path.of(paths.stateDir());
        Path there = nearest(wanted);
        boolean exists = there.equals(wanted);
        Mounts.Mount mount = Mounts.of(there.toRealPath());
        String problem = exists ? tryWriting(there) : Files.isWritable(there) ? "" : there + " is not writable";
        return new Facts.StateDirectory(
                paths.stateDir(),
                exists,
                problem,
                mount.type(),
                mount.options(),
                Files.getFileStore(there).getUsableSpace(),
                exists && problem.isEmpty() ? Reflinks.tryIn(there) : byType(mount.type()),
                closed(there, exists),
                unreadable(paths));
    }

    static Facts.RunDirectory run(HostPaths paths) throws IOException {
        Path there = nearest(Path.of(paths.runDir()));
        return new Facts.RunDirectory(
                paths.runDir(),
                Mounts.of(there.toRealPath()).type(),
                (paths.vmRunDir(SOME_UID) + "/vmm/serial.sock").length());
    }

    private static Path nearest(Path wanted) {
        Path there = wanted;
        while (!Files.isDirectory(there) && there.getParent() != null) {
            there = there.getParent();
        }
        return there;
    }

    private static String tryWriting(Path dir) {
        try {
            Files.delete(Files.createTempFile(dir, ".vmlet-try", ""));
            return "";
        } catch (IOException e) {
            return Files.isWritable(dir) ? String.valueOf(e.getMessage()) : "permission denied, or mounted read-only";
        }
    }

    private static Seen<Boolean> byType(String fileSystem) {
        return switch (fileSystem) {
            case "btrfs", "bcachefs" -> Seen.present(true);
            case "ext4", "ext3", "tmpfs", "overlay", "f2fs" -> Seen.present(false);
            default -> Seen.unknown("it is tried where the directory exists");
        };
    }

    /** Parents that guests' users cannot pass; the directory itself is opened by the agent. */
    private static List<String> closed(Path there, boolean exists) throws IOException {
        List<String> closed = new ArrayList<>();
        for (Path dir = exists ? there.getParent() : there; dir != null; dir = dir.getParent()) {
            if (Files.getAttribute(dir, "unix:mode") instanceof Integer mode && (mode & OTHERS_PASS) == 0) {
                closed.addFirst(dir.toString());
            }
        }
        return closed;
    }

    private static List<String> unreadable(HostPaths paths) {
        if (!Files.isDirectory(Path.of(paths.vmsDir())) || !Files.isDirectory(Path.of(paths.networksDir()))) {
            return List.of();
        }
        try {
            return FileRecords.toLook(paths).unreadable();
        } catch (HostException e) {
            return List.of(String.valueOf(e.getMessage()));
        }
    }
}
