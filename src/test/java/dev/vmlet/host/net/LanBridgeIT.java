package dev.vmlet.host.net;

import static dev.vmlet.host.net.Frames.ARP;
import static dev.vmlet.host.net.Frames.EVERYBODY;
import static dev.vmlet.host.net.Frames.IPV4;
import static dev.vmlet.host.net.Frames.IPV6;
import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.host.FakeDisks;
import dev.vmlet.host.FakeProbes;
import dev.vmlet.host.FakeRecords;
import dev.vmlet.host.FakeVmms;
import dev.vmlet.host.Host;
import dev.vmlet.host.Observer;
import dev.vmlet.model.ArpWitness;
import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.LanBridge;
import dev.vmlet.model.Link;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.MacAddress;
import dev.vmlet.model.Mark;
import dev.vmlet.model.NetworkId;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmRecord;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Guests on a bridge of the operator's: one with an address of the LAN that it asked for, one that the LAN's DHCP serves.
 * Who sends what to whom, whether it arrives, and which counter tells of it if not; and the bridge as it was before.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class LanBridgeIT {
    private static final LinkName BR0 = new LinkName("br0");
    private static final String ROUTER = "192.168.1.1";
    private static final String ROUTER_MAC = "52:00:00:00:00:31";
    private static final String PORT_MAC = "52:00:00:00:00:30";
    private static final String NODE = "192.168.1.2";
    private static final String FIXED = "192.168.1.50";
    private static final String FIXED_MAC = "52:00:00:00:00:50";
    private static final String LEASED = "192.168.1.77";
    private static final String LEASED_MAC = "52:00:00:00:00:77";

    private Town town;
    private Peer router;
    private Peer fixed;
    private Peer leased;
    private DesiredNic fixedNic;
    private DesiredNic leasedNic;
    private String before = "";
    private int sent;

    @BeforeAll
    void build(@TempDir Path directory) throws Exception {
        OwnNamespace.require();
        town = new Town("lanaaaaa", directory);
        town.install();
        OwnNamespace.run("ip", "link", "add", "name", "br0", "type", "bridge");
        town.keep(() -> OwnNamespace.run("ip", "link", "delete", "br0"));
        OwnNamespace.run("ip", "link", "set", "br0", "alias", "the office");
        OwnNamespace.run("ip", "address", "add", NODE + "/24", "dev", "br0");
        router = town.keep(Peer.plug("lan0", ROUTER_MAC, ROUTER + "/24", NODE));
        OwnNamespace.run("ip", "link", "set", "lan0", "mtu", "1450", "address", PORT_MAC, "master", "br0");
        OwnNamespace.run("ip", "link", "set", "br0", "addrgenmode", "none", "up");
        before = bridge();
        fixedNic = nic("vmt-fixed", FIXED_MAC, FIXED);
        leasedNic = nic("vmt-leased", LEASED_MAC, "0.0.0.0");
        fixed = plug(fixedNic, FIXED + "/24");
        leased = plug(leasedNic, LEASED + "/24");
    }

    private DesiredNic nic(String tap, String mac, String ip) {
        int mtu = lan() instanceof Seen.Present<LanBridge>(LanBridge lan) ? lan.mtu() : 0;
        return new DesiredNic(
                new NetworkId("lab", "lan", "lan-1"),
                BR0,
                new Mark(""),
                new LinkName(tap),
                Mark.ofNic(town.installation, tap, "lan-1"),
                new MacAddress(mac),
                Ipv4Address.parse(ip),
                mtu);
    }

    private Seen<LanBridge> lan() {
        return observer(new FakeRecords()).observeLan(BR0);
    }

    private Observer observer(FakeRecords records) {
        return new Observer(
                new Host(town.links, town.firewall, new FakeVmms("boot-1"), new FakeDisks(), records, new FakeProbes()),
                town.names());
    }

    /** A guest whose tap is a veth, plugged in by the steps that its plan has. */
    private Peer plug(DesiredNic nic, String address) throws Exception {
        town.elements.addAll(nic.elements(nic.tap().value()));
        town.firewall.add(nic.elements(nic.tap().value()));
        Peer peer = town.keep(Peer.plugDown(nic.tap().value(), nic.mac().value(), address, ROUTER));
        OwnNamespace.run(
                "ip", "link", "set", nic.tap().value(), "alias", nic.mark().text());
        town.links.setMtu(nic.tap(), nic.mtu());
        town.links.setMac(nic.tap(), nic.mac().hostSide());
        town.links.attach(nic.tap(), nic.bridge());
        town.links.setUp(nic.tap());
        return peer;
    }

    /** All that can be seen of the bridge and of its own port, but for what passes by itself. */
    private static String bridge() throws Exception {
        return OwnNamespace.output("ip", "-d", "link", "show", "dev", "br0").replaceAll("[a-z_]*timer +[0-9.]+", "")
                + OwnNamespace.output("ip", "address", "show", "dev", "br0")
                + OwnNamespace.output("bridge", "-d", "link", "show", "dev", "lan0");
    }

    @AfterAll
    void tearDown() {
        if (OwnNamespace.isPrivate() && town != null) {
            town.close();
        }
    }

    interface Making {
        byte[] with(String mark);
    }

    /** @param counter that counts a drop; empty where the frame arrives */
    record Row(String sentence, Peer from, Making frame, Peer to, String counter) {
        @Override
        public String toString() {
            return sentence + (counter.isEmpty() ? ": arrives" : ": dropped, counted as " + counter);
        }
    }

    private static Making udp(String toMac, String fromMac, String from, String to, int source, int port) {
        return mark -> Frames.ethernet(toMac, fromMac, IPV4, Frames.udp(4, from, to, source, port, mark));
    }

    private static Making arp(String from, String mac, String ip) {
        return mark -> Frames.ethernet(EVERYBODY, from, ARP, Frames.arp(1, 6, mac, ip, ROUTER, mark));
    }

    Stream<Row> rows() {
        return Stream.of(
                new Row(
                        "a guest to a machine of the LAN",
                        fixed,
                        udp(ROUTER_MAC, FIXED_MAC, FIXED, ROUTER, 7, 9),
                        router,
                        ""),
                new Row(
                        "a machine of the LAN to a guest",
                        router,
                        udp(FIXED_MAC, ROUTER_MAC, ROUTER, FIXED, 7, 9),
                        fixed,
                        ""),
                new Row(
                        "a guest to another guest on the bridge",
                        fixed,
                        udp(LEASED_MAC, FIXED_MAC, FIXED, LEASED, 7, 9),
                        leased,
                        ""),
                new Row(
                        "a guest with another address of the LAN",
                        fixed,
                        udp(ROUTER_MAC, FIXED_MAC, "192.168.1.51", ROUTER, 7, 9),
                        router,
                        "spoofed"),
                new Row(
                        "a guest with the router's MAC address",
                        fixed,
                        udp(ROUTER_MAC, ROUTER_MAC, FIXED, ROUTER, 7, 9),
                        router,
                        "spoofed"),
                new Row(
                        "a guest says that it is the router",
                        fixed,
                        arp(FIXED_MAC, FIXED_MAC, ROUTER),
                        router,
                        "spoofed_arp"),
                new Row(
                        "a guest with an address that it asked for looks for a DHCP server",
                        fixed,
                        udp(EVERYBODY, FIXED_MAC, "0.0.0.0", "255.255.255.255", 68, 67),
                        router,
                        "spoofed"),
                new Row(
                        "a guest without one looks for a DHCP server",
                        leased,
                        udp(EVERYBODY, LEASED_MAC, "0.0.0.0", "255.255.255.255", 68, 67),
                        router,
                        ""),
                new Row(
                        "the LAN's DHCP server answers it",
                        router,
                        udp(LEASED_MAC, ROUTER_MAC, ROUTER, LEASED, 67, 68),
                        leased,
                        ""),
                new Row(
                        "it plays DHCP server itself",
                        leased,
                        udp(EVERYBODY, LEASED_MAC, LEASED, "255.255.255.255", 67, 68),
                        router,
                        "dhcp_server"),
                new Row(
                        "it probes whether an address is free",
                        leased,
                        arp(LEASED_MAC, LEASED_MAC, "0.0.0.0"),
                        router,
                        ""),
                new Row("it has an address by now", leased, arp(LEASED_MAC, LEASED_MAC, LEASED), router, ""),
                new Row("it sends from there", leased, udp(ROUTER_MAC, LEASED_MAC, LEASED, ROUTER, 7, 9), router, ""),
                new Row(
                        "it sends from another's MAC address",
                        leased,
                        udp(ROUTER_MAC, FIXED_MAC, LEASED, ROUTER, 7, 9),
                        router,
                        "spoofed"),
                new Row(
                        "it says that its address is at another's MAC address",
                        leased,
                        arp(LEASED_MAC, FIXED_MAC, LEASED),
                        router,
                        "spoofed_arp"),
                new Row(
                        "it sends from the address of another guest",
                        leased,
                        udp(ROUTER_MAC, LEASED_MAC, FIXED, ROUTER, 7, 9),
                        router,
                        "spoofed"),
                new Row(
                        "it says that it has the address of another guest",
                        leased,
                        arp(LEASED_MAC, LEASED_MAC, FIXED),
                        router,
                        "spoofed_arp"),
                new Row(
                        "it plays IPv6 router",
                        leased,
                        mark -> Frames.ethernet(
                                "33:33:00:00:00:01", LEASED_MAC, IPV6, Frames.icmp6("fe80::77", "ff02::1", 134, mark)),
                        router,
                        "router_advert"));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("rows")
    void row(Row row) throws Exception {
        List<String> _ = row.to().marks();
        String mark = Frames.markText("lan " + ++sent);
        Map<String, Long> counted = town.counters();
        row.from().send(row.frame().with("lan " + sent));
        List<String> heard = new ArrayList<>();
        Awaitility.await(row.toString())
                .atMost(Duration.ofSeconds(10))
                .pollInterval(Duration.ofMillis(2))
                .until(() -> {
                    heard.addAll(row.to().marks());
                    return row.counter().isEmpty()
                            ? heard.contains(mark)
                            : !town.counters().equals(counted);
                });
        heard.addAll(row.to().marks());
        Map<String, Long> expected = new TreeMap<>(counted);
        if (!row.counter().isEmpty()) {
            expected.merge(row.counter(), 1L, Long::sum);
        }
        assertThat(heard.contains(mark)).isEqualTo(row.counter().isEmpty());
        assertThat(town.counters()).isEqualTo(expected);
    }

    @Test
    void reachesTheLanAndTheNodeWithKernelsThatAskByArp() throws Exception {
        assertThat(fixed.reaches(ROUTER)).isTrue();
        assertThat(router.reaches(FIXED)).isTrue();
        assertThat(leased.reaches(ROUTER)).isTrue();
        assertThat(fixed.reaches(NODE)).isTrue();
    }

    /** Discover, offer, request, acknowledgement, with a server on the LAN; then the address is heard on the port. */
    @Test
    void getsAnAddressByDhcpThatIsThenHeardOnItsPort() throws Exception {
        town.install();
        assertThat(heardOf(leasedNic)).isEqualTo(ArpWitness.NOTHING);
        try (DatagramSocket server = router.within(() -> new DatagramSocket(67))) {
            server.setSoTimeout(10_000);
            server.setBroadcast(true);
            for (String[] exchange : new String[][] {{"discover", "offer"}, {"request", "ack"}}) {
                leased.send(udp(EVERYBODY, LEASED_MAC, "0.0.0.0", "255.255.255.255", 68, 67)
                        .with(exchange[0]));
                DatagramPacket asked = new DatagramPacket(new byte[64], 64);
                server.receive(asked);
                assertThat(new String(asked.getData(), 0, asked.getLength(), StandardCharsets.US_ASCII))
                        .isEqualTo(Frames.markText(exchange[0]));
                List<String> _ = leased.marks();
                byte[] answer = Frames.markText(exchange[1]).getBytes(StandardCharsets.US_ASCII);
                server.send(new DatagramPacket(answer, answer.length, InetAddress.getByName("192.168.1.255"), 68));
                Awaitility.await(exchange[1])
                        .atMost(Duration.ofSeconds(10))
                        .until(() -> leased.marks().contains(Frames.markText(exchange[1])));
            }
        }
        // A guest that has got one probes, then announces it.
        leased.send(arp(LEASED_MAC, LEASED_MAC, "0.0.0.0").with("probe"));
        leased.send(arp(LEASED_MAC, LEASED_MAC, LEASED).with("announce"));
        Awaitility.await()
                .atMost(Duration.ofSeconds(10))
                .untilAsserted(() -> assertThat(heardOf(leasedNic))
                        .isEqualTo(new ArpWitness(
                                List.of(Ipv4Address.parse(LEASED)),
                                Optional.empty(),
                                Optional.of(Ipv4Address.parse(LEASED)),
                                Optional.empty())));
        assertThat(heardOf(fixedNic)).isEqualTo(ArpWitness.NOTHING);
    }

    @Test
    void aMachineOfTheLanOrTheNodeThatHasAGuestsAddressIsToldOf() throws Exception {
        town.install();
        router.send(arp(ROUTER_MAC, ROUTER_MAC, FIXED).with("mine"));
        Awaitility.await()
                .atMost(Duration.ofSeconds(10))
                .untilAsserted(() -> assertThat(heardOf(fixedNic).rival()).contains(ROUTER_MAC));
        town.install();
        assertThat(heardOf(fixedNic).rival()).isEmpty();
        OwnNamespace.run("ip", "address", "add", FIXED + "/24", "dev", "br0");
        try {
            assertThat(heardOf(fixedNic).rival()).contains(PORT_MAC);
        } finally {
            OwnNamespace.run("ip", "address", "delete", FIXED + "/24", "dev", "br0");
        }
    }

    private ArpWitness heardOf(DesiredNic nic) throws Exception {
        VmId vm = new VmId("lab", "web", nic.tap().value());
        FakeRecords records = new FakeRecords();
        records.write(VmRecord.of(vm, 200_000, List.of(nic), List.of(), Duration.ZERO));
        var look = observer(records).observeVm(vm, Optional.empty()).nics().get("lan-1");
        return look != null && look.arp() instanceof Seen.Present<ArpWitness>(ArpWitness witness)
                ? witness
                : new ArpWitness(List.of(), Optional.of("not seen"));
    }

    /** Last of what this bridge is for: its MAC address, MTU, flags, addresses and port are the operator's. */
    @Test
    void theBridgeIsAsItWasWithTheGuestsOnItAndWithoutThem() throws Exception {
        assertThat(bridge()).isEqualTo(before).contains(PORT_MAC).contains("mtu 1450");
        assertThat(lan()).isEqualTo(Seen.present(new LanBridge(look(BR0), 1450)));
        DesiredNic third = nic("vmt-third", "52:00:00:00:00:03", "192.168.1.53");
        try (Peer guest = plug(third, "192.168.1.53/24")) {
            assertThat(guest.reaches(ROUTER)).isTrue();
            assertThat(bridge()).isEqualTo(before);
            town.firewall.delete(third.elements(third.tap().value()));
            town.elements.removeAll(third.elements(third.tap().value()));
            town.links.retire(third.tap(), third.mark(), town.names().reapGroup());
            assertThat(bridge()).isEqualTo(before);
        }
        assertThat(observer(new FakeRecords()).inventory().links())
                .extracting(Link::name)
                .doesNotContain(BR0, new LinkName("lan0"));
    }

    private Link look(LinkName name) throws Exception {
        return town.links.list().stream()
                .filter(link -> link.name().equals(name))
                .findFirst()
                .orElseThrow();
    }
}
