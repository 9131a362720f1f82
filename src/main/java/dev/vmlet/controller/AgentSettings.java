package dev.vmlet.controller;

import dev.vmlet.host.Applier;
import java.time.Duration;

/**
 * What whoever starts an agent chooses.
 *
 * @param orphanGrace how long a guest whose object vanished without our release is kept
 * @param startParallelism how many guests start at once, at least one
 * @param hook for tests of crash safety
 */
public record AgentSettings(Duration orphanGrace, int startParallelism, Applier.StepHook hook) {
    public static final int START_PARALLELISM = 4;

    public AgentSettings {
        if (startParallelism < 1) {
            throw new IllegalArgumentException("--start-parallelism " + startParallelism
                    + ": at least one guest must start at a time; give 1 or more");
        }
    }
}
