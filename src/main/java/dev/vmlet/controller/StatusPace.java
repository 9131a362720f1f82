package dev.vmlet.controller;

import dev.vmlet.model.Reason;
import dev.vmlet.plan.Plan;
import java.time.Duration;
import java.time.Instant;
import java.util.EnumSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/**
 * When a status that differs from the written one is worth a write. A start passes through states that last some
 * milliseconds; each written would cost the API server, every watcher and the start itself more than it tells anybody.
 * So a state that is on its way to the next may stay unwritten for {@link #LATEST}: what is written was seen, and what
 * lasts is written.
 *
 * <p>An edit of a Network concerns all VMs of all its nodes at once, mostly by no more than what waits for their next
 * start. That is written too, but one after another: a thread that waits for the API server to take one of ten thousand
 * is none that brings the Network itself to this host. Safe for use by several threads.
 */
final class StatusPace {
    /** What is new in a status. */
    enum Change {
        NEWS,
        /** Nobody has knocked yet at the port of a guest that was there before this agent: its answer comes in a moment. */
        BEFORE_A_KNOCK,
        /** Nothing but what waits for the guest's next start. */
        WHAT_WAITS
    }

    /** The oldest unwritten change is at most this old. */
    static final Duration LATEST = Duration.ofMillis(300);

    /** Until the first write of what only waits: a person who has edited one VM looks at it. */
    static final Duration SOON = Duration.ofMillis(200);

    /** Between two such writes. 200 nodes write their share in the same second. */
    static final Duration APART = Duration.ofSeconds(1);

    /** These end by themselves, mostly at once: a disk that is copied, a short queue, a process that opens its socket. */
    private static final Set<Reason> PASSING =
            EnumSet.of(Reason.PreparingDisks, Reason.WaitingForTurn, Reason.Starting);

    private final Map<String, Instant> unwrittenSince = new ConcurrentHashMap<>();
    /** When it is the turn of each object of which there is only to tell what waits. */
    private final Map<String, Instant> turns = new ConcurrentHashMap<>();
    /** The last of these turns; never later than all that wait now would need. */
    private Instant last = Instant.EPOCH;

    /**
     * How much longer the changed status of this object may stay unwritten; zero or less: write it now.
     *
     * @param change what the status says that the written one does not
     */
    Duration left(String uid, Plan plan, Change change, Instant now) {
        if (change == Change.WHAT_WAITS) {
            return Duration.between(now, turns.computeIfAbsent(uid, _ -> turn(now, turns.size() + 1)));
        }
        boolean passing = change == Change.BEFORE_A_KNOCK
                || plan.waitingFor().map(w -> PASSING.contains(w.reason())).orElse(false);
        if (!passing) {
            return Duration.ZERO;
        }
        Instant since = unwrittenSince.computeIfAbsent(uid, _ -> now);
        return Duration.between(now, since.plus(LATEST));
    }

    /** Turns that were given up are not handed on: who edits to and fro would push everybody's far away. */
    private synchronized Instant turn(Instant now, int waiting) {
        Instant soonest = now.plus(SOON);
        Instant latest = soonest.plus(APART.multipliedBy(waiting - 1));
        Instant next = last.plus(APART).isBefore(soonest) ? soonest : last.plus(APART);
        last = next.isBefore(latest) ? next : latest;
        return last;
    }

    /** The status was written, or is as written. */
    void written(String uid) {
        turns.remove(uid);
        unwrittenSince.remove(uid);
    }
}
