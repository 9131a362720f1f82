package dev.vmlet.host.vmm;

import java.io.IOException;
import java.nio.file.FileSystems;
import java.nio.file.WatchService;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** An inotify instance, which the kernel gives each user few of. What it tells is a hint: without one, looks find it. */
final class Inotify {
    private static final Logger LOG = LoggerFactory.getLogger(Inotify.class);

    private Inotify() {}

    /** How an instance is got. */
    @FunctionalInterface
    interface Opening {
        WatchService open() throws IOException;
    }

    /** @param without what is so where the kernel gives none, for the log */
    static Optional<WatchService> open(String without) {
        return open(without, FileSystems.getDefault()::newWatchService);
    }

    static Optional<WatchService> open(String without, Opening opening) {
        try {
            return Optional.of(opening.open());
        } catch (IOException e) {
            LOG.atWarn()
                    .addKeyValue("remedy", "raise fs.inotify.max_user_instances, then restart vmlet")
                    .setCause(e)
                    .log("no inotify instance: " + without);
            return Optional.empty();
        }
    }
}
