package dev.vmlet.host;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.vmlet.model.BridgePort;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.FirewallSet;
import dev.vmlet.model.FirewallState;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostNames;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.InterfaceAddress;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.Link;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.MacAddress;
import dev.vmlet.model.Mark;
import dev.vmlet.model.Route;
import dev.vmlet.model.Seen;
import dev.vmlet.plan.Ruleset;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;

/** What the doors to links and firewall promise, held against the fake and against the kernel, error for error. */
abstract class HostContract {
    static final InstallationId INSTALLATION = new InstallationId("testtest");

    private static final LinkName BRIDGE = new LinkName("vmb-one");
    private static final LinkName TAP = new LinkName("vmt-one");
    private static final LinkName NOBODY = new LinkName("nobody");
    private static final MacAddress MAC = new MacAddress("52:10:20:30:40:50");
    private static final MacAddress OTHER_MAC = new MacAddress("52:10:20:30:40:51");
    private static final Mark OF_NETWORK = Mark.ofNetwork(INSTALLATION, "net-1");
    private static final Mark OF_NIC = Mark.ofNic(INSTALLATION, "vm-1", "net-1");
    private static final InterfaceAddress GATEWAY = new InterfaceAddress(Ipv4Address.parse("10.77.4.1"), 24);

    static final int NO_OWNER = -1;

    private static final int GROUP = new HostNames(INSTALLATION).reapGroup();

    private static final FirewallElement TAP_ELEMENT =
            new FirewallElement(FirewallSet.TAPS, List.of("vmt-one"), "vm-1");
    private static final FirewallElement OK4 =
            new FirewallElement(FirewallSet.OK4, List.of("vmt-one", "52:10:20:30:40:60", "10.77.4.10"), "vm-1");
    private static final FirewallElement HELD = new FirewallElement(FirewallSet.HELD, List.of("10.77.4.10"), "vm-1");
    private static final FirewallElement BRIDGE_ELEMENT =
            new FirewallElement(FirewallSet.BRIDGES, List.of("vmb-one"), "net-1");
    private static final FirewallElement SUBNET =
            new FirewallElement(FirewallSet.SUBNETS, List.of("10.77.4.0/24"), "net-1");

    /** One of each set, and names that nft would misread unless quoted. */
    private static final Set<FirewallElement> ELEMENTS = Set.of(
            TAP_ELEMENT,
            OK4,
            HELD,
            new FirewallElement(FirewallSet.FREE4, List.of("vmt-two", "52:10:20:30:40:61"), "vm-2"),
            BRIDGE_ELEMENT,
            SUBNET,
            new FirewallElement(FirewallSet.SUBNETS, List.of("10.78.0.7/32"), "net-2"),
            new FirewallElement(FirewallSet.SAME, List.of("vmb-one", "vmb-one"), "net-1"),
            new FirewallElement(FirewallSet.EGRESS, List.of("vmb-one"), "net-1"),
            new FirewallElement(FirewallSet.HOST_ACCESS, List.of("vmb-one", "tcp", "53"), "net-1"),
            new FirewallElement(FirewallSet.HOST_ACCESS, List.of("vmb-one", "udp", "65535"), "net-1"),
            new FirewallElement(FirewallSet.PUBLISHED, List.of("tcp", "8080", "10.77.4.10", "80"), "vm-1"),
            new FirewallElement(FirewallSet.PUBLISHED, List.of("udp", "53", "10.77.4.10", "5353"), "vm-1"),
            new FirewallElement(FirewallSet.PUBLISHED_TO, List.of("10.77.4.10", "tcp", "80"), "vm-1"),
            new FirewallElement(FirewallSet.EGRESS_TO, List.of("vmb-one", "203.0.113.0/24"), "net-1"),
            new FirewallElement(FirewallSet.EGRESS_TO, List.of("vmb-two", "0.0.0.0/0"), "net-2"),
            new FirewallElement(FirewallSet.EGRESS_PORTS, List.of("vmb-one", "198.51.100.7/32", "tcp", "443"), "net-1"),
            new FirewallElement(FirewallSet.EGRESS_PORTS, List.of("vmb-one", "0.0.0.0/0", "udp", "53"), "net-1"),
            new FirewallElement(FirewallSet.EGRESS_PORTS, List.of("vmb-two", "10.0.0.0/8", "udp", "53"), "net-2"),
            new FirewallElement(FirewallSet.TAPS, List.of("add"), "vm-2"),
            new FirewallElement(FirewallSet.TAPS, List.of("eth0.7"), "vm-2"),
            new FirewallElement(FirewallSet.BRIDGES, List.of("42"), "net-2"));

    abstract Links links();

    abstract Firewall firewall();

    /** Skips the test, saying why, where no tap can be made. */
    abstract void needTaps();

    /** Somebody makes a bridge without a mark. */
    abstract void plantBridge(LinkName name, MacAddress mac, boolean up) throws Exception;

