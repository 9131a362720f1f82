package dev.vmlet.controller;

import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VmNode;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Nodes that a person has taken out of the cluster for good: VmNode and Lease are gone, no VM names the node, and it has
 * been so for as long as a node may be silent. An agent that lives puts its Lease back within a third of its duration, so
 * long before, unless that was set to more than nine minutes. Read from the API server each time, never from a cache; a read
 * that fails starts the time anew.
 */
final class ScrappedNodes {
    /** Between two reads about one node. */
    private static final Duration PAUSE = Duration.ofSeconds(20);

    private record Absence(Instant since, Instant read) {}

    private final Map<String, Absence> absences = new ConcurrentHashMap<>();
    private final Clock clock;

    ScrappedNodes(Clock clock) {
        this.clock = clock;
    }

    /** Since when it was seen to be gone, by two reads at least; empty while that is not long enough. */
    Optional<Instant> goneSince(String node, KubernetesClient client) {
        Instant now = clock.instant();
        Absence last = absences.remove(node);
        if (last != null && Duration.between(last.read, now).compareTo(PAUSE) < 0) {
            absences.put(node, last);
            return Optional.empty();
        }
        // Not kept meanwhile: where one of these throws, the time begins anew.
        if (!isGone(node, client)) {
            return Optional.empty();
        }
        Absence seen = new Absence(last == null ? now : last.since, now);
        absences.put(node, seen);
        return Duration.between(seen.since, now).compareTo(AgentSettings.LEASE) >= 0
                ? Optional.of(seen.since)
                : Optional.empty();
    }

    private static boolean isGone(String node, KubernetesClient client) {
        return client.resources(VmNode.class).withName(node).get() == null
                && client.leases()
                                .inNamespace(NodeLease.NAMESPACE)
                                .withName(node)
                                .get()
                        == null
                && client.resources(VirtualMachine.class)
                        .inAnyNamespace()
                        .withField("spec.nodeName", node)
                        .list()
                        .getItems()
                        .isEmpty();
    }
}
