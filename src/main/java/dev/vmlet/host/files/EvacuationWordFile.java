package dev.vmlet.host.files;

import dev.vmlet.host.EvacuationWord;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.Seen;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A file that is there while the VmNode asks for evacuation, beside the one of {@code vmlet evacuate}, which is a
 * person's alone. That it is there is what counts, so that no damage to its text lets a guest start.
 */
public final class EvacuationWordFile implements EvacuationWord {
    private static final Logger log = LoggerFactory.getLogger(EvacuationWordFile.class);
    private static final byte[] TEXT = "The VmNode of this node asked for evacuation when the agent saw it last.\n"
            .getBytes(StandardCharsets.UTF_8);

    private final Path file;
    /** Guarded by this; what the file says for certain. */
    private Optional<Boolean> kept = Optional.empty();

    private boolean behind;

    public EvacuationWordFile(HostPaths paths) {
        this.file = Path.of(paths.evacuationWordFile());
    }

    @Override
    public synchronized Seen<Boolean> last() {
        try {
            byte[] _ = Files.readAllBytes(file);
            kept = Optional.of(true);
            return Seen.present(true);
        } catch (NoSuchFileException e) {
            kept = Optional.of(false);
            return Seen.present(false);
        } catch (IOException e) {
            kept = Optional.empty();
            return Seen.unknown("Whether the VmNode of this node asked for evacuation cannot be read from " + file
                    + ": " + DurableFiles.cause(e) + ". No guest is started until the API server is reached.");
        }
    }

    @Override
    public synchronized void keep(boolean asked) {
        if (kept.equals(Optional.of(asked))) {
            return;
        }
        try {
            if (asked) {
                DurableFiles.write(file, TEXT, "rw-r--r--");
            } else {
                DurableFiles.delete(file);
            }
            kept = Optional.of(asked);
            behind = false;
        } catch (IOException e) {
            if (!behind) {
                log.atWarn()
                        .addKeyValue("file", file)
                        .addKeyValue("cause", DurableFiles.cause(e))
                        .log(
                                asked
                                        ? "that the VmNode asks for evacuation was not written down; it is tried again"
                                        : "that the evacuation by annotation is over was not written down; it is tried"
                                                + " again");
            }
            // A rename may have happened although the folder could not be synced.
            kept = Optional.empty();
            behind = true;
        }
    }
}
