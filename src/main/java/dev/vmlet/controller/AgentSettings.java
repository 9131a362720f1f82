package dev.vmlet.controller;

import dev.vmlet.host.Applier;
import java.time.Duration;

/**
 * What whoever starts an agent chooses.
 *
 * @param orphanGrace how long a guest whose object vanished without our release is kept
 * @param startParallelism how many guests start at once, at least one
 * @param lease for so long the node counts as there without a word from its agent, at least 15 s
 * @param hook for tests of crash safety
 */
public record AgentSettings(Duration orphanGrace, int startParallelism, Duration lease, Applier.StepHook hook) {
    public static final int START_PARALLELISM = 4;

    /**
     * Renewed each minute: two hundred nodes write three times a second then, where the kubelet's ten seconds would make
     * it twenty. Nothing is moved when a node is lost, so nothing hangs on hearing of it sooner.
     */
    public static final Duration LEASE = Duration.ofMinutes(3);

    private static final Duration SHORTEST_LEASE = Duration.ofSeconds(15);

    public AgentSettings(Duration orphanGrace, int startParallelism, Applier.StepHook hook) {
        this(orphanGrace, startParallelism, LEASE, hook);
    }

    public AgentSettings {
        if (startParallelism < 1) {
            throw new IllegalArgumentException("--start-parallelism " + startParallelism
                    + ": at least one guest must start at a time; give 1 or more");
        }
        if (lease.compareTo(SHORTEST_LEASE) < 0) {
            throw new IllegalArgumentException("--lease-duration " + lease
                    + ": every hiccup of the API server would make this node count as lost; give " + SHORTEST_LEASE
                    + " or more");
        }
    }
}
