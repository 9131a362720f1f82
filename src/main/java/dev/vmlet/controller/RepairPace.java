package dev.vmlet.controller;

import dev.vmlet.model.Reason;
import dev.vmlet.plan.Plan;
import dev.vmlet.plan.PlannedStep;
import dev.vmlet.plan.Step;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;

/**
 * Holds back a repair that somebody undoes as fast as it is made. Two programs that set the same thing, each woken by the
 * other's change, would else use up a processor and tear at the guest's packets for as long as both live.
 *
 * <pre>
 *  the same repair of the same object, each within ten seconds of the last (and of the pause before it):
 *  five at once, then after 1 s, 2 s, 4 s … 16 s; what guards guests in the firewall after 1 s at most
 * </pre>
 *
 * <p>A guest whose disk is full is resumed at the same pace: each time it may run into the same wall.
 *
 * <p>Kept in memory only: an agent that starts anew repairs five times at once again. Safe for use by several threads, as
 * long as one object has one.
 */
final class RepairPace {
    static final int AT_ONCE = 5;
    private static final Duration CALM = Duration.ofSeconds(10);
    private static final Duration FIRST = Duration.ofSeconds(1);
    private static final int DOUBLED_MAX = 4;

    private final Map<Key, Fight> fights = new ConcurrentHashMap<>();

    private record Key(String uid, String steps) {}

    private record Fight(int repairs, Instant last) {
        Duration pause(boolean guards) {
            if (repairs < AT_ONCE) {
                return Duration.ZERO;
            }
            return guards ? FIRST : FIRST.multipliedBy(1L << Math.min(repairs - AT_ONCE, DOUBLED_MAX));
        }

        boolean isOver(Instant now) {
            return !now.isBefore(last.plus(pause(false)).plus(CALM));
        }
    }

    /** The plan without repairs that are to wait; what else it holds goes on. */
    Plan paced(String uid, Plan plan, Instant now) {
        List<PlannedStep> repairs =
                plan.steps().stream().filter(RepairPace::isRepair).toList();
        Fight fight = repairs.isEmpty() ? null : fights.get(key(uid, repairs));
        if (fight == null) {
            return plan;
        }
        Instant next = fight.last.plus(fight.pause(repairs.stream().anyMatch(RepairPace::guards)));
        if (!now.isBefore(next)) {
            return plan;
        }
        List<PlannedStep> others =
                plan.steps().stream().filter(step -> !isRepair(step)).toList();
        if (plan.waitingFor().isPresent()
                && repairs.stream().allMatch(repair -> repair.cause() == PlannedStep.Cause.FULL)) {
            // Nobody to be found: the plan says what is to be done about it.
            Plan.Wait why = plan.waitingFor().get();
            return new Plan(
                    others, Optional.of(new Plan.Wait(why.reason(), why.message(), Duration.between(now, next))));
        }
        return new Plan(
                others,
                Optional.of(new Plan.Wait(
                        Reason.Contested,
                        "somebody undoes this again and again: " + steps(repairs)
                                + "; it is repeated after pauses. Find the program that does it",
                        Duration.between(now, next))));
    }

    /** What was carried out. */
    void made(String uid, List<PlannedStep> done, Instant now) {
        fights.values().removeIf(fight -> fight.isOver(now));
        List<PlannedStep> repairs = done.stream().filter(RepairPace::isRepair).toList();
        if (!repairs.isEmpty()) {
            fights.merge(
                    key(uid, repairs), new Fight(1, now), (before, one) -> new Fight(before.repairs + 1, one.last));
        }
    }

    /** A stop and a new start have their own order and pauses. */
    private static boolean isRepair(PlannedStep planned) {
        return planned.cause() != PlannedStep.Cause.ASKED
                && !planned.step().bookkeeping()
                && !(planned.step() instanceof Step.PressPowerButton
                        || planned.step() instanceof Step.PowerOff
                        || planned.step() instanceof Step.Terminate
                        || planned.step() instanceof Step.Kill
                        || planned.step() instanceof Step.SpawnVmm);
    }

    /** Without these a guest may send as another, or is cut off. */
    private static boolean guards(PlannedStep planned) {
        return planned.step() instanceof Step.InstallFirewall
                || planned.step() instanceof Step.AddElements
                || planned.step() instanceof Step.DeleteElements;
    }

    private static Key key(String uid, List<PlannedStep> repairs) {
        return new Key(uid, steps(repairs));
    }

    private static String steps(List<PlannedStep> repairs) {
        return repairs.stream().map(r -> r.step().toString()).collect(Collectors.joining(", "));
    }
}
