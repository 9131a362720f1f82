package dev.vmlet.host.net;

import static dev.vmlet.host.net.Frames.ARP;
import static dev.vmlet.host.net.Frames.EVERYBODY;
import static dev.vmlet.host.net.Frames.IPV4;
import static dev.vmlet.host.net.Frames.IPV6;
import static dev.vmlet.host.net.Town.NODE_OUTSIDE;
import static dev.vmlet.host.net.Town.OUTSIDE;
import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.model.DesiredNetwork;
import dev.vmlet.model.Destination;
import dev.vmlet.model.Egress;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.FirewallSet;
import dev.vmlet.model.InterfaceAddress;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.MacAddress;
import dev.vmlet.model.Mark;
import dev.vmlet.model.NetworkId;
import dev.vmlet.model.NetworkPolicy;
import dev.vmlet.model.Protocol;
import dev.vmlet.model.ServicePort;
import java.io.IOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.SocketTimeoutException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Who sends what to whom, whether it arrives, and which counter tells of it if not. One row, one frame. A frame that is
 * dropped is counted once, by the counter that its row names and by no other; one that arrives is counted nowhere.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class TrafficIT {
    private static final String GATEWAY = "10.77.0.1";
    private static final String GATEWAY_MAC = "52:00:00:00:aa:01";
    private static final String LONELY_GATEWAY_MAC = "52:00:00:00:aa:02";
    private static final String ONE = "10.77.0.11";
    private static final String ONE_MAC = "52:00:00:00:00:11";
    private static final String TWO = "10.77.0.12";
    private static final String TWO_MAC = "52:00:00:00:00:12";
    private static final String LONELY = "10.78.0.11";
    private static final String LONELY_MAC = "52:00:00:00:00:21";
    private static final String LEFT = "10.79.0.11";
    private static final String LEFT_MAC = "52:00:00:00:00:51";
    private static final String RIGHT = "10.79.0.12";
    private static final String RIGHT_MAC = "52:00:00:00:00:52";
    private static final String APART_GATEWAY_MAC = "52:00:00:00:aa:03";
    private static final String FRIEND = "10.80.0.11";
    private static final String FRIEND_MAC = "52:00:00:00:00:41";
    private static final String FRIEND_GATEWAY_MAC = "52:00:00:00:aa:04";
    private static final String NODE_LOOPBACK = "198.51.100.1";
    private static final String METADATA = "169.254.169.254";
    private static final String LINK_LOCAL = "fe80::5000:ff:fe00:11";

    private Town town;
    private Peer one;
    private Peer two;
    private Peer lonely;
    private Peer outside;
    private DatagramSocket service;
    private Peer left;
    private Peer right;
    private Peer friend;
    private String nodeLinkLocal = "";

    @BeforeAll
    void build(@TempDir Path directory) throws Exception {
        OwnNamespace.require();
        town = new Town("trafficc", directory);
        service = town.keep(new DatagramSocket(0));
        DesiredNetwork open = network(
                "vmb-a",
                GATEWAY_MAC,
                "10.77.0.0/24",
                Egress.MASQUERADE,
                new NetworkPolicy(false, List.of(new LinkName("vmb-d")), List.of(), List.of()));
        DesiredNetwork closed = network("vmb-b", LONELY_GATEWAY_MAC, "10.78.0.0/24", Egress.NONE, NetworkPolicy.PLAIN);
        DesiredNetwork apart = network(
                "vmb-c",
                APART_GATEWAY_MAC,
                "10.79.0.0/24",
                Egress.MASQUERADE,
                new NetworkPolicy(
                        true, List.of(), List.of(), List.of(new ServicePort(Protocol.UDP, service.getLocalPort()))));
        DesiredNetwork listed = network(
                "vmb-d",
                FRIEND_GATEWAY_MAC,
                "10.80.0.0/24",
                Egress.MASQUERADE,
                new NetworkPolicy(
                        false,
                        List.of(new LinkName("vmb-a")),
                        List.of(
                                new Destination(
                                        Ipv4Prefix.parse(OUTSIDE + "/32"),
                                        Optional.of(new ServicePort(Protocol.UDP, 9))),
                                new Destination(Ipv4Prefix.parse("203.0.113.0/25"), Optional.empty())),
                        List.of()));
        for (DesiredNetwork network : List.of(open, closed, apart, listed)) {
            town.build(network);
        }
        town.install();
        left = town.plug(Town.nic(apart, LEFT_MAC, LEFT), apart);
        right = town.plug(Town.nic(apart, RIGHT_MAC, RIGHT), apart);
        friend = town.plug(Town.nic(listed, FRIEND_MAC, FRIEND), listed);
        one = town.plug(Town.nic(open, ONE_MAC, ONE), open);
        two = town.plug(Town.nic(open, TWO_MAC, TWO), open);
        lonely = town.plug(Town.nic(closed, LONELY_MAC, LONELY), closed);
        outside = town.outside();
        town.links.addAddress(new LinkName("lo"), new InterfaceAddress(Ipv4Address.parse(NODE_LOOPBACK), 32));
        // The bridge's own, from its MAC address.
        nodeLinkLocal = "fe80::5000:ff:fe00:aa01";
    }

    private DesiredNetwork network(String bridge, String mac, String subnet, Egress egress, NetworkPolicy policy) {
        return new DesiredNetwork(
                new NetworkId("lab", bridge, "net-" + bridge),
                new LinkName(bridge),
                new MacAddress(mac),
                Mark.ofNetwork(town.installation, "net-" + bridge),
                Ipv4Prefix.parse(subnet),
                1500,
                egress,
                policy);
    }

    @AfterAll
    void tearDown() {
        if (OwnNamespace.isPrivate() && town != null) {
            town.close();
        }
    }

    /** Makes the row's frame; the mark is how the receiver knows it. */
    interface Making {
        byte[] with(String mark);
    }

    interface Ear {
        /** Marks that have arrived since it was asked last. */
        List<String> marks() throws Exception;
    }

    /** @param counter that counts a drop, empty for none; a frame to everybody may arrive here and be dropped there */
    record Row(String sentence, Peer from, Making frame, Ear to, boolean arrives, String counter) {
        @Override
        public String toString() {
            return sentence
                    + (arrives ? ": arrives" : ": dropped")
                    + (counter.isEmpty() ? "" : ", counted as " + counter);
        }

        Row alsoCounted(String by) {
            return new Row(sentence, from, frame, to, arrives, by);
        }
    }

    private List<String> node() throws IOException {
        List<String> marks = new ArrayList<>();
        service.setSoTimeout(1);
        try {
            while (true) {
                DatagramPacket packet = new DatagramPacket(new byte[64], 64);
                service.receive(packet);
                marks.add(new String(packet.getData(), 0, packet.getLength(), StandardCharsets.US_ASCII));
            }
        } catch (SocketTimeoutException e) {
            return marks;
        }
    }

    private static Row arrives(String sentence, Peer from, Making frame, Ear to) {
        return new Row(sentence, from, frame, to, true, "");
    }

    private static Row dropped(String counter, String sentence, Peer from, Making frame, Ear to) {
        return new Row(sentence, from, frame, to, false, counter);
    }

    /** UDP to a port where nobody listens; whether it arrives is seen on the wire. */
    private static Making udp(String toMac, String fromMac, String from, String to) {
        return mark -> Frames.ethernet(toMac, fromMac, IPV4, Frames.udp(4, from, to, 9, mark));
    }

    private Making toNode(String gatewayMac, String mac, String from, String address) {
        return mark ->
                Frames.ethernet(gatewayMac, mac, IPV4, Frames.udp(4, from, address, service.getLocalPort(), mark));
    }

    private static Making arp(String to, String from, int operation, String mac, String ip, String target) {
        return mark -> Frames.ethernet(to, from, ARP, Frames.arp(operation, 6, mac, ip, target, mark));
    }

    Stream<Row> rows() {
        return Stream.of(
                        honest(),
                        spoofing(),
                        arpSpoofing(),
                        servers(),
                        otherProtocols(),
                        node4(),
                        between(),
                        outwards(),
                        isolated(),
                        peers(),
                        listed())
                .flatMap(s -> s);
    }

    private Stream<Row> honest() {
        return Stream.of(
                arrives("a guest to another of its Network", one, udp(TWO_MAC, ONE_MAC, ONE, TWO), two::marks),
                arrives(
                                "a guest to everybody by broadcast",
                                one,
                                udp(EVERYBODY, ONE_MAC, ONE, "255.255.255.255"),
                                two::marks)
                        // By the node, which is among everybody.
                        .alsoCounted("to_node_closed"),
                arrives(
                        "a guest to a multicast group",
                        one,
                        udp("01:00:5e:00:00:fb", ONE_MAC, ONE, "224.0.0.251"),
                        two::marks),
                arrives(
                        "a guest asks who has an address",
                        one,
                        arp(EVERYBODY, ONE_MAC, 1, ONE_MAC, ONE, TWO),
                        two::marks),
                arrives(
                        "a guest answers that it has its own",
                        one,
                        arp(TWO_MAC, ONE_MAC, 2, ONE_MAC, ONE, TWO),
                        two::marks),
                arrives(
                        "a guest announces its address",
                        one,
                        arp(EVERYBODY, ONE_MAC, 1, ONE_MAC, ONE, ONE),
                        two::marks));
    }

    private Stream<Row> spoofing() {
        return Stream.of(
                dropped(
                        "spoofed",
                        "a guest with an address nobody has",
                        one,
                        udp(TWO_MAC, ONE_MAC, "10.77.0.99", TWO),
                        two::marks),
                dropped(
                        "spoofed",
                        "a guest with its gateway's address",
                        one,
                        udp(TWO_MAC, ONE_MAC, GATEWAY, TWO),
                        two::marks),
                dropped(
                        "spoofed",
                        "a guest with its receiver's MAC and address",
                        one,
                        udp(TWO_MAC, TWO_MAC, TWO, TWO),
                        two::marks),
                dropped(
                        "spoofed",
                        "a guest with the MAC of a guest of another Network",
                        one,
                        udp(TWO_MAC, LONELY_MAC, ONE, TWO),
                        two::marks),
                dropped(
                        "spoofed",
                        "a guest with its gateway's MAC",
                        one,
                        udp(TWO_MAC, GATEWAY_MAC, ONE, TWO),
                        two::marks),
                dropped(
                        "spoofed",
                        "a guest with no address",
                        one,
                        udp(EVERYBODY, ONE_MAC, "0.0.0.0", "255.255.255.255"),
                        two::marks),
                dropped(
                        "spoofed",
                        "a guest with an address of loopback",
                        one,
                        udp(GATEWAY_MAC, ONE_MAC, "127.0.0.1", GATEWAY),
                        two::marks),
                dropped(
                        "spoofed",
                        "a guest with the node's address towards the outside",
                        one,
                        udp(GATEWAY_MAC, ONE_MAC, NODE_OUTSIDE, OUTSIDE),
                        outside::marks),
                dropped(
                        "spoofed",
                        "a guest with another guest's address towards the outside",
                        one,
                        udp(GATEWAY_MAC, ONE_MAC, TWO, OUTSIDE),
                        outside::marks),
                dropped(
                        "spoofed",
                        "an IPv4 header cut short",
                        one,
                        mark -> Frames.ethernet(TWO_MAC, ONE_MAC, IPV4, new byte[] {0x45, 0, 0, 28}),
                        two::marks));
    }

    private Stream<Row> arpSpoofing() {
        return Stream.of(
                dropped(
                        "spoofed_arp",
                        "a guest asks in its gateway's name",
                        one,
                        arp(EVERYBODY, ONE_MAC, 1, ONE_MAC, GATEWAY, GATEWAY),
                        two::marks),
                dropped(
                        "spoofed_arp",
                        "a guest answers that it is the gateway",
                        one,
                        arp(TWO_MAC, ONE_MAC, 2, ONE_MAC, GATEWAY, TWO),
                        two::marks),
                dropped(
                        "spoofed_arp",
                        "a guest says its address is at another's MAC",
                        one,
                        arp(EVERYBODY, ONE_MAC, 1, TWO_MAC, ONE, ONE),
                        two::marks),
                dropped(
                        "spoofed_arp",
                        "a guest sends its ARP from another's MAC",
                        one,
                        arp(EVERYBODY, TWO_MAC, 1, ONE_MAC, ONE, TWO),
                        two::marks),
                dropped(
                        "spoofed_arp",
                        "a guest probes with no address",
                        one,
                        arp(EVERYBODY, ONE_MAC, 1, ONE_MAC, "0.0.0.0", ONE),
                        two::marks),
                dropped(
                        "spoofed_arp",
                        "ARP whose fields lie elsewhere",
                        one,
                        mark -> Frames.ethernet(EVERYBODY, ONE_MAC, ARP, Frames.arp(1, 8, ONE_MAC, ONE, TWO, mark)),
                        two::marks),
                dropped(
                        "spoofed_arp",
                        "ARP cut short",
                        one,
                        mark -> Frames.ethernet(EVERYBODY, ONE_MAC, ARP, new byte[] {0, 1, 8, 0, 6, 4, 0, 1}),
                        two::marks));
    }

    private Stream<Row> servers() {
        return Stream.of(
                dropped(
                        "dhcp_server",
                        "a guest plays DHCP server",
                        one,
                        mark -> Frames.ethernet(
                                EVERYBODY, ONE_MAC, IPV4, Frames.udp(4, ONE, "255.255.255.255", 67, 68, mark)),
                        two::marks),
                dropped(
                        "dhcp_server",
                        "a guest plays DHCP server in its gateway's name",
                        one,
                        mark -> Frames.ethernet(TWO_MAC, ONE_MAC, IPV4, Frames.udp(4, GATEWAY, TWO, 67, 68, mark)),
                        two::marks),
                dropped(
                        "router_advert",
                        "a guest plays IPv6 router",
                        one,
                        mark -> Frames.ethernet(
                                "33:33:00:00:00:01", ONE_MAC, IPV6, Frames.icmp6(LINK_LOCAL, "ff02::1", 134, mark)),
                        two::marks),
                dropped(
                        "ipv6",
                        "a guest plays DHCPv6 server",
                        one,
                        mark -> Frames.ethernet(
                                TWO_MAC, ONE_MAC, IPV6, Frames.udp6(LINK_LOCAL, "fe80::2", 547, 546, mark)),
                        two::marks));
    }

    private Stream<Row> otherProtocols() {
        return Stream.of(
                dropped(
                        "ipv6",
                        "IPv6 to another guest",
                        one,
                        mark -> Frames.ethernet(TWO_MAC, ONE_MAC, IPV6, Frames.udp6(LINK_LOCAL, "fe80::2", 9, 9, mark)),
                        two::marks),
                dropped(
                        "ipv6",
                        "IPv6 to the node's link-local address",
                        one,
                        mark -> Frames.ethernet(
                                GATEWAY_MAC,
                                ONE_MAC,
                                IPV6,
                                Frames.udp6(LINK_LOCAL, nodeLinkLocal, 9, service.getLocalPort(), mark)),
                        this::node),
                dropped(
                        "ipv6",
                        "IPv6 neighbour advertisement",
                        one,
                        mark -> Frames.ethernet(
                                "33:33:00:00:00:01", ONE_MAC, IPV6, Frames.icmp6(LINK_LOCAL, "ff02::1", 136, mark)),
                        two::marks),
                dropped("tagged", "a VLAN tag", one, tag(0x8100, 7), two::marks),
                dropped("tagged", "a tag of priority alone", one, tag(0x8100, 0), two::marks),
                dropped("tagged", "a provider's tag", one, tag(0x88a8, 7), two::marks),
                dropped("other_protocol", "PPPoE", one, other(TWO_MAC, 0x8864), two::marks),
                dropped("other_protocol", "a frame with a length for its type", one, other(TWO_MAC, 54), two::marks),
                dropped("other_protocol", "spanning tree", one, other("01:80:c2:00:00:00", 54), two::marks),
                dropped("other_protocol", "a pause frame's type", one, other(TWO_MAC, 0x8808), two::marks),
                dropped("other_protocol", "reverse ARP", one, other(EVERYBODY, 0x8035), two::marks));
    }

    private static Making tag(int type, int vlan) {
        return mark -> Frames.tagged(TWO_MAC, ONE_MAC, type, vlan, IPV4, Frames.udp(4, ONE, TWO, 9, mark));
    }

    private static Making other(String to, int type) {
        return mark -> Frames.ethernet(to, ONE_MAC, type, Frames.text(mark));
    }

    private Stream<Row> node4() {
        return Stream.of(
                arrives(
                        "a machine outside to a service of the node",
                        outside,
                        toNode(macOf("uplink"), Town.OUTSIDE_MAC, OUTSIDE, NODE_OUTSIDE),
                        this::node),
                dropped(
                        "to_node_closed",
                        "a guest to a service at its gateway",
                        one,
                        toNode(GATEWAY_MAC, ONE_MAC, ONE, GATEWAY),
                        this::node),
                dropped(
                        "to_node_closed",
                        "a guest to a service at the node's address outside",
                        one,
                        toNode(GATEWAY_MAC, ONE_MAC, ONE, NODE_OUTSIDE),
                        this::node),
                dropped(
                        "to_node_closed",
                        "a guest to a service at an address on loopback",
                        one,
                        toNode(GATEWAY_MAC, ONE_MAC, ONE, NODE_LOOPBACK),
                        this::node),
                dropped(
                        "to_node_closed",
                        "a guest to another Network's gateway",
                        one,
                        toNode(GATEWAY_MAC, ONE_MAC, ONE, "10.78.0.1"),
                        this::node),
                dropped(
                        "to_node_closed",
                        "a guest to everybody, the node included",
                        one,
                        toNode(EVERYBODY, ONE_MAC, ONE, "255.255.255.255"),
                        this::node),
                dropped(
                        "to_node_closed",
                        "a guest of a Network without egress to its gateway",
                        lonely,
                        toNode(LONELY_GATEWAY_MAC, LONELY_MAC, LONELY, "10.78.0.1"),
                        this::node),
                dropped(
                        "reserved_group",
                        "a guest to the node past the bridge",
                        one,
                        toNode("01:80:c2:00:00:0e", ONE_MAC, ONE, GATEWAY),
                        this::node));
    }

    private Stream<Row> between() {
        return Stream.of(
                dropped(
                        "between_networks",
                        "a guest to a guest of another Network",
                        one,
                        udp(GATEWAY_MAC, ONE_MAC, ONE, LONELY),
                        lonely::marks),
                dropped(
                        "between_networks",
                        "and back",
                        lonely,
                        udp(LONELY_GATEWAY_MAC, LONELY_MAC, LONELY, ONE),
                        one::marks));
    }

    private Stream<Row> outwards() {
        return Stream.of(
                arrives("a guest to a machine outside", one, udp(GATEWAY_MAC, ONE_MAC, ONE, OUTSIDE), outside::marks),
                dropped(
                        "metadata",
                        "a guest to the metadata service",
                        one,
                        udp(GATEWAY_MAC, ONE_MAC, ONE, METADATA),
                        outside::marks),
                dropped(
                        "metadata",
                        "a guest to Azure's",
                        one,
                        udp(GATEWAY_MAC, ONE_MAC, ONE, "168.63.129.16"),
                        outside::marks),
                dropped(
                        "metadata",
                        "a guest to Alibaba's",
                        one,
                        udp(GATEWAY_MAC, ONE_MAC, ONE, "100.100.100.200"),
                        outside::marks),
                dropped(
                        "metadata",
                        "a guest to Oracle's",
                        one,
                        udp(GATEWAY_MAC, ONE_MAC, ONE, "192.0.0.192"),
                        outside::marks),
                dropped(
                        "without_egress",
                        "a guest of a Network without egress to the outside",
                        lonely,
                        udp(LONELY_GATEWAY_MAC, LONELY_MAC, LONELY, OUTSIDE),
                        outside::marks),
                dropped(
                        "unsolicited",
                        "a machine outside to a guest",
                        outside,
                        udp(macOf("uplink"), Town.OUTSIDE_MAC, OUTSIDE, ONE),
                        one::marks),
                dropped(
                        "unsolicited",
                        "a machine outside to a guest without egress",
                        outside,
                        udp(macOf("uplink"), Town.OUTSIDE_MAC, OUTSIDE, LONELY),
                        lonely::marks));
    }

    private Stream<Row> isolated() {
        return Stream.of(
                arrives(
                        "an isolated guest to a machine outside",
                        left,
                        udp(APART_GATEWAY_MAC, LEFT_MAC, LEFT, OUTSIDE),
                        outside::marks),
                dropped(
                        "between_networks",
                        "an isolated guest to its like by way of the gateway",
                        left,
                        udp(APART_GATEWAY_MAC, LEFT_MAC, LEFT, RIGHT),
                        right::marks),
                dropped(
                        "between_networks",
                        "an isolated guest to another Network",
                        left,
                        udp(APART_GATEWAY_MAC, LEFT_MAC, LEFT, ONE),
                        one::marks),
                dropped(
                        "spoofed",
                        "an isolated guest as its like",
                        left,
                        udp(APART_GATEWAY_MAC, RIGHT_MAC, RIGHT, OUTSIDE),
                        outside::marks),
                arrives(
                        "a guest to a port of the node that its Network opens",
                        left,
                        toNode(APART_GATEWAY_MAC, LEFT_MAC, LEFT, "10.79.0.1"),
                        this::node),
                arrives(
                        "the same at the node's address outside",
                        left,
                        toNode(APART_GATEWAY_MAC, LEFT_MAC, LEFT, NODE_OUTSIDE),
                        this::node),
                dropped(
                        "to_node_closed",
                        "a guest to the port beside it",
                        left,
                        udp(APART_GATEWAY_MAC, LEFT_MAC, LEFT, NODE_OUTSIDE),
                        this::node));
    }

    private Stream<Row> peers() {
        return Stream.of(
                arrives("a guest to a guest of a peer", one, udp(GATEWAY_MAC, ONE_MAC, ONE, FRIEND), friend::marks),
                arrives("and back", friend, udp(FRIEND_GATEWAY_MAC, FRIEND_MAC, FRIEND, ONE), one::marks),
                dropped(
                        "between_networks",
                        "a peer to a third Network",
                        friend,
                        udp(FRIEND_GATEWAY_MAC, FRIEND_MAC, FRIEND, LONELY),
                        lonely::marks));
    }

    private Stream<Row> listed() {
        return Stream.of(
                arrives(
                        "to a listed port outside",
                        friend,
                        udp(FRIEND_GATEWAY_MAC, FRIEND_MAC, FRIEND, OUTSIDE),
                        outside::marks),
                dropped(
                        "without_egress",
                        "to another port there",
                        friend,
                        mark -> Frames.ethernet(
                                FRIEND_GATEWAY_MAC, FRIEND_MAC, IPV4, Frames.udp(4, FRIEND, OUTSIDE, 10, mark)),
                        outside::marks),
                arrives(
                        "to any port of a listed prefix",
                        friend,
                        udp(FRIEND_GATEWAY_MAC, FRIEND_MAC, FRIEND, "203.0.113.127"),
                        outside::marks),
                dropped(
                        "without_egress",
                        "to the address after it",
                        friend,
                        udp(FRIEND_GATEWAY_MAC, FRIEND_MAC, FRIEND, "203.0.113.128"),
                        outside::marks),
                dropped(
                        "metadata",
                        "to the metadata service",
                        friend,
                        udp(FRIEND_GATEWAY_MAC, FRIEND_MAC, FRIEND, METADATA),
                        outside::marks));
    }

    /** The bridge drops them without a counter: a packet of the node's, sent behind them, tells that they never come. */
    @Test
    void isolatedGuestsDoNotMeet() throws Exception {
        List<String> _ = right.marks();
        left.send(udp(RIGHT_MAC, LEFT_MAC, LEFT, RIGHT).with("unicast"));
        left.send(udp(EVERYBODY, LEFT_MAC, LEFT, "255.255.255.255").with("broadcast"));
        left.send(udp("01:00:5e:00:00:fb", LEFT_MAC, LEFT, "224.0.0.251").with("multicast"));
        left.send(udp("52:00:00:00:00:99", LEFT_MAC, LEFT, RIGHT).with("nobody"));
        left.send(arp(EVERYBODY, LEFT_MAC, 1, LEFT_MAC, LEFT, RIGHT).with("arp"));
        byte[] behind = Frames.markText("behind").getBytes(StandardCharsets.US_ASCII);
        service.send(new DatagramPacket(behind, behind.length, InetAddress.getByName(RIGHT), 9));
        assertThat(right.marksUpTo(Frames.markText("behind"))).containsExactly(Frames.markText("behind"));
    }

    /** What a listed destination answers comes back, also as an error. */
    @Test
    void whatIsListedOutsideAnswers() throws Exception {
        try (DatagramSocket server = outside.within(() -> new DatagramSocket(9));
                DatagramSocket client = friend.within(() -> new DatagramSocket())) {
            server.setSoTimeout(2000);
            client.setSoTimeout(2000);
            DatagramPacket packet = new DatagramPacket(new byte[1], 1, InetAddress.getByName(OUTSIDE), 9);
            client.send(packet);
            server.receive(packet);
            server.send(packet);
            client.receive(packet);
            assertThat(packet.getAddress()).isEqualTo(InetAddress.getByName(OUTSIDE));
        }
    }

    /** Conntrack knows the flow; that it was allowed once does not count. */
    @Test
    void aPortOfTheNodeThatIsOpenNoMoreEndsWhatWasBegun() throws Exception {
        Set<FirewallElement> open = town.elements.stream()
                .filter(e -> e.set() == FirewallSet.HOST_ACCESS)
                .collect(Collectors.toSet());
        try (DatagramSocket client = left.within(() -> new DatagramSocket())) {
            client.setSoTimeout(2000);
            DatagramPacket packet =
                    new DatagramPacket(new byte[] {'a'}, 1, InetAddress.getByName("10.79.0.1"), service.getLocalPort());
            client.send(packet);
            service.setSoTimeout(2000);
            service.receive(packet);
            service.send(packet);
            client.receive(packet);

            town.firewall.delete(open);
            client.send(packet);
            assertThat(node()).isEmpty();

            town.firewall.add(open);
            client.send(packet);
            service.setSoTimeout(2000);
            service.receive(packet);
        } finally {
            town.firewall.add(open);
        }
    }

    /** A rule that lets too much through, by accident or by a vandal. */
    enum Hole {
        FORGED_IPV4("insert rule bridge $T ip_from_guest accept", "a guest with an address nobody has"),
        FORGED_GATEWAY("insert rule bridge $T ip_from_guest accept", "a guest with its gateway's address"),
        FORGED_MAC("insert rule bridge $T ip_from_guest accept", "a guest with its gateway's MAC"),
        FORGED_ARP("insert rule bridge $T arp_from_guest accept", "a guest asks in its gateway's name"),
        ARP_OF_ANOTHER_SHAPE(
                "insert rule bridge $T from_guest ether type arp accept", "ARP whose fields lie elsewhere"),
        NO_GUARD_AT_ALL("flush chain bridge $T prerouting", "a guest answers that it is the gateway"),
        DHCP_SERVER("insert rule bridge $T honest udp sport 67 accept", "a guest plays DHCP server"),
        ROUTER("insert rule bridge $T from_guest ether type ip6 accept", "a guest plays IPv6 router"),
        IPV6("insert rule bridge $T from_guest ether type ip6 accept", "IPv6 to another guest"),
        VLAN("insert rule bridge $T from_guest ether type 8021q accept", "a VLAN tag"),
        VLAN_BY_THE_SHORT_WAY(
                "insert rule bridge $T prerouting iifname . ether saddr . ip saddr @ok4 accept", "a VLAN tag"),
        PPPOE("insert rule bridge $T from_guest ether type 0x8864 accept", "PPPoE"),
        NODE("insert rule inet $T to_node accept", "a guest to a service at its gateway"),
        NODE_UNGUARDED("flush chain inet $T input", "a guest to the node past the bridge"),
        NEIGHBOUR("insert rule inet $T forward accept", "a guest to a guest of another Network"),
        ISOLATION("insert rule inet $T forward accept", "an isolated guest to its like by way of the gateway"),
        METADATA("insert rule inet $T from_guest accept", "a guest to the metadata service"),
        EGRESS("insert rule inet $T from_guest accept", "a guest of a Network without egress to the outside"),
        LIST("insert rule inet $T from_guest accept", "to another port there"),
        INGRESS("insert rule inet $T to_guest accept", "a machine outside to a guest");

        private final String command;
        private final String row;

        Hole(String command, String row) {
            this.command = command;
            this.row = row;
        }
    }

    /** Each row would see the hole of its class: with it, the frame that must not arrive does. */
    @ParameterizedTest
    @EnumSource(Hole.class)
    void aHoleIsSeen(Hole hole) throws Exception {
        Row row = rows().filter(r -> r.sentence().equals(hole.row)).findFirst().orElseThrow();
        List<String> _ = row.to().marks();
        OwnNamespace.run("nft", hole.command.replace("$T", town.names().table()));
        try {
            String mark = Frames.markText("hole " + ++sent);
            row.from().send(row.frame().with("hole " + sent));
            Awaitility.await(hole + " lets it through")
                    .atMost(Duration.ofSeconds(5))
                    .pollInterval(Duration.ofMillis(2))
                    .until(() -> row.to().marks().contains(mark));
        } finally {
            town.install();
        }
    }

    private String macOf(String link) {
        return town.links.find(new LinkName(link)) instanceof dev.vmlet.model.Seen.Present<dev.vmlet.model.Link>(var l)
                ? l.mac()
                : "";
    }

    private int sent;

    @ParameterizedTest(name = "{0}")
    @MethodSource("rows")
    void row(Row row) throws Exception {
        List<String> _ = row.to().marks();
        String mark = Frames.markText("row " + ++sent);
        Map<String, Long> before = town.counters();
        row.from().send(row.frame().with("row " + sent));
        List<String> heard = new ArrayList<>();
        Awaitility.await(row.toString())
                .atMost(Duration.ofSeconds(5))
                .pollInterval(Duration.ofMillis(2))
                .until(() -> {
                    heard.addAll(row.to().marks());
                    return (!row.arrives() || heard.contains(mark))
                            && (row.counter().isEmpty() || !town.counters().equals(before));
                });
        heard.addAll(row.to().marks());
        Map<String, Long> expected = new TreeMap<>(before);
        if (!row.counter().isEmpty()) {
            expected.merge(row.counter(), 1L, Long::sum);
        }
        assertThat(heard.contains(mark)).isEqualTo(row.arrives());
        assertThat(town.counters()).isEqualTo(expected);
    }
}
