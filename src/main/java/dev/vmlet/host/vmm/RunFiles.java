package dev.vmlet.host.vmm;

import dev.vmlet.model.HostException;
import dev.vmlet.model.Seen;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** The run directory of one guest process, and the logs it starts with. */
final class RunFiles {
    private static final Set<PosixFilePermission> PASSABLE = PosixFilePermissions.fromString("rwx--x--x");
    private static final Set<PosixFilePermission> PRIVATE_DIR = PosixFilePermissions.fromString("rwx------");
    private static final Set<PosixFilePermission> PRIVATE_FILE = PosixFilePermissions.fromString("rw-------");

    /** Longest path of a unix socket (sun_path, unix(7)), without its closing zero. */
    private static final int SOCKET_PATH_MAX = 107;

    /**
     * Clears what a former process left (stale sockets refuse a start, a stale pid file would lie) and makes everything
     * the next one opens. Only when the former is proved dead.
     */
    void prepare(VmFiles files, int userId) throws HostException {
        String longest = files.serial().toString();
        if (longest.length() > SOCKET_PATH_MAX) {
            throw new HostException.Refused(
                    "make " + longest + ": longer than the " + SOCKET_PATH_MAX
                            + " bytes of a unix socket's path; choose a shorter run directory",
                    null);
        }
        remove(files);
        try {
            passable(files.run());
            Files.createDirectory(files.sockets(), PosixFilePermissions.asFileAttribute(PRIVATE_DIR));
            own(files.sockets(), userId);
            create(files.events(), userId);
            Files.createDirectories(files.state(), attribute(PASSABLE));
            LogFiles.rotate(files.vmmLog());
            LogFiles.rotate(files.serialLog());
            create(files.vmmLog(), 0);
            create(files.serialLog(), userId);
        } catch (IOException e) {
            throw new HostException.Refused("prepare " + files.run(), e);
        }
    }

    void remove(VmFiles files) throws HostException {
        try {
            // Links are not followed: the guest's user owns a part of this tree.
            Files.walkFileTree(files.run(), new SimpleFileVisitor<>() {
                @Override
                public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
                    Files.delete(file);
                    return FileVisitResult.CONTINUE;
                }

                @Override
                public FileVisitResult postVisitDirectory(Path dir, @Nullable IOException failure) throws IOException {
                    Files.delete(dir);
                    return FileVisitResult.CONTINUE;
                }
            });
        } catch (NoSuchFileException e) {
            return;
        } catch (IOException e) {
            throw new HostException.Refused("remove " + files.run(), e);
        }
    }

    /** What a launcher noted when its VMM ended. The note is moved into place, so its time is that of the writing. */
    record Exit(int code, Instant at) {}

    static Seen<Exit> exit(Path file) {
        try {
            return Seen.present(new Exit(
                    Integer.parseInt(Files.readString(file).strip()),
                    Files.getLastModifiedTime(file).toInstant()));
        } catch (NoSuchFileException e) {
            return Seen.missing();
        } catch (IOException | NumberFormatException e) {
            return Seen.unknown("cannot read " + file + ": " + e.getMessage());
        }
    }

    /** The guest's user must pass through, and see nothing. Several VMs may be the first to come here. */
    static void passable(Path dir) throws IOException {
        Path parent = dir.getParent();
        if (parent != null && !Files.isDirectory(parent)) {
            passable(parent);
        }
        if (!Files.isDirectory(dir)) {
            try {
                Files.createDirectory(dir, attribute(PASSABLE));
            } catch (FileAlreadyExistsException e) {
                if (!Files.isDirectory(dir)) {
                    throw e;
                }
            }
            // Again, past the umask.
            Files.setPosixFilePermissions(dir, PASSABLE);
        }
    }

    private static void create(Path file, int userId) throws IOException {
        Files.createFile(file, attribute(PRIVATE_FILE));
        own(file, userId);
    }

    private static void own(Path file, int userId) throws IOException {
        Files.setAttribute(file, "unix:uid", userId);
        Files.setAttribute(file, "unix:gid", userId);
    }

    private static FileAttribute<Set<PosixFilePermission>> attribute(Set<PosixFilePermission> permissions) {
        return PosixFilePermissions.asFileAttribute(permissions);
    }
}
