package dev.vmlet.host.probe;

import dev.vmlet.host.Probes;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Reach;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Knocks at one TCP port of each watched guest, beside the loop. A closed port is tried after 100 ms, 200 ms … 1 s, an
 * open one every 20 s: a node spends its life looking at guests that do nothing, and a port that closes is still noticed
 * before the next full pass. Each attempt waits at most a second, on a virtual thread. Safe for use by several threads.
 */
public final class TcpProbes implements Probes, AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(TcpProbes.class);
    private static final Duration CONNECT = Duration.ofSeconds(1);
    private static final Duration FIRST = Duration.ofMillis(100);
    private static final Duration LONGEST = Duration.ofSeconds(1);
    private static final Duration WHILE_OPEN = Duration.ofSeconds(20);
    /** Attempts at once; a node's guests that all start together wait for one another. */
    private static final int AT_ONCE = 128;

    private final Consumer<String> wake;
    private final Duration whileOpen;
    private final Semaphore attempts = new Semaphore(AT_ONCE);
    private final Map<String, Watch> watches = new ConcurrentHashMap<>();
    /** Only tells the time: the attempts themselves are virtual threads. */
    private final ScheduledThreadPoolExecutor clock = new ScheduledThreadPoolExecutor(
            1, Thread.ofPlatform().daemon().name("probe-clock").factory());

    /** One guest's port. Only the attempt under way changes it, and there is one at a time. */
    private static final class Watch {
        final String vmUid;
        final Ipv4Address ip;
        final int port;
        volatile Reach reach = Reach.NOT_PROBED;
        Duration pause = FIRST;

        Watch(String vmUid, Ipv4Address ip, int port) {
            this.vmUid = vmUid;
            this.ip = ip;
            this.port = port;
        }
    }

    /** @param wake told a VM's uid when its port was first seen, has opened or closed; called on a thread of ours */
    public TcpProbes(Consumer<String> wake) {
        this(wake, WHILE_OPEN);
    }

    TcpProbes(Consumer<String> wake, Duration whileOpen) {
        this.wake = wake;
        this.whileOpen = whileOpen;
        clock.setExecuteExistingDelayedTasksAfterShutdownPolicy(false);
    }

    /** Starts to knock; goes on with what it knows when this very port is watched already. */
    @Override
    public void watch(String vmUid, Ipv4Address ip, int port) {
        Watch[] started = new Watch[1];
        watches.compute(vmUid, (uid, old) -> {
            if (old != null && old.ip.equals(ip) && old.port == port) {
                return old;
            }
            started[0] = new Watch(vmUid, ip, port);
            return started[0];
        });
        if (started[0] != null) {
            after(Duration.ZERO, started[0]);
        }
    }

    /** What the last attempt saw: NOT_PROBED before the first has ended, and where nothing is watched. */
    @Override
    public Reach state(String vmUid) {
        Watch watch = watches.get(vmUid);
        return watch == null ? Reach.NOT_PROBED : watch.reach;
    }

    /** Stops knocking. A wake-up call that has begun may still arrive. */
    @Override
    public void forget(String vmUid) {
        watches.remove(vmUid);
    }

    private void after(Duration pause, Watch watch) {
        try {
            var _ = clock.schedule(() -> begin(watch), pause.toMillis(), TimeUnit.MILLISECONDS);
        } catch (RejectedExecutionException e) {
            // Closed meanwhile: nobody asks any more.
        }
    }

    private boolean watched(Watch watch) {
        return watches.get(watch.vmUid) == watch;
    }

    private void begin(Watch watch) {
        if (!watched(watch)) {
            return;
        }
        if (!attempts.tryAcquire()) {
            after(FIRST, watch);
            return;
        }
        Thread.ofVirtual().name("probe " + watch.vmUid).start(() -> {
            try {
                attempt(watch);
            } catch (RuntimeException e) {
                LOG.atError().addKeyValue("vmUid", watch.vmUid).setCause(e).log("wake-up call failed");
            } finally {
                attempts.release();
                // Also after such a failure: a probe that stops would never say so.
                after(watch.pause, watch);
            }
        });
    }

    private void attempt(Watch watch) {
        Reach now = knock(watch) ? Reach.OPEN : Reach.CLOSED;
        Reach before = watch.reach;
        watch.reach = now;
        if (now == Reach.OPEN) {
            watch.pause = whileOpen;
        } else if (before == Reach.OPEN) {
            watch.pause = FIRST;
        } else {
            Duration twice = watch.pause.multipliedBy(2);
            watch.pause = twice.compareTo(LONGEST) > 0 ? LONGEST : twice;
        }
        if (now != before && watched(watch)) {
            wake.accept(watch.vmUid);
        }
    }

    private static boolean knock(Watch watch) {
        try (Socket socket = new Socket()) {
            InetAddress address = InetAddress.getByAddress(watch.ip.bytes());
            socket.connect(new InetSocketAddress(address, watch.port), Math.toIntExact(CONNECT.toMillis()));
            return true;
        } catch (IOException e) {
            // Refused, unreachable, silent: all of it is a port that is not open.
            return false;
        }
    }

    /** Forgets all. An attempt under way ends within a second and wakes nobody. */
    @Override
    public void close() {
        watches.clear();
        clock.shutdownNow();
    }
}
