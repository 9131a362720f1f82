package dev.vmlet.manifests;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.vmlet.api.Network;
import dev.vmlet.apiserver.ApiServer;
import dev.vmlet.apiserver.Kubeconfig;
import dev.vmlet.apiserver.Settings;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Against the API server that standalone has. */
class ServerSideApplyTest {
    private final ApiServer server;
    private final KubernetesClient client;
    private final ServerSideApply target;

    ServerSideApplyTest(@TempDir Path directory) throws Exception {
        server = ApiServer.start(Settings.of(directory, new InetSocketAddress(InetAddress.getLoopbackAddress(), 0)));
        client = new KubernetesClientBuilder()
                .withConfig(Config.fromKubeconfig(Kubeconfig.text(server)))
                .build();
        target = new ServerSideApply(client);
    }

    @AfterEach
    void stop() {
        client.close();
        server.close();
    }

    private void apply(String text) throws Exception {
        List<Manifest> manifests = ManifestParser.parse("a.yaml", text.getBytes(StandardCharsets.UTF_8));
        for (Manifest manifest : manifests) target.apply(manifest);
    }

    @Test
    void appliesVmletsKindsAndTheBuiltInOnesInTheNamespaceThatTheyNameOrTheDefault() throws Exception {
        apply("""
                apiVersion: v1
                kind: Namespace
                metadata: {name: lab}
                ---
                apiVersion: v1
                kind: Secret
                metadata: {name: web-user-data}
                stringData: {userData: hello}
                ---
                apiVersion: v1
                kind: ConfigMap
                metadata: {name: words, namespace: lab}
                data: {a: b}
                ---
                apiVersion: vmlet.dev/v1alpha1
                kind: Network
                metadata: {name: net, namespace: lab}
                spec: {}
                """);
        assertThat(client.secrets()
                        .inNamespace("default")
                        .withName("web-user-data")
                        .get()
                        .getData())
                .isEqualTo(Map.of("userData", "aGVsbG8="));
        assertThat(client.configMaps()
                        .inNamespace("lab")
                        .withName("words")
                        .get()
                        .getData())
                .isEqualTo(Map.of("a", "b"));
        assertThat(client.resources(Network.class)
                        .inNamespace("lab")
                        .withName("net")
                        .get())
                .isNotNull();
    }

    @Test
    void namesAKindThatTheServerDoesNotHave() {
        assertThatThrownBy(() -> apply("apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: x}\n"))
                .isInstanceOf(ManifestRefused.class)
                .hasMessage(
                        "this API server has no kind Thing of apiVersion example.com/v1; kubectl api-resources lists"
                                + " what it has");
    }

    @Test
    void namesAFieldThatNobodyKnows() {
        assertThatThrownBy(() -> apply("""
                        apiVersion: vmlet.dev/v1alpha1
                        kind: Network
                        metadata: {name: net}
                        spec: {mtuu: 1500}
                        """)).isInstanceOf(ManifestRefused.class).hasMessageContaining("spec.mtuu");
    }
}
