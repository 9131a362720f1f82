package dev.vmlet.model;

import java.util.List;

/** This node's slice of a Network, complete: every name and address is chosen. */
public record DesiredNetwork(
        NetworkId id, LinkName bridge, MacAddress bridgeMac, Mark mark, Ipv4Prefix subnet, int mtu, Egress egress) {

    /** The first address of the slice. */
    public Ipv4Address gateway() {
        return subnet.network().plus(1);
    }

    public InterfaceAddress gatewayAddress() {
        return new InterfaceAddress(gateway(), subnet.length());
    }

    /** This Network's members of the firewall's sets. */
    public List<FirewallElement> elements() {
        var always = List.of(
                new FirewallElement(FirewallSet.BRIDGES, List.of(bridge.value()), id.uid()),
                new FirewallElement(FirewallSet.SAME, List.of(bridge.value(), bridge.value()), id.uid()));
        if (egress == Egress.NONE) {
            return always;
        }
        return List.of(
                always.get(0),
                always.get(1),
                new FirewallElement(FirewallSet.EGRESS, List.of(bridge.value()), id.uid()),
                new FirewallElement(FirewallSet.SUBNETS, List.of(subnet.toString()), id.uid()));
    }
}
