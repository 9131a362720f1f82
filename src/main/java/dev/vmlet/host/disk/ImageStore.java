package dev.vmlet.host.disk;

import dev.vmlet.host.files.DurableFiles;
import dev.vmlet.model.DesiredDisk;
import dev.vmlet.model.ImageFormat;
import dev.vmlet.model.ImageSource;
import dev.vmlet.model.Reason;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Images in the form that disks are cloned from: raw, checked, held open. Files of the node are used where they lie;
 * what is fetched or converted is kept in the image folder under its sha256. Whoever asks for an image that is under way
 * waits for the same work.
 */
final class ImageStore implements AutoCloseable {
    private final ImageSettings settings;
    private final Flights flights = new Flights();
    private final Heavy heavy = new Heavy(2);
    /** A file's sha256 holds for as long as its stamp does. */
    private final Map<OpenImage.Stamp, String> digests = new ConcurrentHashMap<>();

    private final Space space;

    ImageStore(ImageSettings settings, Space space) throws IOException {
        this.settings = settings;
        this.space = space;
        // The unprivileged converter passes through to its work folder.
        DurableFiles.createFolders(images(), "rwx--x--x");
        DurableFiles.removeTemps(images());
    }

    private Path images() {
        return Path.of(settings.paths().imagesDir());
    }

    /**
     * The image, raw and checked; the caller closes it. Waits for as long as fetching takes; an interrupt ends the wait,
     * and the work too when nobody else waits for it.
     */
    OpenImage open(ImageSource source, DesiredDisk.Role role, Progress progress)
            throws DiskFailure, IOException, InterruptedException {
        return switch (source) {
            case ImageSource.File file -> local(OpenImage.beneath(settings.imageDir(), file), file, role, progress);
            case ImageSource.Host host -> local(OpenImage.trusted(Path.of(host.path()), host), host, role, progress);
            case ImageSource.Url url ->
                throw DiskFailure.last(Reason.ImageRefused, "image " + url + ": images by url come later");
        };
    }

    private OpenImage local(OpenImage image, ImageSource source, DesiredDisk.Role role, Progress progress)
            throws DiskFailure, IOException, InterruptedException {
        boolean done = false;
        try {
            if (source.format() == ImageFormat.QCOW2) {
                throw DiskFailure.last(Reason.ImageRefused, "image " + source + ": qcow2 images come later");
            }
            ImageHead.checkRaw(image.head(ImageHead.LENGTH), source, role);
            if (!source.sha256().isEmpty()) {
                checkDigest(digest(image, source, progress), source);
            }
            done = true;
            return image;
        } finally {
            if (!done) {
                image.close();
            }
        }
    }

    private static void checkDigest(String actual, ImageSource source) throws DiskFailure {
        if (!actual.equals(source.sha256())) {
            throw DiskFailure.last(
                    Reason.ImageChecksumMismatch,
                    "image " + source + ": its sha256 is " + actual + ", declared is " + source.sha256());
        }
    }

    private String digest(OpenImage image, ImageSource source, Progress progress)
            throws DiskFailure, IOException, InterruptedException {
        OpenImage.Stamp stamp = image.stamp();
        String known = digests.get(stamp);
        if (known != null) {
            return known;
        }
        String digest = heavy.run(() -> sha256(image.path(), source, progress));
        if (!image.stamp().equals(stamp)) {
            throw changed(source);
        }
        digests.put(stamp, digest);
        return digest;
    }

    static DiskFailure changed(ImageSource source) {
        return DiskFailure.again(
                Reason.ImageFetchFailed, "image " + source + ": the file was changed while it was read");
    }

    private static String sha256(Path file, ImageSource source, Progress progress) throws IOException {
        MessageDigest digest = newDigest();
        long size = Files.size(file);
        byte[] buffer = new byte[1 << 20];
        long done = 0;
        try (InputStream in = Files.newInputStream(file)) {
            int read = in.read(buffer);
            while (read >= 0) {
                if (Thread.currentThread().isInterrupted()) {
                    throw new InterruptedIOException("given up");
                }
                digest.update(buffer, 0, read);
                done += read;
                progress.share("Checking the sha256 of " + ImageHead.shortName(source), done, size);
                read = in.read(buffer);
            }
        }
        return HexFormat.of().formatHex(digest.digest());
    }

    static MessageDigest newDigest() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has SHA-256", e);
        }
    }

    Heavy heavy() {
        return heavy;
    }

    /** Refuses what would fill the file system that holds the folder. */
    void requireSpace(Path folder, long bytes, String what) throws DiskFailure, IOException {
        long usable = space.usable(folder);
        if (usable < bytes) {
            throw DiskFailure.again(
                    Reason.NoSpace,
                    what + " needs " + Bytes.text(bytes) + " and the file system of "
                            + settings.paths().stateDir() + " has " + Bytes.text(usable) + " left");
        }
    }

    /** Like {@link #requireSpace}, but not where a clone shares the image's blocks and needs next to none. */
    void requireClone(Path folder, long bytes, String what) throws DiskFailure, IOException {
        String type = Files.getFileStore(folder).type();
        if (!type.equals("xfs") && !type.equals("btrfs")) {
            requireSpace(folder, bytes, what);
        }
    }

    @Override
    public void close() {
        flights.close();
    }
}
