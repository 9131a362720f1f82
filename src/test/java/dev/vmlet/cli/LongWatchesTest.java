package dev.vmlet.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.sun.net.httpserver.HttpServer;
import dev.vmlet.api.Network;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.ConfigBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Executors;
import org.junit.jupiter.api.Test;

class LongWatchesTest {
    /** What an informer asks of the server, which is told the longest time; the informer itself ends between half and all. */
    @Test
    void anInformerAsksForAWatchOfTwoHours() throws Exception {
        Queue<String> asked = new ConcurrentLinkedQueue<>();
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
        server.createContext("/", exchange -> {
            String query = String.valueOf(exchange.getRequestURI().getQuery());
            if (query.contains("watch=true")) {
                asked.add(query);
                // Open, and silent.
                exchange.sendResponseHeaders(200, 0);
                return;
            }
            byte[] list = ("{\"apiVersion\":\"vmlet.dev/v1alpha1\",\"kind\":\"NetworkList\","
                            + "\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[]}")
                    .getBytes(StandardCharsets.UTF_8);
            exchange.getResponseHeaders().set("Content-Type", "application/json");
            exchange.sendResponseHeaders(200, list.length);
            exchange.getResponseBody().write(list);
            exchange.close();
        });
        server.start();
        Config config = new ConfigBuilder(Config.empty())
                .withMasterUrl("http://127.0.0.1:" + server.getAddress().getPort())
                .build();
        try (KubernetesClient client = ApiOptions.client(config);
                var _ = client.resources(Network.class).inAnyNamespace().inform()) {
            await().atMost(Duration.ofSeconds(30)).until(() -> !asked.isEmpty());
            assertThat(asked.element()).contains("timeoutSeconds=7200");
        } finally {
            server.stop(0);
        }
    }
}
