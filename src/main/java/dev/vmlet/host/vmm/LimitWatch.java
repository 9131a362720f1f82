package dev.vmlet.host.vmm;

import java.io.IOException;
import java.nio.file.ClosedWatchServiceException;
import java.nio.file.Path;
import java.nio.file.StandardWatchEventKinds;
import java.nio.file.WatchEvent;
import java.nio.file.WatchKey;
import java.nio.file.WatchService;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Tells when somebody writes to a file that holds a guest's limit (inotify(7), which cgroup file systems support for
 * writes). A hint, our own writes included. One daemon thread; where a directory cannot be watched, the periodic looks
 * see what was written.
 */
final class LimitWatch implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(LimitWatch.class);

    private final Consumer<String> written;
    private final Optional<WatchService> watcher;

    /** VM uid by key, and the keys of each VM; guarded by this. */
    private final Map<WatchKey, String> owners = new HashMap<>();

    private final Map<String, List<WatchKey>> keys = new HashMap<>();

    /**
     * @param written called with the VM's uid, on the watching thread; must not block
     * @param watcher empty for one that tells nothing
     */
    LimitWatch(Consumer<String> written, Optional<WatchService> watcher) {
        this.written = written;
        this.watcher = watcher;
        watcher.ifPresent(w -> Thread.ofPlatform().daemon().name("limit-watch").start(() -> run(w)));
    }

    /** Harmless to call again for a VM that is watched; its directories are those of the first call. */
    synchronized void watch(String vmUid, List<Path> directories) {
        if (watcher.isEmpty() || keys.containsKey(vmUid)) {
            return;
        }
        List<WatchKey> registered = new java.util.ArrayList<>();
        for (Path directory : directories) {
            try {
                WatchKey key = directory.register(watcher.get(), StandardWatchEventKinds.ENTRY_MODIFY);
                owners.put(key, vmUid);
                registered.add(key);
            } catch (IOException | ClosedWatchServiceException e) {
                LOG.atDebug()
                        .addKeyValue("cgroup", directory)
                        .setCause(e)
                        .log("limits are looked at periodically only");
            }
        }
        keys.put(vmUid, registered);
    }

    synchronized void forget(String vmUid) {
        List<WatchKey> gone = keys.remove(vmUid);
        if (gone != null) {
            gone.forEach(key -> {
                key.cancel();
                owners.remove(key);
            });
        }
    }

    private void run(WatchService watcher) {
        try {
            while (true) {
                WatchKey key = watcher.take();
                boolean limit = key.pollEvents().stream().anyMatch(LimitWatch::concernsALimit);
                key.reset();
                String vmUid;
                synchronized (this) {
                    vmUid = owners.get(key);
                }
                if (limit && vmUid != null) {
                    tell(vmUid);
                }
            }
        } catch (ClosedWatchServiceException e) {
            LOG.atDebug().log("limit watch closed");
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** An overflow may hide one. */
    private static boolean concernsALimit(WatchEvent<?> event) {
        return !(event.context() instanceof Path file) || CgroupLimits.isLimit(file.toString());
    }

    private void tell(String vmUid) {
        try {
            written.accept(vmUid);
        } catch (RuntimeException e) {
            LOG.atError().addKeyValue("vmUid", vmUid).setCause(e).log("limit callback failed");
        }
    }

    @Override
    public void close() {
        try {
            if (watcher.isPresent()) {
                watcher.get().close();
            }
        } catch (IOException e) {
            LOG.atDebug().setCause(e).log("limit watch not closed");
        }
    }
}
