package dev.vmlet.plan;

import java.util.List;

/** A step and its reason, for the log, the Event and the reader of {@code vmlet plan}. */
public record PlannedStep(Step step, String because, Cause cause) {
    /** What led to a step; the Event takes its reason from it. */
    public enum Cause {
        /** The object asks for it, or is gone. */
        ASKED,
        /** Something of ours that was in place is missing or different, and is put right. */
        DRIFT,
        /** The host had no room for what a guest wrote; nobody undoes anything. */
        FULL
    }

    /** As the object asks. */
    public PlannedStep(Step step, String because) {
        this(step, because, Cause.ASKED);
    }

    static List<PlannedStep> with(Cause cause, List<PlannedStep> steps) {
        return steps.stream()
                .map(planned -> new PlannedStep(planned.step, planned.because, cause))
                .toList();
    }

    @Override
    public String toString() {
        return step + ", because " + because;
    }
}
