package dev.vmlet.model;

import java.time.Duration;
import java.util.Optional;

/**
 * No guest of this node may start, whatever its object asks for: a person works on the machine, or it goes down.
 *
 * @param reason {@link Reason#Evacuated}, {@link Reason#HostShutdown}, or {@link Reason#CannotLook} when nobody can tell
 * @param message for the conditions of the node's VMs, with what ends it
 * @param stops whether guests that run are shut down
 * @param graceMax what a guest is given to shut down at most, where the host does not wait for longer
 */
public record Downtime(Reason reason, String message, boolean stops, Optional<Duration> graceMax) {
    /** The guest's own grace, as far as the host waits. */
    public Duration grace(Duration own) {
        return graceMax.filter(max -> max.compareTo(own) < 0).orElse(own);
    }
}
