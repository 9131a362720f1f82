package dev.vmlet.controller;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.api.Serialization;
import dev.vmlet.apiserver.ApiServer;
import dev.vmlet.apiserver.Kubeconfig;
import dev.vmlet.apiserver.Settings;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.ConfigBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import io.fabric8.kubernetes.client.http.Interceptor;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A few nodes against the embedded API server. */
class ManyNodesTest extends ManyNodesContract {
    @TempDir
    Path directory;

    private ApiServer server;

    @Override
    @BeforeEach
    void startController() {
        try {
            server =
                    ApiServer.start(Settings.of(directory, new InetSocketAddress(InetAddress.getLoopbackAddress(), 0)));
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
        super.startController();
    }

    @Override
    @AfterEach
    void stopAll() throws Exception {
        super.stopAll();
        server.close();
    }

    @Override
    KubernetesClient connect(Interceptor... between) {
        return connect(Config.fromKubeconfig(Kubeconfig.text(server)), between);
    }

    static KubernetesClient connect(Config config, Interceptor... between) {
        return new KubernetesClientBuilder()
                .withConfig(
                        // Of forty agents on one machine each waits its turn.
                        new ConfigBuilder(config)
                                .withOnlyHttpWatches(true)
                                .withRequestTimeout(60_000)
                                .build())
                .withKubernetesSerialization(Serialization.lenient())
                .withHttpClientBuilderConsumer(http -> {
                    for (Interceptor each : between) {
                        http.addOrReplaceInterceptor(each.getClass().getName(), each);
                    }
                })
                .build();
    }

    /** It would try for ever to watch what is not there. */
    @Test
    void theControllerDoesWithoutServicesWhereThereAreNone() {
        assertThat(asked)
                .contains("/apis/vmlet.dev/v1alpha1/vmnodes")
                .noneMatch(path -> path.endsWith("/services") || path.endsWith("/endpointslices"));
    }

    @Override
    int nodes() {
        return 4;
    }

    @Override
    int racingNodes() {
        return 20;
    }

    @Override
    int racedNetworks() {
        return 3;
    }
}
