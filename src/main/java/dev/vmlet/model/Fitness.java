package dev.vmlet.model;

import java.util.Set;

/**
 * Whether a VM of this node can be behind a Service now.
 *
 * @param published ports of the node that lead to it
 */
public record Fitness(boolean ready, Set<ServicePort> published) {
    public Fitness {
        published = Set.copyOf(published);
    }
}
