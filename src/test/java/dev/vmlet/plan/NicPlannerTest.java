package dev.vmlet.plan;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.model.BridgePort;
import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.Given;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Link;
import dev.vmlet.model.Mark;
import dev.vmlet.model.NicObservation;
import dev.vmlet.model.Seen;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class NicPlannerTest {
    private static final DesiredNic NIC = Given.nic();
    private static final String T = NIC.tap().value();
    private static final String B = NIC.bridge().value();
    private static final Set<FirewallElement> ALL = Set.copyOf(NIC.elements("vm-1"));

    private static String ensure(Seen<Link> bridge, Seen<Link> tap, Seen<Set<FirewallElement>> elements) {
        return Texts.of(NicPlanner.ensure(
                Given.WEB, 200_000, NIC, new NicObservation(NIC.tap(), bridge, tap, elements), Given.INSTALLATION));
    }

    @Test
    void guardsComeBeforeThePortIsUp() {
        assertThat(ensure(Seen.present(Given.bridge()), Seen.missing(), Seen.present(Set.of())))
                .isEqualTo("""
                admit taps{%1$s}, ok4{%1$s . %3$s . 10.77.4.2}, held{10.77.4.2} in the firewall, because VM lab/web may send from %3$s 10.77.4.2 only
                create tap %1$s for user 200000 (mtu 1500), because VM lab/web has a NIC on Network lab/net
                attach %1$s to bridge %2$s, because VM lab/web has a NIC on Network lab/net
                set %1$s up, because VM lab/web has a NIC on Network lab/net
                """.formatted(T, B, NIC.mac()));
    }

    @Test
    void leavesAWholeNicAlone() {
        assertThat(ensure(Seen.present(Given.bridge()), Seen.present(Given.tap()), Seen.present(ALL)))
                .isEmpty();
    }

    @Test
    void waitsForTheBridgeAndNeverMakesIt() {
        String waiting = "wait PT2S for NetworkNotReady: Network lab/net has no bridge on this node yet\n";
        assertThat(ensure(Seen.missing(), Seen.missing(), Seen.present(Set.of())))
                .isEqualTo(waiting);
        assertThat(ensure(Seen.present(Given.bridge(new Mark("mine"), true)), Seen.missing(), Seen.present(Set.of())))
                .isEqualTo(waiting);
    }

    @Test
    void waitsForTheTables() {
        assertThat(ensure(Seen.present(Given.bridge()), Seen.missing(), Seen.missing()))
                .startsWith("wait PT2S for FirewallNotReady");
    }

    @Test
    void leavesForeignTapsOfItsNameAlone() {
        assertThat(ensure(
                        Seen.present(Given.bridge()),
                        Seen.present(Given.tap(new Mark("mine"), true, 0)),
                        Seen.present(Set.of())))
                .isEqualTo("wait PT30S for ForeignObject: link " + T
                        + " exists and is not ours (mark \"mine\"); it is left alone. Rename or delete it to let VM"
                        + " lab/web go on, or give it its mark back if it is the VM's: ip link set dev " + T
                        + " alias vmlet:inst2345:vm:vm-1:net-1\n");
        Mark another = Mark.ofNic(Given.INSTALLATION, "vm-2", "net-1");
        assertThat(ensure(Seen.present(Given.bridge()), Seen.present(Given.tap(another, true, 7)), Seen.present(ALL)))
                .contains("is not ours (marked vmlet:inst2345:vm:vm-2:net-1)");
    }

    @Test
    void takesOverATapThatACrashLeftUnmarked() {
        assertThat(ensure(
                        Seen.present(Given.bridge()),
                        Seen.present(Given.tap(new Mark(""), false, 0)),
                        Seen.present(ALL)))
                .startsWith("create tap " + T);
        assertThat(ensure(
                        Seen.present(Given.bridge()),
                        Seen.present(Given.tap(new Mark(""), true, 0)),
                        Seen.present(ALL)))
                .startsWith("wait PT30S for ForeignObject");
    }

    @Test
    void movesATapBackIntoItsBridge() {
        assertThat(ensure(
                        Seen.present(Given.bridge()), Seen.present(Given.tap(NIC.mark(), false, 0)), Seen.present(ALL)))
                .isEqualTo("""
                        attach %1$s to bridge %2$s, because the tap is in no bridge
                        set %1$s up, because the tap is down
                        """.formatted(T, B));
    }

    @Test
    void aTapInAStrangersBridgeIsTakenOutOfIt() {
        assertThat(ensure(
                        Seen.present(Given.bridge()), Seen.present(Given.tap(NIC.mark(), true, 99)), Seen.present(ALL)))
                .isEqualTo("attach " + T + " to bridge " + B + ", because the tap is in another bridge\n");
    }

    @Test
    void aTapThatBearsItsGuestsMacAddressGetsAnother() {
        Link tap = Given.tap();
        Link wrong = new Link(
                tap.index(),
                tap.name(),
                "tun",
                NIC.mac().value(),
                9000,
                true,
                tap.mark(),
                tap.masterIndex(),
                tap.tapUid(),
                0);
        assertThat(ensure(Seen.present(Given.bridge()), Seen.present(wrong), Seen.present(ALL)))
                .isEqualTo("""
                        set the MTU of %1$s to 1500, because its MTU is 9000, asked is 1500
                        set the MAC address of %1$s to %2$s, because the tap bears its guest's MAC address, so that the host takes what is the guest's
                        """.formatted(T, NIC.mac().hostSide()));
        assertThat(NIC.mac().hostSide().value())
                .startsWith("fe:")
                .isNotEqualTo(NIC.mac().value());
    }

    private static NicObservation knowing(Seen<Link> tap, Map<Ipv4Address, String> known) {
        return new NicObservation(NIC.tap(), Seen.present(Given.bridge()), tap, Seen.present(ALL))
                .withNeighbours(known);
    }

    private static String ensure(NicObservation seen) {
        return Texts.of(NicPlanner.ensure(Given.WEB, 200_000, NIC, seen, Given.INSTALLATION));
    }

    @Test
    void tellsTheNodeWhoHasTheAddressBeforeTheGuestComesUp() {
        assertThat(ensure(knowing(Seen.missing(), Map.of()))).isEqualTo("""
                create tap %1$s for user 200000 (mtu 1500), because VM lab/web has a NIC on Network lab/net
                attach %1$s to bridge %2$s, because VM lab/web has a NIC on Network lab/net
                tell the node that 10.77.4.2 is %3$s on %2$s, because VM lab/web has a NIC on Network lab/net
                set %1$s up, because VM lab/web has a NIC on Network lab/net
                """.formatted(T, B, NIC.mac()));
    }

    @Test
    void tellsTheNodeAgainWhatItForgotOrKnowsWrongly() {
        Seen<Link> tap = Seen.present(Given.tap());
        String tells = "tell the node that 10.77.4.2 is " + NIC.mac() + " on " + B + ", because the node ";
        assertThat(ensure(knowing(tap, Map.of(NIC.ip(), NIC.mac().value())))).isEmpty();
        assertThat(ensure(knowing(tap, Map.of()))).isEqualTo(tells + "does not know for good who has 10.77.4.2\n");
        assertThat(ensure(knowing(tap, Map.of(NIC.ip(), "52:00:00:00:00:99"))))
                .isEqualTo(tells + "takes 52:00:00:00:00:99 for 10.77.4.2\n");
        assertThat(ensure(knowing(
                        tap,
                        Map.of(
                                NIC.ip(),
                                NIC.mac().value(),
                                Ipv4Address.parse("10.77.4.9"),
                                NIC.mac().value()))))
                .isEqualTo("let the node forget that 10.77.4.9 is " + NIC.mac() + " on " + B
                        + ", because the guest's address is 10.77.4.2 now\n");
    }

    @Test
    void theNodeForgetsTheAddressLastAndOnABridgeOfOursOnly() {
        NicObservation seen = knowing(Seen.missing(), Map.of(NIC.ip(), "52:00:00:00:00:99"));
        assertThat(NeighbourPlanner.remove(List.of(seen), Given.INSTALLATION, "so"))
                .containsExactly(
                        new PlannedStep(new Step.DeleteNeighbour(NIC.bridge(), NIC.ip(), "52:00:00:00:00:99"), "so"));
        NicObservation foreign = new NicObservation(
                        NIC.tap(),
                        Seen.present(Given.bridge(new Mark("mine"), true)),
                        Seen.missing(),
                        Seen.present(Set.of()))
                .withNeighbours(Map.of(NIC.ip(), NIC.mac().value()));
        assertThat(NeighbourPlanner.remove(List.of(foreign), Given.INSTALLATION, "so"))
                .isEmpty();
    }

    private static List<Integer> groupsOfTheRetired() {
        return List.of(Given.NAMES.reapGroup(), Link.DELETION_GROUP_FIRST + 7);
    }

    @ParameterizedTest
    @MethodSource("groupsOfTheRetired")
    void waitsUntilTheTapOfTheLastRunIsDeleted(int group) {
        Link tap = Given.tap(NIC.mark(), false, 0);
        Link retired = new Link(tap.index(), tap.name(), "tun", tap.mac(), 1500, false, tap.mark(), 0, 200_000, group);
        assertThat(ensure(Seen.present(Given.bridge()), Seen.present(retired), Seen.present(Set.of())))
                .isEqualTo("wait PT0.1S for NetworkNotReady: tap " + T + " of its last run is still being deleted\n");
    }

    @Test
    void takesAwayAnAddressThatIsNotThePresentOne() {
        FirewallElement old =
                Given.nic(Given.NET, "vm-1", "10.77.4.9").elements("vm-1").get(1);
        assertThat(ensure(
                        Seen.present(Given.bridge()),
                        Seen.present(Given.tap()),
                        Seen.present(Set.of(old, NIC.elements("vm-1").get(0)))))
                .isEqualTo("""
                        remove ok4{%1$s . %2$s . 10.77.4.9} from the firewall, because VM lab/web may send from its present address only
                        admit ok4{%1$s . %2$s . 10.77.4.2}, held{10.77.4.2} in the firewall, because VM lab/web may send from %2$s 10.77.4.2 only
                        """.formatted(T, NIC.mac()));
    }

    private static String onTheLan(DesiredNic nic, Seen<Link> bridge, Seen<Link> tap, Set<FirewallElement> elements) {
        return Texts.of(NicPlanner.ensure(
                Given.WEB,
                200_000,
                nic,
                new NicObservation(nic.tap(), bridge, tap, Seen.present(elements)),
                Given.INSTALLATION));
    }

    private static Link lanTap(DesiredNic nic, int mtu, int master) {
        return new Link(8, nic.tap(), "tun", nic.mac().hostSide().value(), mtu, true, nic.mark(), master, 200_000, 0);
    }

    /** A bridge whose address nobody has set takes its lowest port's; and its MTU likewise. */
    @Test
    void putsATapIntoTheOperatorsBridgeThatChangesNothingOfIt() {
        DesiredNic nic = Given.lanNic("vm-1", "0.0.0.0", 1400);
        assertThat(onTheLan(nic, Seen.present(Given.br0()), Seen.missing(), Set.of()))
                .isEqualTo("""
                admit taps{%1$s}, free4{%1$s . %2$s} in the firewall, because VM lab/web may send from %2$s only
                create tap %1$s for user 200000 (mtu 1400), because VM lab/web has a NIC on Network lab/lan
                set the MAC address of %1$s to %3$s, because bridge br0 is to keep its MAC address
                attach %1$s to bridge br0, because VM lab/web has a NIC on Network lab/lan
                set %1$s up, because VM lab/web has a NIC on Network lab/lan
                """.formatted(nic.tap(), nic.mac(), nic.mac().hostSide()));
        DesiredNic fixed = Given.lanNic("vm-1", "192.168.1.50", 1400);
        assertThat(onTheLan(fixed, Seen.present(Given.br0()), Seen.missing(), Set.of()))
                .startsWith("admit taps{%1$s}, ok4{%1$s . %2$s . 192.168.1.50}, held{192.168.1.50} in the firewall,"
                        .formatted(nic.tap(), nic.mac()));
    }

    @Test
    void comesBackToTheOperatorsBridgeWhenThatIsThereAgain() {
        DesiredNic nic = Given.lanNic("vm-1", "0.0.0.0", 1500);
        Set<FirewallElement> all = Set.copyOf(nic.elements("vm-1"));
        assertThat(onTheLan(nic, Seen.missing(), Seen.present(lanTap(nic, 1500, 0)), all))
                .isEqualTo(
                        "wait PT2S for BridgeMissing: Network lab/lan is on bridge br0 of the operator's, and this node"
                                + " has no such bridge; make it, and the VM goes on by itself\n");
        assertThat(onTheLan(nic, Seen.present(Given.br0()), Seen.present(lanTap(nic, 1500, 0)), all))
                .isEqualTo("attach " + nic.tap() + " to bridge br0, because the tap is in no bridge\n");
        assertThat(onTheLan(nic, Seen.present(Given.br0()), Seen.present(lanTap(nic, 1500, 5)), all))
                .isEmpty();
        assertThat(onTheLan(nic, Seen.present(Given.br0()), Seen.present(lanTap(nic, 9000, 5)), all))
                .isEqualTo("set the MTU of " + nic.tap() + " to 1500, because its MTU is 9000, asked is 1500\n");
    }

    @Test
    void takesNoLinkForTheOperatorsBridgeThatIsNone() {
        DesiredNic nic = Given.lanNic("vm-1", "0.0.0.0", 1500);
        Link veth = new Link(5, nic.bridge(), "veth", "02:00:00:00:00:05", 1500, true, new Mark(""), 0, -1, 0);
        Link ours = new Link(
                5,
                nic.bridge(),
                "bridge",
                "02:00:00:00:00:05",
                1500,
                true,
                Mark.ofNetwork(Given.INSTALLATION, "net-7"),
                0,
                -1,
                0);
        for (Link link : List.of(veth, ours)) {
            assertThat(onTheLan(nic, Seen.present(link), Seen.missing(), Set.of()))
                    .startsWith("wait PT2S for BridgeMissing");
        }
    }

    private static final DesiredNic APART = new DesiredNic(
            NIC.network(),
            NIC.bridge(),
            NIC.bridgeMark(),
            NIC.tap(),
            NIC.mark(),
            NIC.mac(),
            NIC.ip(),
            NIC.mtu(),
            true,
            List.of());

    private static Link tapWith(BridgePort flags) {
        Link tap = Given.tap();
        return new Link(
                tap.index(),
                tap.name(),
                "tun",
                tap.mac(),
                1500,
                true,
                tap.mark(),
                tap.masterIndex(),
                tap.tapUid(),
                0,
                flags);
    }

    private static String apart(Seen<Link> tap, boolean behind) {
        NicObservation look = new NicObservation(
                NIC.tap(), Seen.present(Given.bridge()), tap, Seen.present(ALL), Seen.present(behind), Seen.missing());
        return Texts.of(NicPlanner.ensure(Given.WEB, 200_000, APART, look, Given.INSTALLATION));
    }

    @Test
    void isolatesAPortBeforeItIsUp() {
        assertThat(apart(Seen.missing(), false)).isEqualTo("""
                create tap %1$s for user 200000 (mtu 1500), because VM lab/web has a NIC on Network lab/net
                attach %1$s to bridge %2$s, because VM lab/web has a NIC on Network lab/net
                isolate %1$s from the other guests of its bridge, because VM lab/web has a NIC on Network lab/net
                tell the bridge that %3$s is behind %1$s, because VM lab/web has a NIC on Network lab/net
                set %1$s up, because VM lab/web has a NIC on Network lab/net
                """.formatted(T, B, NIC.mac()));
    }

    @Test
    void tellsTheBridgeWhereTheGuestIsBeforeItStopsLearning() {
        assertThat(apart(Seen.present(Given.tap()), false)).isEqualTo("""
                tell the bridge that %2$s is behind %1$s, because isolation of Network lab/net is Members, and its bridge does not know for good where the guest is
                isolate %1$s from the other guests of its bridge, because isolation of Network lab/net is Members
                """.formatted(T, NIC.mac()));
        assertThat(apart(Seen.present(tapWith(BridgePort.ISOLATED)), true)).isEmpty();
    }

    @Test
    void putsEachFlagOfAnIsolatedPortRight() {
        for (BridgePort bent : List.of(
                new BridgePort(false, false, false, false),
                new BridgePort(true, true, false, false),
                new BridgePort(true, false, true, false),
                new BridgePort(true, false, false, true))) {
            assertThat(apart(Seen.present(tapWith(bent)), true))
                    .as(bent.toString())
                    .startsWith("isolate " + T);
        }
    }

    @Test
    void joinsAPortWithTheOthersWhenItsNetworkIsIsolatedNoLonger() {
        assertThat(ensure(Seen.present(Given.bridge()), Seen.present(tapWith(BridgePort.ISOLATED)), Seen.present(ALL)))
                .isEqualTo("join " + T + " with the other guests of its bridge, because isolation of Network lab/net is"
                        + " None\n");
        assertThat(ensure(
                        Seen.present(Given.bridge()),
                        Seen.present(tapWith(new BridgePort(false, false, true, true))),
                        Seen.present(ALL)))
                .as("flags that somebody chose")
                .isEmpty();
    }
}
