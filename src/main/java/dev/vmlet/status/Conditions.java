package dev.vmlet.status;

import dev.vmlet.api.Condition;
import dev.vmlet.model.Reason;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Builds a list of conditions after the Kubernetes API conventions: a transition time is kept for as long as the status
 * is the same, so that an unchanged object makes an equal list.
 */
final class Conditions {
    private static final int LONGEST_MESSAGE = 4096;

    private final List<Condition> previous;
    private final @Nullable Long generation;
    private final String now;
    private final List<Condition> made = new ArrayList<>();

    Conditions(@Nullable List<Condition> previous, @Nullable Long generation, Instant now) {
        this.previous = previous == null ? List.of() : previous;
        this.generation = generation;
        this.now = now.truncatedTo(ChronoUnit.SECONDS).toString();
    }

    void add(String type, Condition.Status status, Reason reason, String message) {
        String since = previous.stream()
                .filter(c -> type.equals(c.type()) && c.status() == status && c.lastTransitionTime() != null)
                .map(Condition::lastTransitionTime)
                .findFirst()
                .orElse(now);
        String text = message.length() <= LONGEST_MESSAGE ? message : message.substring(0, LONGEST_MESSAGE - 3) + "...";
        made.add(new Condition(type, status, reason.name(), text, generation, since));
    }

    void add(String type, Condition.Status status, Reason reason) {
        add(type, status, reason, reason.sentence());
    }

    List<Condition> list() {
        return List.copyOf(made);
    }
}
