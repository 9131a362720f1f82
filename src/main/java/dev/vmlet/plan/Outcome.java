package dev.vmlet.plan;

import dev.vmlet.model.HostException;
import java.util.List;
import java.util.Optional;

/** What each step came to. After a failure the rest of one object's plan is not attempted. */
public record Outcome(List<PlannedStep> done, Optional<Failure> failed, List<PlannedStep> notAttempted) {
    public Outcome {
        done = List.copyOf(done);
        notAttempted = List.copyOf(notAttempted);
    }

    public record Failure(PlannedStep step, HostException cause) {}

    public static Outcome nothing() {
        return new Outcome(List.of(), Optional.empty(), List.of());
    }
}
