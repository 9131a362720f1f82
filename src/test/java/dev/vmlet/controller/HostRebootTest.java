package dev.vmlet.controller;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.vmlet.api.Condition;
import dev.vmlet.api.RunStrategy;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineStatus;
import dev.vmlet.host.FakeVmms;
import dev.vmlet.model.GuestState;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Twenty machines of one node, started a few at a time, before and after its host reboots. */
class HostRebootTest {
    private static final Duration PATIENCE = Duration.ofSeconds(90);
    private static final int AT_ONCE = 3;

    @TempDir
    Path directory;

    private NodeOnItsOwnServer node;
    private final Set<String> heldBack = new TreeSet<>();

    @BeforeEach
    void start() throws Exception {
        node = new NodeOnItsOwnServer(directory, AT_ONCE);
    }

    @AfterEach
    void end() {
        node.close();
    }

    @Test
    void startsAFewGuestsAtATimeAndAfterARebootThoseThatAreToRun() {
        node.startAgent();
        node.createNetwork();
        node.createVm("once", RunStrategy.Once);
        node.createVm("rerun", RunStrategy.RerunOnFailure);
        node.createVm("halted", RunStrategy.Halted);
        for (int i = 0; i < 17; i++) {
            node.createVm("vm-%02d".formatted(i), RunStrategy.Always);
        }
        bringUp(19);
        assertThat(heldBack)
                .as("machines that said that they wait for their turn")
                .isNotEmpty();
        Map<String, String> addresses = addresses();
        assertThat(Set.copyOf(addresses.values())).hasSize(20);

        node.endAgent();
        node.reboot("boot-2");
        heldBack.clear();
        node.startAgent();
        bringUp(18);

        assertThat(heldBack).isNotEmpty();
        await().atMost(PATIENCE).untilAsserted(() -> {
            assertThat(phases())
                    .isEqualTo(Map.of(
                            "Running", 18L,
                            "Stopped", 2L));
            assertThat(status("once").lastExit()).extracting("reason").isEqualTo("HostRebooted");
            assertThat(status("rerun").lastExit()).extracting("reason").isEqualTo("HostRebooted");
        });
        assertThat(addresses()).isEqualTo(addresses);
        assertThat(node.vms())
                .as("nobody is in a pause for an end that is nobody's fault")
                .noneMatch(vm -> conditions(vm).stream().anyMatch(c -> Objects.equals(c.reason(), "BackOff")));
        assertThat(node.look(() -> node.records.forwardingOriginals())).containsExactly("eth0");
    }

    /** Lets guests boot one at a time, as slowly as they like, until so many run; meanwhile never more than three start. */
    private void bringUp(int guests) {
        await().atMost(PATIENCE).pollInterval(Duration.ofMillis(20)).until(() -> {
            List<FakeVmms.Guest> all = node.look(() -> {
                node.disks.finishAll();
                return List.copyOf(node.vmms.guests().values());
            });
            List<FakeVmms.Guest> starting = all.stream()
                    .filter(g -> g.kind() == GuestState.Kind.STARTING)
                    .toList();
            assertThat(starting).hasSizeLessThanOrEqualTo(AT_ONCE);
            notice();
            if (starting.size() == AT_ONCE || all.size() == guests) {
                node.look(() -> {
                    starting.stream().findFirst().ifPresent(FakeVmms.Guest::boots);
                    return null;
                });
            }
            return all.stream().filter(g -> g.kind() == GuestState.Kind.RUNNING).count() == guests;
        });
        assertThat(node.look(() -> node.vmms.guests().size())).isEqualTo(guests);
    }

    /** Who says that it waits, in the words that a user reads. */
    private void notice() {
        for (VirtualMachine vm : node.vms()) {
            conditions(vm).stream()
                    .filter(c -> "Running".equals(c.type()) && Objects.equals(c.reason(), "WaitingForTurn"))
                    .forEach(c -> {
                        assertThat(c.status()).isEqualTo(Condition.Status.False);
                        assertThat(c.message())
                                .isEqualTo("Waits for its turn: 3 guests start at once (--start-parallelism).");
                        assertThat(Objects.requireNonNull(vm.getStatus()).phase())
                                .isEqualTo(VirtualMachineStatus.Phase.Pending);
                        heldBack.add(vm.getMetadata().getName());
                    });
        }
    }

    private static List<Condition> conditions(VirtualMachine vm) {
        VirtualMachineStatus status = vm.getStatus();
        return status == null || status.conditions() == null ? List.of() : status.conditions();
    }

    private VirtualMachineStatus status(String vm) {
        return Objects.requireNonNull(node.vm(vm).getStatus());
    }

    private Map<String, Long> phases() {
        return node.vms().stream()
                .collect(Collectors.groupingBy(
                        vm -> String.valueOf(
                                Objects.requireNonNull(vm.getStatus()).phase()),
                        Collectors.counting()));
    }

    private Map<String, String> addresses() {
        Map<String, String> addresses = new TreeMap<>();
        for (VirtualMachine vm : node.vms()) {
            List<VirtualMachineStatus.Address> all = Objects.requireNonNull(
                    Objects.requireNonNull(vm.getStatus()).addresses());
            assertThat(all).hasSize(1);
            addresses.put(
                    vm.getMetadata().getName(),
                    Objects.requireNonNull(all.getFirst().ip()));
        }
        assertThat(new HashSet<>(addresses.values())).hasSameSizeAs(addresses.keySet());
        return addresses;
    }
}
