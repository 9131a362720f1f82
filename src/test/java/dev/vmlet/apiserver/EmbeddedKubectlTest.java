package dev.vmlet.apiserver;

import dev.vmlet.apiserver.store.StoreException;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.io.TempDir;

/** kubectl and the API server that vmlet brings along: the same words. */
class EmbeddedKubectlTest extends KubectlContract {
    @TempDir
    static Path state;

    private ApiServer server;

    @BeforeAll
    void start() throws IOException, StoreException {
        server = ApiServer.start(
                Settings.of(state.resolve("api"), new InetSocketAddress(InetAddress.getLoopbackAddress(), 0)));
        Kubeconfig.write(server, kubeconfig());
    }

    @AfterAll
    void stop() {
        server.close();
    }

    @Override
    Path kubeconfig() {
        return state.resolve("kubeconfig");
    }
}
