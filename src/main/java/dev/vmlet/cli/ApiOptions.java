package dev.vmlet.cli;

import dev.vmlet.api.Serialization;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.ConfigBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import java.io.File;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Options of every command that talks to an API server. */
public final class ApiOptions {
    @Option(
            names = "--kubeconfig",
            paramLabel = "FILE",
            description =
                    "How to reach the API server. Default: the pod's service account, $KUBECONFIG, ~/.kube/config.")
    public @Nullable File kubeconfig;

    KubernetesClient client() {
        Config config = kubeconfig == null ? Config.autoConfigure(null) : Config.fromKubeconfig(kubeconfig);
        return new KubernetesClientBuilder()
                .withConfig(new ConfigBuilder(config)
                        // fabric8 opens watches as WebSockets first; plain streams work with every server.
                        .withOnlyHttpWatches(true)
                        .withConnectionTimeout(5_000)
                        .withRequestTimeout(10_000)
                        .build())
                .withKubernetesSerialization(Serialization.lenient())
                .build();
    }
}