    /** A user who exists in this user namespace. */
    abstract int userId();

    /** Somebody makes a persistent tap without a mark. */
    abstract void plantTap(LinkName name, int userId, boolean up) throws Exception;

    /** Somebody puts a link into a link group. */
    abstract void putIntoGroup(LinkName name, int group) throws Exception;

    /** Somebody sets a default route by a link that is up and has the address {@link #GATEWAY}. */
    abstract void routeEverythingBy(LinkName device, long metric) throws Exception;

    /** Somebody writes {@code net.ipv4.ip_forward}. */
    abstract void turnForwardingEverywhere(boolean on) throws Exception;

    /** Somebody deletes one of our rules. */
    abstract void deleteRule() throws Exception;

    abstract void deleteTable(String family) throws Exception;

    // ---- bridges ----

    @Test
    void createsABridgeThatIsDownAndMarked() throws Exception {
        links().createBridge(BRIDGE, MAC, 1400, OF_NETWORK);
        assertThat(look(BRIDGE)).isEqualTo(bridge(1400, false));
    }

    @Test
    void createsABridgeTwiceAsOnce() throws Exception {
        links().createBridge(BRIDGE, MAC, 1500, OF_NETWORK);
        links().setUp(BRIDGE);
        links().createBridge(BRIDGE, MAC, 1500, OF_NETWORK);
        assertThat(look(BRIDGE)).isEqualTo(bridge(1500, true));
    }

    @Test
    void adoptsABridgeThatACrashLeftWithoutMark() throws Exception {
        plantBridge(BRIDGE, MAC, false);
        links().createBridge(BRIDGE, MAC, 1400, OF_NETWORK);
        assertThat(look(BRIDGE)).isEqualTo(bridge(1400, false));
    }

    @Test
    void leavesAnUnmarkedBridgeThatIsUpAlone() throws Exception {
        plantBridge(BRIDGE, MAC, true);
        leavesAlone(BRIDGE, () -> links().createBridge(BRIDGE, MAC, 1400, OF_NETWORK));
    }

    @Test
    void leavesAnUnmarkedBridgeOfAnotherMacAlone() throws Exception {
        plantBridge(BRIDGE, OTHER_MAC, false);
        leavesAlone(BRIDGE, () -> links().createBridge(BRIDGE, MAC, 1400, OF_NETWORK));
    }

    @Test
    void leavesAnUnmarkedBridgeWithPortsAlone() throws Exception {
        plantBridge(BRIDGE, MAC, false);
        LinkName port = new LinkName("port");
        needTaps();
        plantTap(port, 0, false);
        links().attach(port, BRIDGE);
        leavesAlone(BRIDGE, () -> links().createBridge(BRIDGE, MAC, 1400, OF_NETWORK));
    }

    @Test
    void leavesTheBridgeOfAnotherNetworkAlone() throws Exception {
        links().createBridge(BRIDGE, MAC, 1500, Mark.ofNetwork(INSTALLATION, "net-2"));
        leavesAlone(BRIDGE, () -> links().createBridge(BRIDGE, MAC, 1500, OF_NETWORK));
    }

    @Test
    void bridgeKeepsItsMtuWhenItsLastPortLeaves() throws Exception {
        needTaps();
        links().createBridge(BRIDGE, MAC, 1400, OF_NETWORK);
        links().createTap(TAP, userId(), 1400, OF_NIC);
        links().attach(TAP, BRIDGE);
        links().delete(TAP, OF_NIC);
        assertThat(look(BRIDGE)).isEqualTo(bridge(1400, false));
    }

    @Test
    void refusesAnMtuThatNoLinkHas() throws Exception {
        links().createBridge(BRIDGE, MAC, 1500, OF_NETWORK);
        refused(HostException.Refused.class, BRIDGE, () -> links().setMtu(BRIDGE, 12));
        assertThat(look(BRIDGE)).isEqualTo(bridge(1500, false));
    }

    @Test
    void givesALinkAnotherMacAddress() throws Exception {
        links().createBridge(BRIDGE, MAC, 1500, OF_NETWORK);
        links().setUp(BRIDGE);
        links().setMac(BRIDGE, new MacAddress("02:00:00:00:00:09"));
        assertThat(look(BRIDGE).mac()).isEqualTo("02:00:00:00:00:09");
        links().setMac(BRIDGE, MAC);
        assertThat(look(BRIDGE)).isEqualTo(bridge(1500, true));
        refused(HostException.Refused.class, NOBODY, () -> links().setMac(NOBODY, MAC));
    }

    // ---- taps ----

    @Test
    void createsATapThatIsDownAndMarkedAndOneUsers() throws Exception {
        needTaps();
        links().createTap(TAP, userId(), 1400, OF_NIC);
        assertThat(look(TAP)).isEqualTo(tap(1400, false, 0));
    }

