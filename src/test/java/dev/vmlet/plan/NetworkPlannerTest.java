package dev.vmlet.plan;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.model.DesiredNetwork;
import dev.vmlet.model.Egress;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.Given;
import dev.vmlet.model.InterfaceAddress;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.Link;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.Mark;
import dev.vmlet.model.NetworkObservation;
import dev.vmlet.model.NetworkRecord;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Resolution;
import dev.vmlet.model.Seen;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;

class NetworkPlannerTest {
    private static final DesiredNetwork NET = Given.desiredNetwork(Egress.MASQUERADE);
    private static final NetworkRecord RECORD = new NetworkRecord(Given.NET, NET);
    private static final String B = NET.bridge().value();

    private final NetworkPlanner planner = new NetworkPlanner(Given.NAMES);

    private static NetworkObservation seen(
            Seen<NetworkRecord> record, Seen<Link> bridge, Set<FirewallElement> elements, Set<LinkName> ports) {
        boolean there = bridge instanceof Seen.Present;
        return new NetworkObservation(
                record,
                bridge,
                there ? Seen.present(Set.of(NET.gatewayAddress())) : Seen.missing(),
                there ? Seen.present(true) : Seen.missing(),
                Seen.present(elements),
                Seen.present(ports));
    }

    private static final NetworkObservation NOTHING = seen(Seen.missing(), Seen.missing(), Set.of(), Set.of());
    private static final NetworkObservation STEADY = seen(
            Seen.present(RECORD), Seen.present(Given.bridge()), Set.copyOf(NET.elements()), Set.of(new LinkName("t1")));

    private String realise(DesiredNetwork network, NetworkObservation seen) {
        return Texts.of(planner.plan("net-1", new Resolution.Desired<>(network), seen));
    }

    private String remove(NetworkObservation seen) {
        return Texts.of(planner.plan("net-1", new Resolution.Absent<>(), seen));
    }

    @Test
    void writesRecordThenSetsThenLinks() {
        assertThat(realise(NET, NOTHING)).isEqualTo("""
                write the record of Network lab/net, because Network lab/net is used on this node
                admit bridges{%1$s}, same{%1$s . %1$s}, egress{%1$s}, subnets{10.77.4.0/24} in the firewall, because Network lab/net is used on this node
                create bridge %1$s (mtu 1500), because Network lab/net is used on this node
                add address 10.77.4.1/24 to %1$s, because Network lab/net is used on this node
                enable IPv4 forwarding on %1$s, because Network lab/net is used on this node
                set %1$s up, because Network lab/net is used on this node
                """.formatted(B));
    }

    @Test
    void leavesASteadyNetworkAlone() {
        assertThat(planner.plan("net-1", new Resolution.Desired<>(NET), STEADY)).isEqualTo(Plan.nothing());
    }

    @Test
    void makesABridgeThatIsGoneAnew() {
        assertThat(realise(NET, seen(Seen.present(RECORD), Seen.missing(), Set.copyOf(NET.elements()), Set.of())))
                .isEqualTo("""
                        create bridge %1$s (mtu 1500), because the bridge of Network lab/net is gone [drift]
                        add address 10.77.4.1/24 to %1$s, because the bridge of Network lab/net is gone [drift]
                        enable IPv4 forwarding on %1$s, because the bridge of Network lab/net is gone [drift]
                        set %1$s up, because the bridge of Network lab/net is gone [drift]
                        """.formatted(B));
    }

    @Test
    void putsBackWhatTheFirewallLost() {
        Set<FirewallElement> less = new HashSet<>(NET.elements());
        less.removeIf(e -> e.set() == dev.vmlet.model.FirewallSet.EGRESS);
        assertThat(realise(NET, seen(Seen.present(RECORD), Seen.present(Given.bridge()), less, Set.of())))
                .isEqualTo("admit egress{" + B
                        + "} in the firewall, because the firewall lost members of lab/net [drift]\n");
    }

    @Test
    void closesEgressBeforeTheRecordForgetsIt() {
        assertThat(realise(Given.desiredNetwork(Egress.NONE), STEADY)).isEqualTo("""
                remove egress{%1$s}, subnets{10.77.4.0/24} from the firewall, because Network lab/net is 10.77.4.0/24 with egress None
                write the record of Network lab/net, because Network lab/net is used on this node
                """.formatted(B));
    }

    @Test
    void clearsAnEarlierSliceBeforeTakingTheNewOne() {
        DesiredNetwork moved = new DesiredNetwork(
                NET.id(),
                NET.bridge(),
                NET.bridgeMac(),
                NET.mark(),
                Ipv4Prefix.parse("10.77.0.0/21"),
                1500,
                NET.egress());
        assertThat(realise(moved, STEADY)).isEqualTo("""
                remove subnets{10.77.4.0/24} from the firewall, because Network lab/net is 10.77.0.0/21 with egress Masquerade
                delete address 10.77.4.1/24 from %1$s, because this node's slice is 10.77.0.0/21 now
                write the record of Network lab/net, because Network lab/net is used on this node
                admit subnets{10.77.0.0/21} in the firewall, because Network lab/net is used on this node
                add address 10.77.0.1/21 to %1$s, because the gateway address is not on the bridge
                """.formatted(B));
    }

