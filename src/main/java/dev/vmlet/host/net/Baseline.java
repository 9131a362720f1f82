package dev.vmlet.host.net;

import dev.vmlet.host.net.NftTable.NftObject;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;

/**
 * What nft listed right after our last install, kept in a file across restarts of the agent: one object a line. The
 * ruleset's text cannot be compared with a listing, because nft rewrites it (an implied match is left out, a priority
 * becomes a name) differently from version to version.
 */
final class Baseline {
    private final Path file;
    private final Path directory;

    /** @param file absolute, or relative to the working directory */
    Baseline(Path file) {
        this.file = file.toAbsolutePath();
        this.directory = Objects.requireNonNull(this.file.getParent(), "baseline file has a directory");
    }

    Path file() {
        return file;
    }

    /** Replaces the file as a whole; a crash leaves the old or the new one. */
    void write(List<NftObject> objects) throws IOException {
        Files.createDirectories(directory);
        Path draft = directory.resolve(file.getFileName() + ".new");
        try {
            try (FileChannel out = FileChannel.open(
                    draft, StandardOpenOption.CREATE, StandardOpenOption.TRUNCATE_EXISTING, StandardOpenOption.WRITE)) {
                ByteBuffer bytes =
                        ByteBuffer.wrap((String.join("\n", lines(objects)) + "\n").getBytes(StandardCharsets.UTF_8));
                while (bytes.hasRemaining()) {
                    out.write(bytes);
                }
                out.force(true);
            }
            Files.move(draft, file, StandardCopyOption.ATOMIC_MOVE);
        } finally {
            Files.deleteIfExists(draft);
        }
        try (FileChannel parent = FileChannel.open(directory)) {
            parent.force(true);
        }
    }

    void delete() throws IOException {
        Files.deleteIfExists(file);
    }

    /** How the objects differ from those kept, a sentence; empty when they do not. */
    String difference(List<NftObject> objects) throws IOException {
        Optional<List<String>> kept = read();
        if (kept.isEmpty()) {
            return "no record of what was installed";
        }
        List<String> seen = lines(objects);
        if (seen.equals(kept.get())) {
            return "";
        }
        List<String> missing = new ArrayList<>(kept.get());
        seen.forEach(missing::remove);
        if (!missing.isEmpty()) {
            return "changed or missing: " + missing.getFirst();
        }
        List<String> added = new ArrayList<>(seen);
        kept.get().forEach(added::remove);
        return added.isEmpty() ? "rules are in another order" : "not ours: " + added.getFirst();
    }

    private Optional<List<String>> read() throws IOException {
        try {
            return Optional.of(Files.readAllLines(file));
        } catch (NoSuchFileException | CharacterCodingException e) {
            // Not there, or not what we wrote: the tables are installed anew, and the file with them.
            return Optional.empty();
        }
    }

    private static List<String> lines(List<NftObject> objects) {
        return objects.stream().map(NftObject::toString).toList();
    }
}
