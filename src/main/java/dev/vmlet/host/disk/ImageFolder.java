package dev.vmlet.host.disk;

import dev.vmlet.host.files.DurableFiles;
import dev.vmlet.model.HostException;
import dev.vmlet.model.ImageCache;
import dev.vmlet.model.ImageCache.CachedImage;
import dev.vmlet.model.ImageFormat;
import dev.vmlet.model.Reason;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.ReentrantLock;
import java.util.regex.Pattern;

/**
 * The folder of images: whole ones under their sha256, work folders of those being made, and beside them when each was
 * last used, as the time of an empty file {@code used/<image>}. The image itself is not touched: its change time tells
 * whoever clones it that it stayed the same.
 */
final class ImageFolder {
    private static final Pattern IMAGE = Pattern.compile("[0-9a-f]{64}(\\.qcow2)?\\.raw");
    /** Written down no more often than this: an image that many VMs start from costs one write, not one for each. */
    private static final Duration NOTED = Duration.ofMinutes(1);

    private final Path folder;
    private final Space space;
    private final ImageCache.Thresholds thresholds;
    private final ReentrantLock lock = new ReentrantLock();
    /** How many use the image of that name now. Guarded by the lock. */
    private final Map<String, Integer> uses = new HashMap<>();
    /** Names of work folders that somebody works in. Guarded by the lock. */
    private final Set<String> working = new HashSet<>();
    /** Whether what is half made here is ours to judge; others that only look cannot tell. */
    private volatile boolean holder;

    /** What an image occupies; images never change. */
    private final Map<String, Long> allocated = new ConcurrentHashMap<>();

    ImageFolder(Path folder, Space space, ImageCache.Thresholds thresholds) {
        this.folder = folder;
        this.space = space;
        this.thresholds = thresholds;
    }

    /** For the holder of the state directory: makes the folders and removes what a crashed agent left half done. */
    void prepare() throws IOException {
        // The unprivileged converter passes through to its work folder.
        DurableFiles.createFolders(folder, "rwx--x--x");
        Folders.deleteTemps(folder);
        for (Path inner : List.of(byUrl(), bySha512(), used())) {
            DurableFiles.createFolders(inner, "rwx------");
            Folders.deleteTemps(inner);
        }
        holder = true;
    }

    /** For URLs without a declared sha256: which one they had. */
    Path byUrl() {
        return folder.resolve("by-url");
    }

    /** For images of the catalog whose publisher gives only a sha512: which sha256 they had. */
    Path bySha512() {
        return folder.resolve("by-sha512");
    }

    private Path used() {
        return folder.resolve("used");
    }

    Path path() {
        return folder;
    }

    static String file(String sha256, ImageFormat format) {
        return sha256 + ImageHead.suffix(format);
    }

    interface Work {
        String run(Path work) throws DiskFailure, IOException, InterruptedException;
    }

