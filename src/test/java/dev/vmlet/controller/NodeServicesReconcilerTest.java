package dev.vmlet.controller;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.api.OpenPort;
import dev.vmlet.api.Serialization;
import dev.vmlet.api.VmNode;
import dev.vmlet.api.VmNodeSpec;
import dev.vmlet.api.VmNodeSpec.Backend;
import dev.vmlet.api.VmNodeSpec.ServedPort;
import dev.vmlet.api.VmNodeSpec.Tombstone;
import dev.vmlet.apiserver.ApiServer;
import dev.vmlet.apiserver.Kubeconfig;
import dev.vmlet.apiserver.Settings;
import dev.vmlet.model.Ipv4Prefix;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.ConfigBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.util.List;
import org.awaitility.Awaitility;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is written to VmNodes, and what of others is not lost by it; the embedded API server has no Services. */
class NodeServicesReconcilerTest {
    private static final List<ServedPort> PORTS = List.of(new ServedPort(
            "shop/front",
            List.of("10.96.0.10"),
            80,
            30_080,
            OpenPort.Protocol.TCP,
            true,
            null,
            List.of(new Backend("uid-x", "x", 8081))));
    private static final Tombstone STONE = new Tombstone("uid-t", "shop", "t", "burnt down", null, null);

    @TempDir
    private Path directory;

    private ApiServer server;
    private KubernetesClient client;

    @BeforeEach
    void start() throws Exception {
        server = ApiServer.start(
                Settings.of(directory.resolve("api"), new InetSocketAddress(InetAddress.getLoopbackAddress(), 0)));
        client = client();
    }

    @AfterEach
    void stop() {
        client.close();
        server.close();
    }

    private KubernetesClient client() throws Exception {
        Path kubeconfig = directory.resolve("kubeconfig");
        Kubeconfig.write(server, kubeconfig);
        return new KubernetesClientBuilder()
                .withConfig(new ConfigBuilder(Config.fromKubeconfig(kubeconfig.toFile()))
                        .withRequestRetryBackoffLimit(0)
                        .build())
                .withKubernetesSerialization(Serialization.lenient())
                .build();
    }

    private VmNode create() {
        VmNode node = new VmNode();
        node.setMetadata(new ObjectMetaBuilder().withName("a").build());
        return client.resource(node).create();
    }

    private @Nullable VmNodeSpec spec() {
        return client.resources(VmNode.class).withName("a").require().getSpec();
    }

    /** As {@link Burials} does. */
    private void bury(List<Tombstone> stones) {
        VmNode bare = new VmNode();
        bare.setMetadata(new ObjectMetaBuilder().withName("a").build());
        bare.setSpec(new VmNodeSpec(stones, null));
        client.resource(bare)
                .patch(
                        new PatchContext.Builder()
                                .withPatchType(PatchType.SERVER_SIDE_APPLY)
                                .withFieldManager("vmlet-controller")
                                .withForce(true)
                                .build(),
                        bare);
    }

    @Test
    void servicesAndTombstonesOfOneNodeLeaveEachOtherAlone() {
        VmNode node = create();
        bury(List.of(STONE));

        assertThat(NodeServicesReconciler.write(node, PORTS, client)).isTrue();
        assertThat(spec()).isEqualTo(new VmNodeSpec(List.of(STONE), PORTS));

        bury(List.of());
        assertThat(spec()).isEqualTo(new VmNodeSpec(null, PORTS));
        bury(List.of(STONE));

        assertThat(NodeServicesReconciler.write(node, List.of(), client)).isTrue();
        assertThat(spec()).isEqualTo(new VmNodeSpec(List.of(STONE), List.of()));
    }

    @Test
    void aVmNodeThatIsGoneIsNotMadeAnewNorAnotherOfItsNameWritten() {
        VmNode gone = create();
        client.resource(gone).delete();
        assertThat(NodeServicesReconciler.write(gone, PORTS, client)).isTrue();
        assertThat(client.resources(VmNode.class).list().getItems()).isEmpty();

        VmNode other = create();
        assertThat(NodeServicesReconciler.write(gone, PORTS, client)).isTrue();
        assertThat(client.resource(other).get().getSpec()).isNull();
    }

    @Test
    void aControllerThatServesNoServicesTakesBackWhatAnotherTold() {
        VmNode node = create();
        assertThat(NodeServicesReconciler.write(node, PORTS, client)).isTrue();
        try (ClusterController controller =
                new ClusterController(client, Ipv4Prefix.parse("10.128.0.0/9"), List.of(), false, Clock.systemUTC())) {
            controller.start();
            Awaitility.await()
                    .atMost(Duration.ofSeconds(30))
                    .until(() -> new VmNodeSpec(null, List.of()).equals(spec()));
        }
    }
}
