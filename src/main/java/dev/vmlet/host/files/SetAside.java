package dev.vmlet.host.files;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Damaged files, kept for a person beside where they lay: {@code record.json.damaged-20261126T154500Z}. While such a file
 * has no successor under its old name, what it said is not rebuilt yet.
 */
final class SetAside {
    private static final Logger log = LoggerFactory.getLogger(SetAside.class);
    private static final String MARK = ".damaged-";
    private static final DateTimeFormatter TIME =
            DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmss'Z'").withZone(ZoneOffset.UTC);

    private SetAside() {}

    /** Moves the file away durably and says where to. Its content is not touched. */
    static Path move(Path file) throws IOException {
        Path target = file.resolveSibling(file.getFileName() + MARK + TIME.format(Instant.now()));
        for (int more = 2; Files.exists(target); more++) {
            target = file.resolveSibling(file.getFileName() + MARK + TIME.format(Instant.now()) + "-" + more);
        }
        Files.move(file, target, StandardCopyOption.ATOMIC_MOVE);
        DurableFiles.sync(DurableFiles.folderOf(target));
        return target;
    }

    /** Where the file is now: a full disk or one that is mounted read-only leaves it where it was, for now. */
    static Path moveOrLeave(Path file) {
        try {
            Path target = move(file);
            log.atError().addKeyValue("file", file).addKeyValue("now", target).log("a damaged file was set aside");
            return target;
        } catch (IOException e) {
            log.atError().addKeyValue("file", file).setCause(e).log("a damaged file could not be set aside");
            return file;
        }
    }

    /** The last one that was set aside of this file. */
    static Optional<Path> last(Path file) throws IOException {
        String head = file.getFileName() + MARK;
        try (DirectoryStream<Path> found = Files.newDirectoryStream(
                DurableFiles.folderOf(file),
                entry -> entry.getFileName().toString().startsWith(head))) {
            return stream(found).max(Comparator.comparing(Path::toString));
        } catch (NoSuchFileException | NotDirectoryException e) {
            return Optional.empty();
        }
    }

    /** Deletes all that were set aside of this file. */
    static void forget(Path file) throws IOException {
        for (Optional<Path> aside = last(file); aside.isPresent(); aside = last(file)) {
            DurableFiles.delete(aside.get());
        }
    }

    /** Names in the folder of files that were set aside, as they were before. */
    static List<String> names(Path folder) throws IOException {
        try (DirectoryStream<Path> found = Files.newDirectoryStream(folder, SetAside::is)) {
            return stream(found)
                    .map(file -> {
                        String name = file.getFileName().toString();
                        return name.substring(0, name.indexOf(MARK));
                    })
                    .distinct()
                    .sorted()
                    .toList();
        }
    }

    static boolean is(Path file) {
        return file.getFileName().toString().contains(MARK);
    }

    private static Stream<Path> stream(DirectoryStream<Path> found) {
        return StreamSupport.stream(found.spliterator(), false);
    }
}
