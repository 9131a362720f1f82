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
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.MacAddress;
import dev.vmlet.model.Mark;
import dev.vmlet.model.NetworkId;
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
import java.net.SocketTimeoutException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Ports of guests that the node offers as its own: who gets there, as whom, and that nobody gets there otherwise. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class PublishedPortsIT {
    private static final int IPV4 = 0x0800;
    private static final int WEB = 80;
    private static final int HOST_WEB = 8080;
    private static final int DB = 5432;
    private static final int HOST_DB = 15_432;
    private static final String POD = "10.244.0.5";
    private static final String POD_GATEWAY = "10.244.0.1";
    private static final String POD_GATEWAY_MAC = "52:00:00:00:00:62";
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
        web = publishing(
                Town.nic(open, "52:00:00:00:00:11", ONE),
                port(Protocol.TCP, HOST_WEB, WEB),
                port(Protocol.UDP, 53, 53));
        one = town.plug(web, open);
        two = town.plug(Town.nic(open, "52:00:00:00:00:12", "10.77.0.12"), open);
        lonely = town.plug(
                publishing(Town.nic(closed, "52:00:00:00:00:21", "10.78.0.11"), port(Protocol.TCP, HOST_DB, DB)),
                closed);
        left = town.plug(
                publishing(Town.nic(apart, "52:00:00:00:00:51", "10.79.0.11"), port(Protocol.TCP, 8081, WEB)), apart);
        right = town.plug(Town.nic(apart, "52:00:00:00:00:52", "10.79.0.12"), apart);
        outside = town.outside();
        pod = town.keep(Peer.plug("pod", "52:00:00:00:00:61", POD + "/24", POD_GATEWAY));
        OwnNamespace.run("ip", "link", "set", "pod", "address", POD_GATEWAY_MAC);
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
        return new DesiredNetwork(
                new NetworkId("lab", bridge, "net-" + bridge),
                new LinkName(bridge),
                new MacAddress("52:00:00:00:aa:0" + (bridge.charAt(4) - 'a' + 1)),
                Mark.ofNetwork(town.installation, "net-" + bridge),
                Ipv4Prefix.parse(subnet),
                1500,
                egress,
                policy);
    }

    private static PublishedPort port(Protocol protocol, int host, int guest) {
        return new PublishedPort(new ServicePort(protocol, host), guest);
    }

    private static DesiredNic publishing(DesiredNic nic, PublishedPort... ports) {
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

    /** Where nobody may be there: gives up soon. */
    private static Socket connect(String address, int port) throws IOException {
        return connect(address, port, 500);
    }

    /** Where somebody is there: does not mind a machine that is busy. */
    private static Socket reach(String address, int port) throws IOException {
        return connect(address, port, 10_000);
    }

    private static Socket connect(String address, int port, int millis) throws IOException {
        Socket socket = new Socket();
        try {
            socket.connect(new InetSocketAddress(address, port), millis);
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

    /** Payload both ways, and an end that both sides see; as whom the client arrives at the server in the guest. */
    private static String exchange(Peer server, Callable<Socket> client) throws Exception {
        try (ServerSocket listening = server.within(() -> new ServerSocket(WEB));
                Socket asking = client.call()) {
            listening.setSoTimeout(10_000);
            try (Socket answering = listening.accept()) {
                passes(asking, answering);
                passes(answering, asking);
                asking.shutdownOutput();
                assertThat(answering.getInputStream().read()).isEqualTo(-1);
                answering.shutdownOutput();
                assertThat(asking.getInputStream().read()).isEqualTo(-1);
                return answering.getInetAddress().getHostAddress();
            }
        }
    }

    private static void passes(Socket from, Socket to) throws IOException {
        byte[] bytes = new byte[30_000];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) (i * 31 >> 3);
        }
        to.setSoTimeout(10_000);
        from.getOutputStream().write(bytes);
        assertThat(to.getInputStream().readNBytes(bytes.length)).isEqualTo(bytes);
    }

    private static KubeProxy kubeProxy(KubeProxy.Mode mode) throws Exception {
        return KubeProxy.start(mode, NODE_OUTSIDE, HOST_WEB, 53);
    }

    /** kube-proxy has led the packet to the node already, and a connection is translated once. */
    @ParameterizedTest
    @EnumSource(KubeProxy.Mode.class)
    void aServiceThatChoosesTheClientsOwnNodeLeadsToTheGuest(KubeProxy.Mode mode) throws Exception {
        try (KubeProxy _ = kubeProxy(mode)) {
            assertThat(exchange(one, () -> pod.within(() -> reach(KubeProxy.CLUSTER_IP, KubeProxy.PORT))))
                    .as("a pod")
                    .isEqualTo(POD);
            assertThat(exchange(one, () -> pod.within(() -> reach(KubeProxy.MASQUERADING_IP, KubeProxy.PORT))))
                    .as("a pod, masqueraded")
                    .isEqualTo("10.77.0.1");
            // kube-proxy masquerades it in iptables' words, for its address is then the endpoint's.
            assertThat(exchange(one, () -> reach(KubeProxy.CLUSTER_IP, KubeProxy.PORT)))
                    .as("the node itself")
                    .isEqualTo("10.77.0.1");
            assertThat(exchange(one, () -> reach(NODE_OUTSIDE, KubeProxy.NODE_PORT)))
                    .as("the node itself by its NodePort")
                    .isEqualTo("10.77.0.1");
            assertThat(exchange(one, () -> outside.within(() -> reach(NODE_OUTSIDE, KubeProxy.NODE_PORT))))
                    .as("a machine outside by NodePort")
                    .isEqualTo("10.77.0.1");
            assertThat(exchange(one, () -> outside.within(() -> reach(NODE_OUTSIDE, KubeProxy.LOCAL_NODE_PORT))))
                    .as("a machine outside by NodePort, as itself")
                    .isEqualTo(OUTSIDE);
            assertThat(exchange(one, () -> two.within(() -> reach(KubeProxy.CLUSTER_IP, KubeProxy.PORT))))
                    .as("a neighbour")
                    .isEqualTo("10.77.0.1");
            assertThat(exchange(one, () -> one.within(() -> reach(KubeProxy.CLUSTER_IP, KubeProxy.PORT))))
                    .as("the guest itself")
                    .isEqualTo("10.77.0.1");
            assertThat(exchange(one, () -> outside.within(() -> reach(NODE_OUTSIDE, HOST_WEB))))
                    .as("a machine outside, without any Service")
                    .isEqualTo(OUTSIDE);
        }
    }

    @ParameterizedTest
    @EnumSource(KubeProxy.Mode.class)
    void aServiceOfUdpLeadsToTheGuestWithAndWithoutChecksums(KubeProxy.Mode mode) throws Exception {
        try (KubeProxy _ = kubeProxy(mode);
                DatagramSocket server = one.within(() -> new DatagramSocket(53));
                DatagramSocket client = pod.within(() -> new DatagramSocket())) {
            server.setSoTimeout(10_000);
            client.setSoTimeout(10_000);
            // More than one packet takes.
            DatagramPacket packet = new DatagramPacket(
                    new byte[4000], 4000, InetAddress.getByName(KubeProxy.CLUSTER_IP), KubeProxy.UDP_PORT);
            client.send(packet);
            server.receive(packet);
            assertThat(packet.getAddress()).isEqualTo(InetAddress.getByName(POD));
            server.send(packet);
            client.receive(packet);
            assertThat(packet.getSocketAddress())
                    .isEqualTo(new InetSocketAddress(KubeProxy.CLUSTER_IP, KubeProxy.UDP_PORT));
            assertThat(packet.getLength()).isEqualTo(4000);
            int own = client.getLocalPort();
            pod.send(Frames.ethernet(
                    POD_GATEWAY_MAC,
                    "52:00:00:00:00:61",
                    IPV4,
                    Frames.udp(4, POD, KubeProxy.CLUSTER_IP, own, KubeProxy.UDP_PORT, "asks")));
            server.receive(packet);
            assertThat(packet.getPort()).isEqualTo(own);
            one.send(Frames.ethernet(
                    "52:00:00:00:aa:01", "52:00:00:00:00:11", IPV4, Frames.udp(4, ONE, POD, 53, own, "says")));
            client.receive(packet);
            assertThat(packet.getSocketAddress())
                    .isEqualTo(new InetSocketAddress(KubeProxy.CLUSTER_IP, KubeProxy.UDP_PORT));
        }
    }

    @Test
    void brNetfilterHindersNoService() throws Exception {
        Assumptions.assumeTrue(Files.exists(BR_NETFILTER), "no br_netfilter here");
        brNetfilter(true);
        try (KubeProxy _ = kubeProxy(KubeProxy.Mode.NFTABLES)) {
            assertThat(exchange(one, () -> pod.within(() -> reach(KubeProxy.CLUSTER_IP, KubeProxy.PORT))))
                    .isEqualTo(POD);
            assertThat(exchange(one, () -> two.within(() -> reach(KubeProxy.CLUSTER_IP, KubeProxy.PORT))))
                    .isEqualTo("10.77.0.12");
        }
    }

    @Test
    void aServiceOpensNothingThatIsClosed() throws Exception {
        try (KubeProxy _ = kubeProxy(KubeProxy.Mode.NFTABLES)) {
            notThere(one, WEB, KubeProxy.CLUSTER_IP, KubeProxy.PORT, lonely, "between_networks");
        }
        // Another port of the node: what listens there is the node's.
        try (KubeProxy _ = KubeProxy.start(KubeProxy.Mode.NFTABLES, NODE_OUTSIDE, 8999, 53);
                ServerSocket own = new ServerSocket(8999);
                Socket asking = pod.within(() -> reach(KubeProxy.CLUSTER_IP, KubeProxy.PORT));
                Socket answering = own.accept()) {
            passes(asking, answering);
            passes(answering, asking);
        }
        // What listens within the node is not what is published by the same number.
        try (KubeProxy _ = KubeProxy.start(KubeProxy.Mode.NFTABLES, "127.0.0.1", HOST_WEB, 53);
                ServerSocket own = new ServerSocket(HOST_WEB, 1, InetAddress.getLoopbackAddress());
                Socket asking = reach("127.0.0.1", KubeProxy.LOCAL_NODE_PORT);
                Socket answering = own.accept()) {
            passes(asking, answering);
            passes(answering, asking);
        }
        // Somebody translates to the guest itself: as ever it is the published port alone that opens it.
        try (KubeProxy _ = KubeProxy.start(KubeProxy.Mode.NFTABLES, ONE, 81, 53)) {
            notThere(one, 81, KubeProxy.CLUSTER_IP, KubeProxy.PORT, pod, "unsolicited");
        }
    }

    /** What packets told is lost with the tables; the client's next packet tells it again. */
    @Test
    void aConnectionByAServiceOutlivesNewTables() throws Exception {
        try (KubeProxy _ = kubeProxy(KubeProxy.Mode.NFTABLES);
                ServerSocket server = one.within(() -> new ServerSocket(WEB));
                Socket asking = pod.within(() -> reach(KubeProxy.CLUSTER_IP, KubeProxy.PORT));
                Socket answering = server.accept()) {
            passes(asking, answering);
            town.install();
            passes(asking, answering);
            passes(answering, asking);
            long before = counted("invalid_state");
            town.install();
            answering.getOutputStream().write('a');
            asking.setSoTimeout(300);
            assertThatThrownBy(() -> asking.getInputStream().read()).isInstanceOf(SocketTimeoutException.class);
            assertThat(counted("invalid_state"))
                    .as("dropped, and not sent on as somebody else's; counters begin anew with the tables")
                    .isPositive();
            assertThat(before).isZero();
            asking.getOutputStream().write('b');
            assertThat(answering.getInputStream().read()).isEqualTo('b');
            asking.setSoTimeout(10_000);
            assertThat(asking.getInputStream().read()).isEqualTo('a');
            passes(answering, asking);
        }
    }

    @Test
    void aServiceLeadsNowhereWhenNothingIsPublishedAnyMore() throws Exception {
        List<FirewallElement> published = published();
        try (KubeProxy _ = kubeProxy(KubeProxy.Mode.NFTABLES);
                ServerSocket server = one.within(() -> new ServerSocket(WEB));
                Socket asking = pod.within(() -> reach(KubeProxy.CLUSTER_IP, KubeProxy.PORT));
                Socket answering = server.accept()) {
            passes(asking, answering);
            passes(answering, asking);
            town.firewall.delete(published);
            try {
                answering.getOutputStream().write('a');
                asking.setSoTimeout(500);
                assertThatThrownBy(() -> asking.getInputStream().read()).isInstanceOf(SocketTimeoutException.class);
                assertThatThrownBy(() -> pod.within(() -> connect(KubeProxy.CLUSTER_IP, KubeProxy.PORT)))
                        .isInstanceOf(ConnectException.class)
                        .hasMessage("Connection refused");
            } finally {
                town.firewall.add(published);
            }
        }
    }

    /** To the client the Service and the node are two servers; to the guest it is one client with one port. */
    @Test
    void theConnectionThatBeginsLastHasTheAnswers() throws Exception {
        try (KubeProxy _ = kubeProxy(KubeProxy.Mode.NFTABLES)) {
            for (int i = 0; i < 2; i++) {
                for (String server : List.of(KubeProxy.CLUSTER_IP, NODE_OUTSIDE, KubeProxy.MASQUERADING_IP)) {
                    int port = server.equals(NODE_OUTSIDE) ? HOST_WEB : KubeProxy.PORT;
                    assertThat(exchange(one, () -> pod.within(() -> connectFrom(40_001, server, port))))
                            .as(server)
                            .isEqualTo(server.equals(KubeProxy.MASQUERADING_IP) ? "10.77.0.1" : POD);
                }
            }
        }
    }

    @Test
    void ofUdpTooTheOneThatBeginsLastHasTheAnswers() throws Exception {
        try (KubeProxy _ = kubeProxy(KubeProxy.Mode.NFTABLES);
                DatagramSocket server = one.within(() -> new DatagramSocket(53));
                DatagramSocket client = pod.within(() -> new DatagramSocket())) {
            server.setSoTimeout(10_000);
            client.setSoTimeout(10_000);
            for (String asked : List.of(KubeProxy.CLUSTER_IP, NODE_OUTSIDE)) {
                DatagramPacket packet = new DatagramPacket(new byte[1], 1, InetAddress.getByName(asked), 53);
                client.send(packet);
                server.receive(packet);
                server.send(packet);
                client.receive(packet);
                assertThat(packet.getAddress().getHostAddress()).isEqualTo(asked);
            }
        }
    }

    private static Socket connectFrom(int own, String address, int port) throws IOException {
        Socket socket = new Socket();
        socket.setReuseAddress(true);
        // Else the port would wait a minute for what may still be under way.
        socket.setSoLinger(true, 0);
        socket.bind(new InetSocketAddress(own));
        socket.connect(new InetSocketAddress(address, port), 10_000);
        return socket;
    }

    /** A guest gets nowhere by what is noted of clients that came, once conntrack does not know them any more. */
    @Test
    void whatIsNotedLetsNothingOutWithTheNodesAddress() throws Exception {
        Path timeout = Path.of("/proc/sys/net/netfilter/nf_conntrack_udp_timeout");
        String before = Files.readString(timeout);
        Files.writeString(timeout, "1");
        try (KubeProxy _ = kubeProxy(KubeProxy.Mode.NFTABLES);
                DatagramSocket server = one.within(() -> new DatagramSocket(53));
                DatagramSocket client = pod.within(() -> new DatagramSocket())) {
            server.setSoTimeout(10_000);
            DatagramPacket packet =
                    new DatagramPacket(new byte[1], 1, InetAddress.getByName(KubeProxy.CLUSTER_IP), KubeProxy.UDP_PORT);
            client.send(packet);
            server.receive(packet);
            long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(15);
            client.setSoTimeout(1500);
            boolean dropped = false;
            while (!dropped && System.nanoTime() < deadline) {
                assertThatThrownBy(() -> client.receive(new DatagramPacket(new byte[1], 1)))
                        .isInstanceOf(SocketTimeoutException.class);
                server.send(packet);
                dropped = counted("no_connection") > 0;
            }
            assertThat(dropped).isTrue();
        } finally {
            Files.writeString(timeout, before);
        }
    }

    @Test
    void whoFillsWhatIsNotedKeepsOnlyServicesFromBeginning(@TempDir Path directory) throws Exception {
        String table = "ip " + town.names().table();
        Path flood = directory.resolve("flood.nft");
        // What other tests left is forgotten.
        town.install();
        try (KubeProxy _ = kubeProxy(KubeProxy.Mode.NFTABLES);
                ServerSocket server = one.within(() -> new ServerSocket(WEB));
                Socket asking = pod.within(() -> reach(KubeProxy.CLUSTER_IP, KubeProxy.PORT));
                Socket answering = server.accept()) {
            // An ordinary user's netlink socket takes no more at a time.
            for (int first = 1; first < 65_536; first += 1000) {
                Files.writeString(
                        flood,
                        IntStream.range(first, Math.min(first + 1000, 65_536))
                                .mapToObj(i -> ONE + " . 80 . 198.51.100.1 . " + i + " : 8080")
                                .collect(Collectors.joining(", ", "add element " + table + " tcp_port { ", " }\n")));
                OwnNamespace.run("nft", "-f", flood.toString());
            }
            try {
                notThere("no_room", pod, KubeProxy.CLUSTER_IP, KubeProxy.PORT);
                passes(asking, answering);
                passes(answering, asking);
                try (Socket past = outside.within(() -> reach(NODE_OUTSIDE, HOST_WEB));
                        Socket accepted = server.accept()) {
                    passes(past, accepted);
                    passes(accepted, past);
                }
            } finally {
                town.install();
            }
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
        try (ServerSocket _ = server.within(() -> new ServerSocket(port))) {
            notThere(counter, client, address, at);
        }
    }

    private void notThere(String counter, Peer client, String address, int at) throws Exception {
        Map<String, Long> before = town.counters();
        assertThatThrownBy(() -> client.within(() -> connect(address, at))).isInstanceOf(SocketTimeoutException.class);
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

    private long counted(String counter) throws Exception {
        return Objects.requireNonNull(town.counters().get(counter), counter);
    }

    private List<FirewallElement> published() {
        return web.elements("vm-" + ONE).stream()
                .filter(e -> e.set().family().equals("ip") || e.set() == FirewallSet.PUBLISHED_TO)
                .toList();
    }

    @Test
    void whatIsPublishedNoLongerEndsAtOnce() throws Exception {
        List<FirewallElement> published = published();
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
                assertThatThrownBy(() -> accepted.getInputStream().read()).isInstanceOf(SocketTimeoutException.class);
                accepted.getOutputStream().write('c');
                assertThatThrownBy(() -> socket.getInputStream().read()).isInstanceOf(SocketTimeoutException.class);
            } finally {
                town.firewall.add(published);
            }
        }
        assertThat(town.firewall.contained(published)).isEqualTo(Seen.present(Set.copyOf(published)));
    }

    @Test
    void aPortOfTheNodeThatLeadsElsewhereIsNotOurs() {
        List<FirewallElement> elsewhere = List.of(
                new FirewallElement(FirewallSet.PUBLISHED, List.of("tcp", "8080", "10.77.0.12"), "vm-" + ONE),
                new FirewallElement(FirewallSet.PUBLISHED_PORT, List.of("tcp", "8080", "81"), "vm-" + ONE));
        assertThat(town.firewall.contained(elsewhere)).isEqualTo(Seen.present(Set.of()));
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
