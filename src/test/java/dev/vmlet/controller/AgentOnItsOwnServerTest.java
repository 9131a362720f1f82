package dev.vmlet.controller;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSlice;
import dev.vmlet.api.RunStrategy;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VmNode;
import dev.vmlet.model.Given;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.nio.file.Path;
import java.time.Duration;
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
