package dev.vmlet.apiserver;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Base64;

/** The file by which kubectl and the agent find the server. Whoever can read it is root here: mode 0600. */
public final class Kubeconfig {
    private Kubeconfig() {}

    /** Replaces the file, so that no reader sees half of it. */
    public static void write(ApiServer server, Path file) throws IOException {
        PrivateFiles.write(file, text(server).getBytes(StandardCharsets.UTF_8));
    }

    public static String text(ApiServer server) {
        String ca = Base64.getEncoder().encodeToString(server.caCertificatePem().getBytes(StandardCharsets.UTF_8));
        return """
                apiVersion: v1
                kind: Config
                clusters:
                - name: vmlet
                  cluster:
                    server: %s
                    certificate-authority-data: %s
                users:
                - name: vmlet
                  user:
                    token: %s
                contexts:
                - name: vmlet
                  context:
                    cluster: vmlet
                    user: vmlet
                    namespace: default
                current-context: vmlet
                """.formatted(server.uri(), ca, server.token());
    }
}
