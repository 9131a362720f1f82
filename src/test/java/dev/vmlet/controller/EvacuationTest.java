package dev.vmlet.controller;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.vmlet.api.Condition;
import dev.vmlet.api.RunStrategy;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineStatus;
import dev.vmlet.api.VmNode;
import dev.vmlet.host.FakeVmms;
import dev.vmlet.model.Given;
import dev.vmlet.model.GuestState;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Maintenance of a machine: its guests go down in good order, stay down, and come back when it is over. */
class EvacuationTest {
    private static final Duration PATIENCE = Duration.ofSeconds(60);

    @TempDir
    Path directory;

    private NodeOnItsOwnServer node;

    @BeforeEach
    void start() throws Exception {
        node = new NodeOnItsOwnServer(directory, 4);
        node.startAgent();
        node.createNetwork();
        node.createVm("always", RunStrategy.Always);
        node.createVm("rerun", RunStrategy.RerunOnFailure);
        node.createVm("once", RunStrategy.Once);
        awaitPhases(Map.of("always", "Running", "rerun", "Running", "once", "Running"));
    }

    @AfterEach
    void end() {
        node.close();
    }

    @Test
    void guestsGoDownStayDownThroughRestartAndRebootAndComeBackWhenItEnds() throws Exception {
        node.evacuation().begin(Given.NOW);
        awaitPhases(Map.of("always", "Stopped", "rerun", "Stopped", "once", "Stopped"));
        assertThat(running("always"))
                .isEqualTo("False Evacuated This node is evacuated since 2026-01-01T12:00:00Z."
                        + " `vmlet evacuate --end` on the node ends it.");
        assertThat(status("always").lastExit()).extracting("reason").isEqualTo("Evacuated");
        assertThat(node.look(() -> node.vmms.guests().values().stream()
                        .mapToInt(FakeVmms.Guest::cuts)
                        .sum()))
                .as("their powers were not cut: they shut down")
                .isZero();
        awaitNodeReady("False Evacuated");

        node.endAgent();
        node.startAgent();
        node.createVm("newcomer", RunStrategy.Always);
        awaitPhases(Map.of("always", "Stopped", "rerun", "Stopped", "once", "Stopped", "newcomer", "Stopped"));
        node.endAgent();
        node.reboot("boot-2");
        node.startAgent();
        awaitPhases(Map.of("always", "Stopped", "rerun", "Stopped", "once", "Stopped", "newcomer", "Stopped"));
        assertThat(node.look(() -> node.vmms.guests().size())).isZero();

        node.evacuation().end();
        awaitPhases(Map.of("always", "Running", "rerun", "Running", "once", "Stopped", "newcomer", "Running"));
        awaitNodeReady("True AsExpected");
        assertThat(node.vms())
                .as("an evacuation is no failure of the guest")
                .allMatch(vm -> Integer.valueOf(0)
                        .equals(Objects.requireNonNull(vm.getStatus()).restarts()));
    }

    @Test
    void theAnnotationOfTheNodeDoesTheSameAndIsKnownBeforeAnAgentStartsAnything() {
        annotate("true");
        awaitPhases(Map.of("always", "Stopped", "rerun", "Stopped", "once", "Stopped"));
        assertThat(running("rerun"))
                .isEqualTo("False Evacuated The VmNode of this node has the annotation vmlet.dev/evacuate."
                        + " Removing it ends the evacuation.");
        node.endAgent();
        int before = node.look(() -> node.vmms.guests().size());
        node.startAgent();
        awaitNodeReady("False Evacuated");
        assertThat(node.look(() -> node.vmms.guests().size())).isEqualTo(before).isZero();

        annotate(null);
        awaitPhases(Map.of("always", "Running", "rerun", "Running", "once", "Stopped"));
    }

    @Test
    void aHostThatShutsDownWaitsForItsGuestsNoLongerThanItCan() {
        node.look(() -> {
            node.vmms.ignorePowerButtons(true);
            return null;
        });
        node.downtimes().hostShutsDown(Duration.ZERO);
        node.wakes().wakeVms();
        await().atMost(PATIENCE)
                .untilAsserted(() -> assertThat(node.look(() -> node.vmms.guests().values().stream()
                                .mapToInt(FakeVmms.Guest::cuts)
                                .sum()))
                        .as("power cuts, although the guests have 30 s")
                        .isGreaterThanOrEqualTo(3));
        node.look(() -> {
            node.vmms.ignorePowerButtons(false);
            return null;
        });
        awaitPhases(Map.of("always", "Stopped", "rerun", "Stopped", "once", "Stopped"));
        assertThat(status("rerun").lastExit()).extracting("reason").isEqualTo("HostShutdown");

        node.downtimes().hostStays();
        node.wakes().wakeVms();
        awaitPhases(Map.of("always", "Running", "rerun", "Running", "once", "Stopped"));
    }

