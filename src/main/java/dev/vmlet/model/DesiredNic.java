package dev.vmlet.model;

import java.util.List;

/** One NIC of a VM, complete. */
public record DesiredNic(
        NetworkId network,
        LinkName bridge,
        Mark bridgeMark,
        LinkName tap,
        Mark mark,
        MacAddress mac,
        Ipv4Address ip,
        int mtu) {

    /** This NIC's two members of the firewall's sets. */
    public List<FirewallElement> elements(String vmUid) {
        return List.of(
                new FirewallElement(FirewallSet.TAPS, List.of(tap.value()), vmUid),
                new FirewallElement(FirewallSet.OK4, List.of(tap.value(), mac.value(), ip.toString()), vmUid));
    }
}
