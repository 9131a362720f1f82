package dev.vmlet.model;

import java.util.List;

/**
 * What a Network's guests may reach, beside the way out.
 *
 * @param isolated guests of the Network do not reach each other
 * @param peers bridges of the other Networks that they reach
 * @param egressAllow the only destinations outside, no two of which overlap for one port; empty for all
 * @param hostAccess ports of the node that they reach
 */
public record NetworkPolicy(
        boolean isolated, List<LinkName> peers, List<Destination> egressAllow, List<ServicePort> hostAccess) {
    /** Of a Network that asks for nothing: its guests reach each other, and what its egress says. */
    public static final NetworkPolicy PLAIN = new NetworkPolicy(false, List.of(), List.of(), List.of());

    public NetworkPolicy {
        peers = List.copyOf(peers);
        egressAllow = List.copyOf(egressAllow);
        hostAccess = List.copyOf(hostAccess);
    }
}