    /** Runs it with a folder of its own, of which nothing is left. */
    String inWorkFolder(Work body) throws DiskFailure, IOException, InterruptedException {
        Path work = DurableFiles.temp(folder.resolve("work"));
        String name = work.getFileName().toString();
        locked(() -> working.add(name));
        try {
            Files.createDirectory(
                    work, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
            return body.run(work);
        } finally {
            Folders.deleteQuietly(work);
            locked(() -> working.remove(name));
        }
    }

    /** Puts a finished image into the cache. */
    void publish(Path made, String file) throws IOException {
        // First: whoever finds the image must find it fresh.
        note(file, Duration.ZERO);
        DurableFiles.publish(made, folder.resolve(file));
    }

    /**
     * Opens the image, if it is there, and keeps it from being removed until it is closed.
     *
     * @param name what people call it
     */
    Optional<OpenImage> find(String file, Object name) throws DiskFailure, IOException {
        // Counted first: what is found to be there cannot go any more.
        locked(() -> uses.merge(file, 1, Integer::sum));
        Optional<OpenImage> found = Optional.empty();
        try {
            if (Files.exists(folder.resolve(file))) {
                note(file, NOTED);
                found = Optional.of(
                        OpenImage.trusted(folder.resolve(file), name).whenClosed(() -> release(file)));
            }
            return found;
        } finally {
            if (found.isEmpty()) {
                release(file);
            }
        }
    }

    /** The same for an image that was put there a moment ago. */
    OpenImage open(String file, Object name) throws DiskFailure, IOException {
        Optional<OpenImage> found = find(file, name);
        return found.orElseThrow(() ->
                DiskFailure.again(Reason.ImageNotFound, "image " + name + ": it was removed while it was being used"));
    }

    private void release(String file) {
        locked(() -> uses.computeIfPresent(file, (_, count) -> count == 1 ? null : count - 1));
    }

    private void note(String file, Duration unlessWithin) throws IOException {
        Path note = used().resolve(file);
        if (Files.exists(note)
                && Duration.between(Files.getLastModifiedTime(note).toInstant(), Instant.now())
                                .compareTo(unlessWithin)
                        < 0) {
            return;
        }
        DurableFiles.createFolders(used(), "rwx------");
        DurableFiles.write(note, new byte[0], "rw-------");
    }

    /** @throws NoSuchFileException when there is no such folder yet */
    ImageCache look() throws IOException {
        List<CachedImage> images = new ArrayList<>();
        List<String> abandoned = new ArrayList<>();
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(folder)) {
            for (Path entry : entries) {
                String name = entry.getFileName().toString();
                if (IMAGE.matcher(name).matches()) {
                    images.add(new CachedImage(name, allocated(entry), lastUsed(entry), isUsed(name)));
                } else if (holder && DurableFiles.isTemp(entry) && Files.isDirectory(entry) && !isWorking(name)) {
                    abandoned.add(name);
                }
            }
        }
        images.sort(Comparator.comparing(CachedImage::file));
        abandoned.sort(Comparator.naturalOrder());
        return new ImageCache(space.total(folder), space.usable(folder), thresholds, images, abandoned);
    }

    private long allocated(Path image) throws IOException {
        Long known = allocated.get(image.getFileName().toString());
        if (known != null) {
            return known;
        }
        try (OpenImage open = OpenImage.trusted(image, image)) {
            long bytes = open.allocated();
            allocated.put(image.getFileName().toString(), bytes);
            return bytes;
        } catch (DiskFailure e) {
            throw new IOException(e.getMessage(), e);
        }
    }

    private Instant lastUsed(Path image) throws IOException {
        Path note = used().resolve(image.getFileName());
        // An image of an earlier version has no note: the time at which it was made must do.
        return Files.getLastModifiedTime(Files.exists(note) ? note : image).toInstant();
    }

    /** @throws HostException.Busy while it is open */
    void delete(String file) throws HostException, IOException {
        if (!IMAGE.matcher(file).matches()) {
            throw new HostException.Refused("remove the image " + file + ": no name of an image", null);
        }
        lock.lock();
        try {
            if (uses.containsKey(file)) {
                throw new HostException.Busy("remove the image " + file + ": a disk is being cloned from it", null);
            }
            DurableFiles.delete(folder.resolve(file));
            allocated.remove(file);
        } finally {
            lock.unlock();
        }
        // Last: without its note an image would seem older than it is.
        DurableFiles.delete(used().resolve(file));
    }

    void deletePartial(String name) throws HostException, IOException {
        Path path = folder.resolve(name);
        if (!folder.equals(path.getParent()) || !DurableFiles.isTemp(path)) {
            throw new HostException.Refused("remove " + name + ": no name of a half-made image", null);
        }
        if (isWorking(name)) {
            throw new HostException.Busy("remove the half-made image " + name + ": somebody works on it", null);
        }
        Folders.delete(path);
    }

    private boolean isUsed(String file) {
        lock.lock();
        try {
            return uses.containsKey(file);
        } finally {
            lock.unlock();
        }
    }

    private boolean isWorking(String name) {
        lock.lock();
        try {
            return working.contains(name);
        } finally {
            lock.unlock();
        }
    }

    private void locked(Runnable change) {
        lock.lock();
        try {
            change.run();
        } finally {
            lock.unlock();
        }
    }
}
