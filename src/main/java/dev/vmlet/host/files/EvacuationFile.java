package dev.vmlet.host.files;

import dev.vmlet.model.HostException;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.Seen;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;

/**
 * The mark by which a person, through {@code vmlet evacuate}, has this node's guests stopped and kept down: a file that
 * outlives the agent and a reboot. That it is there is what counts; its text is for people. Written by the command alone.
 */
public final class EvacuationFile {
    private final Path file;

    public EvacuationFile(HostPaths paths) {
        this.file = Path.of(paths.evacuationFile());
    }

    /** A sentence that says since when. */
    public Seen<String> read() {
        try {
            String text = Files.readString(file, StandardCharsets.UTF_8).strip();
            return Seen.present(text.isEmpty() ? "This node is evacuated." : text);
        } catch (NoSuchFileException e) {
            return Seen.missing();
        } catch (IOException e) {
            return Seen.unknown(
                    "Whether this node is evacuated cannot be read from " + file + ": " + DurableFiles.cause(e));
        }
    }

    /** Leaves the mark; one that is there stays as it is. */
    public void begin(Instant now) throws HostException {
        try {
            String text = "This node is evacuated since " + now.truncatedTo(ChronoUnit.SECONDS) + ".\n";
            boolean _ = DurableFiles.writeNew(file, text.getBytes(StandardCharsets.UTF_8), "rw-r--r--");
        } catch (IOException e) {
            throw DurableFiles.refusal("write " + file, e);
        }
    }

    /** Harmless when there is none. */
    public void end() throws HostException {
        try {
            DurableFiles.delete(file);
        } catch (IOException e) {
            throw DurableFiles.refusal("delete " + file, e);
        }
    }
}
