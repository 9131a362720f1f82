package dev.vmlet.host.files;

import dev.vmlet.model.HostException;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.StoreStamp;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Instant;
import java.time.format.DateTimeParseException;
import java.util.Collection;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What is remembered of the API server's object store. The stamp is written every ten seconds and is not synced: one that
 * a power cut takes back to an older one, or to none, raises no false alarm, only none. The lists are durable.
 */
final class StoreNotes {
    private static final Logger log = LoggerFactory.getLogger(StoreNotes.class);
    private static final String FILE_MODE = "rw-------";

    private final Path stamp;
    private final Path unseen;
    private final Path spent;

    StoreNotes(HostPaths paths) {
        this.stamp = Path.of(paths.storeStampFile());
        this.unseen = Path.of(paths.unseenFile());
        this.spent = Path.of(paths.spentConfirmationsFile());
    }

    /** Empty also for a file that cannot be read or is torn. */
    Optional<StoreStamp> stamp() {
        try {
            String[] words =
                    Files.readString(stamp, StandardCharsets.ISO_8859_1).strip().split(" ", -1);
            return words.length == 2
                    ? Optional.of(new StoreStamp(words[0], Instant.parse(words[1])))
                    : Optional.empty();
        } catch (NoSuchFileException e) {
            return Optional.empty();
        } catch (IOException | DateTimeParseException e) {
            log.atWarn().addKeyValue("file", stamp).setCause(e).log("not read; the next renewal writes it anew");
            return Optional.empty();
        }
    }

    void keep(StoreStamp now) throws HostException {
        Path temp = DurableFiles.temp(stamp);
        try {
            try {
                Files.writeString(temp, now.leaseUid() + " " + now.renewed() + "\n", StandardCharsets.ISO_8859_1);
                Files.move(temp, stamp, StandardCopyOption.ATOMIC_MOVE);
            } finally {
                Files.deleteIfExists(temp);
            }
        } catch (IOException e) {
            throw DurableFiles.refusal("write " + stamp, e);
        }
    }

    Set<String> unseen() {
        return lines(unseen);
    }

    void keepUnseen(Collection<String> vmUids) throws HostException {
        write(unseen, vmUids);
    }

    Set<String> spent() {
        return lines(spent);
    }

    void keepSpent(Collection<String> uids) throws HostException {
        write(spent, uids);
    }

    private static Set<String> lines(Path file) {
        try {
            Set<String> lines = new TreeSet<>(Files.readAllLines(file, StandardCharsets.ISO_8859_1));
            lines.remove("");
            return lines;
        } catch (NoSuchFileException e) {
            return Set.of();
        } catch (IOException e) {
            // Taken for empty it would cost a guest: what a restored store lost, or a confirmation that is spent.
            throw new UncheckedIOException(
                    file + " cannot be read, and without it nobody can say which guests are safe to take down: " + e
                            + "; mend its disk, or delete it when no guest is held",
                    e);
        }
    }

    private static void write(Path file, Collection<String> lines) throws HostException {
        try {
            if (lines.isEmpty()) {
                DurableFiles.delete(file);
            } else {
                String text = String.join("\n", new TreeSet<>(lines)) + "\n";
                DurableFiles.write(file, text.getBytes(StandardCharsets.ISO_8859_1), FILE_MODE);
            }
        } catch (IOException e) {
            throw DurableFiles.refusal("write " + file, e);
        }
    }
}
