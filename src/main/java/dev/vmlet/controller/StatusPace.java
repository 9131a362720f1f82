package dev.vmlet.controller;

import dev.vmlet.model.Reason;
import dev.vmlet.plan.Plan;
import java.time.Duration;
import java.time.Instant;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;

/**
 * When a status that differs from the written one is worth a write. A start passes through states that last some
 * milliseconds; each written would cost the API server, every watcher and the start itself more than it tells anybody.
 * So a state that is on its way to the next may stay unwritten for {@link #LATEST}: what is written was seen, and what
 * lasts is written. {@link #LATEST_STEP} where a start is told of already: of a hundred at once each step lasts.
 *
 * <p>An edit of a Network concerns all VMs of all its nodes at once, mostly by no more than what waits for their next
 * start. That is written too, but one after another: a thread that waits for the API server to take one of ten thousand
 * is none that brings the Network itself to this host.
 *
 * <p>An API server that does not take what it is sent in time is sent less: what ten thousand VMs try again keeps it from
 * ever catching up. Each refusal doubles the pause between two writes, up to {@link #FAR}; each write that arrives
 * halves it, down to {@link #APART}. Safe for use by several threads.
 */
final class StatusPace {
    /** What is new in a status. */
    enum Change {
        NEWS,
        /** The VM is on its way to running, and what is written says so, of an earlier part of the way. */
        A_STEP_FURTHER,
        /** Nobody has knocked yet at the port of a guest that was there before this agent: its answer comes in a moment. */
        BEFORE_A_KNOCK,
        /** Nothing but what waits for the guest's next start. */
        WHAT_WAITS
    }

    /** The oldest unwritten change is at most this old. */
    static final Duration LATEST = Duration.ofMillis(300);

    /** The same where a start that is told of already has come a step further: a hundred at once take that long. */
    static final Duration LATEST_STEP = Duration.ofSeconds(2);

    /** Until the first write of what only waits: a person who has edited one VM looks at it. */
    static final Duration SOON = Duration.ofMillis(200);

    /** Between two such writes, with an API server that keeps up. 200 nodes write their share in the same second. */
    static final Duration APART = Duration.ofSeconds(1);

    /** Between two such writes at most. */
    static final Duration FAR = Duration.ofSeconds(30);

    /** News has that part of the pause, once the API server does not keep up; before, it has none. */
    private static final int SHARE_OF_NEWS = 4;

    /** These end by themselves, mostly at once: a disk that is copied, a short queue, a process that opens its socket. */
    private static final Set<Reason> PASSING =
            EnumSet.of(Reason.PreparingDisks, Reason.WaitingForTurn, Reason.Starting);

    /** Who is to write when, one after another. */
    private static final class Queue {
        private final Map<String, Instant> turns = new HashMap<>();
        /** The last of these turns; never later than all that wait now would need. */
        private Instant last = Instant.EPOCH;

        /** Turns that were given up are not handed on: who edits to and fro would push everybody's far away. */
        Instant turn(String uid, Instant soonest, Duration apart) {
            return turns.computeIfAbsent(uid, _ -> {
                Instant latest = soonest.plus(apart.multipliedBy(turns.size()));
                Instant next = last.plus(apart).isBefore(soonest) ? soonest : last.plus(apart);
                last = next.isBefore(latest) ? next : latest;
                return last;
            });
        }
    }

    private final Map<String, Instant> unwrittenSince = new HashMap<>();
    private final Queue waiting = new Queue();
    private final Queue news = new Queue();
    /** Of these a write is under way: the next look at the object tells whether it arrived. */
    private final Set<String> sent = new HashSet<>();

    private Duration apart = APART;
    /** One burst of refusals is one reason to slow down. */
    private Instant nextDoubling = Instant.EPOCH;

    /**
     * How much longer the changed status of this object may stay unwritten; zero or less: write it now.
     *
     * @param change what the status says that the written one does not
     */
    synchronized Duration left(String uid, Plan plan, Change change, Instant now) {
        if (change == Change.WHAT_WAITS) {
            return Duration.between(now, waiting.turn(uid, now.plus(SOON), apart));
        }
        boolean passing = change == Change.BEFORE_A_KNOCK
                || plan.waitingFor().map(w -> PASSING.contains(w.reason())).orElse(false);
        Instant since = passing ? unwrittenSince.computeIfAbsent(uid, _ -> now) : now;
        Duration latest = change == Change.A_STEP_FURTHER ? LATEST_STEP : LATEST;
        Duration left = passing ? Duration.between(now, since.plus(latest)) : Duration.ZERO;
        if (left.isPositive() || apart.equals(APART)) {
            return left;
        }
        return Duration.between(now, news.turn(uid, now, apart.dividedBy(SHARE_OF_NEWS)));
    }

    /** The status goes to the API server now. */
    synchronized void sent(String uid) {
        sent.add(uid);
        settled(uid);
    }

    /** The object is as it is to be. */
    synchronized void written(String uid) {
        settled(uid);
        if (sent.remove(uid)) {
            Duration shorter = apart.dividedBy(2);
            apart = shorter.compareTo(APART) < 0 ? APART : shorter;
        }
    }

    /** The API server did not take a write of this object in time, or said that it has too much to do. */
    synchronized void refused(String uid, Instant now) {
        if (!sent.remove(uid) || now.isBefore(nextDoubling)) {
            return;
        }
        Duration longer = apart.multipliedBy(2);
        apart = longer.compareTo(FAR) > 0 ? FAR : longer;
        nextDoubling = now.plus(apart);
    }

    /** The object is gone. */
    synchronized void forget(String uid) {
        sent.remove(uid);
        settled(uid);
    }

    private void settled(String uid) {
        waiting.turns.remove(uid);
        news.turns.remove(uid);
        unwrittenSince.remove(uid);
    }
}
