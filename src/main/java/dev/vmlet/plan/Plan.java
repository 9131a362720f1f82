package dev.vmlet.plan;

import dev.vmlet.model.Reason;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;

/** What to do now, in order, and what the rest waits for. An ordinary value: it prints, compares and replays. */
public record Plan(List<PlannedStep> steps, Optional<Wait> waitingFor) {
    public Plan {
        steps = List.copyOf(steps);
    }

    /** {@code lookAgain} is when to look again even if no event tells. */
    public record Wait(Reason reason, String message, Duration lookAgain) {}

    public static Plan nothing() {
        return new Plan(List.of(), Optional.empty());
    }

    public static Plan waiting(Reason reason, String message, Duration lookAgain) {
        return new Plan(List.of(), Optional.of(new Wait(reason, message, lookAgain)));
    }

    public boolean isEmpty() {
        return steps.isEmpty();
    }

    /** One line per step. */
    @Override
    public String toString() {
        return steps.stream().map(PlannedStep::toString).collect(Collectors.joining("\n"))
                + waitingFor
                        .map(w -> (steps.isEmpty() ? "" : "\n") + "wait: " + w.message())
                        .orElse("");
    }
}
