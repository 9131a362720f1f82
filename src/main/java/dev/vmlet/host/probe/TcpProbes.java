package dev.vmlet.host.probe;

import dev.vmlet.host.Probes;
import dev.vmlet.host.probe.Door.Answer;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Reach;
import java.io.IOException;
import java.net.ConnectException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Knocks at one TCP port of each watched guest, beside the loop. A closed port is tried by the {@link Pace} of what is
 * known of the guest, an open one every 20 s: a node spends its life looking at guests that do nothing, and a port that
 * closes is still noticed before the next full pass. A port that was open and gives no answer is knocked at once more
 * before it counts as closed; a refusal is believed at once. Attempts run on virtual threads. Safe for use by several
 * threads.
 *
 * <p>A guest is known to be up by a frame that its bridge learns from, or by its refusal, which tells it as well where a
 * bridge does not learn.
 */
public final class TcpProbes implements Probes, AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(TcpProbes.class);
    private static final Duration WHILE_OPEN = Duration.ofSeconds(20);
    /** Attempts at once; a node's guests that all start together wait for one another. */
    private static final int AT_ONCE = 256;

    private static final Duration NO_ROOM = Duration.ofMillis(100);

    private final Consumer<String> wake;
    private final Duration whileOpen;
    private final Door door;
    private final Semaphore attempts = new Semaphore(AT_ONCE);
    private final Map<String, Watch> watches = new ConcurrentHashMap<>();
    /** Only tells the time: the attempts themselves are virtual threads. */
    private final ScheduledThreadPoolExecutor clock = new ScheduledThreadPoolExecutor(
            1, Thread.ofPlatform().daemon().name("probe-clock").factory());

    /** One guest's port. Mutable state is guarded by the object itself. */
    private static final class Watch {
        final String vmUid;
        final Ipv4Address ip;
        final int port;
        private Reach reach = Reach.NOT_PROBED;
        private Optional<Answer> last = Optional.empty();
        private boolean lively;
        /** When it was last heard of, or lost; System.nanoTime. */
        private long newsAt = System.nanoTime();
        /** Counts attempts. One that was overtaken, hanging or waiting for its time, tells nothing any more. */
        private long turn;

        Watch(String vmUid, Ipv4Address ip, int port) {
            this.vmUid = vmUid;
            this.ip = ip;
            this.port = port;
        }

        synchronized Reach reach() {
            return reach;
        }

        synchronized long next() {
            return ++turn;
        }

        synchronized boolean isCurrent(long asked) {
            return asked == turn;
        }

        synchronized Duration patience() {
            return Pace.patience(sinceNews());
        }

        /** Whether to knock at once: not at a guest that is known to be up, whose port is tried often enough. */
        synchronized boolean heard() {
            if (reach == Reach.OPEN || last.equals(Optional.of(Answer.REFUSED))) {
                return false;
            }
            lively = true;
            newsAt = System.nanoTime();
            return true;
        }

        /** @return whether the port has opened or closed, or was seen for the first time */
        synchronized boolean learn(Answer answer) {
            Reach before = reach;
            reach = answer == Answer.OPEN ? Reach.OPEN : Reach.CLOSED;
            // Only the first refusal: a guest that answers now and then would be knocked at without end.
            if (before == Reach.OPEN && reach == Reach.CLOSED || answer == Answer.REFUSED && !lively) {
                lively = true;
                newsAt = System.nanoTime();
            }
            last = Optional.of(answer);
            return reach != before;
        }

        synchronized Duration pause(Duration whileOpen) {
            return reach == Reach.OPEN ? whileOpen : Pace.pause(sinceNews(), lively);
        }

        private Duration sinceNews() {
            return Duration.ofNanos(System.nanoTime() - newsAt);
        }
    }

    /** @param wake told a VM's uid when its port was first seen, has opened or closed; called on a thread of ours */
    public TcpProbes(Consumer<String> wake) {
        this(wake, WHILE_OPEN, TcpProbes::connect);
    }

    TcpProbes(Consumer<String> wake, Duration whileOpen, Door door) {
        this.wake = wake;
        this.whileOpen = whileOpen;
        this.door = door;
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

    @Override
    public void heard(String vmUid) {
        Watch watch = watches.get(vmUid);
        if (watch != null && watch.heard()) {
            after(Duration.ZERO, watch);
        }
    }

    /** What the last attempt saw: NOT_PROBED before the first has ended, and where nothing is watched. */
    @Override
    public Reach state(String vmUid) {
        Watch watch = watches.get(vmUid);
        return watch == null ? Reach.NOT_PROBED : watch.reach();
    }

    /** Stops knocking. A wake-up call that has begun may still arrive. */
    @Override
    public void forget(String vmUid) {
        watches.remove(vmUid);
    }

    private void after(Duration pause, Watch watch) {
        long turn = watch.next();
        try {
            var _ = clock.schedule(() -> begin(watch, turn), pause.toMillis(), TimeUnit.MILLISECONDS);
        } catch (RejectedExecutionException e) {
            // Closed meanwhile: nobody asks any more.
        }
    }

    /** Whether this attempt may still tell something: its guest is watched, and no later attempt has overtaken it. */
    private boolean isAwaited(Watch watch, long turn) {
        return watches.get(watch.vmUid) == watch && watch.isCurrent(turn);
    }

    private void begin(Watch watch, long turn) {
        if (!isAwaited(watch, turn)) {
            return;
        }
        if (!attempts.tryAcquire()) {
            after(NO_ROOM, watch);
            return;
        }
        Thread.ofVirtual().name("probe " + watch.vmUid).start(() -> {
            try {
                attempt(watch, turn);
            } catch (RuntimeException e) {
                LOG.atError().addKeyValue("vmUid", watch.vmUid).setCause(e).log("wake-up call failed");
            } finally {
                attempts.release();
                // Also after such a failure: a probe that stops would never say so.
                if (watch.isCurrent(turn)) {
                    after(watch.pause(whileOpen), watch);
                }
            }
        });
    }

    private void attempt(Watch watch, long turn) {
        Answer answer = door.knock(watch.ip, watch.port, watch.patience());
        if (answer == Answer.SILENT && isAwaited(watch, turn) && watch.reach() == Reach.OPEN) {
            // One packet that was lost, or a guest that had no processor for a moment, takes no Service its endpoint.
            answer = door.knock(watch.ip, watch.port, watch.patience());
        }
        if (isAwaited(watch, turn) && watch.learn(answer)) {
            wake.accept(watch.vmUid);
        }
    }

    static Answer connect(Ipv4Address ip, int port, Duration patience) {
        try (Socket socket = new Socket()) {
            InetAddress address = InetAddress.getByAddress(ip.bytes());
            socket.connect(new InetSocketAddress(address, port), Math.toIntExact(patience.toMillis()));
            return Answer.OPEN;
        } catch (ConnectException e) {
            return Answer.REFUSED;
        } catch (IOException e) {
            // Unreachable, silent: nobody says that the guest is there.
            return Answer.SILENT;
        }
    }

    /** Forgets all. An attempt under way ends within two seconds and wakes nobody. */
    @Override
    public void close() {
        watches.clear();
        clock.shutdownNow();
    }
}
