package dev.vmlet.host.files;

import dev.vmlet.model.HostException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Which boot of the host the recorded forwarding flags are of. Belongs to one agent; its callers take turns. */
final class BootNote {
    private static final Logger log = LoggerFactory.getLogger(BootNote.class);

    /** How the flags of another boot are forgotten. */
    interface Forgetting {
        void forget() throws HostException;
    }

    private final Path file;
    private final Reserve reserve;
    /** The boot that could not be written down yet. */
    private volatile Optional<String> unwritten = Optional.empty();

    BootNote(Path file, Reserve reserve) {
        this.file = file;
        this.reserve = reserve;
    }

    /** Where it cannot be written down the agent starts all the same: to delete a VM is how a person makes room. */
    void enter(String bootId, Forgetting flags) throws HostException {
        try {
            if (Files.exists(file)) {
                if (Files.readString(file, StandardCharsets.ISO_8859_1).strip().equals(bootId)) {
                    return;
                }
                flags.forget();
            }
            // Without the file the flags are a former version's, of a boot nobody knows: they are kept as they are.
            write(bootId);
        } catch (IOException e) {
            log.atWarn().addKeyValue("file", file).setCause(e).log("the host's boot could not be noted");
            unwritten = Optional.of(bootId);
        }
    }

    /** Before a flag is recorded: the next agent must not take it for one of another boot. */
    void beforeFlag() throws IOException {
        if (unwritten.isPresent()) {
            write(unwritten.get());
            unwritten = Optional.empty();
        }
    }

    private void write(String bootId) throws IOException {
        reserve.write(file, (bootId + "\n").getBytes(StandardCharsets.US_ASCII));
    }
}
