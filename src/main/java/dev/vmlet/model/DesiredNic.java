package dev.vmlet.model;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * One NIC of a VM, complete.
 *
 * @param bridgeMark of its Network's bridge; empty where that is the operator's, which bears no mark of ours
 * @param ip {@link Ipv4Address#UNSPECIFIED} where the DHCP of the operator's LAN chooses it
 * @param isolated other guests of the Network do not reach it, nor it them; applies to a running guest too
 * @param ports what the node publishes of it; applies to a running guest too
 */
public record DesiredNic(
        NetworkId network,
        LinkName bridge,
        Mark bridgeMark,
        LinkName tap,
        Mark mark,
        MacAddress mac,
        Ipv4Address ip,
        int mtu,
        boolean isolated,
        List<PublishedPort> ports) {
    public DesiredNic {
        ports = List.copyOf(ports);
    }

    /** With nothing published, and its like within reach. */
    public DesiredNic(
            NetworkId network,
            LinkName bridge,
            Mark bridgeMark,
            LinkName tap,
            Mark mark,
            MacAddress mac,
            Ipv4Address ip,
            int mtu) {
        this(network, bridge, bridgeMark, tap, mark, mac, ip, mtu, false, List.of());
    }

    /** Whether the guest is to ask for its address where the operator's LAN gives them out. */
    public boolean usesDhcp() {
        return ip.equals(Ipv4Address.UNSPECIFIED);
    }

    /** Its address, or where it comes from, as a person calls it. */
    public String addressText() {
        return usesDhcp() ? "by DHCP" : ip.toString();
    }

    /** Whether its bridge is the operator's: a tap is put into it and taken out, and no more. */
    public boolean isOnExistingBridge() {
        return bridgeMark.text().isEmpty();
    }

    /** Whether the link is the bridge that the NIC is to be on. */
    public boolean belongsOn(Link link) {
        return isOnExistingBridge()
                ? link.kind().equals("bridge") && !link.mark().isVmlets()
                : link.mark().equals(bridgeMark);
    }

    /** This NIC's members of the firewall's sets: three, and about two for each port that is published. */
    public List<FirewallElement> elements(String vmUid) {
        List<FirewallElement> elements = new ArrayList<>();
        elements.add(new FirewallElement(FirewallSet.TAPS, List.of(tap.value()), vmUid));
        if (usesDhcp()) {
            elements.add(new FirewallElement(FirewallSet.FREE4, List.of(tap.value(), mac.value()), vmUid));
        } else {
            elements.add(new FirewallElement(FirewallSet.OK4, List.of(tap.value(), mac.value(), ip.toString()), vmUid));
            elements.add(new FirewallElement(FirewallSet.HELD, List.of(ip.toString()), vmUid));
        }
        for (PublishedPort port : ports) {
            String protocol = port.host().protocol().text();
            String guest = String.valueOf(port.guest());
            elements.add(published(port, vmUid));
            FirewallElement target =
                    new FirewallElement(FirewallSet.PUBLISHED_TO, List.of(ip.toString(), protocol, guest), vmUid);
            // Two ports of the node may lead to one of the guest.
            if (!elements.contains(target)) {
                elements.add(target);
            }
        }
        return List.copyOf(elements);
    }

    /** The member by which a port of the node leads to the guest. */
    public FirewallElement published(PublishedPort port, String vmUid) {
        return new FirewallElement(
                FirewallSet.PUBLISHED,
                List.of(
                        port.host().protocol().text(),
                        String.valueOf(port.host().port()),
                        ip.toString(),
                        String.valueOf(port.guest())),
                vmUid);
    }

    /** What a change of the object does to a running guest's NIC; the rest waits for its next start. */
    public DesiredNic withLivePartOf(Optional<DesiredNic> asked) {
        return asked.map(now -> new DesiredNic(
                        network,
                        bridge,
                        bridgeMark,
                        tap,
                        mark,
                        mac,
                        ip,
                        // A port with a smaller one would make the operator's bridge smaller.
                        isOnExistingBridge() ? now.mtu : mtu,
                        now.isolated,
                        now.ports))
                .orElse(this);
    }

    /** Flags of the tap as a port of its bridge. */
    public BridgePort bridgePort() {
        return isolated ? BridgePort.ISOLATED : BridgePort.PLAIN;
    }
}
