package dev.vmlet.host.disk;

import dev.vmlet.model.ImageSource;
import dev.vmlet.model.Reason;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import jnr.constants.platform.Errno;

/**
 * A regular file held open for reading, so that everything that is done with it is done with the same file, whatever
 * happens to its name.
 */
final class OpenImage implements AutoCloseable {
    private final int fd;
    private final Path path;
    private Runnable closed = () -> {};

    private OpenImage(int fd) {
        this.fd = fd;
        this.path = Path.of("/proc/self/fd/" + fd);
    }

    /**
     * Identity and content of a file as far as the kernel tells: a write changes ctime, and nobody can set that back.
     */
    record Stamp(Object device, Object inode, long size, Object changed) {}

    /**
     * Opens an image beneath the image folder. Links that stay inside are followed, whatever leads out is refused.
     *
     * @throws DiskFailure ImageNotFound, ImageRefused
     */
    static OpenImage beneath(Optional<Path> imageDir, ImageSource.File source) throws DiskFailure {
        if (imageDir.isEmpty()) {
            throw DiskFailure.last(
                    Reason.ImageRefused,
                    "image " + source
                            + ": this node has no image directory; start vmlet with --image-dir, or use a url");
        }
        Path folder = imageDir.get();
        Path relative = Path.of(source.path());
        if (relative.isAbsolute() || source.path().isEmpty() || contains(relative, "..")) {
            throw DiskFailure.last(
                    Reason.ImageRefused,
                    "image " + source + ": the path must be relative to the image directory and without \"..\"");
        }
        int folderFd = -1;
        try {
            folderFd = LibC.open(folder.toString(), LibC.O_RDONLY);
            return regular(LibC.openBeneath(folderFd, source.path()), source);
        } catch (LibC.Failed e) {
            throw refusal(source, folder, e);
        } finally {
            if (folderFd >= 0) {
                LibC.close(folderFd);
            }
        }
    }

    private static boolean contains(Path path, String part) {
        for (Path p : path) {
            if (p.toString().equals(part)) {
                return true;
            }
        }
        return false;
    }

    private static DiskFailure refusal(ImageSource source, Path folder, LibC.Failed e) {
        return switch (e.errno()) {
            case ENOENT, ENOTDIR ->
                DiskFailure.again(
                        Reason.ImageNotFound,
                        "image " + source + ": no such file in " + folder + "; put it there, or correct the path");
            case EXDEV, ELOOP ->
                DiskFailure.last(
                        Reason.ImageRefused,
                        "image " + source + ": it is a link that leads out of the image directory " + folder);
            case ENOSYS ->
                DiskFailure.last(
                        Reason.ImageRefused,
                        "image " + source + ": this kernel cannot open files beneath a folder safely (openat2, Linux"
                                + " 5.6)");
            default -> DiskFailure.of("open image " + source + " in " + folder, e);
        };
    }

    /** Opens a file that the operator, or vmlet itself, has named. */
    static OpenImage trusted(Path path, Object name) throws DiskFailure {
        try {
            return regular(LibC.open(path.toString(), LibC.O_RDONLY | LibC.O_NONBLOCK), name);
        } catch (LibC.Failed e) {
            if (e.errno() == Errno.ENOENT || e.errno() == Errno.ENOTDIR) {
                throw DiskFailure.again(Reason.ImageNotFound, "image " + name + ": no such file on this node");
            }
            throw DiskFailure.of("open image " + name, e);
        }
    }

    private static OpenImage regular(int fd, Object name) throws DiskFailure {
        OpenImage image = new OpenImage(fd);
        if (Files.isRegularFile(image.path)) {
            return image;
        }
        image.close();
        throw DiskFailure.last(Reason.ImageRefused, "image " + name + ": it is not a regular file");
    }

    /** Has that done when this is closed. */
    OpenImage whenClosed(Runnable then) {
        closed = then;
        return this;
    }

    int fd() {
        return fd;
    }

    /** Leads to the very file that is open, as long as it is open; a name given to us would be looked up anew. */
    Path path() {
        return path;
    }

    long size() throws IOException {
        return Files.size(path);
    }

    /** What it occupies, holes left out. */
    long allocated() throws IOException {
        long total = 0;
        long size = size();
        long at = 0;
        while (at < size) {
            Optional<Extent> extent = SparseCopy.nextExtent(fd, at, size);
            if (extent.isEmpty()) {
                break;
            }
            total += extent.get().end() - extent.get().start();
            at = extent.get().end();
        }
        return total;
    }

    Stamp stamp() throws IOException {
        Map<String, Object> now = Files.readAttributes(path, "unix:dev,ino,size,ctime");
        return new Stamp(get(now, "dev"), get(now, "ino"), (Long) get(now, "size"), get(now, "ctime"));
    }

    private static Object get(Map<String, Object> attributes, String name) throws IOException {
        Object value = attributes.get(name);
        if (value == null) {
            throw new IOException("no attribute " + name);
        }
        return value;
    }

    /** The first bytes, fewer where the file is shorter. */
    byte[] head(int count) throws IOException {
        try (var in = Files.newInputStream(path)) {
            return in.readNBytes(count);
        }
    }

    @Override
    public void close() {
        LibC.close(fd);
        closed.run();
    }

    /** A stretch of data, {@code end} exclusive. */
    record Extent(long start, long end) {}
}
