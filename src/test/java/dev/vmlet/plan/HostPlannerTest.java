package dev.vmlet.plan;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.model.Egress;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.FirewallSet;
import dev.vmlet.model.FirewallState;
import dev.vmlet.model.Given;
import dev.vmlet.model.HostObservation;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.NetworkRecord;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmRecord;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;

class HostPlannerTest {
    private static final LinkName ETH0 = new LinkName("eth0");
    private static final Seen<FirewallState> INTACT = Seen.present(new FirewallState(true, "", Set.of()));
    private static final NetworkRecord OPEN = new NetworkRecord(Given.NET, Given.desiredNetwork(Egress.MASQUERADE));
    private static final NetworkRecord CLOSED = new NetworkRecord(Given.NET, Given.desiredNetwork(Egress.NONE));
    private static final VmRecord RUNNING = Given.record().withLaunch(Given.launch(), 0);

    private static HostObservation seen(
            Seen<FirewallState> firewall,
            boolean forwarding,
            Map<LinkName, Boolean> kept,
            List<NetworkRecord> networks,
            List<String> unreadable) {
        return seen(firewall, forwarding, kept, Seen.present(List.of()), networks, unreadable);
    }

    private static HostObservation seen(
            Seen<FirewallState> firewall,
            boolean forwarding,
            Map<LinkName, Boolean> kept,
            Seen<List<String>> others,
            List<NetworkRecord> networks,
            List<String> unreadable) {
        return new HostObservation(
                firewall,
                Optional.of(ETH0),
                Seen.present(forwarding),
                kept,
                others,
                networks,
                List.of(RUNNING, Given.record()),
                unreadable);
    }

    private static String plan(HostObservation seen) {
        return Texts.of(HostPlanner.plan(Given.INSTALLATION, seen));
    }

    private static final String INSTALL = "install the firewall tables vmlet_inst2345 with 6 elements, because ";

    @Test
    void installsTheTablesWithWhatTheRecordsSay() {
        assertThat(plan(seen(Seen.missing(), true, Map.of(), List.of(OPEN), List.of())))
                .isEqualTo(INSTALL + "they are gone [drift]\n");
        assertThat(plan(seen(
                        Seen.present(new FirewallState(false, "chain input is missing", Set.of())),
                        true,
                        Map.of(),
                        List.of(OPEN),
                        List.of())))
                .isEqualTo(INSTALL + "chain input is missing [drift]\n");
    }

    @Test
    void leavesIntactTablesAlone() {
        assertThat(HostPlanner.plan(Given.INSTALLATION, seen(INTACT, true, Map.of(), List.of(OPEN), List.of())))
                .isEqualTo(Plan.nothing());
    }

    @Test
    void takesOutWhatSomebodyAddedInTheNameOfAGuestOrNetwork() {
        Set<FirewallElement> members = new HashSet<>(HostPlanner.members(List.of(OPEN), List.of(RUNNING)));
        FirewallElement spoof = new FirewallElement(
                FirewallSet.OK4,
                List.of(Given.nic().tap().value(), Given.nic().mac().value(), "10.77.4.66"),
                "vm-1");
        FirewallElement nobodys = new FirewallElement(FirewallSet.TAPS, List.of("eth7"), "vm-9");
        members.add(spoof);
        // The sweep asks about owners that nobody knows.
        members.add(nobodys);
        assertThat(plan(seen(
                        Seen.present(new FirewallState(true, "", members)), true, Map.of(), List.of(OPEN), List.of())))
                .isEqualTo(
                        "remove " + spoof + " from the firewall, because somebody else added them, and they would let a"
                                + " guest do what its record does not [drift]\n");
    }

    @Test
    void aFailedLookAtTheFirewallBlocks() {
        assertThat(HostPlanner.plan(
                        Given.INSTALLATION, seen(Seen.unknown("nft: busy"), false, Map.of(), List.of(OPEN), List.of())))
                .isEqualTo(Plan.waiting(Reason.CannotLook, "nft: busy", Duration.ofSeconds(2)));
    }

    @Test
    void forwardsOnTheUplinkOnlyForNetworksThatLeave() {
        assertThat(plan(seen(INTACT, false, Map.of(), List.of(OPEN), List.of())))
                .isEqualTo("enable IPv4 forwarding on eth0, because answers to guests enter by the uplink\n");
        assertThat(plan(seen(INTACT, false, Map.of(), List.of(CLOSED), List.of())))
                .isEmpty();
    }

    @Test
    void whatWasTurnedOnOnceAndIsOffIsDrift() {
        assertThat(plan(seen(INTACT, false, Map.of(ETH0, false), List.of(OPEN), List.of())))
                .isEqualTo("enable IPv4 forwarding on eth0, because answers to guests enter by the uplink [drift]\n");
        assertThat(plan(seen(Seen.missing(), true, Map.of(), List.of(), List.of())))
                .isEqualTo(
                        "install the firewall tables vmlet_inst2345 with 2 elements, because this node has none yet\n");
    }

    @Test
    void restoresTheFlagAfterTheLastNetwork() {
        Map<LinkName, Boolean> kept = Map.of(ETH0, false);
        assertThat(plan(seen(INTACT, true, kept, List.of(), List.of())))
                .isEqualTo("restore IPv4 forwarding on eth0 to its recorded value, because no Network is realised on"
                        + " this node any more\n");
        assertThat(plan(seen(INTACT, true, kept, List.of(CLOSED), List.of()))).isEmpty();
    }

    @Test
    void theFlagStaysOnWhileSomebodyElseReliesOnIt() {
        Map<LinkName, Boolean> kept = Map.of(ETH0, false);
        Seen<List<String>> others = Seen.present(List.of("vmlet installation zzzzzzzz has bridge vmb-b"));
        assertThat(plan(seen(INTACT, true, kept, others, List.of(), List.of())))
                .isEqualTo("wait PT30S for InUse: IPv4 forwarding on eth0 stays on: vmlet installation zzzzzzzz has"
                        + " bridge vmb-b\n");
        assertThat(plan(seen(INTACT, true, kept, Seen.unknown("dump: timeout"), List.of(), List.of())))
                .isEqualTo("wait PT2S for CannotLook: dump: timeout\n");
    }

    @Test
    void aFlagThatWasOnIsRestoredWhoeverReliesOnIt() {
        Seen<List<String>> others = Seen.present(List.of("vmlet installation zzzzzzzz has bridge vmb-b"));
        assertThat(plan(seen(INTACT, false, Map.of(ETH0, true), others, List.of(), List.of())))
                .isEqualTo("restore IPv4 forwarding on eth0 to its recorded value, because no Network is realised on"
                        + " this node any more\n");
    }

    @Test
    void anUnreadableRecordMayBeANetworks() {
        assertThat(plan(seen(INTACT, true, Map.of(ETH0, false), List.of(), List.of("net-1 cannot be read"))))
                .isEmpty();
    }

    @Test
    void aStoppedVmHasNoMembers() {
        Set<FirewallElement> members = new HashSet<>(OPEN.realised().elements());
        assertThat(HostPlanner.members(List.of(OPEN), List.of(Given.record()))).isEqualTo(members);
        members.addAll(Given.nic().elements("vm-1"));
        assertThat(HostPlanner.members(List.of(OPEN), List.of(RUNNING))).isEqualTo(members);
    }
}