    @Test
    void createsATapTwiceAsOnce() throws Exception {
        needTaps();
        links().createTap(TAP, userId(), 1400, OF_NIC);
        links().setUp(TAP);
        links().createTap(TAP, userId(), 1400, OF_NIC);
        assertThat(look(TAP)).isEqualTo(tap(1400, true, 0));
    }

    @Test
    void adoptsATapThatACrashLeftWithoutMark() throws Exception {
        needTaps();
        plantTap(TAP, userId(), false);
        links().createTap(TAP, userId(), 1400, OF_NIC);
        assertThat(look(TAP)).isEqualTo(tap(1400, false, 0));
    }

    @Test
    void leavesAnUnmarkedTapThatIsUpAlone() throws Exception {
        needTaps();
        plantTap(TAP, userId(), true);
        leavesAlone(TAP, () -> links().createTap(TAP, userId(), 1400, OF_NIC));
    }

    @Test
    void leavesAnUnmarkedTapInABridgeAlone() throws Exception {
        needTaps();
        links().createBridge(BRIDGE, MAC, 1500, OF_NETWORK);
        plantTap(TAP, userId(), false);
        links().attach(TAP, BRIDGE);
        leavesAlone(TAP, () -> links().createTap(TAP, userId(), 1400, OF_NIC));
    }

    @Test
    void leavesATapThatIsNotThatUsersAlone() throws Exception {
        needTaps();
        plantTap(TAP, NO_OWNER, false);
        leavesAlone(TAP, () -> links().createTap(TAP, userId(), 1400, OF_NIC));
    }

    @Test
    void leavesAnotherVmsTapAlone() throws Exception {
        needTaps();
        links().createTap(TAP, userId(), 1500, Mark.ofNic(INSTALLATION, "vm-2", "net-1"));
        leavesAlone(TAP, () -> links().createTap(TAP, userId(), 1500, OF_NIC));
    }

    @Test
    void makesNoTapOfABridge() throws Exception {
        needTaps();
        plantBridge(TAP, MAC, false);
        leavesAlone(TAP, () -> links().createTap(TAP, userId(), 1500, OF_NIC));
    }

    @Test
    void makesNoBridgeOfATap() throws Exception {
        needTaps();
        plantTap(BRIDGE, userId(), false);
        leavesAlone(BRIDGE, () -> links().createBridge(BRIDGE, MAC, 1500, OF_NETWORK));
    }

    // ---- ports ----

    @Test
    void attachesAPortOnceAndAgain() throws Exception {
        needTaps();
        links().createBridge(BRIDGE, MAC, 1400, OF_NETWORK);
        links().createTap(TAP, userId(), 1400, OF_NIC);
        links().attach(TAP, BRIDGE);
        links().attach(TAP, BRIDGE);
        assertThat(look(TAP)).isEqualTo(tap(1400, false, look(BRIDGE).index()));
    }

    @Test
    void attachesNothingToWhatIsNoBridge() throws Exception {
        needTaps();
        plantTap(TAP, userId(), false);
        links().createBridge(BRIDGE, MAC, 1500, OF_NETWORK);
        refused(HostException.Refused.class, TAP, () -> links().attach(BRIDGE, TAP));
    }

    @Test
    void namesTheLinkThatIsNotThere() throws Exception {
        links().createBridge(BRIDGE, MAC, 1500, OF_NETWORK);
        refused(HostException.Refused.class, NOBODY, () -> links().attach(NOBODY, BRIDGE));
        refused(HostException.Refused.class, NOBODY, () -> links().attach(BRIDGE, NOBODY));
        refused(HostException.Refused.class, NOBODY, () -> links().setUp(NOBODY));
        refused(HostException.Refused.class, NOBODY, () -> links().setMtu(NOBODY, 1500));
        refused(HostException.Refused.class, NOBODY, () -> links().addAddress(NOBODY, GATEWAY));
        refused(HostException.Refused.class, NOBODY, () -> links().setForwarding(NOBODY, true));
    }

    @Test
    void setsTheFlagsOfAPortWhichEndWithItsStay() throws Exception {
        needTaps();
        links().createBridge(BRIDGE, MAC, 1500, OF_NETWORK);
        links().createTap(TAP, userId(), 1500, OF_NIC);
        refused(HostException.Refused.class, TAP, () -> links().setBridgePort(TAP, BridgePort.ISOLATED));
        links().attach(TAP, BRIDGE);
        assertThat(look(TAP).port()).isEqualTo(BridgePort.PLAIN);
        links().setBridgePort(TAP, BridgePort.ISOLATED);
        assertThat(look(TAP).port()).isEqualTo(BridgePort.ISOLATED);
        links().setUp(TAP);
        links().attach(TAP, BRIDGE);
        assertThat(look(TAP).port()).isEqualTo(BridgePort.ISOLATED);
        links().setBridgePort(TAP, BridgePort.PLAIN);
        assertThat(look(TAP).port()).isEqualTo(BridgePort.PLAIN);
    }

