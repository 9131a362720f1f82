package dev.vmlet.host.vmm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.net.httpserver.HttpServer;
import dev.vmlet.model.HostException;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PinnedFileTest {
    private static final String CONTENT = "#!/bin/sh\n";
    private static final Duration PATIENCE = Duration.ofSeconds(10);

    @TempDir
    private Path dir;

    private HttpServer server;
    private final CountDownLatch never = new CountDownLatch(1);

    @BeforeEach
    void serve() throws IOException {
        server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/good", exchange -> {
            exchange.sendResponseHeaders(200, CONTENT.length());
            exchange.getResponseBody().write(CONTENT.getBytes(StandardCharsets.UTF_8));
            exchange.close();
        });
        server.createContext("/moved", exchange -> {
            exchange.getResponseHeaders().add("Location", url("/good").toString());
            exchange.sendResponseHeaders(302, -1);
            exchange.close();
        });
        server.createContext("/slow", exchange -> {
            exchange.sendResponseHeaders(200, CONTENT.length());
            exchange.getResponseBody().write('#');
            exchange.getResponseBody().flush();
            try {
                never.await();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
            exchange.close();
        });
        server.start();
    }

    @AfterEach
    void stop() {
        never.countDown();
        server.stop(0);
    }

    private URI url(String path) {
        return URI.create("http://localhost:" + server.getAddress().getPort() + path);
    }

    private static PinnedFile pin(String content) {
        return new PinnedFile("tool 1.0", "tool-1.0", fingerprint(content), true, "--tool-url");
    }

    private static String fingerprint(String content) {
        try {
            return java.util.HexFormat.of()
                    .formatHex(java.security.MessageDigest.getInstance("SHA-256")
                            .digest(content.getBytes(StandardCharsets.UTF_8)));
        } catch (java.security.NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    @Test
    void fetchesOnceThroughARedirectAndChecks() throws Exception {
        Path file = pin(CONTENT).in(dir.resolve("bin"), Optional.of(url("/moved")), PATIENCE);
        assertThat(file).hasContent(CONTENT).isExecutable();
        assertThat(dir.resolve("bin")).isDirectoryNotContaining("glob:**.new");
        server.stop(0);
        assertThat(pin(CONTENT).in(dir.resolve("bin"), Optional.empty(), PATIENCE))
                .isEqualTo(file);
    }

    @Test
    void refusesAnotherContentAndLeavesNothing() throws Exception {
        assertThatThrownBy(() -> pin("other").in(dir, Optional.of(url("/good")), PATIENCE))
                .isInstanceOf(HostException.Refused.class)
                .hasMessageContaining("the sha256 is " + fingerprint(CONTENT));
        assertThat(dir).isEmptyDirectory();
        Files.writeString(dir.resolve("tool-1.0"), "tampered");
        assertThatThrownBy(() -> pin(CONTENT).in(dir, Optional.of(url("/good")), PATIENCE))
                .isInstanceOf(HostException.Refused.class)
                .hasMessageContaining("remove the file to have it fetched again");
    }

    @Test
    void namesEveryOtherFailure() {
        assertThatThrownBy(() -> pin(CONTENT).in(dir, Optional.of(url("/none")), PATIENCE))
                .hasMessageContaining("the server answered 404");
        assertThatThrownBy(() -> pin(CONTENT).in(dir, Optional.of(URI.create("file:///etc/passwd")), PATIENCE))
                .hasMessageContaining("only http and https");
        assertThatThrownBy(() -> pin(CONTENT).in(dir, Optional.of(url("/slow")), Duration.ofMillis(500)))
                .isInstanceOf(HostException.TimedOut.class);
        assertThatThrownBy(() -> pin(CONTENT).in(dir, Optional.of(URI.create("http://127.0.0.1:1/")), PATIENCE))
                .isInstanceOf(HostException.Refused.class)
                .hasMessageContaining("fetch tool 1.0 from http://127.0.0.1:1/");
        assertThat(dir).isEmptyDirectory();
    }
}
