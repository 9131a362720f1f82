package dev.vmlet.status;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.api.Condition;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineSpec;
import dev.vmlet.api.VirtualMachineStatus;
import dev.vmlet.api.VirtualMachineStatus.Phase;
import dev.vmlet.model.ArpWitness;
import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.DesiredVm;
import dev.vmlet.model.DiskState;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.FirewallKeeper;
import dev.vmlet.model.ForeignRule;
import dev.vmlet.model.Given;
import dev.vmlet.model.GuestProcess;
import dev.vmlet.model.GuestState;
import dev.vmlet.model.HostException;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.Link;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.NetworkId;
import dev.vmlet.model.NicObservation;
import dev.vmlet.model.Passage;
import dev.vmlet.model.Protocol;
import dev.vmlet.model.PublishedPort;
import dev.vmlet.model.Reach;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Resolution;
import dev.vmlet.model.RunStrategy;
import dev.vmlet.model.Seen;
import dev.vmlet.model.ServicePort;
import dev.vmlet.model.Tampering;
import dev.vmlet.model.VmObservation;
import dev.vmlet.model.VmRecord;
import dev.vmlet.plan.Outcome;
import dev.vmlet.plan.Plan;
import dev.vmlet.plan.PlannedStep;
import dev.vmlet.plan.Step;
import java.time.Duration;
import java.time.Instant;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class VmStatusTest {
    private static final Instant NOW = Given.NOW.plusSeconds(60);

    private final VirtualMachine vm = Given.vm();
    private Resolution<DesiredVm> resolution = new Resolution.Desired<>(Given.desiredVm());
    private Plan plan = Plan.nothing();
    private Outcome outcome = Outcome.nothing();
    private Seen<VmRecord> record = Seen.present(Given.record().withLaunch(Given.launch(), 2));
    private final Map<String, NicObservation> nics = new HashMap<>(Map.of(
            "net-1",
            new NicObservation(
                    Given.nic().tap(),
                    Seen.present(Given.bridge()),
                    Seen.present(Given.tap()),
                    Seen.present(Set.copyOf(Given.nic().elements("vm-1"))))));
    private Map<String, DiskState> disks = Map.of("root", new DiskState.Ready(1000));
    private Seen<GuestProcess> process = Seen.present(new GuestProcess.Alive(4711, 9));
    private GuestState guest = new GuestState(GuestState.Kind.RUNNING, false, "1.0");
    private Reach reach = Reach.OPEN;
    private final Optional<Ipv4Address> node = Optional.of(Ipv4Address.parse("192.0.2.7"));

    private VirtualMachineStatus status(Instant now) {
        VmObservation seen = new VmObservation(
                record,
                nics,
                Seen.present(Map.of()),
                disks,
                Seen.present("seed"),
                process,
                Seen.present(Tampering.NONE),
                guest,
                reach,
                Seen.present(true));
        return VmStatus.of(vm, resolution, plan, outcome, seen, node, now);
    }

    private String brief() {
        VirtualMachineStatus status = status(NOW);
        return status.phase() + " "
                + Objects.requireNonNull(status.conditions()).stream()
                        // Have tests of their own.
                        .filter(c ->
                                !Set.of("RestartRequired", "ReachableFromPods").contains(c.type()))
                        .map(c -> c.type() + "=" + c.status() + "/" + c.reason())
                        .collect(Collectors.joining(" "));
    }

    private String message(String type) {
        return Objects.requireNonNull(status(NOW).conditions()).stream()
                .filter(c -> type.equals(c.type()))
                .map(c -> Objects.requireNonNull(c.message()))
                .findFirst()
                .orElseThrow();
    }

    private void nothingRuns(VmRecord of) {
        record = Seen.present(of);
        process = Seen.missing();
        guest = GuestState.of(GuestState.Kind.NONE);
        reach = Reach.NOT_PROBED;
    }

    private static Condition condition(String type, String reason, String message) {
        return new Condition(type, Condition.Status.True, reason, message, 1L, "2026-01-01T12:01:00Z");
    }

    @Test
    void saysWhichPortsOfTheNodeLeadToTheGuest() {
        DesiredNic nic = Given.nic();
        VmRecord running = Given.record().withLaunch(Given.launch(), 2);
        DesiredNic publishing = nic.withLivePartOf(Optional.of(new DesiredNic(
                nic.network(),
                nic.bridge(),
                nic.bridgeMark(),
                nic.tap(),
                nic.mark(),
                nic.mac(),
                nic.ip(),
                nic.mtu(),
                nic.isolated(),
                List.of(
                        new PublishedPort(new ServicePort(Protocol.TCP, 8080), 80),
                        new PublishedPort(new ServicePort(Protocol.UDP, 53), 5353)))));
        record = Seen.present(
                running.withAsked(running.userId(), List.of(publishing), running.retained(), running.grace()));
        Set<FirewallElement> members = new HashSet<>(publishing.elements("vm-1"));
        elements(Seen.present(members));
        assertThat(published()).contains(List.of("tcp/8080", "udp/53"));
        assertThat(fromPods())
                .isEqualTo("True Published: Pods of this node and of others reach the guest at 192.0.2.7, tcp/8080 (its"
                        + " port 80), udp/53 (its port 5353), and nothing else of it; through a Service that"
                        + " selects it too.");
        // A process of the node listens there, so that it is withheld.
        members.remove(publishing.published(publishing.ports().getFirst(), "vm-1"));
        elements(Seen.present(members));
        assertThat(published()).contains(List.of("udp/53"));
        assertThat(fromPods())
                .isEqualTo("False FirewallNotReady: What comes to this node's tcp/8080 is not led to the guest;"
                        + " NetworkReady tells why. Pods of this node and of others reach the guest at 192.0.2.7, udp/53"
                        + " (its port 5353), and nothing else of it; through a Service that"
                        + " selects it too.");
        vm.setStatus(status(NOW));
        elements(Seen.unknown("look for elements: timed out"));
        assertThat(published()).as("nobody could look").contains(List.of("udp/53"));
        assertThat(fromPods()).isEqualTo("Unknown CannotLook: look for elements: timed out");
        elements(Seen.present(Set.of()));
        assertThat(published()).isEmpty();
    }

    @Test
    void saysWhatPodsReachOfAGuestThatPublishesNothing() {
        assertThat(fromPods())
                .isEqualTo("False NothingPublished: No port of the guest is published, so pods do not reach it; to let"
                        + " them, name ports in spec.networks[].ports.");
        nothingRuns(Given.record());
        assertThat(fromPods()).isEqualTo("False NotRunning: The guest does not run.");
    }

    private String fromPods() {
        return Objects.requireNonNull(status(NOW).conditions()).stream()
                .filter(c -> "ReachableFromPods".equals(c.type()))
                .map(c -> c.status() + " " + c.reason() + ": " + c.message())
                .findFirst()
                .orElseThrow();
    }

    private void elements(Seen<Set<FirewallElement>> seen) {
        NicObservation nic = Objects.requireNonNull(nics.get("net-1"));
        nics.put("net-1", new NicObservation(nic.tapName(), nic.bridge(), nic.tap(), seen));
    }

    private Optional<List<String>> published() {
        return Optional.ofNullable(
                Objects.requireNonNull(status(NOW).addresses()).getFirst().publishedPorts());
    }

    @Test
    void saysAllThatWasSeenOfARunningGuest() {
        assertThat(status(NOW))
                .isEqualTo(new VirtualMachineStatus(
                        VirtualMachineStatus.Phase.Running,
                        List.of(new VirtualMachineStatus.Address(
                                "net",
                                "10.77.4.2",
                                Given.nic().mac().value(),
                                Given.nic().tap().value(),
                                null,
                                null)),
                        "a",
                        new VirtualMachineStatus.Vmm("qemu", "1.0", 4711),
                        "debian-13.qcow2",
                        "2026-01-01T12:00:00Z",
                        2,
                        null,
                        1L,
                        3L,
                        List.of(
                                condition("Scheduled", "Assigned", "This node runs it."),
                                condition("NetworkReady", "AsExpected", "Everything is as asked."),
                                condition("DisksReady", "AsExpected", "Everything is as asked."),
                                condition("Running", "Running", "The guest runs."),
                                condition("GuestReachable", "PortOpen", "10.77.4.2:22 answered."),
                                condition("Ready", "PortOpen", "10.77.4.2:22 answered."),
                                new Condition(
                                        "RestartRequired",
                                        Condition.Status.False,
                                        "AsExpected",
                                        "The guest runs with all that its spec asks for.",
                                        1L,
                                        "2026-01-01T12:01:00Z"),
                                new Condition(
                                        "ReachableFromPods",
                                        Condition.Status.False,
                                        "NothingPublished",
                                        "No port of the guest is published, so pods do not reach it; to let them, name"
                                                + " ports in spec.networks[].ports.",
                                        1L,
                                        "2026-01-01T12:01:00Z"))));
    }

    private void passage(Seen<Passage> passage) {
        NicObservation nic = Objects.requireNonNull(nics.get("net-1"));
        nics.put(
                "net-1",
                new NicObservation(
                        nic.tapName(),
                        nic.bridge(),
                        nic.tap(),
                        nic.elements(),
                        nic.behind(),
                        nic.listeners(),
                        nic.clusterIps(),
                        passage,
                        Seen.missing(),
                        Seen.missing()));
    }

    @Test
    void saysWhichRuleKeepsTheGuestInAndWhatLetsItOut() {
        passage(Seen.present(new Passage.Dropped(
                new ForeignRule(FirewallKeeper.DOCKER, "ip", "filter", "FORWARD", "FORWARD", ""),
                Ipv4Prefix.parse("10.77.4.0/24"),
                Optional.of(new LinkName("eth0")))));
        assertThat(brief())
                .isEqualTo(
                        "Running Scheduled=True/Assigned NetworkReady=False/ForeignRuleDrops DisksReady=True/AsExpected"
                                + " Running=True/Running GuestReachable=True/PortOpen Ready=True/PortOpen");
        assertThat(message("NetworkReady"))
                .isEqualTo(
                        "what guests of Network net send out of this node is dropped by the policy of iptables' FORWARD"
                                + " chain (Docker), as a probe packet showed; to let them through: iptables -I DOCKER-USER -i"
                                + " vmb-+ -o eth0 -j ACCEPT; iptables -I DOCKER-USER -i eth0 -o vmb-+ -j ACCEPT; iptables -I"
                                + " DOCKER-USER -i vmb-+ -o vmb-+ -j ACCEPT (after Docker, at each boot and each reload of firewalld; or give the agent --manage-docker-user)");
        assertThat(new Passage.Dropped(
                                new ForeignRule(FirewallKeeper.DOCKER, "ip", "filter", "FORWARD", "FORWARD", ""),
                                Ipv4Prefix.parse("10.77.4.0/24"))
                        .remedy())
                .startsWith("iptables -I DOCKER-USER -i vmb-+ -o <uplink> -j ACCEPT; ");
    }

    @Test
    void doesNotBlameARuleThatNobodySaw() {
        passage(Seen.present(new Passage.Lost("it was routed on and ended at the forward hook")));
        assertThat(brief()).contains(" NetworkReady=Unknown/WayOutUnknown ").endsWith(" Ready=True/PortOpen");
        assertThat(message("NetworkReady"))
                .isEqualTo(
                        "a probe packet sent as a guest of Network net would did not leave this node, and no rule was"
                                + " seen to drop it: it was routed on and ended at the forward hook");
    }

    @Test
    void aProbeThatFoundNothingOrWasNotMadeChangesNothing() {
        String before = brief();
        for (Seen<Passage> passage : List.<Seen<Passage>>of(
                Seen.present(new Passage.Open()), Seen.unknown("create tap: no /dev/net/tun"), Seen.missing())) {
            passage(passage);
            assertThat(brief()).isEqualTo(before);
        }
    }

    @Test
    void theSameSightIsTheSameStatusHoursLater() {
        VirtualMachineStatus first = status(NOW);
        vm.setStatus(first);
        assertThat(status(NOW.plus(Duration.ofHours(5)))).isEqualTo(first);
    }

    @Test
    void aTransitionTimeMovesWithTheStatusAndOnlyWithIt() {
        vm.setStatus(status(NOW));
        reach = Reach.CLOSED;
        List<Condition> later =
                Objects.requireNonNull(status(NOW.plusSeconds(5)).conditions());
        assertThat(later)
                .extracting(Condition::lastTransitionTime)
                .containsExactly(
                        "2026-01-01T12:01:00Z",
                        "2026-01-01T12:01:00Z",
                        "2026-01-01T12:01:00Z",
                        "2026-01-01T12:01:00Z",
                        "2026-01-01T12:01:05Z",
                        "2026-01-01T12:01:05Z",
                        "2026-01-01T12:01:00Z",
                        "2026-01-01T12:01:00Z");
    }

    @Test
    void staysRunningAndReadyAsSeenWhenTheObjectCannotBeFollowed() {
        resolution = new Resolution.Unresolved<>(Reason.SecretNotFound, "no Secret s");
        plan = Plan.waiting(Reason.SecretNotFound, "no Secret s", Duration.ofSeconds(30));
        disks = Map.of();
        assertThat(brief())
                .isEqualTo("Running Scheduled=True/Assigned NetworkReady=True/AsExpected"
                        + " DisksReady=Unknown/CannotLook Running=True/Running GuestReachable=True/PortOpen"
                        + " Ready=True/PortOpen");
        resolution = new Resolution.Unresolved<>(Reason.NetworkNotFound, "no Network");
        assertThat(brief()).contains("NetworkReady=False/NetworkNotFound Dis").endsWith("Ready=True/PortOpen");
    }

    @Test
    void staysReadyWithoutAProbeWhenTheObjectCannotBeFollowed() {
        VirtualMachineSpec s = Given.spec("net");
        vm.setSpec(new VirtualMachineSpec(
                s.nodeName(),
                s.runStrategy(),
                s.cpu(),
                s.memory(),
                s.disks(),
                s.networks(),
                s.cloudInit(),
                null,
                new dev.vmlet.api.Readiness(null, null, new dev.vmlet.api.Readiness.None()),
                30));
        resolution = new Resolution.Unresolved<>(Reason.SecretNotFound, "no Secret s");
        reach = Reach.NOT_PROBED;
        assertThat(brief()).endsWith("GuestReachable=Unknown/NoProbe Ready=True/NoProbe");
    }

    @Test
    void saysOfAGuestThatWasSeenWhatWasSeenThoughAnotherLookFailed() {
        plan = Plan.waiting(Reason.CannotLook, "look at the bridge: timed out", Duration.ofSeconds(2));
        nics.put(
                "net-1",
                new NicObservation(
                        Given.nic().tap(),
                        Seen.unknown("look at the bridge: timed out"),
                        Seen.present(Given.tap()),
                        Seen.present(Set.of())));
        assertThat(brief())
                .isEqualTo("Running Scheduled=True/Assigned NetworkReady=Unknown/CannotLook"
                        + " DisksReady=True/AsExpected Running=True/Running GuestReachable=True/PortOpen"
                        + " Ready=True/PortOpen");
    }

    @Test
    void doesNotKnowWhereEvidenceDisagrees() {
        process = Seen.unknown("process 4711 lives, but not in the VM's cgroup");
        assertThat(brief())
                .startsWith("Unknown")
                .endsWith("Running=Unknown/EvidenceDisagrees GuestReachable=Unknown/NotRunning"
                        + " Ready=Unknown/EvidenceDisagrees");
        assertThat(message("Ready")).isEqualTo("process 4711 lives, but not in the VM's cgroup");
    }

    @Test
    void keepsWhatItToldBeforeWhileTheRecordIsLost() {
        VirtualMachineStatus before = status(NOW);
        assertThat(before.addresses()).isNotEmpty();
        vm.setStatus(before);
        record = Seen.unknown("The record was damaged");
        process = Seen.unknown("The record was damaged");
        plan = Plan.waiting(Reason.EvidenceDisagrees, "The record was damaged. It cannot be rebuilt: x", Duration.ZERO);
        VirtualMachineStatus lost = status(NOW);
        assertThat(lost.phase()).isEqualTo(VirtualMachineStatus.Phase.Unknown);
        assertThat(lost.addresses()).isEqualTo(before.addresses());
        assertThat(lost.vmm()).isEqualTo(before.vmm());
        assertThat(lost.restarts()).isEqualTo(2);
        assertThat(lost.bootedGeneration()).isEqualTo(before.bootedGeneration());
        assertThat(message("Ready")).isEqualTo("The record was damaged. It cannot be rebuilt: x");
        // One that is not there at all, with a process that is.
        record = Seen.missing();
        assertThat(status(NOW).addresses()).isEqualTo(before.addresses());
        // And where both are known to be gone, so are they.
        process = Seen.missing();
        assertThat(status(NOW).addresses()).isEmpty();
    }

    @Test
    void aNicThatWaitsForTheNextStartSaysNothingOfThisOne() {
        DesiredNic blue = Given.nic(new NetworkId("lab", "blue", "net-2"), "vm-1", "10.78.4.2");
        resolution = new Resolution.Desired<>(Given.desiredVm(RunStrategy.ALWAYS, List.of(Given.nic(), blue)));
        nics.put("net-2", new NicObservation(blue.tap(), Seen.missing(), Seen.missing(), Seen.present(Set.of())));
        assertThat(brief()).contains("NetworkReady=True/AsExpected");
    }

    @Test
    void aTapWithoutItsGuardsIsNotReady() {
        nics.put(
                "net-1",
                new NicObservation(
                        Given.nic().tap(),
                        Seen.present(Given.bridge()),
                        Seen.present(Given.tap()),
                        Seen.present(Set.of(Given.nic().elements("vm-1").get(0)))));
        assertThat(brief()).contains("NetworkReady=False/NetworkNotReady").endsWith("Ready=True/PortOpen");
    }

    private void heard(ArpWitness witness) {
        nics.put(
                "net-1",
                new NicObservation(
                        Given.nic().tap(),
                        Seen.present(Given.bridge()),
                        Seen.present(Given.tap()),
                        Seen.present(Set.copyOf(Given.nic().elements("vm-1"))),
                        Seen.missing(),
                        Seen.missing(),
                        Seen.missing(),
                        Seen.missing(),
                        Seen.present(witness),
                        Seen.missing()));
    }

    private Optional<String> observed() {
        return Optional.ofNullable(
                Objects.requireNonNull(status(NOW).addresses()).get(0).observed());
    }

    @Test
    void aGuestThatUsesAnotherAddressIsTold() {
        heard(new ArpWitness(
                List.of(Ipv4Address.parse("10.77.4.9"), Ipv4Address.parse("10.77.4.8")), Optional.empty()));
        assertThat(brief()).contains("NetworkReady=False/AddressDiffers").endsWith("Ready=True/PortOpen");
        assertThat(message("NetworkReady"))
                .isEqualTo(
                        "The guest speaks as 10.77.4.8 on Network net, but its address is 10.77.4.2: what it sends as"
                                + " 10.77.4.8 is dropped. Let it take its address from cloud-init's network config, or ask for"
                                + " that one by spec.networks[net].address and restart it");
        assertThat(observed()).contains("10.77.4.8");
        reach = Reach.CLOSED;
        assertThat(brief()).endsWith("GuestReachable=False/AddressDiffers Ready=False/AddressDiffers");
        heard(ArpWitness.NOTHING);
        assertThat(brief()).contains("NetworkReady=True/AsExpected").endsWith("Ready=False/PortClosed");
        assertThat(observed()).isEmpty();
    }

    @Test
    void aGuestThatChangedItsMacAddressIsTold() {
        heard(new ArpWitness(List.of(Given.nic().ip()), Optional.empty()));
        assertThat(brief()).contains("NetworkReady=False/AddressDiffers");
        assertThat(message("NetworkReady"))
                .isEqualTo("The guest speaks as 10.77.4.2 on Network net, but not from its MAC address, which is "
                        + Given.nic().mac() + ": what it sends so is dropped. Let it keep the MAC address that its"
                        + " interface has, or ask for that one by spec.networks[net].macAddress and restart it");
        assertThat(observed()).isEmpty();
    }

    @Test
    void anAddressThatSomebodyElseUsesTooIsTold() {
        heard(new ArpWitness(List.of(Ipv4Address.parse("10.77.4.9")), Optional.of("52:00:00:00:00:99")));
        assertThat(brief()).contains("NetworkReady=False/AddressInUse").endsWith("Ready=True/PortOpen");
        assertThat(message("NetworkReady"))
                .isEqualTo("10.77.4.2 is this VM's address on Network net, and 52:00:00:00:00:99 on the same segment"
                        + " says it has it too: answers reach the one or the other. Find that machine, or give one of"
                        + " the two another address");
    }

    private Optional<ArpWitness.Trespass> trespass = Optional.empty();

    /** On the LAN, with an address by its DHCP. */
    private void onTheLan(Optional<String> heard) {
        DesiredNic nic = Given.lanNic("vm-1", "0.0.0.0", 1500);
        VmRecord of = VmRecord.of(Given.WEB, 200_000, List.of(nic), List.of(), Duration.ofSeconds(30));
        record = Seen.present(of.withLaunch(Given.launch(), 0));
        resolution = new Resolution.Desired<>(Given.desiredVm(RunStrategy.ALWAYS, List.of(nic)));
        Link tap = new Link(8, nic.tap(), "tun", "fe:00:00:00:00:08", 1500, true, nic.mark(), 5, 200_000, 0);
        nics.clear();
        nics.put(
                "lan-1",
                new NicObservation(
                        nic.tap(),
                        Seen.present(Given.br0()),
                        Seen.present(tap),
                        Seen.present(Set.copyOf(nic.elements("vm-1"))),
                        Seen.missing(),
                        Seen.missing(),
                        Seen.missing(),
                        Seen.missing(),
                        Seen.present(new ArpWitness(
                                heard.map(Ipv4Address::parse).stream().toList(),
                                Optional.empty(),
                                heard.map(Ipv4Address::parse),
                                trespass)),
                        Seen.missing()));
    }

    @Test
    void anAddressByDhcpThatAnotherVmOfTheNodeAskedForIsTold() {
        trespass = Optional.of(new ArpWitness.Trespass(
                Ipv4Address.parse("192.168.1.50"), new dev.vmlet.model.VmId("shop", "till", "vm-2")));
        onTheLan(Optional.empty());
        reach = Reach.NOT_PROBED;
        assertThat(ip()).isEmpty();
        assertThat(brief()).contains("NetworkReady=False/AddressInUse");
        assertThat(message("NetworkReady"))
                .isEqualTo(
                        "The guest speaks as 192.168.1.50 on Network lan, and VM shop/till of this node asked for that"
                                + " address: what it sends as 192.168.1.50 is dropped. A node tells its guests apart by address,"
                                + " also where they are on different LANs: keep 192.168.1.50 out of the range that the LAN's"
                                + " DHCP gives out, or give VM shop/till another address or another node");
    }

    private Optional<String> ip() {
        return Optional.ofNullable(
                Objects.requireNonNull(status(NOW).addresses()).get(0).ip());
    }

    @Test
    void anAddressByDhcpIsShownWhenItIsHeardAndStaysWhenTheGuestIsSilent() {
        onTheLan(Optional.empty());
        reach = Reach.NOT_PROBED;
        assertThat(ip()).isEmpty();
        assertThat(brief()).endsWith("GuestReachable=False/AddressPending Ready=False/AddressPending");
        assertThat(message("Ready"))
                .isEqualTo(
                        "The guest was not heard with an address on Network lan yet; the DHCP of its LAN is to give it"
                                + " one.");
        assertThat(Objects.requireNonNull(status(Given.NOW.plusSeconds(301)).conditions())
                        .get(5)
                        .message())
                .isEqualTo("The guest was not heard with an address on Network lan within 300 s; look for a DHCP server"
                        + " on its LAN, and at the guest's serial console");
        onTheLan(Optional.of("192.168.1.77"));
        reach = Reach.OPEN;
        assertThat(fromPods())
                .isEqualTo(
                        "Unknown OperatorsLan: Network lan is a LAN of the operator's: pods reach the guest at its own"
                                + " address where the node's routes lead there.");
        assertThat(ip()).contains("192.168.1.77");
        assertThat(observed()).isEmpty();
        assertThat(brief()).contains("NetworkReady=True/AsExpected").endsWith("Ready=True/PortOpen");
        vm.setStatus(status(NOW));
        onTheLan(Optional.empty());
        reach = Reach.NOT_PROBED;
        assertThat(ip()).contains("192.168.1.77");
        assertThat(brief()).endsWith("Ready=True/PortOpen");
        // Another process is another guest.
        process = Seen.present(new GuestProcess.Alive(4712, 9));
        assertThat(ip()).isEmpty();
    }

    @Test
    void whatCouldNotBeHeardIsNotSilence() {
        nics.computeIfPresent(
                "net-1",
                (_, look) -> new NicObservation(
                        look.tapName(),
                        look.bridge(),
                        look.tap(),
                        look.elements(),
                        look.behind(),
                        look.listeners(),
                        look.clusterIps(),
                        look.passage(),
                        Seen.unknown("look for who claims 10.77.4.2: timed out"),
                        look.neighbours()));
        assertThat(brief()).contains("NetworkReady=Unknown/CannotLook");
    }

    @Test
    void tellsAClosedPortFromOneThatIsLate() {
        reach = Reach.CLOSED;
        assertThat(message("Ready")).isEqualTo("10.77.4.2:22 has not answered yet.");
        assertThat(brief()).endsWith("GuestReachable=False/PortClosed Ready=False/PortClosed");
        vm.setStatus(status(NOW));
        VirtualMachineStatus late = status(Given.NOW.plusSeconds(301));
        assertThat(Objects.requireNonNull(late.conditions()).get(5).message())
                .isEqualTo("10.77.4.2:22 did not answer within 300 s; look at the guest's serial console");
    }

    @Test
    void aBusyVmmIsNotADeadGuest() {
        guest = GuestState.of(GuestState.Kind.BUSY);
        assertThat(brief()).startsWith("Running").contains(" Running=True/Running ");
    }

    @Test
    void aStoppingGuestIsNotReady() {
        record = Seen.present(Given.record()
                .withLaunch(Given.launch(), 0)
                .withStop(new VmRecord.Stop(NOW, Reason.StoppedOnRequest, VmRecord.Rung.POWER_BUTTON, NOW, NOW)));
        plan = Plan.waiting(Reason.Stopping, "waiting", Duration.ofMillis(500));
        assertThat(brief())
                .startsWith("Stopping")
                .contains(" Running=True/Stopping ")
                .endsWith("Ready=False/Stopping");
    }

    @Test
    void aHaltedVmIsStopped() {
        resolution = new Resolution.Desired<>(Given.desiredVm(RunStrategy.HALTED, List.of(Given.nic())));
        nothingRuns(Given.record());
        plan = Plan.waiting(Reason.Stopped, "runStrategy is Halted", Duration.ofHours(1));
        assertThat(brief())
                .isEqualTo("Stopped Scheduled=True/Assigned NetworkReady=True/AsExpected DisksReady=True/AsExpected"
                        + " Running=False/Stopped GuestReachable=False/NotRunning Ready=False/Stopped");
        assertThat(status(NOW).vmm()).isNull();
        assertThat(status(NOW).startedAt()).isNull();
        assertThat(status(NOW).bootedGeneration()).isNull();
        assertThat(status(NOW).addresses()).hasSize(1);
    }

    private void endedBy(RunStrategy strategy, Reason reason) {
        resolution = new Resolution.Desired<>(Given.desiredVm(strategy, List.of(Given.nic())));
        nothingRuns(Given.record()
                .withLaunch(Given.launch(), 1)
                .withExit(new VmRecord.Exit(reason, "It ended.", NOW, 3, ""), 1));
    }

    @Test
    void tellsAGuestThatFailedFromOneThatIsDone() {
        endedBy(RunStrategy.ONCE, Reason.GuestPoweredOff);
        assertThat(status(NOW).phase()).isEqualTo(VirtualMachineStatus.Phase.Stopped);
        assertThat(status(NOW).lastExit())
                .isEqualTo(new VirtualMachineStatus.LastExit("GuestPoweredOff", "It ended.", "2026-01-01T12:01:00Z"));
        endedBy(RunStrategy.ONCE, Reason.GuestPanic);
        assertThat(status(NOW).phase()).isEqualTo(VirtualMachineStatus.Phase.Failed);
        endedBy(RunStrategy.ALWAYS, Reason.VmmKilled);
        plan = Plan.waiting(Reason.BackOff, "It ended. The next try is at X.", Duration.ofSeconds(1));
        assertThat(status(NOW).phase()).isEqualTo(VirtualMachineStatus.Phase.Failed);
        assertThat(message("Running")).isEqualTo("It ended. The next try is at X.");
    }

    @Test
    void namesTheStepThatTheHostRefused() {
        nothingRuns(Given.record());
        PlannedStep step = new PlannedStep(new Step.SpawnVmm(Given.launch().spec()), "it is to run");
        outcome = new Outcome(
                List.of(),
                Optional.of(new Outcome.Failure(step, new HostException.Refused("no memory", null))),
                List.of());
        assertThat(status(NOW).phase()).isEqualTo(VirtualMachineStatus.Phase.Failed);
        assertThat(message("Running")).isEqualTo("start qemu for lab/web (2 cores, 2048 MiB): no memory");
    }

    @Test
    void tellsOfALimitThatWaitsForTheNextStartOfAGuestThatRuns() {
        plan = Plan.waiting(Reason.HostRefused, "memory.max stays at max: restart it", Duration.ofSeconds(30));
        assertThat(status(NOW).phase()).isEqualTo(VirtualMachineStatus.Phase.Running);
        assertThat(message("Running")).isEqualTo("memory.max stays at max: restart it");
    }

    private String restart() {
        return Objects.requireNonNull(status(NOW).conditions()).stream()
                .filter(c -> "RestartRequired".equals(c.type()))
                .map(c -> c.status() + "/" + c.reason() + ": " + c.message())
                .collect(Collectors.joining());
    }

    @Test
    void saysWhichChangesWaitForTheNextStartAndHowToHaveIt() {
        DesiredVm asked = Given.desiredVm();
        resolution = new Resolution.Desired<>(new DesiredVm(
                asked.id(),
                4,
                asked.runStrategy(),
                "",
                asked.vmm(),
                4,
                asked.memory(),
                asked.disks(),
                "",
                asked.seed(),
                asked.nics(),
                asked.userId(),
                asked.readiness(),
                asked.grace()));
        assertThat(restart())
                .startsWith("True/ChangesWait: spec.cpu.cores 2 to 4")
                .endsWith(" the next start. For an orderly restart: kubectl annotate vm web -n lab"
                        + " vmlet.dev/restartedAt=$(date -u +%FT%TZ) --overwrite");
    }

    @Test
    void whetherChangesWaitIsUnknownWhereTheObjectCannotBeFollowed() {
        resolution = new Resolution.Unresolved<>(Reason.SecretNotFound, "no Secret s");
        assertThat(restart()).isEqualTo("Unknown/SecretNotFound: no Secret s");
        vm.getMetadata().setGeneration(3L);
        assertThat(restart())
                .as("it runs with this very generation")
                .isEqualTo("False/AsExpected: The guest runs with all that its spec asks for.");
        process = Seen.unknown("busy");
        assertThat(restart()).startsWith("Unknown/CannotLook");
    }

    @Test
    void nothingWaitsOfAGuestThatDoesNotRunOrIsDeleted() {
        resolution = new Resolution.Absent<>();
        assertThat(restart()).startsWith("False/Deleting");
        nothingRuns(Given.record());
        assertThat(restart()).isEqualTo("False/NotRunning: No guest runs; the next start takes all of the spec.");
    }

    @Test
    void aDiskThatWaitsForTheNextStartSaysNothingOfTheDisksOfThisOne() {
        disks = Map.of("root", new DiskState.Ready(1000), "data", new DiskState.Missing());
        assertThat(brief()).contains("DisksReady=True/AsExpected");
        disks = Map.of("root", new DiskState.Missing());
        assertThat(brief()).contains("DisksReady=False/PreparingDisks");
    }

    @Test
    void aVmOfALostNodeIsUnknownAndSaysSinceWhen() {
        VirtualMachine vm = Given.vm();
        assertThat(VmStatus.isLost(vm)).isFalse();
        vm.setStatus(VmStatus.ofLostNode(vm, "a", NOW.minusSeconds(41), NOW));
        assertThat(VmStatus.isLost(vm)).isTrue();
        assertThat(Objects.requireNonNull(vm.getStatus()).phase()).isEqualTo(VirtualMachineStatus.Phase.Unknown);
        assertThat(Objects.requireNonNull(vm.getStatus().conditions()))
                .extracting(c -> c.type() + "=" + c.status() + "/" + c.reason())
                .containsExactly(
                        "NetworkReady=Unknown/NodeLost",
                        "DisksReady=Unknown/NodeLost",
                        "Running=Unknown/NodeLost",
                        "GuestReachable=Unknown/NodeLost",
                        "Ready=Unknown/NodeLost",
                        "ReachableFromPods=Unknown/NodeLost");
        assertThat(Objects.requireNonNull(vm.getStatus().conditions())
                        .getFirst()
                        .message())
                .isEqualTo("node a has not been heard of since " + NOW.minusSeconds(41)
                        + "; the guest may still run there, and its addresses stay its own. Start the agent of that"
                        + " node again");
    }

    @Test
    void showsTheProgressOfADisk() {
        nothingRuns(Given.record());
        disks = Map.of("root", new DiskState.Preparing("Downloading debian-13: 41 %"));
        plan = Plan.waiting(Reason.PreparingDisks, "Downloading debian-13: 41 %", Duration.ofSeconds(2));
        assertThat(brief())
                .isEqualTo("Preparing Scheduled=True/Assigned NetworkReady=True/AsExpected"
                        + " DisksReady=False/PreparingDisks Running=False/PreparingDisks"
                        + " GuestReachable=False/NotRunning Ready=False/PreparingDisks");
        assertThat(message("Ready")).isEqualTo("Downloading debian-13: 41 %");
    }

    @Test
    void saysWhatToChangeBeforeTheFirstStart() {
        record = Seen.missing();
        process = Seen.missing();
        guest = GuestState.of(GuestState.Kind.NONE);
        nics.clear();
        disks = Map.of();
        resolution = new Resolution.Unresolved<>(Reason.NetworkNotFound, "there is no Network net");
        plan = Plan.waiting(Reason.NetworkNotFound, "there is no Network net", Duration.ofSeconds(30));
        assertThat(brief())
                .isEqualTo("Pending Scheduled=True/Assigned NetworkReady=False/NetworkNotFound"
                        + " DisksReady=Unknown/CannotLook Running=False/NetworkNotFound"
                        + " GuestReachable=False/NotRunning Ready=False/NetworkNotFound");
    }

    private static VirtualMachineStatus with(VirtualMachineStatus status, String type, String message) {
        return status.withConditions(Objects.requireNonNull(status.conditions()).stream()
                .map(c -> type.equals(c.type())
                        ? new Condition(
                                c.type(),
                                c.status(),
                                c.reason(),
                                message,
                                c.observedGeneration(),
                                c.lastTransitionTime())
                        : c)
                .toList());
    }

    @Test
    void knowsWhatTellsOnlyWhatWaits() {
        VirtualMachineStatus before = status(NOW);
        VirtualMachineStatus waits =
                with(before, "RestartRequired", "spec.mtu of Network lab waits for the next start");
        assertThat(StatusNews.isOnlyWhatWaits(waits, before)).isTrue();
        assertThat(StatusNews.isOnlyWhatWaits(before, before)).isFalse();
        assertThat(StatusNews.isOnlyWhatWaits(with(waits, "Ready", "other"), before))
                .isFalse();
        assertThat(StatusNews.isOnlyWhatWaits(waits, null)).isFalse();
    }

    @Test
    void knowsAStartThatHasComeFurther() {
        VirtualMachineStatus turn = onItsWay(Phase.Pending, 3L, 1);
        assertThat(StatusNews.isAStepFurther(onItsWay(Phase.Starting, 3L, 1), turn))
                .isTrue();
        assertThat(StatusNews.isAStepFurther(turn, onItsWay(Phase.Preparing, 3L, 1)))
                .isTrue();
        assertThat(StatusNews.isAStepFurther(turn, null)).isFalse();
        assertThat(StatusNews.isAStepFurther(onItsWay(Phase.Running, 3L, 1), turn))
                .as("arrived")
                .isFalse();
        assertThat(StatusNews.isAStepFurther(turn, onItsWay(Phase.Running, 3L, 1)))
                .as("fallen back")
                .isFalse();
        assertThat(StatusNews.isAStepFurther(onItsWay(Phase.Starting, 4L, 1), turn))
                .as("edited")
                .isFalse();
        assertThat(StatusNews.isAStepFurther(onItsWay(Phase.Starting, 3L, 2), turn))
                .as("another start")
                .isFalse();
        var ended = new VirtualMachineStatus.LastExit("VmmKilled", "by signal 9", NOW.toString());
        assertThat(StatusNews.isAStepFurther(onItsWay(Phase.Starting, 3L, 1, ended), turn))
                .as("ended in between, which somebody waits to read")
                .isFalse();
        assertThat(StatusNews.isAStepFurther(
                        onItsWay(Phase.Starting, 3L, 1, ended), onItsWay(Phase.Pending, 3L, 1, ended)))
                .as("started again after an end that is told of")
                .isTrue();
    }

    private static VirtualMachineStatus onItsWay(Phase phase, long generation, int restarts) {
        return onItsWay(phase, generation, restarts, null);
    }

    private static VirtualMachineStatus onItsWay(
            Phase phase, long generation, int restarts, VirtualMachineStatus.@Nullable LastExit lastExit) {
        return new VirtualMachineStatus(
                phase, null, null, null, null, null, restarts, lastExit, generation, null, List.of());
    }
}