    @Test
    void tellsABridgeForGoodWhoIsBehindItsPort() throws Exception {
        needTaps();
        MacAddress guest = new MacAddress("52:00:00:00:00:11");
        links().createBridge(BRIDGE, MAC, 1500, OF_NETWORK);
        assertThat(links().isBehind(TAP, guest)).isEqualTo(Seen.missing());
        links().createTap(TAP, userId(), 1500, OF_NIC);
        assertThat(links().isBehind(TAP, guest)).isEqualTo(Seen.present(false));
        refused(HostException.Refused.class, TAP, () -> links().putBehind(TAP, guest));
        links().attach(TAP, BRIDGE);
        assertThat(links().isBehind(TAP, guest)).isEqualTo(Seen.present(false));
        links().putBehind(TAP, guest);
        links().putBehind(TAP, guest);
        assertThat(links().isBehind(TAP, guest)).isEqualTo(Seen.present(true));
        assertThat(links().isBehind(TAP, new MacAddress("52:00:00:00:00:12"))).isEqualTo(Seen.present(false));
        links().retire(TAP, OF_NIC, GROUP);
        assertThat(links().isBehind(TAP, guest)).isEqualTo(Seen.present(false));
    }

    @Test
    void tellsTheNodeForGoodWhoHasAnAddress() throws Exception {
        Ipv4Address one = Ipv4Address.parse("10.77.0.11");
        Ipv4Address two = Ipv4Address.parse("10.77.0.12");
        Set<Ipv4Address> both = Set.of(one, two);
        MacAddress guest = new MacAddress("52:00:00:00:00:11");
        MacAddress other = new MacAddress("52:00:00:00:00:12");
        assertThat(links().neighbours(BRIDGE, both)).isEqualTo(Seen.missing());
        refused(HostException.Refused.class, BRIDGE, () -> links().putNeighbour(BRIDGE, one, guest));
        links().deleteNeighbour(BRIDGE, one, guest.value());
        links().createBridge(BRIDGE, MAC, 1500, OF_NETWORK);
        links().setUp(BRIDGE);
        assertThat(links().neighbours(BRIDGE, both)).isEqualTo(Seen.present(Map.of()));
        links().putNeighbour(BRIDGE, one, other);
        links().putNeighbour(BRIDGE, one, guest);
        links().putNeighbour(BRIDGE, two, other);
        assertThat(links().neighbours(BRIDGE, both))
                .isEqualTo(Seen.present(Map.of(one, guest.value(), two, other.value())));
        assertThat(links().neighbours(BRIDGE, Set.of(two))).isEqualTo(Seen.present(Map.of(two, other.value())));
        links().deleteNeighbour(BRIDGE, two, guest.value());
        links().deleteNeighbour(BRIDGE, one, guest.value());
        links().deleteNeighbour(BRIDGE, one, guest.value());
        assertThat(links().neighbours(BRIDGE, both))
                .as("that of another MAC address stays")
                .isEqualTo(Seen.present(Map.of(two, other.value())));
        links().delete(BRIDGE, OF_NETWORK);
        assertThat(links().neighbours(BRIDGE, both)).isEqualTo(Seen.missing());
    }

    @Test
    void cutsATapOff() throws Exception {
        needTaps();
        links().createBridge(BRIDGE, MAC, 1500, OF_NETWORK);
        links().createTap(TAP, userId(), 1500, OF_NIC);
        links().attach(TAP, BRIDGE);
        links().setUp(TAP);
        Link retired =
                new Link(look(TAP).index(), TAP, "tun", look(TAP).mac(), 1500, false, OF_NIC, 0, userId(), GROUP);
        links().retire(TAP, OF_NIC, GROUP);
        assertThat(look(TAP)).isEqualTo(retired);
        links().retire(TAP, OF_NIC, GROUP);
        assertThat(look(TAP)).isEqualTo(retired);
        links().retire(NOBODY, OF_NIC, GROUP);
    }

    @Test
    void reapsWhatIsRetired() throws Exception {
        needTaps();
        assertThat(links().reap(INSTALLATION, GROUP)).isEmpty();
        LinkName two = new LinkName("vmt-two");
        LinkName three = new LinkName("vmt-three");
        Mark other = Mark.ofNic(INSTALLATION, "vm-2", "net-1");
        links().createTap(TAP, userId(), 1500, OF_NIC);
        links().createTap(two, userId(), 1500, other);
        links().createTap(three, userId(), 1500, other);
        links().retire(TAP, OF_NIC, GROUP);
        assertThat(links().reap(INSTALLATION, GROUP)).containsExactly(TAP);
        links().retire(two, other, GROUP);
        links().retire(three, other, GROUP);
        assertThat(links().reap(INSTALLATION, GROUP)).containsExactlyInAnyOrder(two, three);
        assertThat(links().list()).extracting(Link::name).containsExactly(new LinkName("lo"));
    }