    /** Their objects are gone without our release, so that a person has to decide; that must not hold up the machine. */
    @Test
    void guestsThatAreHeldGoDownTooAndStayHeld() throws Exception {
        node.endAgent();
        List<String> uids = List.of(loseObject("always"), loseObject("rerun"));
        node.startAgent();
        await().atMost(PATIENCE)
                .ignoreExceptions()
                .untilAsserted(() -> assertThat(holds())
                        .containsExactlyInAnyOrderElementsOf(uids.stream()
                                .map(uid -> "uid " + uid + " ManyAtOnce")
                                .toList()));
        node.evacuation().begin(Given.NOW);
        await().atMost(PATIENCE)
                .untilAsserted(() -> assertThat(node.look(() -> node.records.vms().stream()
                                .filter(record -> record.launch().isPresent())
                                .toList()))
                        .as("what `vmlet evacuate` waits for")
                        .isEmpty());
        assertThat(node.look(() -> node.records.all().keySet())).containsAll(uids);
        assertThat(node.look(() -> node.disks.traces())).containsAll(uids);
        assertThat(holds()).hasSize(2);
    }

    private String loseObject(String name) {
        var object = node.client()
                .resources(VirtualMachine.class)
                .inNamespace("default")
                .withName(name);
        String uid = object.get().getMetadata().getUid();
        var _ = object.delete();
        await().atMost(PATIENCE).ignoreExceptions().until(() -> {
            if (object.get() != null) {
                var _ = object.edit(vm -> {
                    vm.getMetadata().setFinalizers(List.of());
                    return vm;
                });
            }
            return object.get() == null;
        });
        return uid;
    }

    private List<String> holds() {
        var sweep = Objects.requireNonNull(
                Objects.requireNonNull(vmNode().getStatus()).sweep());
        return Objects.requireNonNull(sweep.holds()).stream()
                .map(hold -> hold.owner() + " " + hold.cause())
                .toList();
    }

    /** Disks are ready and guests boot, whatever else happens. */
    private void awaitPhases(Map<String, String> expected) {
        await().atMost(PATIENCE).pollInterval(Duration.ofMillis(50)).untilAsserted(() -> {
            node.look(() -> {
                node.disks.finishAll();
                node.vmms.guests().values().stream()
                        .filter(g -> g.kind() == GuestState.Kind.STARTING)
                        .forEach(FakeVmms.Guest::boots);
                return null;
            });
            assertThat(phases()).isEqualTo(new TreeMap<>(expected));
        });
    }

    private Map<String, String> phases() {
        return node.vms().stream()
                .collect(Collectors.toMap(
                        vm -> vm.getMetadata().getName(),
                        vm -> vm.getStatus() == null
                                ? "none"
                                : String.valueOf(vm.getStatus().phase()),
                        (a, _) -> a,
                        TreeMap::new));
    }

    private String running(String vm) {
        return said(node.vm(vm), "Running").stream()
                .map(c -> c.status() + " " + c.reason() + " " + c.message())
                .collect(Collectors.joining());
    }

    private static List<Condition> said(VirtualMachine vm, String type) {
        VirtualMachineStatus status = Objects.requireNonNull(vm.getStatus());
        return Objects.requireNonNull(status.conditions()).stream()
                .filter(c -> type.equals(c.type()))
                .toList();
    }

    private VirtualMachineStatus status(String vm) {
        return Objects.requireNonNull(node.vm(vm).getStatus());
    }

    private void awaitNodeReady(String expected) {
        await().atMost(PATIENCE)
                .untilAsserted(() -> assertThat(
                                Objects.requireNonNull(Objects.requireNonNull(vmNode().getStatus())
                                                .conditions())
                                        .stream()
                                        .filter(c -> "Ready".equals(c.type()))
                                        .map(c -> c.status() + " " + c.reason())
                                        .collect(Collectors.toSet()))
                        .isEqualTo(Set.of(expected)));
    }

    private VmNode vmNode() {
        return node.client().resources(VmNode.class).withName(Given.NODE).get();
    }

    private void annotate(@org.jspecify.annotations.Nullable String value) {
        node.client().resources(VmNode.class).withName(Given.NODE).edit(vmNode -> {
            Map<String, String> annotations = new TreeMap<>();
            if (value != null) {
                annotations.put(Downtimes.ANNOTATION, value);
            }
            vmNode.getMetadata().setAnnotations(annotations);
            return vmNode;
        });
    }
}