    @Test
    void repairsEachPartOfTheBridge() {
        Link bridge = Given.bridge();
        Link bent = new Link(7, bridge.name(), "bridge", "02:00:00:00:00:09", 1400, false, bridge.mark(), 0, -1, 0);
        NetworkObservation seen = new NetworkObservation(
                Seen.present(RECORD),
                Seen.present(bent),
                Seen.present(Set.<InterfaceAddress>of()),
                Seen.present(false),
                Seen.present(Set.copyOf(NET.elements())),
                Seen.present(Set.of()));
        assertThat(realise(NET, seen)).isEqualTo("""
                set the MTU of %1$s to 1500, because its MTU is 1400, asked is 1500 [drift]
                set the MAC address of %1$s to %2$s, because its MAC address is 02:00:00:00:00:09, and guests know their gateway by another [drift]
                add address 10.77.4.1/24 to %1$s, because the gateway address is not on the bridge [drift]
                enable IPv4 forwarding on %1$s, because guests' packets enter by this bridge [drift]
                set %1$s up, because the bridge is down [drift]
                """.formatted(B, NET.bridgeMac()));
    }

    @Test
    void leavesAnAddressAloneThatSomebodyAddedToTheBridge() {
        NetworkObservation seen = new NetworkObservation(
                Seen.present(RECORD),
                Seen.present(Given.bridge()),
                Seen.present(Set.of(NET.gatewayAddress(), new InterfaceAddress(Ipv4Address.parse("192.0.2.7"), 24))),
                Seen.present(true),
                Seen.present(Set.copyOf(NET.elements())),
                Seen.present(Set.of()));
        assertThat(realise(NET, seen)).isEmpty();
    }

    @Test
    void leavesAForeignBridgeOfItsNameAlone() {
        NetworkObservation seen =
                seen(Seen.missing(), Seen.present(Given.bridge(new Mark("mine"), true)), Set.of(), Set.of());
        assertThat(realise(NET, seen))
                .isEqualTo("wait PT30S for ForeignObject: link " + B
                        + " exists and is not ours (mark \"mine\"); it is left alone. Rename or delete it to let Network"
                        + " lab/net go on, or give it its mark back if it is the Network's: ip link set dev " + B
                        + " alias vmlet:inst2345:net:net-1\n");
        assertThat(remove(seen)).isEmpty();
    }

    @Test
    void takesOverTheBridgeThatACrashLeftUnmarked() {
        NetworkObservation seen = seen(
                Seen.present(RECORD),
                Seen.present(Given.bridge(new Mark(""), false)),
                Set.copyOf(NET.elements()),
                Set.of());
        assertThat(realise(NET, seen)).startsWith("create bridge " + B);
        assertThat(remove(seen)).startsWith("delete link " + B);
    }

    @Test
    void anUnmarkedBridgeThatIsUpOrHasPortsIsForeign() {
        assertThat(realise(
                        NET, seen(Seen.missing(), Seen.present(Given.bridge(new Mark(""), true)), Set.of(), Set.of())))
                .startsWith("wait PT30S for ForeignObject");
        assertThat(realise(
                        NET,
                        seen(
                                Seen.missing(),
                                Seen.present(Given.bridge(new Mark(""), false)),
                                Set.of(),
                                Set.of(new LinkName("eth1")))))
                .startsWith("wait PT30S for ForeignObject");
    }

    @Test
    void waitsForTheTables() {
        NetworkObservation seen = new NetworkObservation(
                Seen.missing(), Seen.missing(), Seen.missing(), Seen.missing(), Seen.missing(), Seen.present(Set.of()));
        assertThat(realise(NET, seen))
                .isEqualTo("wait PT2S for FirewallNotReady: " + Reason.FirewallNotReady.sentence() + "\n");
    }

    @Test
    void aFailedLookBlocksEverything() {
        NetworkObservation seen = new NetworkObservation(
                Seen.present(RECORD),
                Seen.unknown("look at the bridge: timed out"),
                Seen.missing(),
                Seen.missing(),
                Seen.present(Set.of()),
                Seen.present(Set.of()));
        Plan blocked = Plan.waiting(Reason.CannotLook, "look at the bridge: timed out", Duration.ofSeconds(2));
        assertThat(planner.plan("net-1", new Resolution.Desired<>(NET), seen)).isEqualTo(blocked);
        assertThat(planner.plan("net-1", new Resolution.Absent<>(), seen)).isEqualTo(blocked);
    }

    @Test
    void leavesWhatRunsAloneWhereItCannotFollow() {
        assertThat(planner.plan("net-1", new Resolution.Unresolved<>(Reason.WaitingForCidr, "no cidr"), STEADY))
                .isEqualTo(Plan.waiting(Reason.WaitingForCidr, "no cidr", Duration.ofSeconds(30)));
    }

    @Test
    void takesLinksBeforeSetsAndTheRecordLast() {
        assertThat(remove(
                        seen(Seen.present(RECORD), Seen.present(Given.bridge()), Set.copyOf(NET.elements()), Set.of())))
                .isEqualTo("""
                        delete link %1$s, because no VM of this node uses Network lab/net any more
                        remove bridges{%1$s}, same{%1$s . %1$s}, egress{%1$s}, subnets{10.77.4.0/24} from the firewall, because no VM of this node uses Network lab/net any more
                        delete the record of Network uid net-1, because no VM of this node uses Network lab/net any more
                        """.formatted(B));
    }

    @Test
    void keepsABridgeThatHasPorts() {
        assertThat(remove(STEADY)).isEqualTo("wait PT2S for InUse: bridge " + B + " still has ports: t1\n");
    }

    @Test
    void hasNothingToTakeWhereNothingIs() {
        assertThat(planner.plan("net-1", new Resolution.Absent<>(), NOTHING))
                .isEqualTo(new Plan(List.of(), Optional.empty()));
    }
}
