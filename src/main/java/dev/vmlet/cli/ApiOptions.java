package dev.vmlet.cli;

import dev.vmlet.api.Serialization;
import dev.vmlet.model.HostException;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.ConfigBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import io.fabric8.kubernetes.client.http.Interceptor;
import java.io.File;
import java.io.IOException;
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

    /** @throws HostException.Refused when nothing says where the API server is */
    KubernetesClient client(Interceptor... between) throws HostException {
        return client(config(), between);
    }

    /** @throws HostException.Refused when nothing says where the API server is */
    Config config() throws HostException {
        return kubeconfig == null ? found() : read(kubeconfig);
    }

    /**
     * A client as every role of ours needs it.
     *
     * @param between see requests and answers; another of a class that is there already takes its place
     */
    public static KubernetesClient client(Config config, Interceptor... between) {
        return built(configured(config), between);
    }

    /** For an election: an answer counts soon or not at all, and who asks tries again by itself. */
    static KubernetesClient impatient(Config config, Interceptor... between) {
        return built(
                KubeconfigFile.followed(new ConfigBuilder(configured(config))
                        .withRequestTimeout(3_000)
                        .withRequestRetryBackoffLimit(0)
                        .build()),
                between);
    }

    private static KubernetesClient built(Config configured, Interceptor... between) {
        LongWatches.keep();
        return new KubernetesClientBuilder()
                .withConfig(configured)
                .withHttpClientBuilderConsumer(http -> {
                    http.addOrReplaceInterceptor(EscapedWatches.NAME, new EscapedWatches());
                    http.addOrReplaceInterceptor(HeardWatches.class.getName(), new HeardWatches());
                    for (Interceptor each : between) {
                        http.addOrReplaceInterceptor(each.getClass().getName(), each);
                    }
                })
                .withKubernetesSerialization(Serialization.lenient())
                .build();
    }

    static Config configured(Config config) {
        return KubeconfigFile.followed(new ConfigBuilder(config)
                // fabric8 opens watches as WebSockets first; plain streams work with every server.
                .withOnlyHttpWatches(true)
                // By HTTP/2 all goes over one connection, and the JDK's client (25) keeps it whatever happens to the
                // requests on it: when its other end is gone without a word, all of them fail until the kernel gives
                // up, a quarter of an hour later. By HTTP/1.1 a request that gets no answer takes its connection along.
                .withHttp2Disable(true)
                .withConnectionTimeout(5_000)
                .withRequestTimeout(10_000)
                .build());
    }

    private static Config found() throws HostException {
        Config config = Config.autoConfigure(null);
        boolean nothing = config.getCurrentContext() == null
                && config.getAutoOAuthToken() == null
                && System.getenv("KUBERNETES_SERVICE_HOST") == null
                && System.getenv("KUBERNETES_MASTER") == null;
        if (nothing) {
            String named = System.getenv("KUBECONFIG");
            throw new HostException.Refused(
                    "nothing says where the API server is: "
                            + (named == null || named.isBlank()
                                    ? "this is no pod, $KUBECONFIG is not set and there is no ~/.kube/config"
                                    : "$KUBECONFIG names " + named + ", which has no usable context")
                            + "; give --kubeconfig FILE",
                    null);
        }
        return config;
    }

    private static Config read(File file) throws HostException {
        if (!file.canRead()) {
            throw new HostException.Refused(
                    "--kubeconfig " + file + (file.exists() ? " cannot be read" : " does not exist"), null);
        }
        try {
            Config config = KubeconfigFile.read(file);
            if (config.getCurrentContext() != null) {
                return config;
            }
        } catch (IOException | RuntimeException e) {
            // Whatever its parser throws: the file is at fault.
            throw new HostException.Refused("--kubeconfig " + file + " is no kubeconfig: " + firstLine(e), e);
        }
        throw new HostException.Refused(
                "--kubeconfig " + file + " has no current context; kubectl config use-context sets one", null);
    }

    static String firstLine(Exception e) {
        return String.valueOf(e.getMessage()).lines().findFirst().orElse("it cannot be parsed");
    }
}
