package dev.vmlet.host.net;

import static dev.vmlet.host.net.Town.NODE_OUTSIDE;
import static dev.vmlet.host.net.Town.OUTSIDE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.vmlet.model.DesiredNetwork;
import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.Egress;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.FirewallSet;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.NetworkPolicy;
import dev.vmlet.model.Protocol;
import dev.vmlet.model.PublishedPort;
import dev.vmlet.model.Seen;
import dev.vmlet.model.ServicePort;
import java.io.IOException;
import java.net.ConnectException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketException;
import java.net.SocketTimeoutException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;

/** Ports of guests that the node offers as its own: who gets there, as whom, and that nobody gets there otherwise. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class PublishedPortsIT {
    private static final int WEB = 80;
    private static final int HOST_WEB = 8080;
    private static final int DB = 5432;
    private static final int HOST_DB = 15_432;
    private static final String POD = "10.244.0.5";
    private static final String POD_GATEWAY = "10.244.0.1";
    private static final String CLUSTER_IP = "10.96.0.10";
    private static final String ONE = "10.77.0.11";

    private static final Path BR_NETFILTER = Path.of("/proc/sys/net/bridge/bridge-nf-call-iptables");

    private Town town;
    private DesiredNic web;
    private Peer one;
    private Peer two;
    private Peer lonely;
    private Peer left;
    private Peer right;
    private Peer outside;
    /** On the same node, behind a link of the cluster's own network. */
    private Peer pod;

    @BeforeAll
    void build(@TempDir Path directory) throws Exception {
        OwnNamespace.require();
        town = new Town("publishd", directory);
        DesiredNetwork open = network("vmb-a", "10.77.0.0/24", Egress.MASQUERADE, NetworkPolicy.PLAIN);
        DesiredNetwork closed = network("vmb-b", "10.78.0.0/24", Egress.NONE, NetworkPolicy.PLAIN);
        DesiredNetwork apart = network(
                "vmb-c", "10.79.0.0/24", Egress.MASQUERADE, new NetworkPolicy(true, List.of(), List.of(), List.of()));
        for (DesiredNetwork network : List.of(open, closed, apart)) {
            town.build(network);
        }
        town.install();
        web = Town.publishing(
                Town.nic(open, "52:00:00:00:00:11", ONE),
                port(Protocol.TCP, HOST_WEB, WEB),
                port(Protocol.UDP, 53, 53));
        one = town.plug(web, open);
        two = town.plug(Town.nic(open, "52:00:00:00:00:12", "10.77.0.12"), open);
        lonely = town.plug(
                Town.publishing(Town.nic(closed, "52:00:00:00:00:21", "10.78.0.11"), port(Protocol.TCP, HOST_DB, DB)),
                closed);
        left = town.plug(
                Town.publishing(Town.nic(apart, "52:00:00:00:00:51", "10.79.0.11"), port(Protocol.TCP, 8081, WEB)),
                apart);
        right = town.plug(Town.nic(apart, "52:00:00:00:00:52", "10.79.0.12"), apart);
        outside = town.outside();
        pod = town.keep(Peer.plug("pod", "52:00:00:00:00:61", POD + "/24", POD_GATEWAY));
        OwnNamespace.run("ip", "addr", "add", POD_GATEWAY + "/24", "dev", "pod");
        town.links.setForwarding(new LinkName("pod"), true);
    }

    /** Whether bridged packets are shown to the inet hooks, where the kernel can do that at all. */
    private static void brNetfilter(boolean on) throws IOException {
        if (Files.exists(BR_NETFILTER)) {
            Files.writeString(BR_NETFILTER, on ? "1" : "0");
        }
    }

    @BeforeEach
    void withoutBrNetfilter() throws IOException {
        brNetfilter(false);
    }

    private DesiredNetwork network(String bridge, String subnet, Egress egress, NetworkPolicy policy) {
        return town.network(bridge, "52:00:00:00:aa:0" + (bridge.charAt(4) - 'a' + 1), subnet, egress, policy);
    }

    private static PublishedPort port(Protocol protocol, int host, int guest) {
        return new PublishedPort(new ServicePort(protocol, host), guest);
    }

    @AfterAll
    void tearDown() {
        if (OwnNamespace.isPrivate() && town != null) {
            town.close();
        }
    }

    /** As whom a connection to that address arrives at the server in the guest. */
    private static String arrivesAs(Peer server, int port, String address, int at, Peer client) throws Exception {
        return arrivesAs(server, port, () -> client.within(() -> connect(address, at)));
    }

    private static String arrivesAs(Peer server, int port, Callable<Socket> client) throws Exception {
        try (ServerSocket listening = server.within(() -> new ServerSocket(port));
                Socket _ = client.call()) {
            listening.setSoTimeout(2000);
            try (Socket accepted = listening.accept()) {
                return accepted.getInetAddress().getHostAddress();
            }
        }
    }

    private static Socket connect(String address, int port) throws IOException {
        Socket socket = new Socket();
        try {
            socket.connect(new InetSocketAddress(address, port), 500);
            return socket;
        } catch (IOException e) {
            socket.close();
            throw e;
        }
    }

    @Test
    void aMachineOutsideReachesThePortAsItself() throws Exception {
        assertThat(arrivesAs(one, WEB, NODE_OUTSIDE, HOST_WEB, outside)).isEqualTo(OUTSIDE);
    }

    @Test
    void aPodOfTheSameNodeReachesThePortAsItself() throws Exception {
        assertThat(arrivesAs(one, WEB, NODE_OUTSIDE, HOST_WEB, pod)).isEqualTo(POD);
    }

    @Test
    void aPodOfTheSameNodeDoesNotReachTheGuestsOwnAddress() {
        assertThatThrownBy(() -> arrivesAs(one, WEB, ONE, WEB, pod)).isInstanceOf(SocketTimeoutException.class);
    }

    /** kube-proxy has led the packet to the node already, and a connection is translated once; {@link ServicesIT} has more. */
    @Test
    void aPodOfTheSameNodeIsRefusedWhereAServiceOfWhichTheNodeWasNotToldChoosesIt() throws Exception {
        OwnNamespace.run("nft", "add table ip kube_proxy");
        try {
            OwnNamespace.run("nft", "add chain ip kube_proxy pre { type nat hook prerouting priority -100; }");
            OwnNamespace.run(
                    "nft",
                    "add rule ip kube_proxy pre ip daddr " + CLUSTER_IP + " tcp dport 80 dnat to " + NODE_OUTSIDE + ":"
                            + HOST_WEB);
            assertThatThrownBy(() -> arrivesAs(one, WEB, CLUSTER_IP, 80, pod))
                    .isInstanceOf(ConnectException.class)
                    .hasMessage("Connection refused");
        } finally {
            OwnNamespace.run("nft", "delete table ip kube_proxy");
        }
    }

    @Test
    void aGuestWithoutEgressAnswersWhoReachesItsPort() throws Exception {
        assertThat(arrivesAs(lonely, DB, NODE_OUTSIDE, HOST_DB, outside)).isEqualTo(OUTSIDE);
    }

    @Test
    void theNodeReachesThePortOnItsOwnAddresses() throws Exception {
        assertThat(arrivesAs(one, WEB, () -> connect(NODE_OUTSIDE, HOST_WEB))).isEqualTo(NODE_OUTSIDE);
        assertThat(arrivesAs(one, WEB, () -> connect("10.77.0.1", HOST_WEB))).isEqualTo("10.77.0.1");
    }

    @Test
    void guestsReachThePortByTheNodeAndSeemToBeIt() throws Exception {
        assertThat(arrivesAs(one, WEB, NODE_OUTSIDE, HOST_WEB, two))
                .as("neighbour")
                .isEqualTo("10.77.0.1");
        assertThat(arrivesAs(one, WEB, NODE_OUTSIDE, HOST_WEB, one))
                .as("itself")
                .isEqualTo("10.77.0.1");
        assertThat(arrivesAs(one, WEB, NODE_OUTSIDE, HOST_WEB, right))
                .as("another Network")
                .isEqualTo("10.77.0.1");
        assertThat(arrivesAs(left, WEB, NODE_OUTSIDE, 8081, right))
                .as("isolated")
                .isEqualTo("10.79.0.1");
    }

    /** The kernel then leads a frame that is translated to its own bridge on without routing it. */
    @Test
    void brNetfilterChangesOnlyAsWhomANeighbourComes() throws Exception {
        Assumptions.assumeTrue(Files.exists(BR_NETFILTER), "no br_netfilter here");
        brNetfilter(true);
        assertThat(arrivesAs(one, WEB, NODE_OUTSIDE, HOST_WEB, outside)).isEqualTo(OUTSIDE);
        assertThat(arrivesAs(one, WEB, NODE_OUTSIDE, HOST_WEB, two)).isEqualTo("10.77.0.12");
        assertThat(arrivesAs(one, WEB, NODE_OUTSIDE, HOST_WEB, right)).isEqualTo("10.77.0.1");
        notThere(one, WEB, NODE_OUTSIDE, HOST_WEB, lonely, "between_networks");
        notThere(one, WEB, ONE, WEB, outside, "unsolicited");
    }

    @Test
    void aGuestWithoutEgressReachesNoPublishedPort() throws Exception {
        notThere(one, WEB, NODE_OUTSIDE, HOST_WEB, lonely, "between_networks");
    }

    @Test
    void nobodyReachesTheGuestPastItsPublishedPort() throws Exception {
        notThere(one, WEB, ONE, WEB, outside, "unsolicited");
        notThere(one, 81, ONE, 81, outside, "unsolicited");
        notThere(left, WEB, "10.79.0.11", WEB, two, "between_networks");
    }

    /** Retransmissions are counted as well. */
    private void notThere(Peer server, int port, String address, int at, Peer client, String counter) throws Exception {
        Map<String, Long> before = town.counters();
        try (ServerSocket _ = server.within(() -> new ServerSocket(port))) {
            assertThatThrownBy(() -> client.within(() -> connect(address, at)))
                    .isInstanceOf(SocketTimeoutException.class);
        }
        Map<String, Long> after = town.counters();
        assertThat(after.get(counter)).isGreaterThan(before.get(counter));
    }

    @Test
    void publishesUdpToo() throws Exception {
        try (DatagramSocket server = one.within(() -> new DatagramSocket(53));
                DatagramSocket client = outside.within(() -> new DatagramSocket())) {
            server.setSoTimeout(2000);
            client.setSoTimeout(2000);
            DatagramPacket packet = new DatagramPacket(new byte[1], 1, InetAddress.getByName(NODE_OUTSIDE), 53);
            client.send(packet);
            server.receive(packet);
            server.send(packet);
            client.receive(packet);
            assertThat(packet.getAddress()).isEqualTo(InetAddress.getByName(NODE_OUTSIDE));
        }
    }

    @Test
    void whatIsPublishedNoLongerEndsAtOnce() throws Exception {
        List<FirewallElement> published = web.elements("vm-" + ONE).stream()
                .filter(e -> e.set() == FirewallSet.PUBLISHED || e.set() == FirewallSet.PUBLISHED_TO)
                .toList();
        try (ServerSocket server = one.within(() -> new ServerSocket(WEB));
                Socket socket = outside.within(() -> connect(NODE_OUTSIDE, HOST_WEB));
                Socket accepted = server.accept()) {
            socket.setSoTimeout(500);
            accepted.setSoTimeout(500);
            accepted.getOutputStream().write('a');
            assertThat(socket.getInputStream().read()).isEqualTo('a');
            town.firewall.delete(published);
            try {
                socket.getOutputStream().write('b');
                assertThatThrownBy(() -> socket.getInputStream().read())
                        .as("the node says that nobody is there")
                        .isInstanceOf(SocketException.class)
                        .hasMessage("Connection reset");
                assertThatThrownBy(() -> accepted.getInputStream().read()).isInstanceOf(SocketTimeoutException.class);
            } finally {
                town.firewall.add(published);
            }
        }
        assertThat(town.firewall.contained(published)).isEqualTo(Seen.present(Set.copyOf(published)));
    }

    /** As after somebody else's nft, which tells nobody to forget. */
    @Test
    void whatIsPublishedAgainKeepsItsConnections() throws Exception {
        List<FirewallElement> published = web.elements("vm-" + ONE).stream()
                .filter(e -> e.set() == FirewallSet.PUBLISHED)
                .toList();
        try (ServerSocket server = one.within(() -> new ServerSocket(WEB));
                Socket socket = outside.within(() -> connect(NODE_OUTSIDE, HOST_WEB));
                Socket accepted = server.accept()) {
            accepted.setSoTimeout(2000);
            OwnNamespace.run("nft", "flush", "map", "inet", town.names().table(), "published");
            town.firewall.add(published);
            socket.getOutputStream().write('b');
            assertThat(accepted.getInputStream().read()).isEqualTo('b');
        }
    }

    @Test
    void aPortOfTheNodeThatLeadsElsewhereIsNotOurs() {
        FirewallElement elsewhere =
                new FirewallElement(FirewallSet.PUBLISHED, List.of("tcp", "8080", ONE, "81"), "vm-" + ONE);
        assertThat(town.firewall.contained(List.of(elsewhere))).isEqualTo(Seen.present(Set.of()));
    }

    @Test
    void knowsWhatTheNodeListensOn() throws Exception {
        try (ServerSocket all = new ServerSocket(0);
                ServerSocket inside = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
                DatagramSocket udp = new DatagramSocket(0)) {
            assertThat(town.links.listeners() instanceof Seen.Present<Set<ServicePort>>(var ports) ? ports : Set.of())
                    .contains(
                            new ServicePort(Protocol.TCP, all.getLocalPort()),
                            new ServicePort(Protocol.UDP, udp.getLocalPort()))
                    .doesNotContain(new ServicePort(Protocol.TCP, inside.getLocalPort()));
        }
    }
}
