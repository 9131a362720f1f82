package dev.vmlet.host.files;

import java.io.IOException;
import java.nio.file.ClosedWatchServiceException;
import java.nio.file.Path;
import java.nio.file.StandardWatchEventKinds;
import java.nio.file.WatchEvent;
import java.nio.file.WatchKey;
import java.nio.file.WatchService;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Tells when a file comes or goes. It only wakes: whoever is told looks for itself. Where the kernel gives no inotify
 * instance it tells nothing, and the periodic looks see the file.
 */
public final class FileWatch implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(FileWatch.class);

    private final Optional<WatchService> service;
    private final Path name;
    private final Runnable changed;

    /** @param changed called from a thread of this class; must not block */
    public FileWatch(Path file, Runnable changed) {
        Path folder = file.toAbsolutePath().resolveSibling(".").normalize();
        this.name = file.getFileName();
        this.changed = changed;
        this.service = open(folder);
        service.ifPresent(s -> Thread.ofVirtual().name("watch-" + name).start(() -> watch(s)));
    }

    private static Optional<WatchService> open(Path folder) {
        try {
            WatchService service = folder.getFileSystem().newWatchService();
            try {
                folder.register(service, StandardWatchEventKinds.ENTRY_CREATE, StandardWatchEventKinds.ENTRY_DELETE);
                return Optional.of(service);
            } catch (IOException e) {
                service.close();
                throw e;
            }
        } catch (IOException e) {
            LOG.atWarn()
                    .addKeyValue("folder", folder)
                    .addKeyValue("remedy", "raise fs.inotify.max_user_instances or max_user_watches, restart vmlet")
                    .setCause(e)
                    .log("cannot watch a folder: it is looked at periodically only");
            return Optional.empty();
        }
    }

    private void watch(WatchService service) {
        try {
            for (WatchKey key = service.take(); ; key = service.take()) {
                boolean told = false;
                for (WatchEvent<?> event : key.pollEvents()) {
                    // Lost events may have been ours.
                    told |= StandardWatchEventKinds.OVERFLOW.equals(event.kind()) || name.equals(event.context());
                }
                if (told) {
                    changed.run();
                }
                if (!key.reset()) {
                    return;
                }
            }
        } catch (ClosedWatchServiceException e) {
            // Closed.
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    @Override
    public void close() {
        try {
            if (service.isPresent()) {
                service.get().close();
            }
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }
}
