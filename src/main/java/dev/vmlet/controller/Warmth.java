package dev.vmlet.controller;

import dev.vmlet.host.Observer;
import dev.vmlet.model.HostException;
import java.util.Optional;

/**
 * Whether the agent may act. After its start it only looks, until it knows both sides: the API's caches are complete,
 * and everything of ours on the host has been seen once. Safe for use by several threads.
 */
final class Warmth {
    private final Observer observer;
    private volatile boolean synced;
    private volatile boolean complete;
    private volatile String obstacle = "it has not been looked at yet";

    Warmth(Observer observer) {
        this.observer = observer;
    }

    /** The caches of all reconcilers are complete. */
    void synced() {
        look();
        synced = true;
    }

    /** The caches are still being filled. That takes a moment, and nothing is worth saying before its end. */
    boolean isFilling() {
        return !synced;
    }

    /** Looks at the whole host, unless that has succeeded once. */
    void look() {
        if (complete) {
            return;
        }
        try {
            var _ = observer.inventory();
            complete = true;
        } catch (HostException e) {
            obstacle = String.valueOf(e.getMessage());
        }
    }

    /** Why nothing may be changed yet, in words. */
    Optional<String> chill() {
        return complete
                ? Optional.empty()
                : Optional.of("this node has not been seen whole since the agent started, and nothing is changed before"
                        + " that: " + obstacle);
    }
}