    @Test
    void reapsWhatAnAgentThatDiedHadMovedForItsDeletion() throws Exception {
        needTaps();
        links().createTap(TAP, userId(), 1500, OF_NIC);
        links().retire(TAP, OF_NIC, GROUP);
        putIntoGroup(TAP, Link.DELETION_GROUP_FIRST + 7);
        assertThat(links().reap(INSTALLATION, GROUP)).containsExactly(TAP);
    }

    @Test
    void reapsNothingThatOnlyStandsAmongTheRetired() throws Exception {
        needTaps();
        InstallationId others = new InstallationId("othersxx");
        Map<LinkName, Mark> retired = Map.of(
                TAP,
                OF_NIC,
                new LinkName("unmarked"),
                new Mark(""),
                new LinkName("others"),
                Mark.ofNic(others, "vm-1", "net-1"),
                new LinkName("lively"),
                Mark.ofNic(INSTALLATION, "vm-2", "net-1"),
                new LinkName("port"),
                Mark.ofNic(INSTALLATION, "vm-3", "net-1"),
                new LinkName("vmt-two"),
                Mark.ofNic(INSTALLATION, "vm-4", "net-1"));
        links().createBridge(BRIDGE, MAC, 1500, OF_NETWORK);
        for (Map.Entry<LinkName, Mark> tap : retired.entrySet()) {
            links().createTap(tap.getKey(), userId(), 1500, tap.getValue());
            links().retire(tap.getKey(), tap.getValue(), GROUP);
        }
        links().setUp(new LinkName("lively"));
        links().attach(new LinkName("port"), BRIDGE);
        plantBridge(new LinkName("somebodys"), OTHER_MAC, false);
        putIntoGroup(new LinkName("somebodys"), GROUP);
        List<Link> spared = links().list().stream()
                .filter(l -> !Set.of("vmt-one", "vmt-two").contains(l.name().value()))
                .toList();
        assertThat(links().reap(INSTALLATION, GROUP)).containsExactlyInAnyOrder(TAP, new LinkName("vmt-two"));
        assertThat(links().list()).containsExactlyInAnyOrderElementsOf(spared);
        assertThat(links().reap(INSTALLATION, GROUP)).isEmpty();
    }

    @Test
    void retiresAndDeletesOnlyByMark() throws Exception {
        links().createBridge(BRIDGE, MAC, 1500, OF_NETWORK);
        links().setUp(BRIDGE);
        leavesAlone(BRIDGE, () -> links().retire(BRIDGE, OF_NIC, GROUP));
        leavesAlone(BRIDGE, () -> links().delete(BRIDGE, OF_NIC));
    }

    @Test
    void deletesALinkOnceAndAgain() throws Exception {
        links().createBridge(BRIDGE, MAC, 1500, OF_NETWORK);
        links().delete(BRIDGE, OF_NETWORK);
        assertThat(links().find(BRIDGE)).isEqualTo(Seen.missing());
        links().delete(BRIDGE, OF_NETWORK);
        assertThat(links().list()).extracting(Link::name).containsExactly(new LinkName("lo"));
    }

    @Test
    void freesThePortsOfADeletedBridge() throws Exception {
        needTaps();
        links().createBridge(BRIDGE, MAC, 1500, OF_NETWORK);
        links().createTap(TAP, userId(), 1500, OF_NIC);
        links().attach(TAP, BRIDGE);
        links().delete(BRIDGE, OF_NETWORK);
        assertThat(look(TAP)).isEqualTo(tap(1500, false, 0));
    }

    @Test
    void listsWhatItFinds() throws Exception {
        links().createBridge(BRIDGE, MAC, 1500, OF_NETWORK);
        assertThat(links().list()).contains(look(BRIDGE));
        assertThat(links().find(NOBODY)).isEqualTo(Seen.missing());
    }

    // ---- addresses, routes, forwarding ----

    @Test
    void addsAndDeletesAnAddressOnceAndAgain() throws Exception {
        links().createBridge(BRIDGE, MAC, 1500, OF_NETWORK);
        InterfaceAddress second = new InterfaceAddress(Ipv4Address.parse("10.99.0.1"), 16);
        links().addAddress(BRIDGE, GATEWAY);
        links().addAddress(BRIDGE, GATEWAY);
        links().addAddress(BRIDGE, second);
        assertThat(links().addresses(BRIDGE)).isEqualTo(Seen.present(Set.of(GATEWAY, second)));
        assertThat(links().allAddresses()).containsEntry(BRIDGE, Set.of(GATEWAY, second));
        links().deleteAddress(BRIDGE, GATEWAY);
        links().deleteAddress(BRIDGE, GATEWAY);
        assertThat(links().addresses(BRIDGE)).isEqualTo(Seen.present(Set.of(second)));
        links().deleteAddress(BRIDGE, second);
        assertThat(links().addresses(BRIDGE)).isEqualTo(Seen.present(Set.of()));
        assertThat(links().allAddresses()).doesNotContainKey(BRIDGE);
    }

