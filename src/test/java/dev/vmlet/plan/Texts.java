package dev.vmlet.plan;

/** A plan as a test reads it: every step with its reason, repairs marked, then what it waits for and for how long. */
final class Texts {
    private Texts() {}

    static String of(Plan plan) {
        StringBuilder text = new StringBuilder();
        plan.steps()
                .forEach(step -> text.append(step)
                        .append(
                                step.cause() != PlannedStep.Cause.ASKED
                                                && !step.step().bookkeeping()
                                        ? " [" + step.cause().name().toLowerCase(java.util.Locale.ROOT) + "]"
                                        : "")
                        .append('\n'));
        plan.waitingFor()
                .ifPresent(w -> text.append("wait ")
                        .append(w.lookAgain())
                        .append(" for ")
                        .append(w.reason())
                        .append(": ")
                        .append(w.message())
                        .append('\n'));
        return text.toString();
    }
}
