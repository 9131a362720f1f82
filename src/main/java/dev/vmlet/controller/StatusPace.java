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
 * lasts is written. Safe for use by several threads.
 */
final class StatusPace {
    /** The oldest unwritten change is at most this old. */
    static final Duration LATEST = Duration.ofMillis(300);

    /** These end by themselves, mostly at once: a disk that is copied, a short queue, a process that opens its socket. */
    private static final Set<Reason> PASSING =
            EnumSet.of(Reason.PreparingDisks, Reason.WaitingForTurn, Reason.Starting);

    private final Map<String, Instant> unwrittenSince = new ConcurrentHashMap<>();

    /** How much longer the changed status of this object may stay unwritten; zero or less: write it now. */
    Duration left(String uid, Plan plan, Instant now) {
        boolean passing =
                plan.waitingFor().map(w -> PASSING.contains(w.reason())).orElse(false);
        if (!passing) {
            return Duration.ZERO;
        }
        Instant since = unwrittenSince.computeIfAbsent(uid, _ -> now);
        return Duration.between(now, since.plus(LATEST));
    }

    /** The status was written, or is as written. */
    void written(String uid) {
        unwrittenSince.remove(uid);
    }
}
