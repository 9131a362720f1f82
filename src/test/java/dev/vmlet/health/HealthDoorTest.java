package dev.vmlet.health;

import static org.assertj.core.api.Assertions.assertThat;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.NetworkInterface;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class HealthDoorTest {
    private final AtomicBoolean lives = new AtomicBoolean(true);
    private final AtomicBoolean synced = new AtomicBoolean();
    private String level = "INFO";
    private HealthDoor door;
    private final HttpClient http = HttpClient.newHttpClient();

    private final LogLevels levels = new LogLevels() {
        @Override
        public String level() {
            return level;
        }

        @Override
        public void set(String asked) {
            if (!asked.equals("DEBUG")) {
                throw new IllegalArgumentException("'" + asked + "' is no level");
            }
            level = asked;
        }
    };

    private record Answer(int code, String body) {}

    @BeforeEach
    void open() throws Exception {
        // On every address, so that one of them is none of loopback's.
        door = new HealthDoor(
                new InetSocketAddress("0.0.0.0", 0),
                List.of(new Check("loop", "it hangs", lives::get)),
                List.of(
                        new Check("caches", "not all objects are known yet", synced::get),
                        new Check("inventory", "the host was not seen whole", () -> true)),
                () -> "vmlet_vms 3\n",
                levels);
    }

    @AfterEach
    void close() {
        door.close();
        http.close();
    }

    private Answer ask(String method, String path, String body) throws Exception {
        return ask(InetAddress.getLoopbackAddress(), method, path, body);
    }

    private Answer ask(InetAddress host, String method, String path, String body) throws Exception {
        HttpResponse<String> response = http.send(
                HttpRequest.newBuilder(URI.create("http://" + host.getHostAddress() + ":"
                                + door.address().getPort() + path))
                        .timeout(Duration.ofSeconds(60))
                        .method(method, BodyPublishers.ofString(body))
                        .build(),
                BodyHandlers.ofString());
        return new Answer(response.statusCode(), response.body());
    }

    @Test
    void livesWhileItsLoopDoes() throws Exception {
        assertThat(ask("GET", "/livez", "")).isEqualTo(new Answer(200, "[+]loop ok\n"));
        lives.set(false);
        assertThat(ask("GET", "/livez", "")).isEqualTo(new Answer(503, "[-]loop: it hangs\n"));
    }

    @Test
    void isReadyWhenAllIsKnownAndSaysWhatIsMissing() throws Exception {
        assertThat(ask("GET", "/readyz", ""))
                .isEqualTo(new Answer(503, "[-]caches: not all objects are known yet\n[+]inventory ok\n"));
        synced.set(true);
        assertThat(ask("GET", "/readyz", "")).isEqualTo(new Answer(200, "[+]caches ok\n[+]inventory ok\n"));
    }

    @Test
    void servesFiguresAndNothingElse() throws Exception {
        assertThat(ask("GET", "/metrics", "")).isEqualTo(new Answer(200, "vmlet_vms 3\n"));
        assertThat(ask("GET", "/metrics/../../etc/passwd", "").code()).isEqualTo(404);
        assertThat(ask("GET", "/livezz", "").code()).isEqualTo(404);
        assertThat(ask("GET", "/", "")).isEqualTo(new Answer(404, "there are /livez, /readyz and /metrics\n"));
        assertThat(ask("POST", "/readyz", "x")).isEqualTo(new Answer(405, "/readyz can only be read\n"));
        assertThat(ask("HEAD", "/livez", "")).isEqualTo(new Answer(200, ""));
    }

    @Test
    void takesALogLevelFromThisMachine() throws Exception {
        assertThat(ask("GET", "/loglevel", "")).isEqualTo(new Answer(200, "INFO\n"));
        assertThat(ask("PUT", "/loglevel", "DEBUG\n")).isEqualTo(new Answer(200, "DEBUG\n"));
        assertThat(level).isEqualTo("DEBUG");
        assertThat(ask("PUT", "/loglevel", "LOUD")).isEqualTo(new Answer(400, "'LOUD' is no level\n"));
        assertThat(ask("DELETE", "/loglevel", "").code()).isEqualTo(405);
    }

    @Test
    void takesNoLogLevelFromElsewhere() throws Exception {
        Optional<InetAddress> outside = NetworkInterface.networkInterfaces()
                .flatMap(NetworkInterface::inetAddresses)
                .filter(a -> a.getAddress().length == 4 && !a.isLoopbackAddress())
                .findFirst();
        Assumptions.assumeTrue(outside.isPresent(), "SKIPPED: this machine has no address but loopback's");
        Answer refused = ask(outside.get(), "PUT", "/loglevel", "DEBUG");
        assertThat(refused.code()).isEqualTo(403);
        assertThat(refused.body()).startsWith("the log level is set from this machine only");
        assertThat(level).isEqualTo("INFO");
    }
}
