package dev.vmlet.host;

import dev.vmlet.model.HostException;
import dev.vmlet.model.HostNames;
import dev.vmlet.model.LinkName;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Deletes retired taps beside the loop, on a thread of its own, in groups: the kernel waits about 16 ms for a deletion,
 * be it one tap or fifty. A tap waits {@link #GATHER} for others and as long as the group before it takes. What waits
 * is told by the kernel (the link group), so an agent that died leaves nothing behind that its successor does not find.
 */
public final class Reaper implements AutoCloseable {
    /** How long a group is gathered. */
    public static final Duration GATHER = Duration.ofMillis(50);

    private static final Duration RETRY = Duration.ofSeconds(1);
    private static final Duration LAST_GROUP = Duration.ofSeconds(1);
    private static final Logger log = LoggerFactory.getLogger(Reaper.class);

    private final Links links;
    private final HostNames names;
    private final Semaphore wakes = new Semaphore(0);
    private final CountDownLatch end = new CountDownLatch(1);
    private final Thread thread;

    public Reaper(Links links, HostNames names) {
        this.links = links;
        this.names = names;
        this.thread = Thread.ofPlatform().name("reaper").daemon().start(this::run);
    }

    /** A tap was retired, or was found so. Returns at once; any thread. */
    public void wake() {
        wakes.release();
    }

    private void run() {
        try {
            while (true) {
                wakes.acquire();
                if (end.await(GATHER.toMillis(), TimeUnit.MILLISECONDS)) {
                    return;
                }
                // Before the look: who retires a tap after it wakes us again.
                wakes.drainPermits();
                if (!reap() && end.await(RETRY.toMillis(), TimeUnit.MILLISECONDS)) {
                    return;
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** Whether it went well; if not, it is to be tried again. */
    private boolean reap() {
        try {
            List<LinkName> reaped = links.reap(names.installation(), names.reapGroup());
            if (!reaped.isEmpty()) {
                log.atInfo().addKeyValue("taps", reaped).log("retired taps deleted");
            }
            if (reaped.size() == Links.REAPED_MAX) {
                wake();
            }
            return true;
        } catch (HostException | RuntimeException e) {
            // A defect of ours too: without this thread no VM could be started again after a stop.
            log.atWarn().setCause(e).log("retired taps not deleted; it is tried again");
            wake();
            return false;
        }
    }

    /** Ends the thread; a group that is being deleted is waited for, what has not begun is the successor's. */
    @Override
    public void close() {
        end.countDown();
        wakes.release();
        try {
            boolean _ = thread.join(LAST_GROUP);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
