package dev.vmlet.host.net;

import static dev.vmlet.host.net.Frames.ARP;
import static dev.vmlet.host.net.Frames.EVERYBODY;
import static dev.vmlet.host.net.Frames.IPV4;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.vmlet.host.FakeDisks;
import dev.vmlet.host.FakeProbes;
import dev.vmlet.host.FakeRecords;
import dev.vmlet.host.FakeVmms;
import dev.vmlet.host.Host;
import dev.vmlet.host.Observer;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.FirewallSet;
import dev.vmlet.model.FirewallState;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostNames;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.InterfaceAddress;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.MacAddress;
import dev.vmlet.model.Mark;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmRecord;
import dev.vmlet.plan.HostPlanner;
import dev.vmlet.plan.Plan;
import dev.vmlet.plan.PlannedStep;
import dev.vmlet.plan.Ruleset;
import dev.vmlet.plan.Step;
import java.io.IOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;
import org.awaitility.Awaitility;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What the ruleset does to packets. Two Networks on one node, one with egress and two guests, one without egress and
 * with one guest, and a machine outside. Where a frame must not arrive, a true frame is sent behind it on the same path:
 * when that has arrived, the other never will.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class PacketsIT {
    private static final InstallationId INSTALLATION = new InstallationId("packets2");
    private static final String GATEWAY = "10.77.0.1";
    private static final String GATEWAY_MAC = "52:00:00:00:aa:01";
    private static final String ONE = "10.77.0.11";
    private static final String ONE_MAC = "52:00:00:00:00:11";
    private static final String TWO = "10.77.0.12";
    private static final String TWO_MAC = "52:00:00:00:00:12";
    private static final String LONELY = "10.78.0.11";
    private static final String LONELY_MAC = "52:00:00:00:00:21";
    private static final String NODE_OUTSIDE = "192.0.2.1";
    private static final String OUTSIDE = "192.0.2.2";
    private static final String NODE_LOOPBACK = "198.51.100.1";
    private static final int TIMEOUT_MILLIS = 1_500;

    private LinuxLinks links;
    private NftFirewall firewall;
    private Peer one;
    private Peer two;
    private Peer lonely;
    private Peer outside;
    private int sent;
    private final Set<FirewallElement> elements = new HashSet<>();

    @BeforeAll
    void build(@TempDir Path directory) throws Exception {
        OwnNamespace.require();
        links = new LinuxLinks();
        firewall = new NftFirewall(INSTALLATION, directory.resolve("firewall"));
        network("vmb-a", GATEWAY_MAC, GATEWAY, "10.77.0.0/24");
        network("vmb-b", "52:00:00:00:aa:02", "10.78.0.1", "10.78.0.0/24");
        elements.add(new FirewallElement(FirewallSet.EGRESS, List.of("vmb-a"), "net"));
        for (List<String> guest : List.of(
                List.of("vmt-one", ONE_MAC, ONE),
                List.of("vmt-two", TWO_MAC, TWO),
                List.of("vmt-lonely", LONELY_MAC, LONELY))) {
            String owner = "vm-" + guest.getFirst().substring("vmt-".length());
            elements.add(new FirewallElement(FirewallSet.TAPS, List.of(guest.getFirst()), owner));
            elements.add(new FirewallElement(FirewallSet.OK4, guest, owner));
        }
        firewall.install(new Ruleset(INSTALLATION, elements));
        one = guest("vmt-one", "vmb-a", ONE_MAC, ONE, GATEWAY);
        two = guest("vmt-two", "vmb-a", TWO_MAC, TWO, GATEWAY);
        lonely = guest("vmt-lonely", "vmb-b", LONELY_MAC, LONELY, "10.78.0.1");
        outside = Peer.plug("uplink", "52:00:00:00:00:31", OUTSIDE + "/24", NODE_OUTSIDE);
        links.addAddress(new LinkName("uplink"), new InterfaceAddress(Ipv4Address.parse(NODE_OUTSIDE), 24));
        links.addAddress(new LinkName("lo"), new InterfaceAddress(Ipv4Address.parse(NODE_LOOPBACK), 32));
        links.setForwarding(new LinkName("uplink"), true);
    }

    private void network(String bridge, String mac, String gateway, String subnet) throws Exception {
        LinkName name = new LinkName(bridge);
        links.createBridge(name, new MacAddress(mac), 1500, Mark.ofNetwork(INSTALLATION, "net"));
        links.addAddress(name, new InterfaceAddress(Ipv4Address.parse(gateway), 24));
        links.setUp(name);
        links.setForwarding(name, true);
        elements.add(new FirewallElement(FirewallSet.BRIDGES, List.of(bridge), "net"));
        elements.add(new FirewallElement(FirewallSet.SAME, List.of(bridge, bridge), "net"));
        elements.add(new FirewallElement(FirewallSet.SUBNETS, List.of(subnet), "net"));
    }

    private Peer guest(String tap, String bridge, String mac, String address, String gateway) throws Exception {
        Peer peer = Peer.plug(tap, mac, address + "/24", gateway);
        links.attach(new LinkName(tap), new LinkName(bridge));
        return peer;
    }

    @AfterAll
    void unplug() {
        if (OwnNamespace.isPrivate()) {
            Stream.of(one, two, lonely, outside, tables(), firewall, bridge("vmb-a"), bridge("vmb-b"), links)
                    .filter(Objects::nonNull)
                    .forEach(PacketsIT::closeQuietly);
        }
    }

    /** Left behind, they would drop what another class of this JVM sends over a bridge of the same name. */
    private @Nullable AutoCloseable tables() {
        return firewall == null ? null : firewall::remove;
    }

    /** Left behind, it would be another installation's Network to the next class of this JVM. */
    private AutoCloseable bridge(String name) {
        return () -> links.delete(new LinkName(name), Mark.ofNetwork(INSTALLATION, "net"));
    }

    /** After a build that failed half way the rest still must go. */
    private static void closeQuietly(AutoCloseable closeable) {
        try {
            closeable.close();
        } catch (Exception e) {
            throw new AssertionError(e);
        }
    }

    // ---- repairs ----

    /** An answering machine outside; returns the source port that each of its callers had, by what they said. */
    private static void answer(DatagramSocket server, Map<String, Integer> ports) {
        DatagramPacket packet = new DatagramPacket(new byte[64], 64);
        try {
            while (true) {
                packet.setLength(64);
                server.receive(packet);
                ports.put(
                        new String(packet.getData(), 0, packet.getLength(), StandardCharsets.US_ASCII),
                        packet.getPort());
                server.send(packet);
            }
        } catch (IOException e) {
            // Closed: the test is over.
        }
    }

    private static void say(DatagramSocket guest, int port, String text) throws IOException {
        byte[] bytes = text.getBytes(StandardCharsets.US_ASCII);
        guest.send(new DatagramPacket(bytes, bytes.length, InetAddress.getByName(OUTSIDE), port));
    }

    private static boolean hears(DatagramSocket guest) throws IOException {
        try {
            guest.receive(new DatagramPacket(new byte[64], 64));
            return true;
        } catch (SocketTimeoutException e) {
            return false;
        }
    }

    /** What a repair does while packets of others cross: both tables replaced in one transaction, again and again. */
    @Test
    void aReplacementOfTheTablesLosesNoPacket() throws Exception {
        Map<String, Integer> ports = new ConcurrentHashMap<>();
        try (DatagramSocket server = outside.within(() -> new DatagramSocket(0));
                DatagramSocket guest = one.within(() -> new DatagramSocket(0))) {
            guest.setSoTimeout(5_000);
            Thread.ofPlatform().daemon().start(() -> answer(server, ports));
            AtomicBoolean over = new AtomicBoolean();
            FutureTask<Integer> said = new FutureTask<>(() -> {
                int count = 0;
                while (!over.get()) {
                    say(guest, server.getLocalPort(), "n" + count++);
                    LockSupport.parkNanos(500_000);
                }
                return count;
            });
            AtomicInteger heard = new AtomicInteger();
            // Beside the sender: a socket holds some hundred datagrams, and drops the rest itself.
            Thread.ofPlatform().daemon().start(() -> {
                try {
                    while (hears(guest)) {
                        heard.incrementAndGet();
                    }
                } catch (IOException e) {
                    // Closed: the test is over.
                }
            });
            Thread.ofPlatform().daemon().start(said);
            for (int i = 0; i < 50; i++) {
                firewall.install(new Ruleset(INSTALLATION, elements));
            }
            over.set(true);
            int count = said.get(20, TimeUnit.SECONDS);
            Awaitility.await("all answers").atMost(Duration.ofSeconds(10)).until(() -> heard.get() == count);
            assertThat(count).as("packets, some for each replacement").isGreaterThan(200);
            assertThat(Set.copyOf(ports.values()))
                    .as("one flow, one masqueraded port")
                    .hasSize(1);
        }
    }

    /** What a vandal's gap costs is what was sent in it; the flow goes on as the one that it was. */
    @Test
    void aFlowGoesOnWhenTheTablesAreBack() throws Exception {
        Map<String, Integer> ports = new ConcurrentHashMap<>();
        try (DatagramSocket server = outside.within(() -> new DatagramSocket(0));
                DatagramSocket guest = one.within(() -> new DatagramSocket(0))) {
            guest.setSoTimeout(TIMEOUT_MILLIS);
            Thread.ofPlatform().daemon().start(() -> answer(server, ports));
            say(guest, server.getLocalPort(), "before");
            assertThat(hears(guest)).isTrue();
            OwnNamespace.run("nft", "flush ruleset");
            say(guest, server.getLocalPort(), "in between");
            boolean _ = hears(guest);
            firewall.install(new Ruleset(INSTALLATION, elements));
            say(guest, server.getLocalPort(), "after");
            assertThat(hears(guest)).isTrue();
            assertThat(ports.get("after")).isEqualTo(ports.get("before"));
        }
    }

    /** Else a VM would be told that its members are refused, until the host's own pass has made the tables anew. */
    @Test
    void tablesOfAnOlderRevisionThatLackASetAreNotThere() throws Exception {
        FirewallElement held = new FirewallElement(FirewallSet.HELD, List.of(TWO), "vm-two");
        String table = "vmlet_" + INSTALLATION;
        try {
            OwnNamespace.run("nft", "flush ruleset; add table inet " + table + "; add table bridge " + table);
            assertThat(firewall.contained(List.of(held))).isEqualTo(Seen.missing());
        } finally {
            firewall.install(new Ruleset(INSTALLATION, elements));
        }
        assertThat(firewall.contained(List.of(held))).isEqualTo(Seen.present(Set.of()));
    }

    /** What the agent does for the guest on vmt-two, whose record is damaged, when the tables are damaged or flushed. */
    @Test
    void aGuestWhoseRecordCannotBeReadGoesOnOrIsDumbAndIsNeverFree() throws Exception {
        VmId vm = new VmId("lab", "two", "vm-two");
        FakeRecords records = new FakeRecords();
        records.write(VmRecord.of(vm, 200_000, List.of(), List.of(), Duration.ZERO));
        records.destroy(vm.uid());
        Observer observer = new Observer(
                new Host(links, firewall, new FakeVmms("boot-1"), new FakeDisks(), records, new FakeProbes()),
                new HostNames(INSTALLATION));
        OwnNamespace.run(
                "ip",
                "link",
                "set",
                "vmt-two",
                "alias",
                Mark.ofNic(INSTALLATION, vm.uid(), "net").text());
        try (DatagramSocket ear = one.within(() -> new DatagramSocket(0))) {
            ear.setSoTimeout(TIMEOUT_MILLIS);
            OwnNamespace.run("nft", "flush chain bridge vmlet_" + INSTALLATION + " from_guest");
            install(HostPlanner.plan(INSTALLATION, observer.observeHost()));
            two.send(fromTwo("10.77.0.99", ear, "spoofed"));
            two.send(fromTwo(TWO, ear, "honest"));
            assertThat(heard(ear)).as("tables damaged").isEqualTo("honest");
            OwnNamespace.run("nft", "flush ruleset");
            install(HostPlanner.plan(INSTALLATION, observer.observeHost()));
            two.send(fromTwo("10.77.0.99", ear, "spoofed"));
            two.send(fromTwo(TWO, ear, "honest"));
            assertThat(two.pings(GATEWAY)).as("nor does it reach the node").isFalse();
            firewall.install(new Ruleset(INSTALLATION, elements));
            two.send(fromTwo(TWO, ear, "late"));
            assertThat(heard(ear)).as("tables gone").isEqualTo("late");
        } finally {
            OwnNamespace.run("ip", "link", "set", "vmt-two", "alias", "");
            firewall.install(new Ruleset(INSTALLATION, elements));
        }
    }

    private static byte[] fromTwo(String source, DatagramSocket ear, String mark) {
        return Frames.ethernet(ONE_MAC, TWO_MAC, IPV4, Frames.udp(4, source, ONE, ear.getLocalPort(), mark));
    }

    /** The mark of the first packet that comes. */
    private static String heard(DatagramSocket ear) throws IOException {
        DatagramPacket packet = new DatagramPacket(new byte[64], 64);
        ear.receive(packet);
        return new String(packet.getData(), 0, packet.getLength(), StandardCharsets.US_ASCII).replaceAll("[<>.]", "");
    }

    private void install(Plan plan) throws HostException {
        for (PlannedStep planned : plan.steps()) {
            if (planned.step() instanceof Step.InstallFirewall(Ruleset ruleset)) {
                firewall.install(ruleset);
            }
        }
    }

    // ---- who may talk to whom ----

    @Test
    void guestsOfOneNetworkTalk() throws Exception {
        assertThat(one.reaches(TWO)).isTrue();
    }

    @Test
    void guestsOfTwoNetworksDoNot() throws Exception {
        assertThat(one.pings(LONELY)).isFalse();
        assertThat(lonely.pings(ONE)).isFalse();
    }

    /** One way too: that no answer comes back would hide a packet that got through. */
    @Test
    void noPacketCrossesFromNetworkToNetwork() throws Exception {
        assertThat(InetAddress.getByName(LONELY).isReachable(1000)).isTrue();
        one.send(Frames.ethernet(GATEWAY_MAC, ONE_MAC, IPV4, Frames.udp(4, ONE, LONELY, 9, "evil")));
        String mark = Frames.markText("from the node");
        try (DatagramSocket node = new DatagramSocket()) {
            byte[] bytes = mark.getBytes(StandardCharsets.US_ASCII);
            node.send(new DatagramPacket(bytes, bytes.length, InetAddress.getByName(LONELY), 9));
        }
        assertThat(lonely.marksUpTo(mark)).isEqualTo(List.of(mark));
    }

    @Test
    void aGuestPingsItsGateway() throws Exception {
        assertThat(one.reaches(GATEWAY)).isTrue();
        assertThat(lonely.reaches("10.78.0.1")).isTrue();
    }

    @Test
    void aGuestReachesNoServiceOfTheNode() throws Exception {
        try (ServerSocket server = new ServerSocket(0)) {
            for (String address : List.of(GATEWAY, "10.78.0.1", NODE_OUTSIDE, NODE_LOOPBACK)) {
                assertThatThrownBy(() -> connect(one, address, server.getLocalPort()))
                        .as(address)
                        .isInstanceOf(SocketTimeoutException.class);
            }
            // The listener is no dead one: the world outside reaches it.
            assertThat(connect(outside, NODE_OUTSIDE, server.getLocalPort())).isEqualTo(OUTSIDE);
        }
    }

    @Test
    void theNodeReachesAGuest() throws Exception {
        try (ServerSocket server = one.within(() -> new ServerSocket(0));
                Socket socket = new Socket()) {
            socket.connect(new InetSocketAddress(ONE, server.getLocalPort()), 2000);
            assertThat(socket.isConnected()).isTrue();
        }
    }

    @Test
    void theNodeReachesItselfByAGatewayAddressUnmasqueraded() throws Exception {
        try (ServerSocket server = new ServerSocket(0);
                Socket socket = new Socket()) {
            socket.connect(new InetSocketAddress(GATEWAY, server.getLocalPort()), 2000);
            try (Socket accepted = server.accept()) {
                assertThat(accepted.getInetAddress().getHostAddress()).isEqualTo(GATEWAY);
            }
        }
    }

    @Test
    void theWorldOutsideSeesTheNodesAddress() throws Exception {
        try (ServerSocket server = outside.within(() -> new ServerSocket(0))) {
            assertThat(connect(one, OUTSIDE, server.getLocalPort())).isEqualTo(ONE);
            try (Socket accepted = server.accept()) {
                assertThat(accepted.getInetAddress().getHostAddress()).isEqualTo(NODE_OUTSIDE);
            }
        }
        assertThat(one.reaches(OUTSIDE)).isTrue();
    }

    @Test
    void nobodyOutsideReachesAGuestUnasked() throws Exception {
        assertThat(outside.pings(ONE)).isFalse();
        assertThat(outside.pings(LONELY)).isFalse();
        try (ServerSocket server = one.within(() -> new ServerSocket(0))) {
            assertThatThrownBy(() -> connect(outside, ONE, server.getLocalPort()))
                    .isInstanceOf(SocketTimeoutException.class);
        }
    }

    @Test
    void aNetworkWithoutEgressStaysInside() throws Exception {
        assertThat(lonely.pings(OUTSIDE)).isFalse();
    }

    @Test
    void aNetworkThatLosesItsEgressLosesItsConnections() throws Exception {
        Set<FirewallElement> egress = Set.of(new FirewallElement(FirewallSet.EGRESS, List.of("vmb-a"), "net"));
        try (ServerSocket server = outside.within(() -> new ServerSocket(0));
                Socket socket = one.within(() -> new Socket(OUTSIDE, server.getLocalPort()));
                Socket accepted = server.accept()) {
            socket.setSoTimeout(TIMEOUT_MILLIS);
            accepted.getOutputStream().write('a');
            assertThat(socket.getInputStream().read()).isEqualTo('a');
            firewall.delete(egress);
            try {
                accepted.getOutputStream().write('b');
                assertThatThrownBy(() -> socket.getInputStream().read()).isInstanceOf(SocketTimeoutException.class);
            } finally {
                firewall.add(egress);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"0", "1"})
    void brNetfilterChangesNothing(String on) throws Exception {
        Path flag = Path.of("/proc/sys/net/bridge/bridge-nf-call-iptables");
        Assumptions.assumeTrue(Files.exists(flag), "no br_netfilter here");
        String before = Files.readString(flag);
        Files.writeString(flag, on);
        try {
            assertThat(one.reaches(TWO)).as("within a network").isTrue();
            assertThat(one.reaches(GATEWAY)).as("gateway").isTrue();
            assertThat(one.reaches(OUTSIDE)).as("egress").isTrue();
            assertThat(one.pings(LONELY)).as("between networks").isFalse();
            assertThat(outside.pings(ONE)).as("unasked").isFalse();
            try (ServerSocket server = two.within(() -> new ServerSocket(0))) {
                connect(one, TWO, server.getLocalPort());
                try (Socket accepted = server.accept()) {
                    assertThat(accepted.getInetAddress().getHostAddress())
                            .as("no masquerade within")
                            .isEqualTo(ONE);
                }
            }
        } finally {
            Files.writeString(flag, before);
        }
    }

    // ---- what a guest may send ----

    @Test
    void aGuestSendsAsItself() {
        one.send(Frames.ethernet(TWO_MAC, ONE_MAC, IPV4, Frames.udp(4, ONE, TWO, 9, "ip")));
        one.send(Frames.ethernet(EVERYBODY, ONE_MAC, ARP, Frames.arp(1, 6, ONE_MAC, ONE, TWO, "arp")));
        one.send(Frames.ethernet(EVERYBODY, ONE_MAC, ARP, Frames.arp(1, 6, ONE_MAC, ONE, ONE, "announce")));
        one.send(Frames.ethernet(EVERYBODY, ONE_MAC, IPV4, Frames.udp(4, ONE, "255.255.255.255", 9, "last")));
        assertThat(two.marksUpTo(Frames.markText("last")))
                .isEqualTo(List.of(
                        Frames.markText("ip"),
                        Frames.markText("arp"),
                        Frames.markText("announce"),
                        Frames.markText("last")));
    }

    @Test
    void aGuestSendsAsNobodyElse() {
        neverArrives(
                "spoofed IP", Frames.ethernet(TWO_MAC, ONE_MAC, IPV4, Frames.udp(4, "10.77.0.99", TWO, 9, "evil")));
        neverArrives("gateway's IP", Frames.ethernet(TWO_MAC, ONE_MAC, IPV4, Frames.udp(4, GATEWAY, TWO, 9, "evil")));
        neverArrives("spoofed MAC", Frames.ethernet(TWO_MAC, LONELY_MAC, IPV4, Frames.udp(4, ONE, TWO, 9, "evil")));
        neverArrives("receiver's own", Frames.ethernet(TWO_MAC, TWO_MAC, IPV4, Frames.udp(4, TWO, TWO, 9, "evil")));
        neverArrives("no IP yet", Frames.ethernet(EVERYBODY, ONE_MAC, IPV4, Frames.udp(4, "0.0.0.0", TWO, 67, "evil")));
    }

    @Test
    void aGuestClaimsNobodyElsesAddress() {
        neverArrives(
                "gateway by request",
                Frames.ethernet(EVERYBODY, ONE_MAC, ARP, Frames.arp(1, 6, ONE_MAC, GATEWAY, GATEWAY, "evil")));
        neverArrives(
                "gateway by reply",
                Frames.ethernet(TWO_MAC, ONE_MAC, ARP, Frames.arp(2, 6, ONE_MAC, GATEWAY, TWO, "evil")));
        neverArrives(
                "own address at another's MAC",
                Frames.ethernet(EVERYBODY, ONE_MAC, ARP, Frames.arp(1, 6, LONELY_MAC, ONE, ONE, "evil")));
        neverArrives(
                "sender's MAC forged",
                Frames.ethernet(EVERYBODY, TWO_MAC, ARP, Frames.arp(1, 6, ONE_MAC, ONE, TWO, "evil")));
        neverArrives(
                "fields elsewhere",
                Frames.ethernet(EVERYBODY, ONE_MAC, ARP, Frames.arp(1, 8, ONE_MAC, ONE, TWO, "evil")));
    }

    @Test
    void aGuestSendsIpv4AndArpAlone() {
        byte[] honest = Frames.udp(4, ONE, TWO, 9, "evil");
        neverArrives("VLAN tag", Frames.tagged(TWO_MAC, ONE_MAC, 0x8100, 7, IPV4, honest));
        neverArrives("priority tag", Frames.tagged(TWO_MAC, ONE_MAC, 0x8100, 0, IPV4, honest));
        neverArrives("service tag", Frames.tagged(TWO_MAC, ONE_MAC, 0x88a8, 7, IPV4, honest));
        neverArrives("IPv6", Frames.ethernet(TWO_MAC, ONE_MAC, 0x86dd, Frames.text("evil")));
        neverArrives("IPv6 to all", Frames.ethernet("33:33:00:00:00:01", ONE_MAC, 0x86dd, Frames.text("evil")));
        neverArrives("PPPoE", Frames.ethernet(TWO_MAC, ONE_MAC, 0x8864, Frames.text("evil")));
        neverArrives("length, not type", Frames.ethernet(TWO_MAC, ONE_MAC, 54, Frames.text("evil")));
        neverArrives("spanning tree", Frames.ethernet("01:80:c2:00:00:00", ONE_MAC, 54, Frames.text("evil")));
    }

    private void neverArrives(String what, byte[] frame) {
        String behind = "behind " + ++sent;
        one.send(frame);
        one.send(Frames.ethernet(TWO_MAC, ONE_MAC, IPV4, Frames.udp(4, ONE, TWO, 9, behind)));
        String mark = Frames.markText(behind);
        assertThat(two.marksUpTo(mark)).as(what).isEqualTo(List.of(mark));
    }

    @ParameterizedTest
    @ValueSource(strings = {"01:80:c2:00:00:0e", "01:80:c2:00:00:03", "01:80:c2:00:00:00"})
    void aGuestReachesTheNodeByNoReservedAddress(String group) throws Exception {
        try (DatagramSocket service = new DatagramSocket(0)) {
            service.setSoTimeout(200);
            for (String address : List.of(GATEWAY, NODE_OUTSIDE, "255.255.255.255")) {
                byte[] packet = Frames.udp(4, ONE, address, service.getLocalPort(), "evil");
                one.send(Frames.ethernet(group, ONE_MAC, IPV4, packet));
                assertThat(one.reaches(GATEWAY)).isTrue();
                DatagramPacket received = new DatagramPacket(new byte[64], 64);
                assertThatThrownBy(() -> service.receive(received))
                        .as(address)
                        .isInstanceOf(SocketTimeoutException.class);
            }
        }
    }

    @Test
    void withoutARulesetTheReservedAddressIsAHole() throws Exception {
        // Should a kernel ever close it, the rule may go.
        OwnNamespace.run("nft", "flush chain inet vmlet_" + INSTALLATION + " input");
        try (DatagramSocket service = new DatagramSocket(0)) {
            service.setSoTimeout(2000);
            byte[] packet = Frames.udp(4, ONE, GATEWAY, service.getLocalPort(), "evil");
            one.send(Frames.ethernet("01:80:c2:00:00:0e", ONE_MAC, IPV4, packet));
            DatagramPacket received = new DatagramPacket(new byte[64], 64);
            service.receive(received);
            assertThat(received.getAddress()).isEqualTo(InetAddress.getByName(ONE));
        } finally {
            reinstall();
        }
    }

    private void reinstall() throws Exception {
        if (!(firewall.observe() instanceof Seen.Present<FirewallState>(var state))) {
            throw new AssertionError("no firewall");
        }
        firewall.install(new Ruleset(INSTALLATION, state.elements()));
    }

    /** Connects from the peer and returns its own end's address. */
    private static String connect(Peer peer, String address, int port) throws Exception {
        return peer.within(() -> {
            try (Socket socket = new Socket()) {
                socket.connect(new InetSocketAddress(address, port), TIMEOUT_MILLIS);
                return socket.getLocalAddress().getHostAddress();
            }
        });
    }
}
