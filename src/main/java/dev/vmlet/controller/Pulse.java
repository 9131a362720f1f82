package dev.vmlet.controller;

import java.time.Duration;

/** When the agent's loop last came round. Safe for use by several threads. */
final class Pulse {
    /** It comes round every half minute; one look at the host may wait for several of its deadlines. */
    static final Duration LONGEST = Duration.ofMinutes(3);

    private volatile long beaten = System.nanoTime();

    void beat() {
        beaten = System.nanoTime();
    }

    boolean isFelt() {
        return System.nanoTime() - beaten < LONGEST.toNanos();
    }
}
