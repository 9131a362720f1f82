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
import dev.vmlet.model.Frontend;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.NetworkPolicy;
import dev.vmlet.model.Protocol;
import dev.vmlet.model.PublishedPort;
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
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;

/** Services whose clients are on the node of the guests behind them, beside rules as kube-proxy writes them. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class ServicesIT {
    private static final int WEB = 8080;
    private static final int HOST_WEB = 18_080;
    private static final int UDP = 5353;
    private static final int NODE_PORT = 30_080;
    private static final String CLUSTER_IP = "10.96.0.10";
    private static final String POD = "10.244.0.5";
    private static final String POD_GATEWAY = "10.244.0.1";
    private static final String VM_ONE = "vm-10.99.0.11";
    private static final String VM_TWO = "vm-10.99.0.12";

    private final Frontend web = front(Optional.of(CLUSTER_IP), Protocol.TCP, 80, false);
    private final Frontend loyal = front(Optional.of("10.96.0.11"), Protocol.TCP, 80, true);
    private final Frontend dns = front(Optional.of(CLUSTER_IP), Protocol.UDP, 53, false);
    private final Frontend nodePort = front(Optional.empty(), Protocol.TCP, NODE_PORT, false);
    private final Set<FirewallElement> added = new HashSet<>();

    private Town town;
    private DesiredNic nicOne;
    private DesiredNic nicTwo;
    private Peer one;
    private Peer two;
    private Peer neighbour;
    private Peer outside;
    private Peer pod;

    @BeforeAll
    void build(@TempDir Path directory) throws Exception {
        OwnNamespace.require();
        town = new Town("services", directory);
        DesiredNetwork open =
                town.network("vmb-a", "52:00:00:00:aa:01", "10.99.0.0/24", Egress.MASQUERADE, NetworkPolicy.PLAIN);
        town.build(open);
        town.install();
        nicOne = Town.publishing(
                Town.nic(open, "52:00:00:00:00:11", "10.99.0.11"),
                port(Protocol.TCP, HOST_WEB, WEB),
                port(Protocol.UDP, HOST_WEB, UDP));
        nicTwo = Town.publishing(
                Town.nic(open, "52:00:00:00:00:12", "10.99.0.12"),
                port(Protocol.TCP, HOST_WEB + 1, WEB),
                port(Protocol.UDP, HOST_WEB + 1, UDP));
        one = town.plug(nicOne, open);
        two = town.plug(nicTwo, open);
        neighbour = town.plug(Town.nic(open, "52:00:00:00:00:13", "10.99.0.13"), open);
        outside = town.outside();
        pod = town.keep(Peer.plug("pod", "52:00:00:00:00:61", POD + "/24", POD_GATEWAY));
        OwnNamespace.run("ip", "addr", "add", POD_GATEWAY + "/24", "dev", "pod");
        town.links.setForwarding(new LinkName("pod"), true);
        kubeProxy();
    }

    /** Each Service leads to the published port of the first guest at the node's address. */
    private static void kubeProxy() throws Exception {
        OwnNamespace.run("nft", "add table ip kube-proxy");
        OwnNamespace.run("nft", "add chain ip kube-proxy services");
        for (String rule : List.of(
                "ip daddr { " + CLUSTER_IP + ", 10.96.0.11 } tcp dport 80 dnat to " + NODE_OUTSIDE + ":" + HOST_WEB,
                "ip daddr " + CLUSTER_IP + " udp dport 53 dnat to " + NODE_OUTSIDE + ":" + HOST_WEB,
                "fib daddr type local tcp dport " + NODE_PORT + " dnat to " + NODE_OUTSIDE + ":" + HOST_WEB)) {
            OwnNamespace.run("nft", "add rule ip kube-proxy services " + rule);
        }
        for (String hook : List.of("prerouting", "output")) {
            OwnNamespace.run(
                    "nft", "add chain ip kube-proxy " + hook + " { type nat hook " + hook + " priority -100; }");
            OwnNamespace.run("nft", "add rule ip kube-proxy " + hook + " jump services");
        }
    }

    @AfterEach
    void leadNobody() throws Exception {
        if (!added.isEmpty()) {
            town.firewall.delete(added);
            added.clear();
        }
    }

    @AfterAll
    void tearDown() throws Exception {
        if (OwnNamespace.isPrivate() && town != null) {
            OwnNamespace.run("nft", "delete table ip kube-proxy");
            town.close();
        }
    }

    private static PublishedPort port(Protocol protocol, int host, int guest) {
        return new PublishedPort(new ServicePort(protocol, host), guest);
    }

    private static Frontend front(Optional<String> address, Protocol protocol, int port, boolean affinity) {
        return new Frontend(
                "shop/front",
                address.map(Ipv4Address::parse),
                new ServicePort(protocol, port),
                affinity,
                false,
                Map.of());
    }

    private static Set<FirewallElement> leads(Frontend front, DesiredNic nic, String uid, IntStream slots) {
        int port = front.port().protocol() == Protocol.UDP ? UDP : WEB;
        Set<FirewallElement> all = new HashSet<>();
        slots.forEach(slot -> all.add(front.element(slot, nic.ip(), port, uid)));
        return all;
    }

    private Set<FirewallElement> leadToOne(Frontend front) throws Exception {
        return lead(leads(front, nicOne, VM_ONE, IntStream.range(0, Frontend.SLOTS)));
    }

    private Set<FirewallElement> lead(Set<FirewallElement> leads) throws Exception {
        town.firewall.add(leads);
        added.addAll(leads);
        return leads;
    }

    /** As whom a connection arrives at the server in the first guest; the client's socket says who answered. */
    private String arrivesAs(String address, int at, Callable<Socket> client) throws Exception {
        try (ServerSocket listening = one.within(() -> new ServerSocket(WEB));
                Socket socket = client.call()) {
            listening.setSoTimeout(2000);
            try (Socket accepted = listening.accept()) {
                accepted.getOutputStream().write('x');
                socket.setSoTimeout(2000);
                assertThat(socket.getInputStream().read()).as("the way back").isEqualTo('x');
                assertThat(socket.getRemoteSocketAddress()).isEqualTo(new InetSocketAddress(address, at));
                return accepted.getInetAddress().getHostAddress();
            }
        }
    }

    private String arrivesAs(String address, int at, Peer client) throws Exception {
        return arrivesAs(address, at, () -> client.within(() -> connect(address, at)));
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
    void withoutUsKubeProxyLeadsThemToTheNodeWhichRefuses() {
        assertThatThrownBy(() -> arrivesAs(CLUSTER_IP, 80, pod))
                .isInstanceOf(ConnectException.class)
                .hasMessage("Connection refused");
    }

    @Test
    void podsAndTheNodeAndTheOutsideReachTheGuestAsThemselves() throws Exception {
        leadToOne(web);
        leadToOne(nodePort);
        assertThat(arrivesAs(CLUSTER_IP, 80, pod)).as("pod").isEqualTo(POD);
        assertThat(arrivesAs(CLUSTER_IP, 80, () -> connect(CLUSTER_IP, 80)))
                .as("node")
                .isEqualTo(NODE_OUTSIDE);
        assertThat(arrivesAs(NODE_OUTSIDE, NODE_PORT, outside))
                .as("outside, by the NodePort")
                .isEqualTo(OUTSIDE);
        assertThat(arrivesAs(POD_GATEWAY, NODE_PORT, pod))
                .as("pod, by the NodePort at another address of the node")
                .isEqualTo(POD);
        assertThat(arrivesAs(NODE_OUTSIDE, NODE_PORT, () -> connect(NODE_OUTSIDE, NODE_PORT)))
                .as("node, by the NodePort")
                .isEqualTo(NODE_OUTSIDE);
    }

    /** Before kube-proxy's chains of any kind: iptables' are in a table of family ip with the same priority. */
    @Test
    void rulesOfIptablesComeAfterOursToo() throws Exception {
        OwnNamespace.run(
                "iptables-nft",
                "-t",
                "nat",
                "-A",
                "PREROUTING",
                "-d",
                CLUSTER_IP,
                "-p",
                "tcp",
                "--dport",
                "80",
                "-j",
                "DNAT",
                "--to-destination",
                NODE_OUTSIDE + ":" + HOST_WEB);
        OwnNamespace.run(
                "iptables-nft",
                "-t",
                "nat",
                "-A",
                "OUTPUT",
                "-d",
                CLUSTER_IP,
                "-p",
                "tcp",
                "--dport",
                "80",
                "-j",
                "DNAT",
                "--to-destination",
                NODE_OUTSIDE + ":" + HOST_WEB);
        try {
            leadToOne(web);
            assertThat(arrivesAs(CLUSTER_IP, 80, pod)).isEqualTo(POD);
            assertThat(arrivesAs(CLUSTER_IP, 80, () -> connect(CLUSTER_IP, 80))).isEqualTo(NODE_OUTSIDE);
        } finally {
            OwnNamespace.run("nft", "delete table ip nat");
        }
    }

    @Test
    void guestsAreNotLed() throws Exception {
        leadToOne(web);
        leadToOne(nodePort);
        assertThatThrownBy(() -> arrivesAs(CLUSTER_IP, 80, neighbour)).isInstanceOf(IOException.class);
        assertThatThrownBy(() -> arrivesAs(CLUSTER_IP, 80, two)).isInstanceOf(IOException.class);
        assertThatThrownBy(() -> arrivesAs("10.99.0.1", NODE_PORT, neighbour)).isInstanceOf(IOException.class);
    }

    @Test
    void whatLeadsToAPortThatIsNotPublishedIsDropped() throws Exception {
        Set<FirewallElement> all = new HashSet<>();
        IntStream.range(0, Frontend.SLOTS)
                .forEach(slot -> all.add(new FirewallElement(
                        FirewallSet.SERVED,
                        List.of(String.valueOf(slot), "10.96.0.99", "tcp", "80", "10.99.0.11", "22"),
                        VM_ONE)));
        lead(all);
        assertThatThrownBy(() -> arrivesAs("10.96.0.99", 80, pod)).isInstanceOf(SocketTimeoutException.class);
    }

    private String answeredBy(String address, int port) throws Exception {
        try (Socket socket = pod.within(() -> connect(address, port))) {
            socket.setSoTimeout(2000);
            return (char) socket.getInputStream().read() + "";
        }
    }

    @Test
    void twoGuestsShareTheClientsUnlessTheyAreToStay() throws Exception {
        for (Frontend front : List.of(web, loyal)) {
            lead(leads(front, nicOne, VM_ONE, IntStream.range(0, 8)));
            lead(leads(front, nicTwo, VM_TWO, IntStream.range(8, Frontend.SLOTS)));
        }
        try (AutoCloseable _ = serve(one, '1');
                AutoCloseable _ = serve(two, '2')) {
            List<String> answers = new ArrayList<>();
            List<String> toTheLoyal = new ArrayList<>();
            // Both are heard but by an accident of one in 2^39.
            for (int i = 0; i < 40; i++) {
                answers.add(answeredBy(CLUSTER_IP, 80));
                toTheLoyal.add(answeredBy("10.96.0.11", 80));
            }
            assertThat(new TreeSet<>(answers)).containsExactly("1", "2");
            assertThat(new TreeSet<>(toTheLoyal)).hasSize(1);

            // The second takes the first one's places over.
            lead(leads(web, nicTwo, VM_TWO, IntStream.range(0, 8)));
            assertThat(Stream.generate(() -> "")
                            .limit(20)
                            .map(_ -> {
                                try {
                                    return answeredBy(CLUSTER_IP, 80);
                                } catch (Exception e) {
                                    return String.valueOf(e);
                                }
                            })
                            .distinct())
                    .containsExactly("2");
        }
    }

    /** Writes a character to whoever comes, until it is closed. */
    private static AutoCloseable serve(Peer guest, char name) throws Exception {
        ServerSocket listening = guest.within(() -> new ServerSocket(WEB));
        Thread.ofPlatform().daemon().name("server-" + name).start(() -> {
            while (true) {
                try (Socket accepted = listening.accept()) {
                    accepted.getOutputStream().write(name);
                } catch (IOException e) {
                    if (listening.isClosed()) {
                        return;
                    }
                }
            }
        });
        return listening;
    }

    @Test
    void anOpenConnectionOutlivesAGuestThatIsNotReadyAndIsResetWithItsPort() throws Exception {
        Set<FirewallElement> leads = leadToOne(web);
        List<FirewallElement> published = nicOne.elements(VM_ONE).stream()
                .filter(e -> e.set() == FirewallSet.PUBLISHED || e.set() == FirewallSet.PUBLISHED_TO)
                .toList();
        try (ServerSocket listening = one.within(() -> new ServerSocket(WEB));
                Socket client = pod.within(() -> connect(CLUSTER_IP, 80));
                Socket accepted = listening.accept()) {
            client.setSoTimeout(2000);
            town.firewall.delete(leads);
            accepted.getOutputStream().write('a');
            assertThat(client.getInputStream().read()).isEqualTo('a');

            town.firewall.delete(published);
            client.getOutputStream().write('b');
            // kube-proxy leads what comes anew to the node, which has no such connection.
            assertThatThrownBy(() -> client.getInputStream().read()).isInstanceOf(SocketException.class);
        } finally {
            town.firewall.add(published);
        }
    }

    @Test
    void anEndlessSenderByUdpFollowsItsService() throws Exception {
        try (DatagramSocket sender = pod.within(() -> new DatagramSocket(40_000));
                DatagramSocket atOne = one.within(() -> new DatagramSocket(UDP));
                DatagramSocket atTwo = two.within(() -> new DatagramSocket(UDP))) {
            assertThat(hears(atOne, sender, 2))
                    .as("kube-proxy led it to the node")
                    .isFalse();
            Set<FirewallElement> leads = leadToOne(dns);
            assertThat(hears(atOne, sender, 20)).as("a guest came").isTrue();
            assertThat(hears(atTwo, sender, 1)).isFalse();
            town.firewall.delete(leads);
            lead(leads(dns, nicTwo, VM_TWO, IntStream.range(0, Frontend.SLOTS)));
            assertThat(hears(atTwo, sender, 20)).as("another took its place").isTrue();
        }
    }

    private static boolean hears(DatagramSocket guest, DatagramSocket sender, int tries) throws IOException {
        guest.setSoTimeout(200);
        for (int i = 0; i < tries; i++) {
            try {
                sender.send(new DatagramPacket(new byte[] {1}, 1, InetAddress.getByName(CLUSTER_IP), 53));
            } catch (IOException e) {
                // Refused, as the one before was.
            }
            try {
                guest.receive(new DatagramPacket(new byte[1], 1));
                return true;
            } catch (SocketTimeoutException e) {
                // Once more.
            }
        }
        return false;
    }
}
