package dev.vmlet.cli;

import dev.vmlet.api.Serialization;
import io.fabric8.kubernetes.api.model.NamedAuthInfo;
import io.fabric8.kubernetes.api.model.NamedCluster;
import io.fabric8.kubernetes.api.model.NamedContext;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.internal.KubeConfigUtils;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Reads a kubeconfig as {@link Config#fromKubeconfig(File)} does, but not by its serialization, which to that end loads
 * every kind of Kubernetes that the class path has: seven hundred classes, and none of them is needed again.
 */
final class KubeconfigFile {
    private static final Logger log = LoggerFactory.getLogger(KubeconfigFile.class);

    private KubeconfigFile() {}

    /**
     * @return with the current context's cluster and user; without a current context where the file names none
     * @throws IOException when the file cannot be read
     * @throws RuntimeException when it is no kubeconfig
     */
    static Config read(File file) throws IOException {
        return read(file, null);
    }

    private static Config read(File file, @Nullable String contextName) throws IOException {
        io.fabric8.kubernetes.api.model.Config parsed;
        try (InputStream text = Files.newInputStream(file.toPath())) {
            parsed = Serialization.lenient().unmarshal(text, io.fabric8.kubernetes.api.model.Config.class);
        }
        // By these fabric8 finds files that the kubeconfig names by paths relative to it, and the file itself when the
        // server no longer takes the credentials and they are to be read anew.
        for (NamedContext context : known(parsed.getContexts())) {
            context.getAdditionalProperties().put("KUBERNETES_CONFIG_CONTEXT_FILE_KEY", file);
        }
        for (NamedCluster cluster : known(parsed.getClusters())) {
            cluster.getAdditionalProperties().put("KUBERNETES_CONFIG_CLUSTER_FILE_KEY", file);
        }
        for (NamedAuthInfo user : known(parsed.getUsers())) {
            user.getAdditionalProperties().put("KUBERNETES_CONFIG_AUTH_INFO_FILE_KEY", file);
        }
        Config config = Config.empty();
        KubeConfigUtils.merge(config, contextName, parsed);
        return config;
    }

    /**
     * The same settings, whose credentials are read anew from their file by this reader: the client asks for that once a
     * minute, and when the server does not take them any more.
     */
    static Config followed(Config config) {
        return config.getFile() == null ? config : new Followed(config);
    }

    private static final class Followed extends Config {
        Followed(Config config) {
            super(config);
        }

        /** One that was set by hand: it is in no file. */
        private boolean hasToken() {
            String token = getOauthToken();
            return token != null && !token.isEmpty();
        }

        @Override
        public Config refresh() {
            File file = getFile();
            NamedContext context = getCurrentContext();
            if (file == null || context == null || hasToken()) {
                return this;
            }
            try {
                return read(file, context.getName());
            } catch (IOException | RuntimeException e) {
                // Being replaced, perhaps. What we have may still do, and if not there is a next time.
                log.atWarn()
                        .addKeyValue("file", file)
                        .addKeyValue("cause", ApiOptions.firstLine(e))
                        .log("kubeconfig not read anew; the credentials of the last time are used");
                return this;
            }
        }
    }

    private static <T> List<T> known(@Nullable List<T> named) {
        return named == null ? List.of() : named;
    }
}
