package dev.vmlet.controller;

import java.time.Duration;
import java.time.Instant;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Which nodes have not renewed their Lease in time. Judged by when a renewal was seen here, never by the time written in
 * it: clocks of nodes differ, and a controller that has just started has not waited yet. Each loss is told of each VM
 * once: an agent that writes a status meanwhile lives, whatever its Lease says, and is not written against.
 */
final class LeaseWatch {
    private record Renewal(Optional<Instant> written, Instant seen, Set<String> told) {}

    private final Map<String, Renewal> nodes = new HashMap<>();
    /** Since when the API server, asked for a node's Lease, has answered each time, and that it was not renewed. */
    private final Map<String, Instant> answering = new HashMap<>();

    /**
     * Takes a Lease as it is now.
     *
     * @param written the Lease's {@code renewTime}
     * @return how long from now its holder has time, zero or less when it is lost
     */
    synchronized Duration left(String node, Optional<Instant> written, Duration duration, Instant now) {
        Renewal last = nodes.get(node);
        if (last == null || !last.written.equals(written)) {
            last = new Renewal(written, now, new HashSet<>());
            nodes.put(node, last);
            answering.remove(node);
        }
        return Duration.between(now, last.seen.plus(duration));
    }

    /** Takes it that the API server has answered, and told of no renewal; for how long it has done so. */
    synchronized Duration answering(String node, Instant now) {
        return Duration.between(answering.computeIfAbsent(node, _ -> now), now);
    }

    /** The API server did not answer: what it said before proves nothing any more. */
    synchronized void silent(String node) {
        answering.remove(node);
    }

    /** When the last renewal was seen. */
    synchronized Optional<Instant> since(String node) {
        return Optional.ofNullable(nodes.get(node)).map(Renewal::seen);
    }

    synchronized boolean isTold(String node, String vmUid) {
        Renewal last = nodes.get(node);
        return last != null && last.told.contains(vmUid);
    }

    synchronized void told(String node, String vmUid) {
        Renewal last = nodes.get(node);
        if (last != null) {
            last.told.add(vmUid);
        }
    }
}
