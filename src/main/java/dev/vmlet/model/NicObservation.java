package dev.vmlet.model;

import java.util.Set;

/**
 * One NIC's host objects, and read-only its Network's bridge.
 *
 * @param elements which of this NIC's elements are in the firewall's sets; Missing when our tables are not there
 * @param behind whether the bridge knows for good that the guest is behind its tap; looked for only where the NIC is to be
 *     isolated, whose bridge does not learn it
 */
public record NicObservation(
        LinkName tapName,
        Seen<Link> bridge,
        Seen<Link> tap,
        Seen<Set<FirewallElement>> elements,
        Seen<Boolean> behind) {
    /** Of a NIC that is not isolated. */
    public NicObservation(LinkName tapName, Seen<Link> bridge, Seen<Link> tap, Seen<Set<FirewallElement>> elements) {
        this(tapName, bridge, tap, elements, Seen.missing());
    }
}
