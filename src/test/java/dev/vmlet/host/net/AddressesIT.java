package dev.vmlet.host.net;

import static dev.vmlet.host.net.Frames.ARP;
import static dev.vmlet.host.net.Frames.EVERYBODY;
import static dev.vmlet.host.net.Frames.IPV4;
import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.host.FakeDisks;
import dev.vmlet.host.FakeProbes;
import dev.vmlet.host.FakeRecords;
import dev.vmlet.host.FakeVmms;
import dev.vmlet.host.Host;
import dev.vmlet.host.Observer;
import dev.vmlet.model.ArpWitness;
import dev.vmlet.model.Claim;
import dev.vmlet.model.DesiredNetwork;
import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.Egress;
import dev.vmlet.model.FirewallState;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.Link;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.MacAddress;
import dev.vmlet.model.Mark;
import dev.vmlet.model.NetworkId;
import dev.vmlet.model.NetworkPolicy;
import dev.vmlet.model.Seen;
import dev.vmlet.model.Speech;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmRecord;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;

/** What guests and strangers say by ARP of addresses, as it is heard before it is dropped. Real frames, one by one. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class AddressesIT {
    private static final String ONE = "10.77.0.11";
    private static final String ONE_MAC = "52:00:00:00:00:11";
    private static final String TWO = "10.77.0.12";
    private static final String TWO_MAC = "52:00:00:00:00:12";
    private static final String STRANGER_MAC = "52:00:00:00:00:66";

    private Town town;
    private DesiredNic oneNic;
    private DesiredNic twoNic;
    private Peer one;
    private Peer two;
    private Peer stranger;

    @BeforeAll
    void build(@TempDir Path directory) throws Exception {
        OwnNamespace.require();
        town = new Town("addressc", directory);
        DesiredNetwork open = network("vmb-a", "52:00:00:00:aa:01", "10.77.0.0/24");
        DesiredNetwork other = network("vmb-b", "52:00:00:00:aa:02", "10.78.0.0/24");
        town.build(open);
        town.build(other);
        town.install();
        oneNic = Town.nic(open, ONE_MAC, ONE);
        twoNic = Town.nic(open, TWO_MAC, TWO);
        one = town.plug(oneNic, open);
        two = town.plug(twoNic, open);
        stranger = town.keep(Peer.plug("stranger", STRANGER_MAC, "10.77.0.66/24", "10.77.0.1"));
        town.links.attach(new LinkName("stranger"), open.bridge());
    }

    private DesiredNetwork network(String bridge, String mac, String subnet) {
        return new DesiredNetwork(
                new NetworkId("lab", bridge, "net-" + bridge),
                new LinkName(bridge),
                new MacAddress(mac),
                Mark.ofNetwork(town.installation, "net-" + bridge),
                Ipv4Prefix.parse(subnet),
                1500,
                Egress.MASQUERADE,
                NetworkPolicy.PLAIN);
    }

    @AfterAll
    void tearDown() {
        if (OwnNamespace.isPrivate() && town != null) {
            town.close();
        }
    }

    /** Tables that are made anew have heard nothing. */
    @BeforeEach
    void forget() throws Exception {
        town.install();
    }

    private static byte[] says(String mac, String ip) {
        return Frames.ethernet(EVERYBODY, mac, ARP, Frames.arp(1, 6, mac, ip, ip, "says"));
    }

    private List<String> spoken(DesiredNic nic) {
        assertThat(town.firewall.spoken(nic.tap())).isInstanceOf(Seen.Present.class);
        return town.firewall.spoken(nic.tap()) instanceof Seen.Present<List<Speech>>(List<Speech> all)
                ? all.stream().map(speech -> speech.ip().toString()).toList()
                : List.of();
    }

    private List<Claim> claims(String ip) {
        assertThat(town.firewall.claims(Ipv4Address.parse(ip))).isInstanceOf(Seen.Present.class);
        return town.firewall.claims(Ipv4Address.parse(ip)) instanceof Seen.Present<List<Claim>>(List<Claim> all)
                ? all
                : List.of();
    }

    private int port(String link) {
        return town.links.find(new LinkName(link)) instanceof Seen.Present<Link>(Link found) ? found.index() : -1;
    }

    /** Frames are handled in turn: what was sent before the one that is heard here was handled too. */
    private void allIsHandled(Peer from, String mac, String ip) {
        String mark = Frames.markText("handled " + System.nanoTime());
        List<String> _ = two.marks();
        from.send(Frames.ethernet(TWO_MAC, mac, IPV4, Frames.udp(4, ip, TWO, 9, mark.substring(1, mark.length() - 1))));
        Awaitility.await("frames of " + mac)
                .atMost(Duration.ofSeconds(10))
                .pollInterval(Duration.ofMillis(2))
                .until(() -> two.marks().contains(mark));
    }

    @Test
    void aGuestThatUsesAnotherAddressIsHeardThoughItsFrameIsDropped() {
        List<String> _ = two.marks();
        one.send(says(ONE_MAC, "10.77.0.99"));
        allIsHandled(one, ONE_MAC, ONE);
        assertThat(spoken(oneNic)).containsExactly("10.77.0.99");
        assertThat(spoken(twoNic)).isEmpty();
        assertThat(two.marks()).isEmpty();
    }

    @Test
    void itsOwnAddressAndAProbeWithoutOneAreNoNews() {
        one.send(says(ONE_MAC, ONE));
        one.send(says(ONE_MAC, "0.0.0.0"));
        allIsHandled(one, ONE_MAC, ONE);
        assertThat(spoken(oneNic)).isEmpty();
        assertThat(claims(ONE)).isEmpty();
    }

    @Test
    void itsOwnAddressFromAnotherMacAddressIs() {
        one.send(says("52:00:00:00:00:77", ONE));
        allIsHandled(one, ONE_MAC, ONE);
        assertThat(town.firewall.spoken(oneNic.tap()))
                .isEqualTo(Seen.present(List.of(new Speech("52:00:00:00:00:77", Ipv4Address.parse(ONE)))));
    }

    /** A guest cannot put another into a bad light: what it says in another's name is told of itself alone. */
    @Test
    void aGuestThatClaimsAnothersAddressIsItselfTheOneThatDiffers() {
        one.send(says(ONE_MAC, TWO));
        allIsHandled(one, ONE_MAC, ONE);
        assertThat(spoken(oneNic)).containsExactly(TWO);
        assertThat(claims(TWO)).isEmpty();
    }

    @Test
    void whatWasHeardLastComesFirst() throws Exception {
        for (String ip : List.of("10.77.0.98", "10.77.0.99", "10.77.0.98")) {
            one.send(says(ONE_MAC, ip));
            allIsHandled(one, ONE_MAC, ONE);
            // As after ten seconds.
            OwnNamespace.run("nft", "flush", "set", "bridge", town.names().table(), "spoke_lately");
        }
        assertThat(spoken(oneNic)).containsExactly("10.77.0.98", "10.77.0.99");
    }

    @Test
    void aFloodHoldsOnePlaceAtATimeAndTakesNobodys() {
        for (int i = 0; i < 5000; i++) {
            byte[] lie = says(ONE_MAC, "10.50." + i / 250 + "." + (i % 250 + 1));
            one.send(lie);
        }
        allIsHandled(one, ONE_MAC, ONE);
        stranger.send(says(STRANGER_MAC, "10.77.0.66"));
        two.send(says(TWO_MAC, "10.77.0.99"));
        Awaitility.await()
                .atMost(Duration.ofSeconds(5))
                .untilAsserted(() -> assertThat(spoken(twoNic)).containsExactly("10.77.0.99"));
        // One in ten seconds, however long this took on a busy machine.
        assertThat(spoken(oneNic)).hasSizeBetween(1, 13).contains("10.50.0.1");
    }

    @Test
    void aStrangerWhoHasAGuestsAddressIsHeard() {
        stranger.send(says(STRANGER_MAC, ONE));
        stranger.send(says(STRANGER_MAC, "10.77.0.99"));
        allIsHandled(stranger, STRANGER_MAC, "10.77.0.66");
        assertThat(claims(ONE)).containsExactly(new Claim(port("stranger"), STRANGER_MAC));
        assertThat(claims(TWO)).isEmpty();
        assertThat(claims("10.77.0.99")).isEmpty();
    }

    @Test
    void aStrangersFloodHoldsOnePlaceAtATimeForAnAddress() {
        for (int i = 0; i < 2000; i++) {
            byte[] lie = says("52:00:00:01:%02x:%02x".formatted(i / 256, i % 256), ONE);
            stranger.send(lie);
        }
        stranger.send(says(STRANGER_MAC, TWO));
        allIsHandled(stranger, STRANGER_MAC, "10.77.0.66");
        assertThat(claims(TWO)).containsExactly(new Claim(port("stranger"), STRANGER_MAC));
        assertThat(claims(ONE)).hasSizeBetween(1, 13).contains(new Claim(port("stranger"), "52:00:00:01:00:00"));
    }

    /** What the kernel puts into its own sets is nobody's change to our tables, and wakes nobody. */
    @Test
    void whatIsHeardIsNoDrift() {
        one.send(says(ONE_MAC, "10.77.0.99"));
        stranger.send(says(STRANGER_MAC, ONE));
        allIsHandled(stranger, STRANGER_MAC, "10.77.0.66");
        allIsHandled(one, ONE_MAC, ONE);
        assertThat(spoken(oneNic)).isNotEmpty();
        assertThat(claims(ONE)).isNotEmpty();
        assertThat(town.firewall.observe()).isEqualTo(Seen.present(new FirewallState(true, "", town.elements)));
    }

    @Test
    void theObserverTellsARivalOnTheGuestsOwnSegmentAlone() throws Exception {
        VmId vm = new VmId("lab", "one", "vm-one");
        FakeRecords records = new FakeRecords();
        records.write(VmRecord.of(vm, 200_000, List.of(oneNic), List.of(), Duration.ZERO));
        Observer observer = new Observer(
                new Host(town.links, town.firewall, new FakeVmms("boot-1"), new FakeDisks(), records, new FakeProbes()),
                town.names());
        String network = oneNic.network().uid();
        assertThat(heard(observer, vm, network)).isEqualTo(ArpWitness.NOTHING);
        one.send(says(ONE_MAC, "10.77.0.99"));
        // A frame of its own that comes back.
        stranger.send(says(ONE_MAC, ONE));
        allIsHandled(one, ONE_MAC, ONE);
        allIsHandled(stranger, STRANGER_MAC, "10.77.0.66");
        assertThat(claims(ONE)).isNotEmpty();
        assertThat(heard(observer, vm, network))
                .isEqualTo(new ArpWitness(List.of(Ipv4Address.parse("10.77.0.99")), Optional.empty()));
        forget();
        one.send(says("52:00:00:00:00:77", ONE));
        allIsHandled(one, ONE_MAC, ONE);
        assertThat(heard(observer, vm, network))
                .isEqualTo(new ArpWitness(List.of(Ipv4Address.parse(ONE)), Optional.empty()));
        forget();
        // While its place in the set was taken by somebody, it was not let through, and says nothing wrong.
        var place = oneNic.elements("vm-" + ONE).get(1);
        town.firewall.delete(List.of(place));
        one.send(says(ONE_MAC, ONE));
        town.firewall.add(List.of(place));
        allIsHandled(one, ONE_MAC, ONE);
        assertThat(heard(observer, vm, network)).isEqualTo(ArpWitness.NOTHING);
        forget();
        stranger.send(says(STRANGER_MAC, ONE));
        allIsHandled(stranger, STRANGER_MAC, "10.77.0.66");
        assertThat(heard(observer, vm, network)).isEqualTo(new ArpWitness(List.of(), Optional.of(STRANGER_MAC)));
        town.links.attach(new LinkName("stranger"), new LinkName("vmb-b"));
        try {
            assertThat(heard(observer, vm, network)).isEqualTo(ArpWitness.NOTHING);
        } finally {
            town.links.attach(new LinkName("stranger"), new LinkName("vmb-a"));
        }
    }

    private static ArpWitness heard(Observer observer, VmId vm, String network) {
        var look = Map.copyOf(observer.observeVm(vm, Optional.empty()).nics()).get(network);
        return look != null && look.arp() instanceof Seen.Present<ArpWitness>(ArpWitness witness)
                ? witness
                : new ArpWitness(List.of(), Optional.of("not seen"));
    }
}
