package dev.vmlet.controller;

import io.fabric8.kubernetes.api.model.coordination.v1.Lease;
import io.fabric8.kubernetes.api.model.coordination.v1.LeaseBuilder;
import io.fabric8.kubernetes.api.model.coordination.v1.LeaseSpec;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Elects one of several processes by a Lease. The holder renews it; whoever has watched it stand still for its whole
 * duration takes it. A holder that could not renew for {@link Times#deadline} leads no more, whatever the API server says
 * afterwards: the deadline ends well before the others' wait does.
 *
 * <pre>
 *             takes a free or expired Lease            deadline passed, or another holds it
 *  STANDBY  ---------------------------------> LEADER ---------------------------------------> OVER (the process ends)
 *     ^                                          | close: the Lease is given back at once
 *     '-- looks every {@link Times#retry}        '----------------------------------------------> OVER
 * </pre>
 *
 * A clock of this machine judges, never a time that another wrote: clocks differ. fabric8's elector compares the other's
 * {@code renewTime} with its own clock, and looks at its deadline only between requests, which may take longer than that.
 */
final class Election implements AutoCloseable {
    static final String LEASE = "vmlet-controller";

    private static final Logger log = LoggerFactory.getLogger(Election.class);
    private static final Duration STUCK = Duration.ofMinutes(1);
    private static final Duration WATCHFUL = Duration.ofMillis(100);

    /**
     * @param lease for so long nobody else takes a Lease that is not renewed
     * @param deadline for so long a holder leads without a renewal; well below {@code lease}
     * @param retry how often the Lease is looked at or renewed
     */
    record Times(Duration lease, Duration deadline, Duration retry) {
        static final Times USUAL = new Times(Duration.ofSeconds(15), Duration.ofSeconds(10), Duration.ofSeconds(3));

        Times {
            if (deadline.compareTo(lease) >= 0 || retry.compareTo(deadline) >= 0) {
                throw new IllegalArgumentException(
                        "retry < deadline < lease expected, not " + retry + ", " + deadline + ", " + lease);
            }
        }
    }

    /** What happens to whoever stands for election; each at most once. */
    interface Candidate {
        /** On a thread of its own, which may take its time: the Lease is renewed meanwhile. */
        void elected();

        /** From this moment on another may act. */
        void deposed(String why);
    }

    private enum State {
        STANDBY,
        LEADER,
        OVER
    }

    private final KubernetesClient client;
    private final String identity;
    private final Times times;
    private final Candidate candidate;
    private final Clock clock;
    private final ScheduledThreadPoolExecutor worker;
    private final ScheduledThreadPoolExecutor watchman;

    /** Guarded by this, like what it rests on. */
    private State state = State.STANDBY;

    /** When the request that renewed last was begun. */
    private Moment renewed;

    /** When the API server answered last. */
    private volatile Moment answered;

    private volatile long turned = System.nanoTime();

    /** Touched by the worker's one thread only: what was seen last, and since when it has stood still. */
    private @Nullable String seenVersion;

    private Moment seenSince;
    private boolean failing;

    Election(KubernetesClient client, String identity, Times times, Candidate candidate, Clock clock) {
        this.client = client;
        this.identity = identity;
        this.times = times;
        this.candidate = candidate;
        this.clock = clock;
        this.renewed = now();
        this.seenSince = renewed;
        this.answered = renewed.minus(times.lease.multipliedBy(2));
        this.worker = new ScheduledThreadPoolExecutor(
                1, Thread.ofPlatform().name("election").daemon().factory());
        this.watchman = new ScheduledThreadPoolExecutor(
                1, Thread.ofPlatform().name("election-deadline").daemon().factory());
    }

    void start() {
        var _ = worker.scheduleWithFixedDelay(this::turn, 0, times.retry.toMillis(), TimeUnit.MILLISECONDS);
        var _ = watchman.scheduleWithFixedDelay(
                this::watch, WATCHFUL.toMillis(), WATCHFUL.toMillis(), TimeUnit.MILLISECONDS);
    }

    /** Whether this process may act at this very moment. */
    synchronized boolean leads() {
        return state == State.LEADER && age(renewed).compareTo(times.deadline) < 0;
    }

    /** Whether the API server has answered lately, so that it is known who leads. */
    boolean isInformed() {
        return age(answered).compareTo(times.lease.multipliedBy(2)) < 0;
    }

    /** Whether the Lease was looked for lately, found or not. */
    boolean isTurning() {
        return System.nanoTime() - turned < STUCK.toNanos();
    }

    // ---- time ----

    /** By the monotonic clock, and by the wall clock as well, which goes on while the machine is suspended. */
    private record Moment(long nanos, Instant wall) {
        Moment minus(Duration d) {
            return new Moment(nanos - d.toNanos(), wall.minus(d));
        }
    }

    private Moment now() {
        return new Moment(System.nanoTime(), clock.instant());
    }

    /** The longer of the two: to lead too short costs a restart, to lead too long costs more. */
    private Duration age(Moment then) {
        Duration running = Duration.ofNanos(System.nanoTime() - then.nanos);
        Duration wall = Duration.between(then.wall, clock.instant());
        return wall.compareTo(running) > 0 ? wall : running;
    }

    // ---- the Lease ----

    private void turn() {
        turned = System.nanoTime();
        try {
            look();
            failing = false;
        } catch (RuntimeException e) {
            // Whatever it is: a task that throws is never run again.
            if (!failing) {
                log.atWarn()
                        .addKeyValue("lease", SystemNamespace.NAME + "/" + LEASE)
                        .addKeyValue("cause", e.getMessage())
                        .log("the Lease that elects the controller could not be read or written; it is tried again");
            }
            failing = true;
        }
    }

    private void look() {
        Lease lease = read();
        answered = now();
        if (lease == null) {
            take(null);
            return;
        }
        if (!Objects.equals(seenVersion, lease.getMetadata().getResourceVersion())) {
            seenVersion = lease.getMetadata().getResourceVersion();
            seenSince = answered;
        }
        String holder = holder(lease);
        if (holder.equals(identity)) {
            take(lease);
        } else if (isOver(lease)) {
            depose("the Lease " + LEASE + " is held by " + (holder.isEmpty() ? "nobody" : holder));
        } else if (holder.isEmpty() || hasStoodStill(lease)) {
            take(lease);
        }
    }

    /** We led, and another holds it. */
    private synchronized boolean isOver(Lease lease) {
        return state == State.LEADER && !holder(lease).equals(identity);
    }

    /** By our own clock: the monotonic one, for a jump of the wall clock must not take a Lease from who renews it. */
    private boolean hasStoodStill(Lease lease) {
        Duration granted = Optional.ofNullable(lease.getSpec())
                .map(LeaseSpec::getLeaseDurationSeconds)
                .map(Duration::ofSeconds)
                .orElse(times.lease);
        return System.nanoTime() - seenSince.nanos >= granted.toNanos();
    }

    private static String holder(Lease lease) {
        return Optional.ofNullable(lease.getSpec())
                .map(LeaseSpec::getHolderIdentity)
                .orElse("");
    }

    private @Nullable Lease read() {
        return client.leases().inNamespace(SystemNamespace.NAME).withName(LEASE).get();
    }

    /** Takes or renews it; nobody can have changed it since it was read, by its resourceVersion. */
    private void take(@Nullable Lease old) {
        synchronized (this) {
            if (state == State.OVER) {
                return;
            }
        }
        Moment begun = now();
        boolean ours = old != null && holder(old).equals(identity);
        Lease wanted = lease(old, ours, begun.wall);
        Lease written;
        try {
            written = old == null
                    ? SystemNamespace.in(client, () -> client.resource(wanted).create())
                    : client.resource(wanted).update();
        } catch (KubernetesClientException e) {
            if (e.getCode() == 409) {
                // Somebody was faster; the next look says who.
                return;
            }
            throw e;
        }
        seenVersion = written.getMetadata().getResourceVersion();
        seenSince = begun;
        lead(begun);
    }

    private Lease lease(@Nullable Lease old, boolean ours, Instant at) {
        ZonedDateTime time = ZonedDateTime.ofInstant(at, ZoneOffset.UTC);
        LeaseSpec before = old == null || old.getSpec() == null ? new LeaseSpec() : old.getSpec();
        int transitions = before.getLeaseTransitions() == null ? 0 : before.getLeaseTransitions();
        return new LeaseBuilder(old == null ? new Lease() : old)
                .editOrNewMetadata()
                .withNamespace(SystemNamespace.NAME)
                .withName(LEASE)
                .endMetadata()
                .withNewSpec()
                .withHolderIdentity(identity)
                .withLeaseDurationSeconds((int) Math.max(1, times.lease.toSeconds()))
                .withAcquireTime(ours && before.getAcquireTime() != null ? before.getAcquireTime() : time)
                .withRenewTime(time)
                .withLeaseTransitions(old == null || ours ? transitions : transitions + 1)
                .endSpec()
                .build();
    }

    // ---- the state ----

    private void lead(Moment begun) {
        synchronized (this) {
            if (state == State.OVER) {
                return;
            }
            // A renewal that took longer than the deadline proves nothing of the time since.
            renewed = begun;
            if (state == State.LEADER) {
                return;
            }
            state = State.LEADER;
        }
        log.atInfo().addKeyValue("identity", identity).log("elected");
        Thread.ofPlatform().name("elected").daemon().start(candidate::elected);
    }

    private void watch() {
        boolean late;
        synchronized (this) {
            late = state == State.LEADER && age(renewed).compareTo(times.deadline) >= 0;
        }
        if (late) {
            depose("the Lease " + LEASE + " could not be renewed for " + times.deadline.toSeconds() + " s");
        }
    }

    private void depose(String why) {
        synchronized (this) {
            if (state == State.OVER) {
                return;
            }
            state = State.OVER;
        }
        candidate.deposed(why);
    }

    /** Gives the Lease back, where it is held: another need not wait. Called when this process acts no more. */
    @Override
    public void close() {
        boolean led;
        synchronized (this) {
            led = state == State.LEADER;
            state = State.OVER;
        }
        watchman.shutdownNow();
        worker.shutdown();
        try {
            // A renewal under way would make of ours a conflict.
            if (!worker.awaitTermination(1, TimeUnit.SECONDS)) {
                worker.shutdownNow();
            }
        } catch (InterruptedException e) {
            worker.shutdownNow();
            Thread.currentThread().interrupt();
        }
        if (!led) {
            return;
        }
        try {
            Lease lease = read();
            if (lease != null && holder(lease).equals(identity)) {
                client.resource(new LeaseBuilder(lease)
                                .editSpec()
                                .withHolderIdentity("")
                                .withLeaseDurationSeconds(1)
                                .endSpec()
                                .build())
                        .update();
                log.atInfo().addKeyValue("identity", identity).log("leadership given back");
            }
        } catch (RuntimeException e) {
            log.atWarn()
                    .addKeyValue("cause", e.getMessage())
                    .log("leadership not given back; another takes it in " + times.lease.toSeconds() + " s");
        }
    }
}
