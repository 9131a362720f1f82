package dev.vmlet.apiserver;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.vmlet.apiserver.store.StoreException;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.util.Base64;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.io.TempDir;

/** The contract as the API server keeps it that vmlet brings along. */
class EmbeddedApiServerTest extends ApiServerContract {
    @TempDir
    static Path directory;

    private ApiServer server;
    private Wire wire;

    @BeforeAll
    void start() throws IOException, StoreException {
        server = ApiServer.start(
                Settings.of(directory.resolve("api"), new InetSocketAddress(InetAddress.getLoopbackAddress(), 0)));
        wire = new Wire(new Endpoint(
                server.uri(),
                server.token(),
                Base64.getEncoder().encodeToString(server.caCertificatePem().getBytes(UTF_8))));
    }

    @AfterAll
    void stop() {
        wire.close();
        server.close();
    }

    @Override
    public Wire wire() {
        return wire;
    }

    @Override
    public boolean collectsGarbage() {
        return true;
    }
}