    @Test
    void aLinkThatIsNotThereHasNoAddresses() throws Exception {
        assertThat(links().addresses(NOBODY)).isEqualTo(Seen.missing());
        links().deleteAddress(NOBODY, GATEWAY);
    }

    @Test
    void seesTheRouteOfAnAddressOnALinkThatIsUp() throws Exception {
        links().createBridge(BRIDGE, MAC, 1500, OF_NETWORK);
        links().addAddress(BRIDGE, GATEWAY);
        assertThat(links().routes()).isEmpty();
        links().setUp(BRIDGE);
        assertThat(links().routes()).isEqualTo(List.of(new Route(Ipv4Prefix.parse("10.77.4.0/24"), BRIDGE, 0)));
    }

    @Test
    void theUplinkIsWhereTheBestDefaultRouteLeaves() throws Exception {
        LinkName second = new LinkName("vmb-two");
        assertThat(links().uplink()).isEqualTo(Optional.empty());
        for (LinkName name : List.of(BRIDGE, second)) {
            links().createBridge(name, name.equals(BRIDGE) ? MAC : OTHER_MAC, 1500, OF_NETWORK);
            links().addAddress(name, GATEWAY);
            links().setUp(name);
        }
        routeEverythingBy(BRIDGE, 3_000_000_000L);
        assertThat(links().uplink()).isEqualTo(Optional.of(BRIDGE));
        routeEverythingBy(second, 100);
        assertThat(links().uplink()).isEqualTo(Optional.of(second));
        Ipv4Prefix everywhere = Ipv4Prefix.parse("0.0.0.0/0");
        assertThat(links().routes())
                .contains(new Route(everywhere, BRIDGE, 3_000_000_000L), new Route(everywhere, second, 100));
    }

    @Test
    void speaksToTheOutsideWithTheAddressOfTheUplink() throws Exception {
        assertThat(links().ownAddress()).isEqualTo(Seen.missing());
        links().createBridge(BRIDGE, MAC, 1500, OF_NETWORK);
        links().addAddress(BRIDGE, GATEWAY);
        links().setUp(BRIDGE);
        assertThat(links().ownAddress()).as("no way out yet").isEqualTo(Seen.missing());
        routeEverythingBy(BRIDGE, 100);
        assertThat(links().ownAddress()).isEqualTo(Seen.present(GATEWAY.address()));
    }

    @Test
    void setsTheForwardingFlagOfOneLink() throws Exception {
        LinkName dotted = new LinkName("vmb.one");
        links().createBridge(dotted, MAC, 1500, OF_NETWORK);
        links().setForwarding(dotted, true);
        assertThat(links().forwarding(dotted)).isEqualTo(Seen.present(true));
        links().setForwarding(dotted, false);
        assertThat(links().forwarding(dotted)).isEqualTo(Seen.present(false));
        assertThat(links().forwarding(NOBODY)).isEqualTo(Seen.missing());
    }

    @Test
    void neverTurnsTheGlobalSwitch() {
        LinkName all = new LinkName("all");
        assertThat(links().forwarding(all)).isEqualTo(Seen.missing());
        refused(HostException.Refused.class, all, () -> links().setForwarding(all, true));
    }

    @Test
    void seesTheGlobalSwitch() throws Exception {
        assertThat(links().forwardingEverywhere()).isEqualTo(Seen.present(false));
        turnForwardingEverywhere(true);
        assertThat(links().forwardingEverywhere()).isEqualTo(Seen.present(true));
        turnForwardingEverywhere(false);
        assertThat(links().forwardingEverywhere()).isEqualTo(Seen.present(false));
    }

    // ---- firewall ----

    @Test
    void seesNoFirewallBeforeTheFirstInstall() {
        assertThat(firewall().observe()).isEqualTo(Seen.missing());
        assertThat(firewall().contained(ELEMENTS)).isEqualTo(Seen.missing());
        assertThat(firewall().spoken(TAP)).isEqualTo(Seen.missing());
        assertThat(firewall().claims(Ipv4Address.parse("10.77.4.10"))).isEqualTo(Seen.missing());
    }

    @Test
    void hearsNothingWhereNobodySpeaks() throws Exception {
        firewall().install(new Ruleset(INSTALLATION, ELEMENTS));
        assertThat(firewall().spoken(TAP)).isEqualTo(Seen.present(List.of()));
        assertThat(firewall().claims(Ipv4Address.parse("10.77.4.10"))).isEqualTo(Seen.present(List.of()));
    }

