package dev.vmlet.plan;

/** A step and its reason, for the log, the Event and the reader of {@code vmlet plan}. */
public record PlannedStep(Step step, String because) {
    @Override
    public String toString() {
        return step + ", because " + because;
    }
}
