package dev.vmlet.status;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.api.VmNode;
import dev.vmlet.api.VmNodeStatus;
import dev.vmlet.api.VmNodeStatus.Finding;
import dev.vmlet.api.VmNodeStatus.Hold;
import dev.vmlet.model.FirewallState;
import dev.vmlet.model.Given;
import dev.vmlet.model.HostObservation;
import dev.vmlet.model.Seen;
import dev.vmlet.plan.Orphans;
import dev.vmlet.plan.Orphans.Cause;
import dev.vmlet.plan.Orphans.Held;
import dev.vmlet.plan.Outcome;
import dev.vmlet.plan.Plan;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

class NodeStatusTest {
    private static final Seen<FirewallState> INTACT = Seen.present(new FirewallState(true, "", Set.of()));
    private static final Held TOGETHER = held("vm-1", Cause.ManyAtOnce, "2 VMs of this node lost their objects");
    private static final Held WAITING = held("vm-2", Cause.GracePeriod, "it is gone");

    private final VmNode node = new VmNode();
    private Optional<String> pressure = Optional.empty();
    private List<String> deafness = List.of();
    private Plan plan = Plan.nothing();

    private static Held held(String uid, Cause cause, String sentence) {
        return new Held("VirtualMachine", "lab/web-" + uid, uid, new Orphans.Doubt(cause, sentence), Given.NOW);
    }

    NodeStatusTest() {
        node.setMetadata(
                new ObjectMetaBuilder().withName("a").withGeneration(1L).build());
    }

    private static NodeStatus.Facts facts(boolean kvm, String vmm, String gap) {
        return new NodeStatus.Facts(
                "1.0",
                Given.BOOT,
                kvm,
                kvm ? "KVM works." : "no /dev/kvm",
                vmm,
                "53.0",
                "/bin/vmm",
                "install it",
                false,
                false,
                6,
                gap,
                "6.12",
                "amd64",
                8,
                "16Gi");
    }

    private VmNodeStatus status(
            NodeStatus.Facts facts,
            Seen<FirewallState> firewall,
            List<Finding> findings,
            List<Held> holds,
            List<String> failures,
            Instant now) {
        HostObservation seen = new HostObservation(
                firewall,
                Optional.empty(),
                Seen.missing(),
                Map.of(),
                Seen.present(List.of()),
                List.of(),
                List.of(Given.record(), Given.record().withLaunch(Given.launch(), 0)),
                List.of(),
                Set.of(),
                Seen.present(Map.of()));
        return NodeStatus.of(
                node,
                facts,
                plan,
                Outcome.nothing(),
                seen,
                3,
                findings,
                holds,
                failures,
                pressure,
                deafness,
                Optional.empty(),
                now);
    }

    private static String brief(VmNodeStatus status) {
        return Objects.requireNonNull(status.conditions()).stream()
                .map(c -> c.type() + "=" + c.status() + "/" + c.reason())
                .collect(Collectors.joining(" "));
    }

    private static final NodeStatus.Facts GOOD = facts(true, "cloud-hypervisor", "");

    @Test
    void aGoodNodeIsReadyAndCountsItsVms() {
        VmNodeStatus status = status(GOOD, INTACT, List.of(), List.of(), List.of(), Given.NOW);
        assertThat(brief(status))
                .isEqualTo(
                        "FirewallReady=True/AsExpected VmmReady=True/AsExpected Confined=True/AsExpected"
                                + " Swept=True/AsExpected ImageSpace=True/AsExpected Watching=True/AsExpected Ready=True/AsExpected");
        assertThat(status.vms()).isEqualTo(new VmNodeStatus.Vms(2, 1));
        assertThat(status.bridgePorts()).isEqualTo(new VmNodeStatus.BridgePorts(3, 1023));
    }

    @Test
    void aNodeThatDoesNotHearTheKernelSaysSoAndIsReadyAllTheSame() {
        deafness = List.of("link-monitor does not hear the kernel (recv: ENOMEM)");
        VmNodeStatus status = status(GOOD, INTACT, List.of(), List.of(), List.of(), Given.NOW);
        assertThat(brief(status)).contains(" Watching=False/CannotLook Ready=True");
        assertThat(Objects.requireNonNull(status.conditions()).stream()
                        .filter(c -> "Watching".equals(c.type()))
                        .map(c -> c.message()))
                .containsExactly(
                        "link-monitor does not hear the kernel (recv: ENOMEM); what others change is seen within"
                                + " 30 s.");
    }

    @Test
    void anIdleNodeWritesNothing() {
        VmNodeStatus first = status(GOOD, INTACT, List.of(), List.of(TOGETHER), List.of(), Given.NOW);
        node.setStatus(first);
        assertThat(status(GOOD, INTACT, List.of(), List.of(TOGETHER), List.of(), Given.NOW.plusSeconds(3600)))
                .isEqualTo(first);
    }

    @Test
    void aNewFindingIsWrittenWithItsTime() {
        node.setStatus(status(GOOD, INTACT, List.of(), List.of(), List.of(), Given.NOW));
        Finding finding = new Finding("VirtualMachine", "x", "uid x", "Removed", "delete link t");
        VmNodeStatus.Sweep sweep = Objects.requireNonNull(
                status(GOOD, INTACT, List.of(finding), List.of(), List.of(), Given.NOW.plusSeconds(60))
                        .sweep());
        assertThat(sweep).isEqualTo(new VmNodeStatus.Sweep("2026-01-01T12:01:00Z", 1, List.of(finding), 0, List.of()));
    }

    @Test
    void doesNotKnowAFirewallItCouldNotRead() {
        assertThat(brief(status(GOOD, Seen.unknown("nft: busy"), List.of(), List.of(), List.of(), Given.NOW)))
                .startsWith("FirewallReady=Unknown/CannotLook")
                .endsWith("Ready=False/FirewallNotReady");
    }

