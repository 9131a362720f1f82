package dev.vmlet.controller;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.api.Condition;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineStatus;
import dev.vmlet.api.VmNode;
import dev.vmlet.api.VmNodeSpec;
import dev.vmlet.api.VmNodeSpec.Backend;
import dev.vmlet.api.VmNodeSpec.ServedPort;
import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.FirewallState;
import dev.vmlet.model.Given;
import dev.vmlet.model.GuestState;
import dev.vmlet.model.HostObservation;
import dev.vmlet.model.NicObservation;
import dev.vmlet.model.Protocol;
import dev.vmlet.model.PublishedPort;
import dev.vmlet.model.Reach;
import dev.vmlet.model.ReservedPorts;
import dev.vmlet.model.Seen;
import dev.vmlet.model.ServicePort;
import dev.vmlet.model.VmObservation;
import dev.vmlet.model.VmRecord;
import dev.vmlet.plan.Plan;
import dev.vmlet.plan.PlannedStep;
import dev.vmlet.plan.Step;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What an agent knows of Services, and when it acts on it. */
class LocalServicesTest {
    private static final String UID = Given.WEB.uid();
    private static final DesiredNic NIC = Given.nic()
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
    private static final VmRecord RECORD = Given.record()
            .withLaunch(Given.launch(), 0)
            .withAsked(
                    Given.record().userId(),
                    List.of(NIC),
                    List.of(),
                    Given.record().grace());

    private final LocalServices services = new LocalServices(() -> ReservedPorts.parse("none"));
    private final Set<FirewallElement> inForce = new HashSet<>(NIC.elements(UID));
    private VirtualMachineStatus ready;
    private VirtualMachineStatus notReady;

    @BeforeEach
    void statuses() {
        ready = status(Condition.Status.True, "tcp/8081");
        notReady = status(Condition.Status.False, "tcp/8081");
    }

    private static VirtualMachineStatus status(Condition.Status ready, String published) {
        return new VirtualMachineStatus(
                null,
                List.of(new VirtualMachineStatus.Address(
                        "lab", "10.77.4.2", "52:00:00:00:00:07", "vmt-x", null, List.of(published))),
                null,
                null,
                null,
                null,
                null,
                null,
                null,
                null,
                List.of(new Condition("Ready", ready, "AsExpected", "", 1L, "2026-01-01T12:00:00Z")));
    }

    private static VmNode node(String... uids) {
        VmNode node = new VmNode();
        node.setSpec(new VmNodeSpec(
                null,
                List.of(new ServedPort(
                        "lab/front",
                        List.of("10.96.0.10"),
                        80,
                        null,
                        null,
                        null,
                        null,
                        List.of(uids).stream()
                                .map(uid -> new Backend(uid, uid, uid.equals(UID) ? 8081 : 8082))
                                .toList()))));
        return node;
    }

    private static VirtualMachine vm(String uid, VirtualMachineStatus status) {
        VirtualMachine vm = new VirtualMachine();
        vm.setMetadata(new ObjectMetaBuilder().withName(uid).withUid(uid).build());
        vm.setStatus(status);
        return vm;
    }

    /** The plan of the VM, and what is in force when it is done. */
    private Plan pass() {
        Plan plan = services.in(
                Plan.nothing(),
                Given.WEB,
                new VmObservation(
                        Seen.present(RECORD),
                        Map.of(
                                NIC.network().uid(),
                                new NicObservation(
                                        NIC.tap(),
                                        Seen.present(Given.bridge()),
                                        Seen.present(Given.tap()),
                                        Seen.present(Set.copyOf(inForce)))),
                        Seen.present(Map.of()),
                        Map.of(),
                        Seen.missing(),
                        Seen.missing(),
                        Seen.missing(),
                        GuestState.of(GuestState.Kind.RUNNING),
                        Reach.NOT_PROBED,
                        Seen.present(false)));
        for (PlannedStep planned : plan.steps()) {
            switch (planned.step()) {
                case Step.AddElements(var added) -> inForce.addAll(added);
                case Step.DeleteElements(var deleted) -> deleted.forEach(inForce::remove);
                default -> throw new AssertionError(planned);
            }
        }
        return plan;
    }

    private long leading() {
        return inForce.stream().filter(e -> e.set().isOfServices()).count();
    }

