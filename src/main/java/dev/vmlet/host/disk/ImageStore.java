package dev.vmlet.host.disk;

import dev.vmlet.host.files.DurableFiles;
import dev.vmlet.model.DesiredDisk;
import dev.vmlet.model.HostNames;
import dev.vmlet.model.ImageFormat;
import dev.vmlet.model.ImageSource;
import dev.vmlet.model.Reason;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.MessageDigest;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Semaphore;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Images in the form that disks are cloned from: raw, checked, held open. Files of the node are used where they lie;
 * what is fetched or converted is kept in the image folder under its sha256. Whoever asks for an image that is under way
 * waits for the same work.
 */
final class ImageStore implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(ImageStore.class);

    private final ImageSettings settings;
    private final Flights flights = new Flights();
    private final Heavy heavy = new Heavy(2);
    /** Apart: an image that was made to convert for ever must not keep the clones of others waiting. */
    private final Heavy conversions = new Heavy(1);
    /** A file's sha256 holds for as long as its stamp does. */
    private final Map<OpenImage.Stamp, String> digests = new ConcurrentHashMap<>();

    private final Space space;
    private final ImageFolder folder;
    private final QemuImg qemuImg;
    private final Downloads downloads;
    /** Downloads at once; more would only share the line. */
    private final Semaphore lines = new Semaphore(2, true);

    ImageStore(ImageSettings settings, Space space) {
        this.settings = settings;
        this.space = space;
        this.folder = new ImageFolder(Path.of(settings.paths().imagesDir()), space, settings.thresholds());
        this.qemuImg = new QemuImg(settings);
        this.downloads = new Downloads(settings, (bytes, what) -> requireSpace(images(), bytes, what));
    }

    ImageFolder folder() {
        return folder;
    }

    /** Refuses what does not fit into the image folder any more. */
    interface SpaceCheck {
        void require(long bytes, String what) throws DiskFailure, IOException;
    }

    private Path images() {
        return folder.path();
    }

    /**
     * The image, raw and checked; the caller closes it. Waits for as long as fetching takes; an interrupt ends the wait,
     * and the work too when nobody else waits for it.
     */
    OpenImage open(ImageSource source, DesiredDisk.Role role, Progress progress)
            throws DiskFailure, IOException, InterruptedException {
        return switch (source) {
            case ImageSource.File _, ImageSource.Host _
            when source.format() == ImageFormat.QCOW2 -> converted(source, progress);
            case ImageSource.File _, ImageSource.Host _ -> local(openHere(source), source, role, progress);
            case ImageSource.Url _, ImageSource.Catalog _ -> remote(source, role, progress);
        };
    }

    private OpenImage local(OpenImage image, ImageSource source, DesiredDisk.Role role, Progress progress)
            throws DiskFailure, IOException, InterruptedException {
        boolean done = false;
        try {
            ImageHead.checkRaw(image.head(ImageHead.LENGTH), source, role);
            if (source.isPinned()) {
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

    private OpenImage openHere(ImageSource source) throws DiskFailure {
        return switch (source) {
            case ImageSource.File file -> OpenImage.beneath(settings.imageDir(), file);
            case ImageSource.Host host -> OpenImage.trusted(Path.of(host.path()), host);
            case ImageSource.Url _, ImageSource.Catalog _ ->
                throw new IllegalStateException("not on this node: " + source);
        };
    }

    /** A qcow2 file of this node, from the cache or into it. */
    private OpenImage converted(ImageSource source, Progress progress)
            throws DiskFailure, IOException, InterruptedException {
        String digest;
        try (OpenImage image = openHere(source)) {
            ImageHead.checkQcow2(image.head(ImageHead.LENGTH), source);
            digest = digest(image, source, progress);
        }
        checkDigest(digest, source);
        String file = ImageFolder.file(digest, ImageFormat.QCOW2);
        Optional<OpenImage> found = folder.find(file, source);
        if (found.isPresent()) {
            return found.get();
        }
        String _ = flights.join(
                file,
                progress,
                own -> folder.inWorkFolder(work -> {
                    Path input = work.resolve("in");
                    // Opened anew: this work may outlive the one who asked first. Copied, so that what is converted is
                    // what was checked, and so that the file itself need not be readable by all.
                    try (OpenImage image = openHere(source)) {
                        requireSpace(images(), image.size(), "image " + source);
                        heavy.run(() -> {
                            Files.createFile(input);
                            SparseCopy.copy(image, input, at -> own.say("Copying " + ImageHead.shortName(source)));
                            return input;
                        });
                        if (!digest.equals(digests.get(image.stamp()))) {
                            throw changed(source);
                        }
                    }
                    convert(input, file, source, own);
                    return file;
                }));
        return folder.open(file, source);
    }

    /** Puts the image that the qcow2 file holds into the cache. */
    private void convert(Path input, String file, ImageSource source, Progress progress)
            throws DiskFailure, IOException, InterruptedException {
        String name = ImageHead.shortName(source);
        progress.say("Waiting to convert " + name);
        Path output = input.resolveSibling("out");
        qemuImg.open(DurableFiles.folderOf(input));
        QemuImg.Contents contents = conversions.run(() -> qemuImg.inspect(input, source));
        requireSpace(images(), contents.dataBytes(), "the raw form of image " + source);
        progress.say("Converting " + name + " to " + Bytes.text(contents.size()) + " raw");
        conversions.run(() -> {
            qemuImg.convert(input, output, contents.size(), source);
            folder.publish(output, file);
            return file;
        });
    }

    private OpenImage remote(ImageSource source, DesiredDisk.Role role, Progress progress)
            throws DiskFailure, IOException, InterruptedException {
        if (!source.isPinned() && settings.sha256Required()) {
            throw DiskFailure.last(
                    Reason.ImageRefused,
                    "image " + source + ": it declares no sha256; add one (sha256sum of the file that is offered), or"
                            + " have the operator give --allow-unverified-images");
        }
        Optional<String> file = file(source);
        Optional<OpenImage> found = file.isPresent() ? folder.find(file.get(), source) : Optional.empty();
        // By where it comes from too: who names another server for the same bytes must not make others wait for it.
        String key = "fetch " + source.format() + " " + origin(source) + " " + source.sha256();
        OpenImage image = found.isPresent()
                ? found.get()
                : folder.open(flights.join(key, progress, own -> fetch(source, own)), source);
        boolean done = false;
        try {
            if (source.format() == ImageFormat.RAW) {
                ImageHead.checkRaw(image.head(ImageHead.LENGTH), source, role);
            }
            done = true;
            return image;
        } finally {
            if (!done) {
                image.close();
            }
        }
    }

    private static String origin(ImageSource source) {
        return switch (source) {
            case ImageSource.Url url -> url.url();
            case ImageSource.Catalog catalog -> catalog.url() + " " + catalog.sha512();
            case ImageSource.File file -> file.path();
            case ImageSource.Host host -> host.path();
        };
    }

    /** The file of the cache that holds the image; empty where its sha256 is not known before it is looked at. */
    Optional<String> file(ImageSource source) throws IOException {
        String sha256 = source.sha256();
        Optional<Path> note = note(source);
        if (note.isPresent() && Files.exists(note.get())) {
            sha256 = Files.readString(note.get(), StandardCharsets.US_ASCII).strip();
        }
        return Digests.isSha256(sha256) ? Optional.of(ImageFolder.file(sha256, source.format())) : Optional.empty();
    }

    /** Where the sha256 of an image is written down that is asked for by something else; empty where it is declared. */
    private Optional<Path> note(ImageSource source) {
        return switch (source) {
            case ImageSource.Url url
            when url.sha256().isEmpty() ->
                Optional.of(folder.byUrl().resolve(HostNames.fingerprint(url.format() + " " + url.url())));
            case ImageSource.Catalog catalog
            when catalog.sha256().isEmpty() -> Optional.of(folder.bySha512().resolve(catalog.sha512()));
            case ImageSource.Url _, ImageSource.Catalog _, ImageSource.File _, ImageSource.Host _ -> Optional.empty();
        };
    }

    /** Downloads, checks and converts; the file in the cache. */
    private String fetch(ImageSource source, Progress progress) throws DiskFailure, IOException, InterruptedException {
        return folder.inWorkFolder(work -> {
            Path input = work.resolve("in");
            progress.say("Waiting for other downloads");
            Digests digests;
            lines.acquire();
            try {
                progress.say("Connecting to fetch " + ImageHead.shortName(source));
                digests = downloads.fetch(source, input, progress);
            } finally {
                lines.release();
            }
            byte[] head;
            try (InputStream in = Files.newInputStream(input)) {
                head = in.readNBytes(ImageHead.LENGTH);
            }
            // Before the digest: that an error page has another one helps nobody.
            ImageHead.refuseHtml(head, source);
            checkDigest(digests.sha256(), source);
            if (source instanceof ImageSource.Catalog catalog) {
                checkDigest("sha512", digests.sha512(), catalog.sha512(), catalog);
            }
            String file = ImageFolder.file(digests.sha256(), source.format());
            switch (source.format()) {
                case RAW -> {
                    ImageHead.checkRaw(head, source, DesiredDisk.Role.KERNEL);
                    Files.setPosixFilePermissions(input, PosixFilePermissions.fromString("rw-------"));
                    folder.publish(input, file);
                }
                case QCOW2 -> {
                    ImageHead.checkQcow2(head, source);
                    convert(input, file, source, progress);
                }
            }
            Optional<Path> note = note(source);
            if (note.isPresent()) {
                DurableFiles.write(
                        note.get(), (digests.sha256() + "\n").getBytes(StandardCharsets.US_ASCII), "rw-------");
            }
            return file;
        });
    }

    private static void checkDigest(String actual, ImageSource source) throws DiskFailure {
        checkDigest("sha256", actual, source.sha256(), source);
    }

    /** @param declared empty where none is */
    private static void checkDigest(String kind, String actual, String declared, ImageSource source)
            throws DiskFailure {
        if (!declared.isEmpty() && !actual.equals(declared)) {
            throw DiskFailure.last(
                    Reason.ImageChecksumMismatch,
                    "image " + source + ": its " + kind + " is " + actual + ", "
                            + (source instanceof ImageSource.Catalog
                                    ? "the catalog's is " + declared + "; what the server has is not that image"
                                    : "declared is " + declared
                                            + "; correct the one that is declared, or find out who changed the file"));
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
        MessageDigest digest = Digests.newSha256();
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
        return Digests.text(digest);
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
                            + settings.paths().stateDir() + " has " + Bytes.text(usable)
                            + " left; free some space there");
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
        try {
            downloads.close();
        } catch (IOException e) {
            LOG.atDebug().setCause(e).log("HTTP client not closed");
        }
    }
}
