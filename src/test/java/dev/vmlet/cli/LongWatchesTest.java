package dev.vmlet.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.vmlet.apiserver.ApiServer;
import dev.vmlet.apiserver.Kubeconfig;
import dev.vmlet.apiserver.Settings;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.http.BasicBuilder;
import io.fabric8.kubernetes.client.http.HttpRequest;
import io.fabric8.kubernetes.client.http.Interceptor;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LongWatchesTest {
    @TempDir
    Path directory;

    /** Notes what is asked by a watch. */
    private record Asked(Queue<String> queries) implements Interceptor {
        @Override
        public void before(BasicBuilder builder, HttpRequest request, RequestTags tags) {
            String query = String.valueOf(request.uri().getQuery());
            if (query.contains("watch=true")) {
                queries.add(query);
            }
        }
    }

    /** What an informer asks of the server, which is told the longest time; the informer itself ends between half and all. */
    @Test
    void anInformerAsksForAWatchOfTwoHours() throws Exception {
        Queue<String> asked = new ConcurrentLinkedQueue<>();
        Path kubeconfig = directory.resolve("kubeconfig");
        try (ApiServer server = ApiServer.start(
                Settings.of(directory.resolve("api"), new InetSocketAddress(InetAddress.getLoopbackAddress(), 0)))) {
            Kubeconfig.write(server, kubeconfig);
            try (KubernetesClient client =
                            ApiOptions.client(Config.fromKubeconfig(kubeconfig.toFile()), new Asked(asked));
                    var _ = client.configMaps().inAnyNamespace().inform()) {
                await().atMost(Duration.ofSeconds(30)).until(() -> !asked.isEmpty());
                assertThat(asked.element()).contains("timeoutSeconds=7200");
            }
        }
    }
}
