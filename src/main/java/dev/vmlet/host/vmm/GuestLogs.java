package dev.vmlet.host.vmm;

import java.io.IOException;
import java.nio.file.ClosedWatchServiceException;
import java.nio.file.Path;
import java.nio.file.StandardWatchEventKinds;
import java.nio.file.WatchKey;
import java.nio.file.WatchService;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What living guests write: keeps their logs bounded, their consoles drained, and calls when the VMM reports an event.
 * One daemon thread watches event files and trims, a second reads consoles.
 */
final class GuestLogs implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(GuestLogs.class);
    private static final long TRIM_SECONDS = 5;

    private final Consumer<String> wake;
    private final Optional<WatchService> watches;
    private final CountDownLatch closed = new CountDownLatch(1);
    private final SerialRecorder recorder;
    private final Map<String, Followed> followed = new ConcurrentHashMap<>();

    private record Followed(VmFiles files, Optional<WatchKey> key) {}

    /** @param watches empty where events are left to the timer */
    GuestLogs(Consumer<String> wake, Optional<WatchService> watches) throws IOException {
        this.wake = wake;
        this.watches = watches;
        this.recorder = new SerialRecorder();
        Thread.ofPlatform().daemon().name("vmm-guest-logs").start(this::run);
    }

    /**
     * Harmless to call again for a VM that is followed.
     *
     * @param log who writes the console's log
     */
    void follow(VmFiles files, SerialRecorder.Log log) {
        followed.computeIfAbsent(files.vmUid(), _ -> {
            if (watches.isEmpty()) {
                return new Followed(files, Optional.empty());
            }
            try {
                WatchKey key = files.run().register(watches.get(), StandardWatchEventKinds.ENTRY_MODIFY);
                return new Followed(files, Optional.of(key));
            } catch (IOException | ClosedWatchServiceException e) {
                LOG.atWarn()
                        .addKeyValue("vmUid", files.vmUid())
                        .setCause(e)
                        .log("events of the guest are not watched, the timer will find them");
                return null;
            }
        });
        recorder.serve(files, log);
    }

    /** Stops following; waits so long for the console's last words to reach the log. */
    void finish(String vmUid, Duration patience) {
        recorder.finish(vmUid, patience);
        Followed known = followed.remove(vmUid);
        if (known != null) {
            known.key.ifPresent(WatchKey::cancel);
        }
    }

    @Override
    public void close() {
        recorder.close();
        closed.countDown();
        try {
            if (watches.isPresent()) {
                watches.get().close();
            }
        } catch (IOException e) {
            LOG.atDebug().setCause(e).log("inotify was closed already");
        }
    }

    private void run() {
        try {
            long trimAt = System.nanoTime();
            while (true) {
                if (watches.isPresent()) {
                    pass(watches.get());
                } else if (closed.await(TRIM_SECONDS, TimeUnit.SECONDS)) {
                    return;
                }
                if (System.nanoTime() - trimAt >= 0) {
                    followed.values().forEach(GuestLogs::trim);
                    trimAt = System.nanoTime() + TimeUnit.SECONDS.toNanos(TRIM_SECONDS);
                }
            }
        } catch (ClosedWatchServiceException e) {
            return;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private void pass(WatchService events) throws InterruptedException {
        WatchKey key = events.poll(TRIM_SECONDS, TimeUnit.SECONDS);
        if (key != null) {
            boolean modified = !key.pollEvents().isEmpty();
            boolean _ = key.reset();
            if (modified && key.watchable() instanceof Path dir) {
                call(String.valueOf(dir.getFileName()));
            }
        }
    }

    private void call(String vmUid) {
        try {
            wake.accept(vmUid);
        } catch (RuntimeException e) {
            LOG.atError().addKeyValue("vmUid", vmUid).setCause(e).log("event callback failed");
        }
    }

    private static void trim(Followed guest) {
        for (Path log : new Path[] {guest.files.vmmLog(), guest.files.serialLog()}) {
            try {
                LogFiles.trim(log);
            } catch (IOException e) {
                LOG.atWarn().addKeyValue("log", log).setCause(e).log("log of a guest cannot be trimmed");
            }
        }
    }
}