    @Test
    void saysWhyNoGuestCanRun() {
        assertThat(brief(status(facts(false, "", ""), INTACT, List.of(), List.of(), List.of(), Given.NOW)))
                .contains("VmmReady=False/NoVirtualization")
                .endsWith("Ready=False/NoVirtualization");
        assertThat(brief(status(facts(true, "", ""), INTACT, List.of(), List.of(), List.of(), Given.NOW)))
                .contains("VmmReady=False/VmmUnavailable")
                .endsWith("Ready=False/VmmUnavailable");
        assertThat(brief(
                        status(facts(true, "qemu", "no Landlock"), INTACT, List.of(), List.of(), List.of(), Given.NOW)))
                .contains("Confined=False/VmmUnavailable")
                .endsWith("Ready=True/AsExpected");
    }

    @Test
    void holdsAndFailuresOfTheSweepShow() {
        assertThat(brief(status(GOOD, INTACT, List.of(), List.of(TOGETHER), List.of(), Given.NOW)))
                .contains("Swept=False/OrphanHeld");
        assertThat(brief(status(GOOD, INTACT, List.of(), List.of(), List.of("unreadable"), Given.NOW)))
                .contains("Swept=False/HostRefused");
    }

    private String swept(List<Held> holds) {
        return Objects.requireNonNull(status(GOOD, INTACT, List.of(), holds, List.of(), Given.NOW)
                        .conditions())
                .stream()
                .filter(c -> "Swept".equals(c.type()))
                .map(c -> String.valueOf(c.message()))
                .findFirst()
                .orElseThrow();
    }

    @Test
    void aHoldGivesTheCommandThatEndsItWithWhatIsConfirmedAlready() {
        node.getMetadata().setAnnotations(Map.of("vmlet.dev/confirm-removal", "vm-3, vm-9"));
        Held confirmed = held("vm-3", Cause.CannotLook, "it is to be taken down, and cannot: busy");
        List<Hold> holds = Objects.requireNonNull(Objects.requireNonNull(
                        status(GOOD, INTACT, List.of(), List.of(TOGETHER, WAITING, confirmed), List.of(), Given.NOW)
                                .sweep())
                .holds());
        assertThat(holds)
                .isEqualTo(List.of(
                        new Hold(
                                "VirtualMachine",
                                "lab/web-vm-1",
                                "uid vm-1",
                                "ManyAtOnce",
                                "2 VMs of this node lost their objects",
                                "kubectl annotate vmnode a vmlet.dev/confirm-removal=vm-1,vm-3 --overwrite",
                                "2026-01-01T12:00:00Z"),
                        new Hold(
                                "VirtualMachine",
                                "lab/web-vm-2",
                                "uid vm-2",
                                "GracePeriod",
                                "it is gone",
                                null,
                                "2026-01-01T12:00:00Z"),
                        new Hold(
                                "VirtualMachine",
                                "lab/web-vm-3",
                                "uid vm-3",
                                "CannotLook",
                                "it is to be taken down, and cannot: busy",
                                null,
                                "2026-01-01T12:00:00Z")));
    }

    @Test
    void theConditionNamesWhoWaitsForAPersonAndHowThatEnds() {
        assertThat(swept(List.of(WAITING)))
                .isEqualTo("VirtualMachine lab/web-vm-2 (uid vm-2) without an object: it is gone.");
        assertThat(swept(List.of(WAITING, TOGETHER)))
                .isEqualTo("VirtualMachine lab/web-vm-1 (uid vm-1) without an object waits for a person: 2 VMs of this"
                        + " node lost their objects. Bring the objects back, or have guests and disks removed: kubectl"
                        + " annotate vmnode a vmlet.dev/confirm-removal=vm-1 --overwrite");
    }

    @Test
    void readsItsOwnStatusBackOnlyToHoldMore() {
        assertThat(Holds.heldTogether(node)).isEmpty();
        node.setStatus(status(GOOD, INTACT, List.of(), List.of(TOGETHER, WAITING), List.of(), Given.NOW));
        assertThat(Holds.heldTogether(node)).containsExactly("vm-1");
    }

    @Test
    void confirmationsAreUidsWithCommasOrBlanksBetween() {
        assertThat(Holds.confirmed(node)).isEmpty();
        node.getMetadata().setAnnotations(Map.of("vmlet.dev/confirm-removal", " vm-1,vm-2 ,\n vm-3,"));
        assertThat(Holds.confirmed(node)).containsExactly("vm-1", "vm-2", "vm-3");
    }

    @Test
    void aNodeThatWasNotSeenWholeDoesNotKnowWhetherItIsReady() {
        plan = Plan.waiting(dev.vmlet.model.Reason.CannotLook, "dump: busy", java.time.Duration.ofSeconds(1));
        assertThat(brief(status(GOOD, INTACT, List.of(), List.of(), List.of("dump: busy"), Given.NOW)))
                .contains("Swept=Unknown/CannotLook")
                .endsWith("Ready=Unknown/CannotLook");
    }

    @Test
    void aFileSystemThatStaysTooFullShowsAndKeepsNoGuestFromRunning() {
        pressure = Optional.of("too full; free some space");
        VmNodeStatus status = status(GOOD, INTACT, List.of(), List.of(), List.of(), Given.NOW);
        assertThat(brief(status)).endsWith("ImageSpace=False/NoSpace Watching=True/AsExpected Ready=True/AsExpected");
        assertThat(Objects.requireNonNull(status.conditions()).get(4).message()).isEqualTo("too full; free some space");
    }
}