    @Test
    void nothingChangesBeforeTheNodeWasReadAndTheVmLookedAt() {
        assertThat(services.know(UID, ready)).isEmpty();
        assertThat(pass()).isEqualTo(Plan.nothing());
        assertThat(services.withoutStrays(Plan.nothing(), host())).isEqualTo(Plan.nothing());

        LocalServices other = new LocalServices(() -> ReservedPorts.parse("none"));
        assertThat(other.see(node(UID), List.of())).containsExactly(UID);
        assertThat(other.in(Plan.nothing(), Given.WEB, observation())).isEqualTo(Plan.nothing());
    }

    private VmObservation observation() {
        return new VmObservation(
                Seen.present(RECORD),
                Map.of(),
                Seen.present(Map.of()),
                Map.of(),
                Seen.missing(),
                Seen.missing(),
                Seen.missing(),
                GuestState.of(GuestState.Kind.RUNNING),
                Reach.NOT_PROBED,
                Seen.present(false));
    }

    @Test
    void aVmIsLedToWhileItIsReadyAndBehindTheService() {
        assertThat(services.see(node(UID), List.of(vm(UID, notReady)))).containsExactly(UID);
        assertThat(pass()).isEqualTo(Plan.nothing());

        assertThat(services.know(UID, ready)).containsExactly(UID);
        assertThat(pass().steps().getFirst().cause()).isEqualTo(PlannedStep.Cause.ASKED);
        assertThat(leading()).isEqualTo(16);
        assertThat(services.know(UID, ready)).as("nothing new").isEmpty();
        assertThat(services.see(node(UID), List.of(vm(UID, notReady))))
                .as("what was looked at is newer than what is written")
                .isEmpty();
        assertThat(pass()).isEqualTo(Plan.nothing());

        assertThat(services.know(UID, notReady)).containsExactly(UID);
        pass();
        assertThat(leading()).isZero();

        services.know(UID, ready);
        pass();
        assertThat(services.see(node(), List.of(vm(UID, ready)))).containsExactly(UID);
        pass();
        assertThat(leading()).isZero();
    }

    @Test
    void anAgentThatStartsTakesWhatIsWrittenOfTheVms() {
        services.see(node(UID, "vm-2"), List.of(vm(UID, ready), vm("vm-2", status(Condition.Status.True, "tcp/8082"))));
        pass();
        assertThat(leading()).isEqualTo(8);
        assertThat(services.leaves("vm-2")).containsExactlyInAnyOrder(UID, "vm-2");
        assertThat(services.leaves("vm-2")).isEmpty();
        pass();
        assertThat(leading()).isEqualTo(16);
    }

    @Test
    void whatSomebodyTakesAwayIsDriftEachTimeUntilItIsBack() {
        services.see(node(UID), List.of(vm(UID, ready)));
        pass();
        assertThat(pass()).isEqualTo(Plan.nothing());
        inForce.removeIf(e -> e.set().isOfServices());
        assertThat(services.disturbed(List.of(RECORD), inForce)).containsExactly(UID);
        Set<FirewallElement> without = Set.copyOf(inForce);
        assertThat(pass().steps().getFirst().cause()).isEqualTo(PlannedStep.Cause.DRIFT);
        inForce.retainAll(without);
        assertThat(pass().steps().getFirst().cause()).isEqualTo(PlannedStep.Cause.DRIFT);
        assertThat(services.disturbed(List.of(RECORD), inForce)).isEmpty();
    }

    private HostObservation host() {
        return new HostObservation(
                Seen.present(new FirewallState(true, "", inForce)),
                Optional.empty(),
                Seen.missing(),
                Map.of(),
                Seen.present(List.of()),
                List.of(),
                List.of(RECORD),
                List.of(),
                Set.of(),
                Seen.present(Map.of()));
    }

    /** The VM's object is gone and its guest is held: nobody else plans for it. */
    @Test
    void theNodeEndsWhatLeadsWhereNoServiceIsAnyMore() {
        services.see(node(UID), List.of(vm(UID, ready)));
        pass();
        assertThat(services.withoutStrays(Plan.nothing(), host())).isEqualTo(Plan.nothing());
        services.see(node(UID), List.of());
        assertThat(pass()).as("nothing is known of it").isEqualTo(Plan.nothing());
        services.see(node("vm-2"), List.of());
        assertThat(services.withoutStrays(Plan.nothing(), host()).steps())
                .extracting(PlannedStep::because)
                .containsExactly("no Service leads there any more");
    }
}
