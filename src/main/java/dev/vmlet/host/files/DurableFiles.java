package dev.vmlet.host.files;

import dev.vmlet.model.HostException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.DirectoryStream;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Files that are either wholly there or not at all, also after a power cut: written under a temporary name in the same
 * folder, synced, renamed, and the folder synced. The order is that of LWN 457667: a rename alone may reach the disk
 * before the data.
 */
public final class DurableFiles {
    /** A colon starts no name of ours: not an interface, not a Kubernetes uid, not a disk. */
    private static final String TEMP_PREFIX = ":";

    private static final String TEMP_SUFFIX = ".tmp";
    private static final AtomicLong NEXT = new AtomicLong();

    private DurableFiles() {}

    /** A name in the folder of {@code target} that no earlier call has given. Files of such names die at the next start. */
    public static Path temp(Path target) {
        return target.resolveSibling(TEMP_PREFIX + target.getFileName() + "."
                + ProcessHandle.current().pid() + "-" + NEXT.incrementAndGet() + TEMP_SUFFIX);
    }

    public static boolean isTemp(Path path) {
        String name = path.getFileName().toString();
        return name.startsWith(TEMP_PREFIX) && name.endsWith(TEMP_SUFFIX);
    }

    /** Removes the temporary files, not folders, that a crashed agent left in the folder, if there is one. */
    public static void removeTemps(Path folder) throws IOException {
        try (DirectoryStream<Path> entries =
                Files.newDirectoryStream(folder, entry -> isTemp(entry) && !Files.isDirectory(entry))) {
            for (Path entry : entries) {
                Files.deleteIfExists(entry);
            }
        } catch (NoSuchFileException e) {
            // No folder, no leftovers.
        }
    }

    /** Replaces the file. {@code mode} is nine letters, {@code rw-------}. */
    public static void write(Path target, byte[] content, String mode) throws IOException {
        Path temp = temp(target);
        try {
            fill(temp, content, mode);
            publish(temp, target);
        } finally {
            Files.deleteIfExists(temp);
        }
    }

    /** Writes the file unless it exists; tells whether it did. Of two writers one wins, and no reader sees half a file. */
    public static boolean writeNew(Path target, byte[] content, String mode) throws IOException {
        Path temp = temp(target);
        try {
            fill(temp, content, mode);
            // link(2) fails where the name exists; rename(2) would replace it.
            Files.createLink(target, temp);
            syncFolder(target);
            return true;
        } catch (FileAlreadyExistsException e) {
            return false;
        } finally {
            Files.deleteIfExists(temp);
        }
    }

    /** Renames a finished file into place, replacing what is there, after syncing it. */
    public static void publish(Path temp, Path target) throws IOException {
        sync(temp);
        Files.move(temp, target, StandardCopyOption.ATOMIC_MOVE);
        syncFolder(target);
    }

    /** Deletes durably; succeeds when there is no such file. */
    public static void delete(Path target) throws IOException {
        if (Files.deleteIfExists(target)) {
            syncFolder(target);
        }
    }

    /** Deletes the folder durably unless something is in it. */
    public static void deleteEmptyFolder(Path folder) throws IOException {
        try {
            delete(folder);
        } catch (DirectoryNotEmptyException e) {
            // It is in use.
        }
    }

    /** Creates the folder and what is missing above it, durably, and gives each new one the mode, whatever the umask. */
    public static void createFolders(Path folder, String mode) throws IOException {
        if (Files.isDirectory(folder)) {
            return;
        }
        Path parent = folder.getParent();
        if (parent != null) {
            createFolders(parent, mode);
        }
        try {
            Files.createDirectory(folder);
        } catch (FileAlreadyExistsException e) {
            if (Files.isDirectory(folder)) {
                return;
            }
            throw e;
        }
        Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString(mode));
        syncFolder(folder);
    }

    /** Gives the file to the user and the group of the same number; nothing happens where they own it already. */
    public static void giveTo(Path file, int userId) throws IOException {
        for (String attribute : new String[] {"unix:uid", "unix:gid"}) {
            Object owner = Files.getAttribute(file, attribute, LinkOption.NOFOLLOW_LINKS);
            if (!owner.equals(userId)) {
                Files.setAttribute(file, attribute, userId, LinkOption.NOFOLLOW_LINKS);
            }
        }
    }

    public static void sync(Path file) throws IOException {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            channel.force(true);
        }
    }

    private static void syncFolder(Path target) throws IOException {
        sync(folderOf(target));
    }

    /** The folder that the file lies in, which every absolute path but the root has. */
    public static Path folderOf(Path file) {
        Path folder = file.toAbsolutePath().getParent();
        if (folder == null) {
            throw new IllegalArgumentException("no file: " + file);
        }
        return folder;
    }

    private static void fill(Path temp, byte[] content, String mode) throws IOException {
        var permissions = PosixFilePermissions.fromString(mode);
        try (FileChannel channel = FileChannel.open(
                temp,
                Set.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE),
                PosixFilePermissions.asFileAttribute(permissions))) {
            ByteBuffer buffer = ByteBuffer.wrap(content);
            while (buffer.hasRemaining()) {
                channel.write(buffer);
            }
        }
        Files.setPosixFilePermissions(temp, permissions);
    }

    public static boolean isNoSpace(IOException e) {
        String message = String.valueOf(e.getMessage()).toLowerCase(Locale.ROOT);
        return message.contains("no space left") || message.contains("quota exceeded");
    }

    /** What the operating system said, without the path it repeats. */
    public static String cause(IOException e) {
        if (e instanceof NoSuchFileException) {
            return "no such file or folder";
        }
        if (e instanceof AccessDeniedException) {
            return "permission denied";
        }
        if (e instanceof FileSystemException f && f.getReason() != null) {
            return f.getReason();
        }
        return String.valueOf(e.getMessage());
    }

    /** {@code what} names operation and path: {@code write /var/lib/vmlet/vms/1/record.json}. */
    public static HostException refusal(String what, IOException e) {
        String cause = cause(e);
        if (isNoSpace(e)) {
            return new HostException.Refused(what + ": " + cause + "; free some space on that file system", e);
        }
        if (cause.toLowerCase(Locale.ROOT).contains("read-only file system")) {
            return new HostException.Refused(
                    what + ": " + cause + "; mount it writable or choose another state directory", e);
        }
        if (e instanceof AccessDeniedException || cause.contains("not permitted")) {
            return new HostException.NotPermitted(
                    what + ": " + cause + "; the agent must be root or own the state directory", e);
        }
        return new HostException.Refused(what + ": " + cause, e);
    }

    /** The folder's entries, sorted. */
    static List<Path> list(Path folder) throws IOException {
        List<Path> entries = new ArrayList<>();
        try (DirectoryStream<Path> stream = Files.newDirectoryStream(folder)) {
            stream.forEach(entries::add);
        }
        entries.sort(Comparator.naturalOrder());
        return entries;
    }

    /** Whether its content can be had at this moment, whatever it says. */
    static boolean canBeRead(Path file) {
        try {
            byte[] _ = Files.readAllBytes(file);
            return true;
        } catch (IOException e) {
            return false;
        }
    }
}
