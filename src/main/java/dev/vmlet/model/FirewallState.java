package dev.vmlet.model;

import java.util.Set;

/**
 * Our two tables as read from the kernel.
 *
 * @param intact both tables carry our mark at the current revision, and chains and sets are those that were installed
 * @param difference what is not as installed, a sentence; empty when intact
 * @param elements every element of every set of ours
 */
public record FirewallState(boolean intact, String difference, Set<FirewallElement> elements) {
    public FirewallState {
        elements = Set.copyOf(elements);
    }
}
