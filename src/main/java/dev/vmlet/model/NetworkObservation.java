package dev.vmlet.model;

import java.util.Set;

/**
 * One Network's host objects at one moment.
 *
 * @param elements which of this Network's own elements are in the firewall's sets; Missing when our tables are not there
 * @param ports names of the links that are ports of the bridge
 */
public record NetworkObservation(
        Seen<NetworkRecord> record,
        Seen<Link> bridge,
        Seen<Set<InterfaceAddress>> addresses,
        Seen<Boolean> forwarding,
        Seen<Set<FirewallElement>> elements,
        Seen<Set<LinkName>> ports) {}
