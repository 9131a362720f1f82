package dev.vmlet;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.vmlet.api.Serialization;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineSpec;
import dev.vmlet.apiserver.ApiServer;
import dev.vmlet.apiserver.Crds;
import dev.vmlet.apiserver.Kubeconfig;
import dev.vmlet.apiserver.Settings;
import dev.vmlet.model.Given;
import io.fabric8.kubernetes.api.model.GenericKubernetesResource;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Clock;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Standalone's one node and the VMs that are asked of its API server. */
class NodeChoiceTest {
    @TempDir
    Path directory;

    @Test
    void aVmForAnotherNodeIsRefusedAndOneForNoneGetsOurs() throws Exception {
        InetSocketAddress any = new InetSocketAddress(InetAddress.getLoopbackAddress(), 0);
        Path store = directory.resolve("api");
        VirtualMachine elsewhere = vm("elsewhere");
        try (ApiServer before = ApiServer.start(Settings.of(store, any));
                KubernetesClient client = client(before)) {
            client.resource(elsewhere).create();
        }
        try (ApiServer server = ApiServer.start(new Settings(
                        store, any, Crds.ofVmlet(), new Standalone.NodeChoice("here"), Clock.systemUTC()));
                KubernetesClient client = client(server)) {
            assertThatThrownBy(() -> client.resource(vm("web")).create())
                    .isInstanceOf(KubernetesClientException.class)
                    .hasMessageContaining(
                            "VirtualMachine.vmlet.dev \"web\" is invalid: spec.nodeName: Invalid value: \""
                                    + Given.NODE + "\": this standalone vmlet has one node, here; name it or leave"
                                    + " spec.nodeName out");
            // What an earlier name of this machine let in stays changeable: how else would it ever go?
            client.resource(elsewhere).edit(object -> {
                object.getMetadata().setFinalizers(null);
                return object;
            });
            GenericKubernetesResource free =
                    client.getKubernetesSerialization().convertValue(vm("free"), GenericKubernetesResource.class);
            Map<?, ?> spec = (Map<?, ?>) free.getAdditionalProperties().get("spec");
            Objects.requireNonNull(spec).remove("nodeName");
            client.resource(free).create();
            assertThat(Objects.requireNonNull(client.resource(vm("free")).get().getSpec())
                            .nodeName())
                    .isEqualTo("here");
        }
    }

    private static VirtualMachine vm(String name) {
        VirtualMachine vm = new VirtualMachine();
        vm.setMetadata(new ObjectMetaBuilder()
                .withName(name)
                .withNamespace("default")
                .addToFinalizers("vmlet.dev/test")
                .build());
        VirtualMachineSpec given = Given.spec("net");
        vm.setSpec(new VirtualMachineSpec(
                given.nodeName(),
                given.runStrategy(),
                given.cpu(),
                given.memory(),
                given.disks(),
                given.networks(),
                null,
                null,
                null,
                30));
        return vm;
    }

    private KubernetesClient client(ApiServer server) throws Exception {
        Path kubeconfig = directory.resolve("kubeconfig");
        Kubeconfig.write(server, kubeconfig);
        return new KubernetesClientBuilder()
                .withConfig(Config.fromKubeconfig(kubeconfig.toFile()))
                .withKubernetesSerialization(Serialization.lenient())
                .build();
    }
}
