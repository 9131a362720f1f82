package dev.vmlet.manifests;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A directory of manifests, applied when it is first seen and when a file of it changes: {@code *.yaml}, {@code *.yml} and
 * {@code *.json} directly in it, but no hidden ones, in the order of their names. A file that cannot be read, parsed or
 * applied is told once, with its line, and does not hold up the others.
 *
 * <p>Nothing is ever deleted. A file that is gone may be a disk that was not mounted, and deleting a VM deletes its
 * data; so what a removed file had asked for stays, which is told.
 *
 * <p>One thread of its own looks and applies; {@link #look} is called by it alone, and by tests.
 */
public final class ManifestDirectory implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(ManifestDirectory.class);
    private static final Duration INTERVAL = Duration.ofSeconds(2);
    /** An object that was refused may be waiting for another one, of a later file or of a person. */
    private static final Duration AGAIN = Duration.ofSeconds(30);

    private static final long LARGEST = 3L << 20;

    /** Where manifests go. */
    public interface Target {
        /**
         * Creates or changes the object.
         *
         * @throws ManifestRefused with the API server's reason
         */
        void apply(Manifest manifest) throws ManifestRefused;
    }

    /** Told of each problem and each removal, in a sentence; called on the directory's thread. */
    public interface Listener {
        void problem(String sentence);

        void removed(String sentence);
    }

    /** What tells that a file was written: of these at least one changes. */
    private record Stamp(FileTime modified, FileTime changed, long size, Object file) {
        static final Stamp UNKNOWN = new Stamp(FileTime.fromMillis(0), FileTime.fromMillis(0), -1, "");
    }

    /** What we know of one file. {@code manifests} are those of its last text that could be parsed. */
    private static final class Known {
        private final String name;
        private Stamp stamp;
        private boolean loaded;
        private List<Manifest> manifests = List.of();
        private List<Manifest> refused = List.of();
        private Instant tryAt = Instant.MIN;
        private final Map<String, String> told = new LinkedHashMap<>();

        private Known(String name, Stamp stamp) {
            this.name = name;
            this.stamp = stamp;
        }
    }

    private final Path directory;
    private final Target target;
    private final Listener listener;
    private final Clock clock;
    private final ScheduledExecutorService thread;
    private final SortedMap<String, Known> files = new TreeMap<>();
    private String directoryTold = "";
    private boolean first = true;

    public ManifestDirectory(Path directory, Target target, Listener listener, Clock clock) {
        this.directory = directory;
        this.target = target;
        this.listener = listener;
        this.clock = clock;
        this.thread = new ScheduledThreadPoolExecutor(
                1, Thread.ofPlatform().name("manifests").daemon().factory());
    }

    public void start() {
        var _ = thread.scheduleWithFixedDelay(this::lookSafely, 0, INTERVAL.toMillis(), TimeUnit.MILLISECONDS);
    }

    private void lookSafely() {
        try {
            look();
        } catch (RuntimeException e) {
            // The next look may meet better weather; an exception would end the schedule.
            log.atError().addKeyValue("directory", directory).setCause(e).log("manifests not looked at");
        }
    }

    /** One look at the directory, and what follows from it. */
    void look() {
        SortedMap<String, Stamp> there;
        try {
            there = list();
            directoryTold = "";
        } catch (IOException e) {
            String sentence = "the manifest directory " + directory + " cannot be read (" + words(e)
                    + "); what it asked for stays as it is";
            if (!sentence.equals(directoryTold)) {
                directoryTold = sentence;
                listener.problem(sentence);
            }
            return;
        }
        forgetRemoved(there);
        there.forEach(this::note);
        Map<Manifest.Identity, Manifest> asked = new LinkedHashMap<>();
        for (Known file : files.values()) {
            load(file, asked);
        }
        first = false;
    }

    private SortedMap<String, Stamp> list() throws IOException {
        SortedMap<String, Stamp> found = new TreeMap<>();
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(directory, ManifestDirectory::named)) {
            for (Path entry : entries) {
                try {
                    var attributes = Files.readAttributes(entry, BasicFileAttributes.class);
                    if (attributes.isRegularFile()) {
                        found.put(
                                entry.getFileName().toString(),
                                new Stamp(
                                        attributes.lastModifiedTime(),
                                        (FileTime) Files.getAttribute(entry, "unix:ctime"),
                                        attributes.size(),
                                        String.valueOf(attributes.fileKey())));
                    }
                } catch (NoSuchFileException e) {
                    // Removed while we looked, or a link to nowhere.
                } catch (IOException e) {
                    // A link to itself, say. Reading it will tell why; the others are none the worse for it.
                    found.put(entry.getFileName().toString(), Stamp.UNKNOWN);
                }
            }
        } catch (java.nio.file.DirectoryIteratorException e) {
            throw e.getCause();
        }
        return found;
    }

    private static boolean named(Path entry) {
        String name = entry.getFileName().toString();
        return !name.startsWith(".") && (name.endsWith(".yaml") || name.endsWith(".yml") || name.endsWith(".json"));
    }

    private void forgetRemoved(SortedMap<String, Stamp> there) {
        List<String> gone = new ArrayList<>(files.keySet());
        gone.removeAll(there.keySet());
        for (String name : gone) {
            Known known = files.remove(name);
            if (known != null && !known.manifests.isEmpty()) {
                listener.removed(name + " is gone; what it asked for stays ("
                        + String.join(
                                ", ",
                                known.manifests.stream().map(Manifest::words).toList())
                        + "): delete it with kubectl if it shall go");
            }
        }
    }

    private void note(String name, Stamp stamp) {
        Known known = files.get(name);
        if (known != null && known.stamp.equals(stamp)) {
            return;
        }
        if (known == null) {
            known = new Known(name, stamp);
            files.put(name, known);
        }
        known.stamp = stamp;
        known.loaded = false;
        // What is written while we watch may be half written yet: taken when it was the same at two looks.
        known.tryAt = first ? Instant.MIN : clock.instant().plus(INTERVAL.dividedBy(2));
    }

    /** Parses and applies what is new in a file. {@code asked}: what earlier files ask for, to which this one's is added. */
    private void load(Known file, Map<Manifest.Identity, Manifest> asked) {
        boolean due = !clock.instant().isBefore(file.tryAt);
        if (!file.loaded && due) {
            parse(file);
        }
        List<Manifest> mine = new ArrayList<>();
        for (Manifest manifest : file.manifests) {
            Manifest other = asked.putIfAbsent(manifest.identity(), manifest);
            if (other == null) {
                mine.add(manifest);
            } else {
                tell(
                        file,
                        manifest.place(),
                        manifest.words() + " is in " + other.place() + " already; remove one of the two");
            }
        }
        file.refused = file.refused.stream().filter(mine::contains).toList();
        if (!file.refused.isEmpty() && due) {
            apply(file);
        }
    }

    private void parse(Known file) {
        file.loaded = true;
        file.told.clear();
        try {
            file.manifests = ManifestParser.parse(file.name, read(file.name));
            file.refused = file.manifests;
        } catch (ManifestParser.Broken e) {
            // What its last good text asked for stays asked for, so that no other file may take it.
            file.refused = List.of();
            listener.problem(e.getMessage() + "; the file is left out until it changes");
        }
    }

    private byte[] read(String name) throws ManifestParser.Broken {
        Path path = directory.resolve(name);
        try {
            if (Files.size(path) > LARGEST) {
                throw new ManifestParser.Broken(name, 1, "it is larger than 3 MiB");
            }
            return Files.readAllBytes(path);
        } catch (IOException e) {
            throw new ManifestParser.Broken(name, 1, "it cannot be read: " + words(e));
        }
    }

    private void apply(Known file) {
        List<Manifest> refused = new ArrayList<>();
        for (Manifest manifest : file.refused) {
            try {
                target.apply(manifest);
                file.told.remove(manifest.place());
                log.atInfo()
                        .addKeyValue("file", manifest.place())
                        .addKeyValue("object", manifest.words())
                        .log("manifest applied");
            } catch (ManifestRefused e) {
                refused.add(manifest);
                tell(file, manifest.place(), manifest.words() + " is refused: " + e.getMessage());
            }
        }
        file.refused = List.copyOf(refused);
        file.tryAt = clock.instant().plus(AGAIN);
    }

    /** Once for each place, until it says something else. */
    private void tell(Known file, String place, String what) {
        if (!what.equals(file.told.put(place, what))) {
            listener.problem(place + ": " + what);
        }
    }

    private static String words(IOException e) {
        return switch (e) {
            case NoSuchFileException _ -> "there is none";
            case java.nio.file.NotDirectoryException _ -> "it is not a directory";
            case java.nio.file.AccessDeniedException _ -> "permission denied";
            default -> String.valueOf(e.getMessage());
        };
    }

    @Override
    public void close() {
        thread.shutdownNow();
    }
}
