package dev.vmlet.plan;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.DockerUser;
import dev.vmlet.model.Egress;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.FirewallSet;
import dev.vmlet.model.FirewallState;
import dev.vmlet.model.Given;
import dev.vmlet.model.HostObservation;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.NetworkRecord;
import dev.vmlet.model.Owner;
import dev.vmlet.model.Protocol;
import dev.vmlet.model.PublishedPort;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Seen;
import dev.vmlet.model.ServicePort;
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
                unreadable,
                Set.of(),
                Seen.present(Map.of()));
    }

    private static String plan(HostObservation seen) {
        return Texts.of(HostPlanner.plan(Given.INSTALLATION, seen));
    }

    private static HostObservation docker(
            List<NetworkRecord> networks, List<VmRecord> vms, List<String> unreadable, Seen<DockerUser> docker) {
        return new HostObservation(
                INTACT,
                Optional.of(ETH0),
                Seen.present(true),
                Map.of(),
                Seen.present(List.of()),
                networks,
                vms,
                unreadable,
                Set.of(),
                Seen.present(Map.of()),
                docker);
    }

    private static Seen<DockerUser> chain(boolean asked, boolean kept, boolean complete, boolean traces) {
        return Seen.present(new DockerUser(asked, kept, complete, traces));
    }

    private static FirewallElement served(String guest, String port, String owner) {
        return new FirewallElement(FirewallSet.SERVED, List.of("0", "10.96.0.10", "tcp", "80", guest, port), owner);
    }

    @Test
    void whatLeadsAServiceStaysWhereTheRecordKnowsTheGuestsPortAndNowhereElse() {
        DesiredNic nic = Given.nic()
                .withLivePartOf(Optional.of(new DesiredNic(
                        Given.nic().network(),
                        Given.nic().bridge(),
                        Given.nic().bridgeMark(),
                        Given.nic().tap(),
                        Given.nic().mark(),
                        Given.nic().mac(),
                        Given.nic().ip(),
                        Given.nic().mtu(),
                        false,
                        List.of(new PublishedPort(new ServicePort(Protocol.TCP, 8081), 8080)))));
        VmRecord record = RUNNING.withAsked(RUNNING.userId(), List.of(nic), RUNNING.retained(), RUNNING.grace());
        String uid = record.id().uid();
        FirewallElement good = served("10.77.4.2", "8080", uid);
        Set<FirewallElement> standing = new HashSet<>(nic.elements(uid));
        standing.add(good);
        FirewallElement otherPort = served("10.77.4.2", "22", uid);
        FirewallElement otherGuest = served("10.77.4.9", "8080", uid);

        assertThat(plan(of(new FirewallState(true, "", standing), record))).isEmpty();
        standing.addAll(List.of(otherPort, otherGuest));
        assertThat(HostPlanner.plan(Given.INSTALLATION, of(new FirewallState(true, "", standing), record))
                        .steps())
                .extracting(PlannedStep::step)
                .containsExactly(new Step.DeleteElements(List.of(otherPort, otherGuest)));

        Plan install = HostPlanner.plan(
                Given.INSTALLATION, of(new FirewallState(false, "mark is of an older one", standing), record));
        Set<FirewallElement> installed = new HashSet<>(nic.elements(uid));
        installed.add(good);
        assertThat(install.steps())
                .extracting(PlannedStep::step)
                .containsExactly(new Step.InstallFirewall(new Ruleset(Given.INSTALLATION, installed)));
    }

    private static HostObservation of(FirewallState state, VmRecord record) {
        return new HostObservation(
                Seen.present(state),
                Optional.of(ETH0),
                Seen.present(true),
                Map.of(),
                Seen.present(List.of()),
                List.of(),
                List.of(record),
                List.of(),
                Set.of(),
                Seen.present(Map.of()));
    }

    @Test
    void letsGuestsThroughDockersChainWhileTheyLeaveTheNode() {
        String accept = "let guests through to and from eth0 in Docker's chain DOCKER-USER, because ";
        String withdraw = "take our rules out of Docker's chain DOCKER-USER, because ";
        List<NetworkRecord> open = List.of(OPEN);
        assertThat(plan(docker(open, List.of(), List.of(), chain(true, false, false, false))))
                .isEqualTo(accept + "Docker drops what it does not know, and --manage-docker-user was given\n");
        assertThat(plan(docker(open, List.of(), List.of(), chain(true, true, false, true))))
                .isEqualTo(accept
                        + "our rules there are not all in place, or are for another uplink, and Docker drops what it does"
                        + " not know [drift]\n");
        assertThat(plan(docker(open, List.of(), List.of(), chain(true, true, false, false))))
                .isEqualTo(accept + "our rules there are gone, and Docker drops what it does not know [drift]\n");
        assertThat(plan(docker(open, List.of(), List.of(), chain(true, true, true, true))))
                .isEmpty();
        assertThat(plan(docker(List.of(CLOSED), List.of(), List.of(), chain(true, true, true, true))))
                .isEqualTo(withdraw + "nothing of a guest's leaves or enters this node any more\n");
        assertThat(plan(docker(List.of(), List.of(), List.of(), chain(true, true, false, false))))
                .isEqualTo(withdraw + "nothing of a guest's leaves or enters this node any more\n");
        assertThat(plan(docker(List.of(), List.of(), List.of("net-9 cannot be read"), chain(true, true, true, true))))
                .isEmpty();
        assertThat(plan(docker(List.of(), List.of(), List.of(), chain(true, false, false, false))))
                .isEmpty();
        assertThat(plan(docker(open, List.of(), List.of("net-9 cannot be read"), chain(false, true, true, true))))
                .isEqualTo(withdraw + "--manage-docker-user is not given any more\n");
        assertThat(plan(docker(open, List.of(), List.of(), Seen.missing()))).isEmpty();
        assertThat(plan(docker(open, List.of(), List.of(), Seen.unknown("look at DOCKER-USER: no iptables"))))
                .contains("look at DOCKER-USER: no iptables");
    }

    @Test
    void withoutAnUplinkItLeavesDockersChainAsItIsAndSaysSo() {
        String says =
                "our rules in Docker's chain DOCKER-USER stay as they are: they name the uplink, and this node has no"
                        + " default route";
        for (boolean traces : List.of(true, false)) {
            Seen<DockerUser> chain = chain(true, traces, false, traces);
            assertThat(HostPlanner.plan(Given.INSTALLATION, nowhere(Seen.missing(), List.of(OPEN), chain)))
                    .isEqualTo(Plan.waiting(Reason.CannotLook, says, Duration.ofSeconds(30)));
        }
        assertThat(HostPlanner.plan(
                        Given.INSTALLATION,
                        nowhere(Seen.unknown("list routes: busy"), List.of(OPEN), chain(true, true, false, true))))
                .isEqualTo(Plan.waiting(Reason.CannotLook, "list routes: busy", Duration.ofSeconds(2)));
        assertThat(HostPlanner.plan(
                        Given.INSTALLATION, nowhere(Seen.missing(), List.of(OPEN), chain(false, true, false, true))))
                .extracting(Texts::of)
                .isEqualTo("take our rules out of Docker's chain DOCKER-USER, because --manage-docker-user is not given"
                        + " any more\n");
        assertThat(HostPlanner.plan(
                        Given.INSTALLATION, nowhere(Seen.missing(), List.of(CLOSED), chain(true, false, false, false))))
                .isEqualTo(Plan.nothing());
    }

    private static HostObservation nowhere(
            Seen<Boolean> forwarding, List<NetworkRecord> networks, Seen<DockerUser> chain) {
        return new HostObservation(
                INTACT,
                Optional.empty(),
                forwarding,
                Map.of(),
                Seen.present(List.of()),
                networks,
                List.of(),
                List.of(),
                Set.of(),
                Seen.present(Map.of()),
                chain);
    }

    private static final String INSTALL = "install the firewall tables vmlet_inst2345 with 7 elements, because ";

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

    /** Who asks for what is published comes in by the uplink, whatever the Network's egress. */
    @Test
    void forwardsOnTheUplinkForWhatIsPublished() {
        HostObservation seen = publishing(INTACT, false, new PublishedPort(new ServicePort(Protocol.TCP, 8080), 80));
        assertThat(plan(seen))
                .isEqualTo("enable IPv4 forwarding on eth0, because what is published is asked for by the uplink\n");
    }

    /** The record names every port that the VM asks for, also one that a process of the node listens on. */
    @Test
    void newTablesPublishNothingThatWasNotPublishedBefore() {
        PublishedPort ssh = new PublishedPort(new ServicePort(Protocol.TCP, 22), 22);
        PublishedPort http = new PublishedPort(new ServicePort(Protocol.TCP, 8080), 80);
        FirewallElement published = element(FirewallSet.PUBLISHED, "vm-1", "tcp", "8080", "10.77.4.2", "80");
        Set<FirewallElement> others = recordedAnd(
                element(FirewallSet.PUBLISHED_TO, "vm-1", "10.77.4.2", "tcp", "22"),
                element(FirewallSet.PUBLISHED_TO, "vm-1", "10.77.4.2", "tcp", "80"));
        others.removeAll(OPEN.realised().elements());
        others.addAll(CLOSED.realised().elements());
        assertThat(installed(publishing(Seen.missing(), true, ssh, http)))
                .as("the tables are gone")
                .isEqualTo(others);
        others.add(published);
        FirewallState old = new FirewallState(false, "chain input is missing", Set.of(published));
        assertThat(installed(publishing(Seen.present(old), true, ssh, http)))
                .as("tables that held one of them")
                .isEqualTo(others);
    }

    private static HostObservation publishing(
            Seen<FirewallState> firewall, boolean forwarding, PublishedPort... ports) {
        DesiredNic nic = Given.nic();
        DesiredNic publishing = nic.withLivePartOf(Optional.of(new DesiredNic(
                nic.network(),
                nic.bridge(),
                nic.bridgeMark(),
                nic.tap(),
                nic.mark(),
                nic.mac(),
                nic.ip(),
                nic.mtu(),
                false,
                List.of(ports))));
        VmRecord running =
                RUNNING.withAsked(RUNNING.userId(), List.of(publishing), RUNNING.retained(), RUNNING.grace());
        return new HostObservation(
                firewall,
                Optional.of(ETH0),
                Seen.present(forwarding),
                Map.of(),
                Seen.present(List.of()),
                List.of(CLOSED),
                List.of(running),
                List.of(),
                Set.of(),
                Seen.present(Map.of()));
    }

    @Test
    void whatWasTurnedOnOnceAndIsOffIsDrift() {
        assertThat(plan(seen(INTACT, false, Map.of(ETH0, false), List.of(OPEN), List.of())))
                .isEqualTo("enable IPv4 forwarding on eth0, because answers to guests enter by the uplink [drift]\n");
        assertThat(plan(seen(Seen.missing(), true, Map.of(), List.of(), List.of())))
                .isEqualTo(
                        "install the firewall tables vmlet_inst2345 with 3 elements, because this node has none yet\n");
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

    // ---- owners whose record cannot be read ----

    private static final LinkName TAP_9 = new LinkName("vmt-nine");
    private static final LinkName BRIDGE_9 = new LinkName("vmb-nine");
    private static final Map<LinkName, Owner> MARKED =
            Map.of(TAP_9, new Owner.OfVm("vm-9", "net-9"), BRIDGE_9, new Owner.OfNetwork("net-9"));
    private static final FirewallElement MUTE = element(FirewallSet.TAPS, "vm-9", "vmt-nine");
    private static final FirewallElement SHUT = element(FirewallSet.BRIDGES, "net-9", "vmb-nine");

    private static FirewallElement element(FirewallSet set, String owner, String... key) {
        return new FirewallElement(set, List.of(key), owner);
    }

    /** VM vm-9 and Network net-9 have records that cannot be read; vm-1 and net-1 run as ever. */
    private static HostObservation damaged(Seen<FirewallState> firewall, Seen<Map<LinkName, Owner>> marked) {
        return new HostObservation(
                firewall,
                Optional.of(ETH0),
                Seen.present(true),
                Map.of(),
                Seen.present(List.of()),
                List.of(OPEN),
                List.of(RUNNING),
                List.of("vm-9 cannot be read", "net-9 cannot be read"),
                Set.of("vm-9", "net-9"),
                marked);
    }

    private static Set<FirewallElement> installed(HostObservation seen) {
        return HostPlanner.plan(Given.INSTALLATION, seen).steps().stream()
                .map(PlannedStep::step)
                .filter(Step.InstallFirewall.class::isInstance)
                .map(step -> ((Step.InstallFirewall) step).ruleset().elements())
                .findFirst()
                .orElseThrow();
    }

    private static Set<FirewallElement> recordedAnd(FirewallElement... others) {
        Set<FirewallElement> all = new HashSet<>(HostPlanner.members(List.of(OPEN), List.of(RUNNING)));
        all.addAll(List.of(others));
        return all;
    }

    @Test
    void withTheTablesGoneALinkOfOursIsShutWhateverIsKnownOfIt() {
        assertThat(installed(damaged(Seen.missing(), Seen.present(MARKED)))).isEqualTo(recordedAnd(MUTE, SHUT));
    }

    @Test
    void whatStandsForAnOwnerThatCannotBeReadStandsInTheNewTablesToo() {
        FirewallElement honest = element(FirewallSet.OK4, "vm-9", "vmt-nine", "52:00:00:00:00:09", "10.99.0.9");
        FirewallElement leaves = element(FirewallSet.EGRESS, "net-9", "vmb-nine");
        FirewallElement subnet = element(FirewallSet.SUBNETS, "net-9", "10.99.0.0/24");
        FirewallElement nobodys = element(FirewallSet.OK4, "vm-8", "vmt-eight", "52:00:00:00:00:08", "10.99.0.8");
        FirewallState state =
                new FirewallState(false, "chain input is missing", Set.of(MUTE, honest, leaves, subnet, nobodys));
        assertThat(installed(damaged(Seen.present(state), Seen.present(MARKED))))
                .isEqualTo(recordedAnd(MUTE, honest, SHUT, leaves, subnet));
    }

    /** nft would refuse the whole transaction. */
    @Test
    void aPortOfTheNodeLeadsToOnePlaceEvenWhereNobodyCanReadWhose() {
        FirewallElement one = element(FirewallSet.PUBLISHED, "vm-9", "tcp", "8080", "10.99.0.8", "80");
        FirewallElement two = element(FirewallSet.PUBLISHED, "net-9", "tcp", "8080", "10.99.0.9", "80");
        FirewallState state = new FirewallState(false, "chain input is missing", Set.of(one, two));
        assertThat(installed(damaged(Seen.present(state), Seen.present(MARKED))))
                .isEqualTo(recordedAnd(MUTE, SHUT, one));
    }

    @Test
    void ofALinkWithoutAnyRecordNothingIsTakenOut() {
        FirewallElement honest = element(FirewallSet.OK4, "vm-8", "vmt-eight", "52:00:00:00:00:08", "10.99.0.8");
        FirewallState state = new FirewallState(false, "chain input is missing", Set.of(honest));
        assertThat(installed(damaged(
                        Seen.present(state),
                        Seen.present(Map.of(new LinkName("vmt-eight"), new Owner.OfVm("vm-8", "net-9"))))))
                .isEqualTo(recordedAnd(honest, element(FirewallSet.TAPS, "vm-8", "vmt-eight")));
    }

    @Test
    void nothingThatNftWouldRefuseIsKept() {
        FirewallElement overlapping = element(FirewallSet.SUBNETS, "net-9", "10.77.0.0/16");
        FirewallElement range = element(FirewallSet.SUBNETS, "net-9", "10.99.0.1-10.99.0.7");
        FirewallElement twice =
                element(FirewallSet.TAPS, "vm-9", Given.nic().tap().value());
        FirewallState state = new FirewallState(false, "chain input is missing", Set.of(overlapping, range, twice));
        assertThat(installed(damaged(
                        Seen.present(state),
                        Seen.present(Map.of(new LinkName("a\"b"), new Owner.OfVm("vm-9", "net-9"))))))
                .isEqualTo(recordedAnd());
    }

    @Test
    void aMemberThatSomebodyTookFromAnOwnerThatCannotBeReadComesBack() {
        FirewallState state = new FirewallState(true, "", recordedAnd(SHUT));
        assertThat(plan(damaged(Seen.present(state), Seen.present(MARKED))))
                .isEqualTo("admit " + MUTE + " in the firewall, because the records of their owners cannot be read, and"
                        + " without these their guests may send whatever they like [drift]\n");
        assertThat(plan(damaged(
                        Seen.present(new FirewallState(true, "", recordedAnd(SHUT, MUTE))), Seen.present(MARKED))))
                .isEmpty();
    }

    @Test
    void tablesOfWhatIsKnownAreBetterThanNone() {
        FirewallElement honest = element(FirewallSet.OK4, "vm-8", "vmt-eight", "52:00:00:00:00:08", "10.99.0.8");
        FirewallState state = new FirewallState(false, "chain input is missing", Set.of(honest));
        HostObservation blind = damaged(Seen.present(state), Seen.unknown("dump of links: timeout"));
        assertThat(installed(blind)).isEqualTo(recordedAnd(honest));
        assertThat(HostPlanner.plan(Given.INSTALLATION, blind).waitingFor())
                .contains(new Plan.Wait(Reason.CannotLook, "dump of links: timeout", Duration.ofSeconds(2)));
    }
}
