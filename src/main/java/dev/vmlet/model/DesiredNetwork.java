package dev.vmlet.model;

import java.util.ArrayList;
import java.util.List;

/** This node's slice of a Network, complete: every name and address is chosen. */
public record DesiredNetwork(
        NetworkId id,
        LinkName bridge,
        MacAddress bridgeMac,
        Mark mark,
        Ipv4Prefix subnet,
        int mtu,
        Egress egress,
        NetworkPolicy policy) {

    public DesiredNetwork(
            NetworkId id, LinkName bridge, MacAddress bridgeMac, Mark mark, Ipv4Prefix subnet, int mtu, Egress egress) {
        this(id, bridge, bridgeMac, mark, subnet, mtu, egress, NetworkPolicy.PLAIN);
    }

    /** The first address of the slice. */
    public Ipv4Address gateway() {
        return subnet.network().plus(1);
    }

    public InterfaceAddress gatewayAddress() {
        return new InterfaceAddress(gateway(), subnet.length());
    }

    /** This Network's members of the firewall's sets. */
    public List<FirewallElement> elements() {
        List<FirewallElement> elements = new ArrayList<>();
        elements.add(element(FirewallSet.BRIDGES, bridge.value()));
        if (!policy.isolated()) {
            // Members of an isolated Network must not meet by way of their gateway either.
            elements.add(element(FirewallSet.SAME, bridge.value(), bridge.value()));
        }
        for (LinkName peer : policy.peers()) {
            elements.add(element(FirewallSet.SAME, bridge.value(), peer.value()));
        }
        for (ServicePort port : policy.hostAccess()) {
            elements.add(element(
                    FirewallSet.HOST_ACCESS, bridge.value(), port.protocol().text(), String.valueOf(port.port())));
        }
        if (egress == Egress.MASQUERADE) {
            if (policy.egressAllow().isEmpty()) {
                elements.add(element(FirewallSet.EGRESS, bridge.value()));
            }
            elements.add(element(FirewallSet.SUBNETS, subnet.toString()));
            policy.egressAllow().forEach(to -> elements.add(egressTo(to)));
        }
        return List.copyOf(elements);
    }

    private FirewallElement egressTo(Destination to) {
        String cidr = to.cidr().toString();
        return to.port()
                .map(port -> element(
                        FirewallSet.EGRESS_PORTS,
                        bridge.value(),
                        cidr,
                        port.protocol().text(),
                        String.valueOf(port.port())))
                .orElseGet(() -> element(FirewallSet.EGRESS_TO, bridge.value(), cidr));
    }

    private FirewallElement element(FirewallSet set, String... key) {
        return new FirewallElement(set, List.of(key), id.uid());
    }
}
