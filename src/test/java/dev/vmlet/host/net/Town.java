package dev.vmlet.host.net;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.vmlet.model.DesiredNetwork;
import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.Egress;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.HostNames;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.InterfaceAddress;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.MacAddress;
import dev.vmlet.model.Mark;
import dev.vmlet.model.NetworkId;
import dev.vmlet.model.NetworkPolicy;
import dev.vmlet.model.PublishedPort;
import dev.vmlet.plan.Ruleset;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;

/**
 * A node in this JVM's own namespace, with the doors and the firewall of the product: Networks, guests that send whatever
 * a test wants, and a machine outside. Members of the firewall's sets are those that the model names.
 */
final class Town implements AutoCloseable {
    static final String NODE_OUTSIDE = "192.0.2.1";
    static final String OUTSIDE = "192.0.2.2";
    static final String OUTSIDE_MAC = "52:00:00:00:00:31";

    final InstallationId installation;
    final LinuxLinks links = new LinuxLinks();
    final NftFirewall firewall;
    final Set<FirewallElement> elements = new HashSet<>();
    private final Nftables nft = new Nftables();
    private final Deque<AutoCloseable> things = new ArrayDeque<>();

    Town(String installation, Path directory) {
        this.installation = new InstallationId(installation);
        this.firewall = new NftFirewall(this.installation, directory.resolve("firewall"));
        things.push(links);
        things.push(firewall);
        // Left behind, they would still drop and masquerade for the next class of this JVM.
        things.push(firewall::remove);
        things.push(nft);
    }

    HostNames names() {
        return new HostNames(installation);
    }

    /** Bridge, gateway and forwarding; {@link #install} opens it for traffic. */
    void build(DesiredNetwork network) throws Exception {
        elements.addAll(network.elements());
        links.createBridge(network.bridge(), network.bridgeMac(), network.mtu(), network.mark());
        // Left behind, it would be another installation's Network to the next class of this JVM.
        things.push(() -> links.delete(network.bridge(), network.mark()));
        links.addAddress(network.bridge(), network.gatewayAddress());
        links.setUp(network.bridge());
        links.setForwarding(network.bridge(), true);
    }

    /** A guest whose tap is a veth, plugged in after the firewall knows it. */
    Peer plug(DesiredNic nic, DesiredNetwork network) throws Exception {
        elements.addAll(nic.elements("vm-" + nic.ip()));
        firewall.add(nic.elements("vm-" + nic.ip()));
        Peer peer = keep(Peer.plug(
                nic.tap().value(),
                nic.mac().value(),
                nic.ip() + "/" + network.subnet().length(),
                network.gateway().toString()));
        links.attach(nic.tap(), nic.bridge());
        // Else a packet to the guest may wait for its ARP answer, and a frame that is sent once may be lost to it.
        OwnNamespace.run(
                "ip",
                "neigh",
                "replace",
                nic.ip().toString(),
                "lladdr",
                nic.mac().value(),
                "nud",
                "permanent",
                "dev",
                nic.bridge().value());
        if (nic.isolated()) {
            links.setBridgePort(nic.tap(), nic.bridgePort());
            links.putBehind(nic.tap(), nic.mac());
        }
        return peer;
    }

    /** The uplink, a machine behind it, and the default route to that machine. */
    Peer outside() throws Exception {
        Peer outside = keep(Peer.plug("uplink", OUTSIDE_MAC, OUTSIDE + "/24", NODE_OUTSIDE));
        LinkName uplink = new LinkName("uplink");
        links.addAddress(uplink, new InterfaceAddress(Ipv4Address.parse(NODE_OUTSIDE), 24));
        links.setForwarding(uplink, true);
        OwnNamespace.run("ip", "route", "add", "default", "via", OUTSIDE);
        OwnNamespace.run("ip", "neigh", "replace", OUTSIDE, "lladdr", OUTSIDE_MAC, "nud", "permanent", "dev", "uplink");
        return outside;
    }

    void install() throws Exception {
        firewall.install(new Ruleset(installation, elements));
    }

    <T extends AutoCloseable> T keep(T thing) {
        things.push(thing);
        return thing;
    }

    DesiredNetwork network(String bridge, String mac, String subnet, Egress egress, NetworkPolicy policy) {
        return new DesiredNetwork(
                new NetworkId("lab", bridge, "net-" + bridge),
                new LinkName(bridge),
                new MacAddress(mac),
                Mark.ofNetwork(installation, "net-" + bridge),
                Ipv4Prefix.parse(subnet),
                1500,
                egress,
                policy);
    }

    static DesiredNic nic(DesiredNetwork network, String mac, String ip) {
        String end = ip.substring(ip.lastIndexOf('.') + 1);
        String third = ip.split("\\.")[1];
        return new DesiredNic(
                network.id(),
                network.bridge(),
                network.mark(),
                new LinkName("vmt-" + third + "-" + end),
                Mark.ofNic(
                        new InstallationId("aaaaaaaa"),
                        "vm-" + end,
                        network.id().uid()),
                new MacAddress(mac),
                Ipv4Address.parse(ip),
                network.mtu(),
                network.policy().isolated(),
                List.of());
    }

    static DesiredNic publishing(DesiredNic nic, PublishedPort... ports) {
        return nic.withLivePartOf(Optional.of(new DesiredNic(
                nic.network(),
                nic.bridge(),
                nic.bridgeMark(),
                nic.tap(),
                nic.mark(),
                nic.mac(),
                nic.ip(),
                nic.mtu(),
                nic.isolated(),
                List.of(ports))));
    }

    /** Packets by the name of the counter, of both tables. */
    Map<String, Long> counters() throws Exception {
        Map<String, Long> packets = new TreeMap<>();
        for (String family : new String[] {"inet", "bridge"}) {
            String list = "list counters table " + family + " " + names().table();
            for (JsonNode item : new JsonMapper().readTree(nft.run(list, list)).path("nftables")) {
                JsonNode counter = item.path("counter");
                if (counter.has("packets")) {
                    packets.put(
                            counter.path("name").asText(),
                            counter.path("packets").asLong());
                }
            }
        }
        return packets;
    }

    @Override
    public void close() {
        RuntimeException failure = null;
        while (!things.isEmpty()) {
            try {
                things.pop().close();
            } catch (Exception e) {
                // The rest still must go.
                failure = new IllegalStateException(e);
            }
        }
        if (failure != null) {
            throw failure;
        }
    }
}
