package dev.vmlet.host.login;

import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.freedesktop.dbus.FileDescriptor;
import org.freedesktop.dbus.connections.impl.DBusConnection;
import org.freedesktop.dbus.connections.impl.DBusConnectionBuilder;
import org.freedesktop.dbus.exceptions.DBusException;
import org.freedesktop.dbus.interfaces.Properties;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Delays a shutdown of the host until its guests have shut down: for them, SIGTERM to a VMM is a power cut. By a delay
 * lock of logind, which waits for it as long as its setting InhibitDelayMaxSec says, and no longer.
 *
 * <pre>
 *  lock held --PrepareForShutdown(true)--> guests are told --all stopped, or time is up--> lock let go
 *                                                            --PrepareForShutdown(false)--> lock held again
 * </pre>
 *
 * One thread does all of it. A bus that goes away, or is not there yet, is looked for every half minute.
 */
public final class ShutdownLock implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(ShutdownLock.class);
    private static final String SYSTEMD_RUNS = "run/systemd/system";
    private static final String SYSTEM_BUS = "run/dbus/system_bus_socket";
    private static final long TEND_SECONDS = 30;
    private static final long LOOK_MILLIS = 100;
    /** What is left of logind's patience for the VMM's own end. */
    static final Duration MARGIN = Duration.ofSeconds(1);

    static final Duration LEAST = Duration.ofMillis(500);
    /** Longer than any guest's own grace. */
    static final Duration UNKNOWN = Duration.ofDays(1);

    /** The guests of this host, as whoever stops them sees them. */
    public interface Guests {
        /** Press the power buttons; the power goes off after so long. Must not block. */
        void hostShutsDown(Duration within);

        /** The shutdown was called off. Must not block. */
        void hostStays();

        /** Whether each guest is proved to have ended. */
        boolean allStopped();

        /** What the guest that asks for most is given to shut down. */
        Duration longestGrace();
    }

    private final String address;
    private final Guests guests;
    private final ScheduledExecutorService thread = Executors.newSingleThreadScheduledExecutor(
            Thread.ofPlatform().daemon().name("shutdown-lock").factory());
    private @Nullable DBusConnection bus;
    private @Nullable FileDescriptor lock;
    private Duration delay = Duration.ZERO;
    private boolean goingDown;
    private long deadline;
    private String told = "";

    ShutdownLock(String address, Guests guests) {
        this.address = address;
        this.guests = guests;
        var _ = thread.scheduleWithFixedDelay(this::tend, 0, TEND_SECONDS, TimeUnit.SECONDS);
    }

    /**
     * Where systemd runs (sd_booted(3)); empty elsewhere: who shuts such a host down has to evacuate it first.
     *
     * @param root where the host's root directory is seen from here, {@code /} outside a container
     */
    public static Optional<ShutdownLock> hold(Guests guests, Path root) {
        return Files.isDirectory(root.resolve(SYSTEMD_RUNS), LinkOption.NOFOLLOW_LINKS)
                ? Optional.of(new ShutdownLock("unix:path=" + root.resolve(SYSTEM_BUS), guests))
                : Optional.empty();
    }

    private void tend() {
        try {
            if (bus == null || !bus.isConnected()) {
                connect();
            }
            if (lock == null && !goingDown) {
                take();
            }
            sayWhereTimeIsShort();
        } catch (DBusException | RuntimeException e) {
            // Runtime exceptions too, as the library throws for what the bus refuses: a task that throws is not run
            // again.
            say("logind cannot be asked to wait for guests when the host shuts down: " + e.getMessage());
        }
    }

    private void connect() throws DBusException {
        letGo();
        DBusConnection fresh =
                DBusConnectionBuilder.forAddress(address).withShared(false).build();
        fresh.addSigHandler(Login1.PrepareForShutdown.class, signal -> thread.execute(() -> prepare(signal.start())));
        bus = fresh;
        // What was said while we were away.
        boolean preparing = property(fresh, "PreparingForShutdown");
        thread.execute(() -> prepare(preparing));
    }

    private void take() throws DBusException {
        DBusConnection on = bus;
        if (on == null) {
            return;
        }
        // First: with a lock in hand nobody would ask again how long it holds.
        Number micros = property(on, "InhibitDelayMaxUSec");
        delay = Duration.of(micros.longValue(), java.time.temporal.ChronoUnit.MICROS);
        lock = on.getRemoteObject(Login1.BUS_NAME, Login1.PATH, Login1.class)
                .inhibit("shutdown", "vmlet", "Guests shut down first", "delay");
        log.atInfo()
                .addKeyValue("seconds", delay.toSeconds())
                .log("a shutdown of this host waits for its guests, so long at most");
    }

    @SuppressWarnings(
            "TypeParameterUnusedInFormals") // as the library has it: D-Bus values have the type that is documented
    private static <T> T property(DBusConnection bus, String name) throws DBusException {
        return bus.getRemoteObject(Login1.BUS_NAME, Login1.PATH, Properties.class)
                .Get(Login1.INTERFACE, name);
    }

    private void sayWhereTimeIsShort() {
        Duration longest = guests.longestGrace();
        if (lock != null && longest.compareTo(delay.minus(MARGIN)) > 0) {
            say("a guest has " + longest.toSeconds() + " s to shut down, but when the host shuts down logind waits "
                    + delay.toSeconds() + " s: set InhibitDelayMaxSec="
                    + longest.plus(MARGIN).toSeconds()
                    + " in logind.conf");
        }
    }

    /** Once for the same words. */
    private void say(String trouble) {
        if (!told.equals(trouble)) {
            told = trouble;
            log.atWarn().log(trouble);
        }
    }

    private void prepare(boolean start) {
        if (start == goingDown) {
            return;
        }
        goingDown = start;
        if (!start) {
            log.atInfo().log("the shutdown of this host was called off");
            guests.hostStays();
            tend();
            return;
        }
        Duration within = within(delay);
        log.atInfo().addKeyValue("seconds", within.toSeconds()).log("this host shuts down; guests have so long");
        deadline = System.nanoTime() + delay.toNanos();
        guests.hostShutsDown(within);
        await();
    }

    /**
     * What guests are given. Never nothing, which would be a power cut by us: where the host waits for a moment only, the
     * button is pressed all the same, and where nobody could tell for how long, each guest has its own grace.
     */
    static Duration within(Duration delay) {
        if (delay.isZero()) {
            return UNKNOWN;
        }
        Duration left = delay.minus(MARGIN);
        return left.compareTo(LEAST) > 0 ? left : LEAST;
    }

    private void await() {
        if (!goingDown) {
            return;
        }
        boolean over = System.nanoTime() - deadline >= 0;
        if (over || guests.allStopped()) {
            log.atInfo().log(over ? "guests were not stopped in time; the host shuts down" : "all guests are stopped");
            letGo();
            // It may still be called off.
            tend();
            return;
        }
        var _ = thread.schedule(this::await, LOOK_MILLIS, TimeUnit.MILLISECONDS);
    }

    /**
     * By leaving the bus: whoever read the descriptor from its socket closes it with the socket. To close it by its number
     * as well would close it twice, and the second time it is somebody else's.
     */
    private void letGo() {
        DBusConnection left = bus;
        bus = null;
        lock = null;
        if (left != null) {
            left.disconnect();
        }
    }

    /** Lets go of the lock: from now on the host waits for nobody. */
    @Override
    public void close() {
        thread.execute(this::letGo);
        thread.shutdown();
        try {
            boolean _ = thread.awaitTermination(1, TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
