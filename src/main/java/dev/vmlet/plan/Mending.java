package dev.vmlet.plan;

import dev.vmlet.model.GuestState;
import dev.vmlet.model.Seen;
import dev.vmlet.model.Tampering;
import dev.vmlet.model.VmObservation;
import dev.vmlet.model.VmRecord;
import dev.vmlet.model.VmRecord.Launch;
import dev.vmlet.plan.PlannedStep.Cause;
import java.util.ArrayList;
import java.util.List;

/**
 * Undoes what others did to a living guest process: stopped it, paused its guest, changed its limits. Nobody but vmlet
 * is asked to run it, and vmlet has no pause of its own yet, so whatever holds a guest is drift.
 */
final class Mending {
    private Mending() {}

    /** Steps after which process and guest go on. */
    static List<PlannedStep> waken(VmRecord record, VmObservation seen) {
        List<PlannedStep> steps = new ArrayList<>();
        if (isStopped(seen)) {
            steps.add(new PlannedStep(
                    new Step.ContinueVmm(record.id()), "somebody stopped its process with a signal", Cause.DRIFT));
        }
        if (seen.guest().kind() == GuestState.Kind.PAUSED) {
            steps.add(new PlannedStep(
                    new Step.ResumeGuest(record.id()), "somebody paused it through its VMM", Cause.DRIFT));
        }
        if (seen.guest().kind() == GuestState.Kind.WRITE_FAILED) {
            steps.add(new PlannedStep(
                    new Step.ResumeGuest(record.id()),
                    "its VMM paused it when the host had no room for a write",
                    Cause.FULL));
        }
        return steps;
    }

    /** Steps that bind the process as its launch did. */
    static List<PlannedStep> limits(Launch launch, VmObservation seen) {
        return seen.tampering() instanceof Seen.Present<Tampering>(Tampering tampering)
                        && !tampering.limits().isEmpty()
                ? List.of(new PlannedStep(
                        new Step.RestoreLimits(launch.spec()), String.join("; ", tampering.limits()), Cause.DRIFT))
                : List.of();
    }

    static List<PlannedStep> all(VmRecord record, Launch launch, VmObservation seen) {
        List<PlannedStep> steps = new ArrayList<>(waken(record, seen));
        steps.addAll(limits(launch, seen));
        return steps;
    }

    /**
     * The stop of a guest that hears of it: a stopped VMM takes no command, and a paused guest no power button, so that
     * the ladder would end in a power cut. It is resumed after the rung is on disk: should the VMM refuse, the ladder goes
     * on all the same.
     */
    static Plan heard(Plan stop, VmRecord record, VmObservation seen) {
        List<PlannedStep> steps = new ArrayList<>();
        if (isStopped(seen)) {
            steps.add(new PlannedStep(
                    new Step.ContinueVmm(record.id()), "stopped by a signal, it hears of no stop", Cause.DRIFT));
        }
        for (PlannedStep step : stop.steps()) {
            if (step.step() instanceof Step.PressPowerButton && isPaused(seen)) {
                steps.add(new PlannedStep(
                        new Step.ResumeGuest(record.id()), "a paused guest hears no power button", Cause.DRIFT));
            }
            steps.add(step);
        }
        return new Plan(steps, stop.waitingFor());
    }

    /** By somebody, or by its VMM at a write that failed: there may be room by now, and the button is pressed again. */
    private static boolean isPaused(VmObservation seen) {
        GuestState.Kind kind = seen.guest().kind();
        return kind == GuestState.Kind.PAUSED || kind == GuestState.Kind.WRITE_FAILED;
    }

    private static boolean isStopped(VmObservation seen) {
        return seen.tampering() instanceof Seen.Present<Tampering>(Tampering tampering) && tampering.stopped();
    }
}
