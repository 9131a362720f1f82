package dev.vmlet.host.files;

import dev.vmlet.host.Wishes;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.PowerWish;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Wishes in one small file, written anew when one changes. One that cannot be read is as good as none: it is what was
 * known last, and the API server knows better as soon as it is there.
 */
public final class WishFile implements Wishes {
    private static final Logger log = LoggerFactory.getLogger(WishFile.class);

    /** For Jackson. */
    record Content(Map<String, PowerWish> wishes) {
        Content {
            wishes = Map.copyOf(wishes);
        }
    }

    private final Path file;
    /** Guarded by this; what the file says, unless a write has failed. */
    private final Map<String, PowerWish> wishes;

    private boolean behind;

    public WishFile(HostPaths paths) {
        this.file = Path.of(paths.wishesFile());
        this.wishes = new TreeMap<>(read(file));
    }

    private static Map<String, PowerWish> read(Path file) {
        try {
            byte[] content = Files.readAllBytes(file);
            return RecordJson.read(content, RecordJson.tree(content), Content.class)
                    .wishes();
        } catch (NoSuchFileException e) {
            return Map.of();
        } catch (IOException e) {
            log.atWarn()
                    .addKeyValue("file", file)
                    .addKeyValue("cause", e.getMessage())
                    .log("which VMs were to run is not known until the API server is reached");
            return Map.of();
        }
    }

    @Override
    public synchronized Optional<PowerWish> of(String vmUid) {
        return Optional.ofNullable(wishes.get(vmUid));
    }

    @Override
    public synchronized void keep(String vmUid, PowerWish wish) {
        if (!wish.equals(wishes.put(vmUid, wish)) || behind) {
            write();
        }
    }

    @Override
    public synchronized void forget(String vmUid) {
        if (wishes.remove(vmUid) != null || behind) {
            write();
        }
    }

    private void write() {
        try {
            DurableFiles.write(file, RecordJson.write(new Content(wishes)), "rw-------");
            behind = false;
        } catch (IOException e) {
            if (!behind) {
                log.atWarn()
                        .addKeyValue("file", file)
                        .addKeyValue("cause", DurableFiles.cause(e))
                        .log("which VMs are to run was not written down; it is tried again");
            }
            behind = true;
        }
    }
}