    @Test
    void seesWhatItInstalled() throws Exception {
        firewall().install(new Ruleset(INSTALLATION, ELEMENTS));
        assertThat(firewall().observe()).isEqualTo(intact(ELEMENTS));
        assertThat(firewall().contained(ELEMENTS)).isEqualTo(Seen.present(ELEMENTS));
    }

    @Test
    void installingReplacesWhatWasThere() throws Exception {
        firewall().install(new Ruleset(INSTALLATION, ELEMENTS));
        firewall().install(new Ruleset(INSTALLATION, Set.of(SUBNET)));
        assertThat(firewall().observe()).isEqualTo(intact(Set.of(SUBNET)));
        firewall().install(new Ruleset(INSTALLATION, Set.of()));
        assertThat(firewall().observe()).isEqualTo(intact(Set.of()));
    }

    @Test
    void addsElementsOnceAndAgain() throws Exception {
        firewall().install(new Ruleset(INSTALLATION, Set.of()));
        firewall().add(ELEMENTS);
        firewall().add(ELEMENTS);
        firewall().add(Set.of());
        assertThat(firewall().observe()).isEqualTo(intact(ELEMENTS));
    }

    @Test
    void anElementThatIsThereKeepsItsOwner() throws Exception {
        FirewallElement claimed = new FirewallElement(TAP_ELEMENT.set(), TAP_ELEMENT.key(), "vm-9");
        FirewallElement claimedSubnet = new FirewallElement(SUBNET.set(), SUBNET.key(), "net-9");
        firewall().install(new Ruleset(INSTALLATION, Set.of(TAP_ELEMENT, SUBNET)));
        firewall().add(Set.of(claimed, claimedSubnet));
        assertThat(firewall().observe()).isEqualTo(intact(Set.of(TAP_ELEMENT, SUBNET)));
        assertThat(firewall().contained(List.of(claimed, claimedSubnet, TAP_ELEMENT)))
                .isEqualTo(Seen.present(Set.of(TAP_ELEMENT)));
    }

    @Test
    void whatLeadsAServicesClientsIsReplacedByWhatComes() throws Exception {
        assertThat(firewall().served()).isEqualTo(Seen.missing());
        FirewallElement first = served("0", "10.77.4.10", "vm-1");
        FirewallElement stays = served("1", "10.77.4.10", "vm-1");
        FirewallElement port = new FirewallElement(
                FirewallSet.SERVED_PORTS, List.of("16", "udp", "30053", "10.77.4.10", "53"), "vm-1");
        firewall().install(new Ruleset(INSTALLATION, Set.of(first, TAP_ELEMENT)));
        firewall().add(Set.of(stays, port));
        assertThat(firewall().served()).isEqualTo(Seen.present(Set.of(first, stays, port)));

        FirewallElement elsewhere = served("0", "10.77.4.11", "vm-2");
        firewall().add(Set.of(elsewhere, stays));
        assertThat(firewall().served()).isEqualTo(Seen.present(Set.of(elsewhere, stays, port)));
        FirewallElement another = served("0", "10.77.4.11", "vm-3");
        firewall().add(Set.of(another));
        assertThat(firewall().observe()).isEqualTo(intact(Set.of(TAP_ELEMENT, another, stays, port)));

        firewall().delete(Set.of(first, elsewhere));
        assertThat(firewall().served())
                .as("what its place leads to by now")
                .isEqualTo(Seen.present(Set.of(another, stays, port)));

        firewall().delete(Set.of(another, port));
        assertThat(firewall().served()).isEqualTo(Seen.present(Set.of(stays)));
        firewall().delete(Set.of(stays, port));
        assertThat(firewall().served()).isEqualTo(Seen.present(Set.of()));
    }

    private static FirewallElement served(String slot, String guest, String owner) {
        return new FirewallElement(FirewallSet.SERVED, List.of(slot, "10.96.0.10", "tcp", "80", guest, "8080"), owner);
    }

    @Test
    void containsOnlyWhatIsInItsSet() throws Exception {
        firewall().install(new Ruleset(INSTALLATION, Set.of(OK4, SUBNET)));
        FirewallElement within = new FirewallElement(FirewallSet.SUBNETS, List.of("10.77.4.0/25"), "net-1");
        FirewallElement otherAddress =
                new FirewallElement(FirewallSet.OK4, List.of("vmt-one", "52:10:20:30:40:60", "10.77.4.11"), "vm-1");
        assertThat(firewall().contained(List.of(OK4, otherAddress, SUBNET, within, TAP_ELEMENT)))
                .isEqualTo(Seen.present(Set.of(OK4, SUBNET)));
        assertThat(firewall().contained(List.of())).isEqualTo(Seen.present(Set.of()));
    }

