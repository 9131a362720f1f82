package dev.vmlet.plan;

import dev.vmlet.model.GuestState;
import dev.vmlet.model.Reason;
import dev.vmlet.model.VmRecord;
import dev.vmlet.model.VmRecord.Rung;
import dev.vmlet.model.VmRecord.Stop;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * The stop of a guest, rung by rung, each written down before it is tried:
 *
 * <pre>
 *  POWER_BUTTON --(guest off, or grace over)--> POWER_OFF --5 s--> TERMINATE --5 s--> KILL (repeated)
 *   repeated every 5 s: a button pressed before the guest has its driver is lost
 * </pre>
 *
 * A rung that was written down and not seen to be done, because the agent died or the host refused, is tried again, up
 * to three times. The ladder ends when the process is proved gone; nothing is released before that.
 */
final class StopLadder {
    static final Duration PRESS_AGAIN = Duration.ofSeconds(5);
    static final Duration NEXT_RUNG = Duration.ofSeconds(5);
    static final Duration KILL_AGAIN = Duration.ofSeconds(2);
    /** What the host refuses as often will not be taken: the next rung needs less of the VMM. */
    private static final int TRIES_MAX = 3;

    private static final Duration LOOK = Duration.ofMillis(500);

    private StopLadder() {}

    static Plan climb(VmRecord record, GuestState guest, Reason reason, Instant now) {
        if (record.stop().isEmpty()) {
            return begin(record, guest, reason, now);
        }
        Stop stop = record.stop().get();
        if (!stop.done() && stop.tries() < TRIES_MAX && stop.rung() != Rung.POWER_BUTTON) {
            return to(stop.rung(), record, stop, "it was begun and not seen to be done", now);
        }
        Duration onRung = Duration.between(stop.rungAt(), now);
        return switch (stop.rung()) {
            case POWER_BUTTON -> {
                if (guest.kind() == GuestState.Kind.POWERED_OFF) {
                    yield to(Rung.POWER_OFF, record, stop, "the guest has shut down", now);
                }
                Duration left = Duration.between(now, stop.askedAt().plus(record.grace()));
                if (left.isNegative() || left.isZero()) {
                    yield to(
                            Rung.POWER_OFF,
                            record,
                            stop,
                            "the guest did not shut down within "
                                    + record.grace().toSeconds() + " s",
                            now);
                }
                if (Duration.between(stop.pressedAt(), now).compareTo(PRESS_AGAIN) >= 0) {
                    yield press(record, stop, "the guest has not shut down yet", now);
                }
                yield waitFor(
                        min(left, LOOK),
                        "waiting for the guest to shut down until "
                                + stop.askedAt().plus(record.grace()).truncatedTo(ChronoUnit.SECONDS));
            }
            case POWER_OFF ->
                onRung.compareTo(NEXT_RUNG) >= 0
                        ? to(Rung.TERMINATE, record, stop, "the VMM is still there after the power cut", now)
                        : waitFor(LOOK, "waiting for the VMM to end");
            case TERMINATE ->
                onRung.compareTo(NEXT_RUNG) >= 0
                        ? to(Rung.KILL, record, stop, "the VMM is still there after SIGTERM", now)
                        : waitFor(LOOK, "waiting for the VMM to end after SIGTERM");
            case KILL ->
                onRung.compareTo(KILL_AGAIN) >= 0
                        ? to(Rung.KILL, record, stop, "the VMM is still there after SIGKILL", now)
                        : waitFor(LOOK, "waiting for the kernel to reap the VMM");
        };
    }

    private static Plan begin(VmRecord record, GuestState guest, Reason reason, Instant now) {
        Stop first = new Stop(now, reason, Rung.POWER_BUTTON, now, now);
        boolean guestIsGone = guest.kind() == GuestState.Kind.POWERED_OFF
                || reason == Reason.GuestPanic
                || record.grace().isZero();
        return guestIsGone
                ? to(Rung.POWER_OFF, record, first, because(reason), now)
                : press(record, first, because(reason), now);
    }

    private static String because(Reason reason) {
        return switch (reason) {
            case StoppedOnRequest -> "a stop or restart is asked for";
            case Deleting -> "its object is deleted";
            case Evacuated -> "this node is evacuated";
            case HostShutdown -> "the host shuts down";
            case GuestPoweredOff -> "the guest has powered itself off";
            case GuestPanic -> "the guest's kernel has panicked";
            case TapLost -> "its tap was deleted under it, and only a new start gives it another";
            default -> reason.sentence();
        };
    }

    private static Plan press(VmRecord record, Stop stop, String because, Instant now) {
        Stop pressed = new Stop(stop.askedAt(), stop.reason(), Rung.POWER_BUTTON, stop.rungAt(), now);
        return plan(record.withStop(pressed), new Step.PressPowerButton(record.id()), because);
    }

    private static Plan to(Rung rung, VmRecord record, Stop stop, String because, Instant now) {
        Step act = switch (rung) {
            case POWER_BUTTON -> new Step.PressPowerButton(record.id());
            case POWER_OFF -> new Step.PowerOff(record.id());
            case TERMINATE -> new Step.Terminate(record.id());
            case KILL -> new Step.Kill(record.id());
        };
        Stop begun = stop.begun(rung, now);
        Plan plan = plan(record.withStop(begun), act, because);
        List<PlannedStep> steps = new ArrayList<>(plan.steps());
        steps.add(new PlannedStep(
                new Step.WriteVmRecord(record.withStop(begun.taken()), "that the rung was taken"), because));
        return new Plan(steps, plan.waitingFor());
    }

    private static Plan plan(VmRecord record, Step act, String because) {
        List<PlannedStep> steps = new ArrayList<>();
        steps.add(new PlannedStep(new Step.WriteVmRecord(record, "the next rung of its stop"), because));
        boolean repair =
                record.stop().map(stop -> stop.reason() == Reason.TapLost).orElse(false);
        steps.add(new PlannedStep(act, because, repair ? PlannedStep.Cause.DRIFT : PlannedStep.Cause.ASKED));
        return new Plan(steps, Optional.of(new Plan.Wait(Reason.Stopping, "stopping: " + act, LOOK)));
    }

    private static Plan waitFor(Duration lookAgain, String message) {
        return Plan.waiting(Reason.Stopping, message, lookAgain);
    }

    private static Duration min(Duration a, Duration b) {
        return a.compareTo(b) <= 0 ? a : b;
    }
}
