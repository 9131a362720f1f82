package dev.vmlet.model;

import java.util.Set;

/**
 * One NIC's host objects, and read-only its Network's bridge.
 *
 * @param elements which of this NIC's elements are in the firewall's sets; Missing when our tables are not there
 */
public record NicObservation(
        LinkName tapName, Seen<Link> bridge, Seen<Link> tap, Seen<Set<FirewallElement>> elements) {}
