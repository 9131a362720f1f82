package dev.vmlet.controller;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.vmlet.api.Network;
import dev.vmlet.api.RunStrategy;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineStatus;
import dev.vmlet.host.FakeVmms;
import dev.vmlet.model.GuestState;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A VM whose record is lost goes when its object is deleted, whatever else of it cannot be followed any more. */
class LostRecordTest {
    private static final Duration PATIENCE = Duration.ofSeconds(60);

    @TempDir
    Path directory;

    private NodeOnItsOwnServer node;
    private String uid = "";

    @BeforeEach
    void aGuestRuns() throws Exception {
        node = new NodeOnItsOwnServer(directory, 4);
        node.startAgent();
        node.createNetwork();
        node.createVm("web", RunStrategy.Always);
        await().atMost(PATIENCE).pollInterval(Duration.ofMillis(50)).untilAsserted(() -> {
            node.look(() -> {
                node.disks.finishAll();
                node.vmms.guests().values().stream()
                        .filter(g -> g.kind() == GuestState.Kind.STARTING)
                        .forEach(FakeVmms.Guest::boots);
                return null;
            });
            assertThat(phase()).isEqualTo("Running");
        });
        uid = node.vm("web").getMetadata().getUid();
    }

    @AfterEach
    void end() {
        node.close();
    }

    private String phase() {
        VirtualMachineStatus status = node.vm("web").getStatus();
        return status == null ? "none" : String.valueOf(status.phase());
    }

    @Test
    void thoughItsRecordIsDamagedAndItsNetworkIsGone() {
        lose(node.records::destroy);
        var network =
                node.client().resources(Network.class).inNamespace("default").withName("net");
        var _ = network.delete();
        // Against its agent and its controller, who write too.
        await().atMost(PATIENCE).ignoreExceptions().until(() -> {
            if (network.get() != null) {
                var _ = network.edit(n -> {
                    n.getMetadata().setFinalizers(List.of());
                    return n;
                });
            }
            return network.get() == null;
        });
        node.wakes().wakeAll();
        await().atMost(PATIENCE).untilAsserted(() -> assertThat(phase()).isEqualTo("Unknown"));
        deletedItGoesByItsButton();
    }

    @Test
    void thoughItHasNoRecordAtAll() {
        lose(gone -> {
            var _ = node.records.all().remove(gone);
        });
        node.wakes().wakeAll();
        await().atMost(PATIENCE).untilAsserted(() -> assertThat(phase()).isEqualTo("Unknown"));
        deletedItGoesByItsButton();
    }

    private void lose(Consumer<String> how) {
        node.look(() -> {
            how.accept(uid);
            return null;
        });
    }

    private void deletedItGoesByItsButton() {
        FakeVmms.Guest guest =
                node.look(() -> Objects.requireNonNull(node.vmms.guests().get(uid)));
        assertThat(guest.alive()).isTrue();
        var _ = node.client()
                .resources(VirtualMachine.class)
                .inNamespace("default")
                .withName("web")
                .delete();
        await().atMost(PATIENCE)
                .untilAsserted(() -> assertThat(node.vms()).as("objects").isEmpty());
        assertThat(node.look(() -> node.vmms.guests().containsKey(uid))).isFalse();
        assertThat(node.look(() -> node.records.all().containsKey(uid))).isFalse();
        assertThat(node.look(() -> node.disks.traces())).isEmpty();
    }
}
