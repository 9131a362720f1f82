package dev.vmlet.model;

import java.util.Map;
import java.util.Set;

/**
 * One NIC's host objects, and read-only its Network's bridge.
 *
 * @param elements which of this NIC's elements are in the firewall's sets; Missing when our tables are not there
 * @param behind whether the bridge knows for good that the guest is behind its tap; looked for only where the NIC is to be
 *     isolated, whose bridge does not learn it
 * @param listeners ports of the node that its processes listen on; looked for only where one is to be published that is
 *     not yet
 * @param clusterIps the link {@link #CLUSTER_IPS}; looked for only where a port is to be published
 * @param passage what became of the last packet that was sent as a guest of the Network would, to leave the node
 * @param arp what was heard of the guest's address; looked for only where the tap is there. Nothing is planned by it
 * @param neighbours of the addresses that the NIC has or is to have, those that the node knows for good on the bridge, and
 *     the MAC address of each; Missing where there is no bridge to look at
 */
public record NicObservation(
        LinkName tapName,
        Seen<Link> bridge,
        Seen<Link> tap,
        Seen<Set<FirewallElement>> elements,
        Seen<Boolean> behind,
        Seen<Set<ServicePort>> listeners,
        Seen<Link> clusterIps,
        Seen<Passage> passage,
        Seen<ArpWitness> arp,
        Seen<Map<Ipv4Address, String>> neighbours) {
    /** On this dummy link kube-proxy's IPVS mode puts the address of every Service. */
    public static final LinkName CLUSTER_IPS = new LinkName("kube-ipvs0");

    /** Of a NIC that is not isolated and publishes nothing, and whose neighbours were not looked for. */
    public NicObservation(LinkName tapName, Seen<Link> bridge, Seen<Link> tap, Seen<Set<FirewallElement>> elements) {
        this(tapName, bridge, tap, elements, Seen.missing(), Seen.missing());
    }

    /** The same with these neighbours. */
    public NicObservation withNeighbours(Map<Ipv4Address, String> known) {
        return new NicObservation(
                tapName,
                bridge,
                tap,
                elements,
                behind,
                listeners,
                clusterIps,
                passage,
                arp,
                Seen.present(Map.copyOf(known)));
    }

    /** Of which nothing was heard or looked for, on a node where no ClusterIP is an address of the node itself. */
    public NicObservation(
            LinkName tapName,
            Seen<Link> bridge,
            Seen<Link> tap,
            Seen<Set<FirewallElement>> elements,
            Seen<Boolean> behind,
            Seen<Set<ServicePort>> listeners) {
        this(
                tapName,
                bridge,
                tap,
                elements,
                behind,
                listeners,
                Seen.missing(),
                Seen.missing(),
                Seen.missing(),
                Seen.missing());
    }

    /** Of whose address nothing was heard or looked for, and whose Network's way out was not tried. */
    public NicObservation(
            LinkName tapName,
            Seen<Link> bridge,
            Seen<Link> tap,
            Seen<Set<FirewallElement>> elements,
            Seen<Boolean> behind,
            Seen<Set<ServicePort>> listeners,
            Seen<Link> clusterIps) {
        this(
                tapName,
                bridge,
                tap,
                elements,
                behind,
                listeners,
                clusterIps,
                Seen.missing(),
                Seen.missing(),
                Seen.missing());
    }
}
