package dev.vmlet.host.files;

import dev.vmlet.model.HostException;
import java.io.IOException;
import java.nio.file.ClosedWatchServiceException;
import java.nio.file.Path;
import java.nio.file.StandardWatchEventKinds;
import java.nio.file.WatchEvent;
import java.nio.file.WatchKey;
import java.nio.file.WatchService;

/** Tells when a file comes or goes. It only wakes: whoever is told looks for itself. */
public final class FileWatch implements AutoCloseable {
    private final WatchService service;
    private final Path name;
    private final Runnable changed;

    /** @param changed called from a thread of this class; must not block */
    public FileWatch(Path file, Runnable changed) throws HostException {
        Path folder = file.toAbsolutePath().resolveSibling(".").normalize();
        this.name = file.getFileName();
        this.changed = changed;
        try {
            service = folder.getFileSystem().newWatchService();
            folder.register(service, StandardWatchEventKinds.ENTRY_CREATE, StandardWatchEventKinds.ENTRY_DELETE);
        } catch (IOException e) {
            throw DurableFiles.refusal("watch " + folder, e);
        }
        Thread.ofVirtual().name("watch-" + name).start(this::watch);
    }

    private void watch() {
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
            service.close();
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }
}
