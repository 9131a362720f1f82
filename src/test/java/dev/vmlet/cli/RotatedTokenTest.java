package dev.vmlet.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.vmlet.api.VmNode;
import dev.vmlet.apiserver.ApiServer;
import dev.vmlet.apiserver.Kubeconfig;
import dev.vmlet.apiserver.Settings;
import dev.vmlet.controller.SimulatedNode;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * A pod's token is replaced in its file while the agent runs, and the old one is no longer taken. The agent is
 * configured as in a pod, from its service account's files, which are elsewhere here.
 */
class RotatedTokenTest {
    private static final Duration PATIENCE = Duration.ofSeconds(60);
    private static final String MASTER = "kubernetes.master";
    private static final String TOKEN = "kubernetes.auth.serviceAccount.token";
    private static final String CA = "kubernetes.certs.ca.file";
    private static final String NO_KUBECONFIG = "kubernetes.auth.tryKubeConfig";

    @TempDir
    Path directory;

    @AfterEach
    void forget() {
        for (String property : new String[] {MASTER, TOKEN, CA, NO_KUBECONFIG}) {
            System.clearProperty(property);
        }
    }

    private ApiServer server(int port) throws Exception {
        return ApiServer.start(
                Settings.of(directory.resolve("api"), new InetSocketAddress(InetAddress.getLoopbackAddress(), port)));
    }

    /** As the kubelet does: whole or not at all. */
    private void projects(String token) throws Exception {
        Path next = Files.writeString(directory.resolve("next"), token);
        Files.move(next, directory.resolve("token"), StandardCopyOption.ATOMIC_MOVE);
    }

    /** What a pod sees. The node's name is also the object's. */
    private KubernetesClient asInAPod(ApiServer server) throws Exception {
        System.setProperty(NO_KUBECONFIG, "false");
        System.setProperty(MASTER, server.uri().toString());
        System.setProperty(TOKEN, directory.resolve("token").toString());
        System.setProperty(
                CA,
                Files.writeString(directory.resolve("ca.crt"), server.caCertificatePem())
                        .toString());
        return new ApiOptions().client();
    }

    @Test
    void theAgentGoesOnWithTheNewOne() throws Exception {
        ApiServer first = server(0);
        int port = first.uri().getPort();
        String old = first.token();
        projects(old);
        try (SimulatedNode node = new SimulatedNode("n", 1, asInAPod(first))) {
            node.start();
            await().atMost(PATIENCE)
                    .until(() -> node.client()
                                    .resources(VmNode.class)
                                    .withName("n")
                                    .get()
                                    .getStatus()
                            != null);
            first.close();
            Files.delete(directory.resolve("api").resolve("token"));
            try (ApiServer second = server(port);
                    KubernetesClient person = ApiOptions.client(Config.fromKubeconfig(Kubeconfig.text(second)))) {
                assertThat(second.token()).isNotEqualTo(old);
                // Refused for a while, as when the kubelet is late.
                await().atMost(PATIENCE)
                        .ignoreExceptions()
                        .untilAsserted(() -> assertThatThrownBy(() -> node.client()
                                        .resources(VmNode.class)
                                        .withName("n")
                                        .get())
                                .isInstanceOfSatisfying(
                                        KubernetesClientException.class,
                                        e -> assertThat(e.getCode()).isEqualTo(401)));
                TimeUnit.SECONDS.sleep(2);
                projects(second.token());
                assertThat(node.client().resources(VmNode.class).withName("n").get())
                        .as("a request of the same client, at once")
                        .isNotNull();
                // What it hears by its watch, and says by a write.
                person.resources(VmNode.class).withName("n").edit(n -> {
                    n.getMetadata().setAnnotations(Map.of(VmNode.CONFIRM_REMOVAL, "nobody"));
                    return n;
                });
                await().atMost(PATIENCE)
                        .until(() -> person.v1().events().inAnyNamespace().list().getItems().stream()
                                .anyMatch(e -> e.getMessage().contains("names nobody")));
                assertThat(node.watchesLost()).as("how often the agent ended").isZero();
            }
        }
    }
}