    @Test
    void deletesElementsOnceAndAgain() throws Exception {
        firewall().install(new Ruleset(INSTALLATION, ELEMENTS));
        firewall().delete(Set.of(OK4, SUBNET));
        firewall().delete(Set.of(OK4, SUBNET, TAP_ELEMENT));
        firewall().delete(Set.of());
        Set<FirewallElement> left = new HashSet<>(ELEMENTS);
        left.removeAll(Set.of(OK4, SUBNET, TAP_ELEMENT));
        assertThat(firewall().observe()).isEqualTo(intact(left));
    }

    @Test
    void deletesElementsOfTablesThatAreNotThere() throws Exception {
        firewall().delete(ELEMENTS);
        assertThat(firewall().observe()).isEqualTo(Seen.missing());
    }

    @Test
    void addsNothingToTablesThatAreNotThere() {
        assertThatThrownBy(() -> firewall().add(ELEMENTS)).isInstanceOf(HostException.Refused.class);
        assertThat(firewall().observe()).isEqualTo(Seen.missing());
    }

    @Test
    void addsAllOrNothing() throws Exception {
        firewall().install(new Ruleset(INSTALLATION, Set.of(SUBNET)));
        FirewallElement overlapping = new FirewallElement(FirewallSet.SUBNETS, List.of("10.77.0.0/16"), "net-2");
        assertThatThrownBy(() -> firewall().add(List.of(TAP_ELEMENT, overlapping)))
                .isInstanceOf(HostException.Refused.class);
        assertThat(firewall().observe()).isEqualTo(intact(Set.of(SUBNET)));
    }

    @Test
    void seesThatSomebodyDeletedARule() throws Exception {
        firewall().install(new Ruleset(INSTALLATION, ELEMENTS));
        deleteRule();
        assertThat(damaged()).isEqualTo(ELEMENTS);
        firewall().install(new Ruleset(INSTALLATION, ELEMENTS));
        assertThat(firewall().observe()).isEqualTo(intact(ELEMENTS));
    }

    @Test
    void seesThatSomebodyDeletedOneTable() throws Exception {
        firewall().install(new Ruleset(INSTALLATION, Set.of(TAP_ELEMENT, SUBNET)));
        deleteTable("bridge");
        assertThat(damaged()).isEqualTo(Set.of(SUBNET));
        assertThat(firewall().contained(List.of(SUBNET))).isEqualTo(Seen.missing());
        firewall().delete(Set.of(TAP_ELEMENT, SUBNET));
        assertThat(damaged()).isEqualTo(Set.of());
    }

    @Test
    void seesThatSomebodyDeletedBothTables() throws Exception {
        firewall().install(new Ruleset(INSTALLATION, ELEMENTS));
        deleteTable("bridge");
        deleteTable("inet");
        assertThat(firewall().observe()).isEqualTo(Seen.missing());
    }

    @Test
    void removesTheFirewallOnceAndAgain() throws Exception {
        firewall().install(new Ruleset(INSTALLATION, ELEMENTS));
        firewall().remove();
        firewall().remove();
        assertThat(firewall().observe()).isEqualTo(Seen.missing());
    }

    // ---- helpers ----

    private Link look(LinkName name) {
        return switch (links().find(name)) {
            case Seen.Present<Link>(Link link) -> link;
            case Seen.Missing<Link> _ -> throw new AssertionError("no link " + name);
            case Seen.Unknown<Link>(String cause) -> throw new AssertionError(cause);
        };
    }

    /** The expected bridge; its index is the host's choice. */
    private Link bridge(int mtu, boolean up) {
        return new Link(look(BRIDGE).index(), BRIDGE, "bridge", MAC.value(), mtu, up, OF_NETWORK, 0, -1, 0);
    }

    /** The expected tap; its index and MAC are the host's choice. */
    private Link tap(int mtu, boolean up, int masterIndex) {
        Link seen = look(TAP);
        return new Link(seen.index(), TAP, "tun", seen.mac(), mtu, up, OF_NIC, masterIndex, userId(), 0);
    }

    private void leavesAlone(LinkName name, ThrowingCallable attempt) {
        Link before = look(name);
        refused(HostException.Foreign.class, name, attempt);
        assertThat(look(name)).isEqualTo(before);
    }

    private static void refused(Class<? extends HostException> how, LinkName name, ThrowingCallable attempt) {
        assertThatThrownBy(attempt).isInstanceOf(how).hasMessageContaining(name.value());
    }

    private static Seen<FirewallState> intact(Set<FirewallElement> elements) {
        return Seen.present(new FirewallState(true, "", elements));
    }

    /** Elements of a firewall that must be there, but not as installed. */
    private Set<FirewallElement> damaged() {
        if (!(firewall().observe() instanceof Seen.Present<FirewallState>(FirewallState state))) {
            throw new AssertionError("no firewall: " + firewall().observe());
        }
        assertThat(state.intact()).isFalse();
        assertThat(state.difference()).isNotBlank();
        return state.elements();
    }
}
