package dev.vmlet.controller;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSlice;
import dev.vmlet.api.RunStrategy;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VmNode;
import dev.vmlet.api.VmNodeStatus;
import dev.vmlet.host.FakeVmms;
import dev.vmlet.model.Given;
import dev.vmlet.model.VmRecord;
import dev.vmlet.status.Tombstones;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The real agent and the real controller, with fabric8 and java-operator-sdk as they run in production, against the
 * embedded API server; only the host is a fake. Informers, server-side apply of status and finalizers, owner references
 * and Events meet the server here.
 */
class AgentOnItsOwnServerTest {
    private static final Duration PATIENCE = Duration.ofSeconds(60);

    @TempDir
    Path directory;

    private static void prepare(NodeOnItsOwnServer node) {
        boolean _ = node.look(() -> {
            node.disks.finishAll();
            node.vmms.guests().values().forEach(FakeVmms.Guest::boots);
            return true;
        });
        node.wakes().wakeVms();
    }

    private static boolean runs(NodeOnItsOwnServer node, String uid) {
        prepare(node);
        return node.look(() -> node.records.all().containsKey(uid)
                && Objects.requireNonNull(node.records.all().get(uid))
                        .launch()
                        .flatMap(VmRecord.Launch::ranAt)
                        .isPresent());
    }

    /**
     * What a person did while the node was away, and the controller after it: the object is gone by force. The node comes
     * back with its guest, and with a guest of a VM that nobody deleted.
     */
    @Test
    void aNodeThatComesBackTakesDownWhatWasDeletedByForceMeanwhile() throws Exception {
        try (NodeOnItsOwnServer node = new NodeOnItsOwnServer(directory, AgentSettings.START_PARALLELISM)) {
            KubernetesClient client = node.client();
            node.startAgent();
            node.createNetwork();
            node.createVm("web", RunStrategy.Always);
            node.createVm("other", RunStrategy.Always);
            String web = node.vm("web").getMetadata().getUid();
            String other = node.vm("other").getMetadata().getUid();
            await().atMost(PATIENCE).until(() -> runs(node, web) && runs(node, other));
            node.endAgent();

            client.resource(node.vm("web")).edit(vm -> {
                vm.getMetadata().setAnnotations(Map.of(VirtualMachine.FORCE_DELETE, "it burnt down"));
                return vm;
            });
            client.resource(node.vm("web")).delete();
            assertThat(node.vm("web")).as("its node is to take it down first").isNotNull();
            Instant heard = Instant.parse("2026-01-01T12:00:00Z");
            Burials burials = new Burials(node.events(), Clock.systemUTC());
            burials.consider(node.vm("web"), Given.NODE, heard, client);
            assertThat(node.vm("web")).isNull();
            assertThat(node.look(() -> node.vmms.lives(web))).isTrue();

            node.startAgent();
            await().atMost(PATIENCE).until(() -> {
                prepare(node);
                return node.look(() -> !node.records.all().containsKey(web));
            });
            assertThat(node.look(() -> node.vmms.lives(web))).isFalse();
            assertThat(node.look(() -> node.vmms.lives(other)))
                    .as("nobody deleted it")
                    .isTrue();
            await().atMost(PATIENCE)
                    .until(() -> Tombstones.of(client.resources(VmNode.class)
                                    .withName(Given.NODE)
                                    .get())
                            .isEmpty());
            await().atMost(PATIENCE)
                    .until(() -> client.v1().events().inNamespace("default").list().getItems().stream()
                            .anyMatch(e -> e.getReason().equals("Buried")
                                    && e.getMessage().contains("VM default/web (uid " + web + ")")));
            VmNodeStatus status = Objects.requireNonNull(
                    client.resources(VmNode.class).withName(Given.NODE).get().getStatus());
            assertThat(Objects.requireNonNull(status.sweep()).holds()).isNullOrEmpty();
        }
    }

    @Test
    void bringsAMachineUpAndTakesItAwayAgain() throws Exception {
        try (NodeOnItsOwnServer node = new NodeOnItsOwnServer(directory, AgentSettings.START_PARALLELISM)) {
            KubernetesClient client = node.client();
            node.startAgent();
            node.createNetwork();
            node.createVm("web", RunStrategy.Always);

            await().atMost(PATIENCE)
                    .untilAsserted(() ->
                            assertThat(node.vm("web").getStatus()).asString().contains("phase=Preparing"));
            VirtualMachine preparing = node.vm("web");
            assertThat(preparing.getMetadata().getFinalizers()).hasSize(1);
            assertThat(preparing.getMetadata().getManagedFields())
                    .extracting(entry -> entry.getManager() + " " + entry.getOperation() + " " + entry.getSubresource())
                    .contains("vmlet-agent Apply status");
            NetworkSlice slice = client.resources(NetworkSlice.class)
                    .inNamespace("default")
                    .list()
                    .getItems()
                    .getFirst();
            assertThat(Objects.requireNonNull(slice.getSpec()).nodeName()).isEqualTo(Given.NODE);
            assertThat(client.resources(VmNode.class).withName(Given.NODE).get().getStatus())
                    .isNotNull();
            await().atMost(PATIENCE)
                    .until(() -> !client.v1()
                            .events()
                            .inNamespace("default")
                            .withField("involvedObject.name", "web")
                            .list()
                            .getItems()
                            .isEmpty());

            client.resource(preparing).delete();
            client.resources(Network.class)
                    .inNamespace("default")
                    .withName("net")
                    .delete();
            await().atMost(PATIENCE).until(() -> node.vms().isEmpty());
            await().atMost(PATIENCE)
                    .until(() -> client.resources(NetworkSlice.class)
                            .inAnyNamespace()
                            .list()
                            .getItems()
                            .isEmpty());
            await().atMost(PATIENCE)
                    .until(() -> client.resources(Network.class)
                            .inAnyNamespace()
                            .list()
                            .getItems()
                            .isEmpty());
        }
    }
}
