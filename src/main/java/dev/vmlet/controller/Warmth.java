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
    private volatile boolean graves;
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

    /** VMs were deleted by force while this node was away: what is left of them goes before anything else begins. */
    void waitForGraves() {
        graves = true;
    }

    /** They were looked after once; whether anybody has waited for that. */
    boolean obeyed() {
        boolean waited = graves;
        graves = false;
        return waited;
    }

    /** Why nothing may be changed yet, in words. */
    Optional<String> chill() {
        return blindness()
                .or(() -> graves
                        ? Optional.of("VMs that were deleted by force while this node was away are taken down first")
                        : Optional.empty());
    }

    /** Why it is not known what there is on the host, in words. */
    Optional<String> blindness() {
        return complete
                ? Optional.empty()
                : Optional.of("this node has not been seen whole since the agent started, and nothing is changed before"
                        + " that: " + obstacle);
    }
}
