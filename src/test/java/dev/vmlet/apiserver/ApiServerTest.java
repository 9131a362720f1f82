package dev.vmlet.apiserver;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.vmlet.apiserver.store.StoreException;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the contract with a real server does not cover: files, certificates, restarts, time, a second server, abuse. */
class ApiServerTest {
    private static final ObjectMapper MAPPER = new ObjectMapper();
    private static final String CONFIGMAPS = "/api/v1/namespaces/default/configmaps";
    private static final Duration PATIENCE = Duration.ofSeconds(30);

    @TempDir
    Path temporary;

    private Path directory() {
        return temporary.resolve("api");
    }

    private Settings settings() {
        return Settings.of(directory(), new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
    }

    private record Answer(int code, JsonNode body) {}

    private static HttpClient http(ApiServer server) throws Exception {
        KeyStore trusted = KeyStore.getInstance(KeyStore.getDefaultType());
        trusted.load(null, null);
        trusted.setCertificateEntry(
                "ca",
                CertificateFactory.getInstance("X.509")
                        .generateCertificate(new ByteArrayInputStream(
                                server.caCertificatePem().getBytes(UTF_8))));
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(trusted);
        SSLContext tls = SSLContext.getInstance("TLS");
        tls.init(null, trust.getTrustManagers(), null);
        return HttpClient.newBuilder()
                .sslContext(tls)
                .version(HttpClient.Version.HTTP_1_1)
                .build();
    }

    private static Answer send(ApiServer server, String method, String path, String body) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(server.uri() + path))
                .header("Authorization", "Bearer " + server.token())
                .header("Content-Type", method.equals("PATCH") ? "application/merge-patch+json" : "application/json")
                .timeout(PATIENCE)
                .method(method, HttpRequest.BodyPublishers.ofString(body))
                .build();
        try (HttpClient http = http(server)) {
            HttpResponse<String> response = http.send(request, HttpResponse.BodyHandlers.ofString());
            return new Answer(response.statusCode(), MAPPER.readTree(response.body()));
        }
    }

    private static String configMap(String name) {
        return "{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {\"name\": \"" + name
                + "\"}, \"data\": {\"a\": \"b\"}}";
    }

    @Test
    void keepsItsSecretsToItself() throws Exception {
        try (ApiServer server = ApiServer.start(settings())) {
            Path kubeconfig = temporary.resolve("kubeconfig");
            Kubeconfig.write(server, kubeconfig);
            Map<String, String> modes = new TreeMap<>();
            try (Stream<Path> files = Files.list(directory())) {
                for (Path file : files.toList()) modes.put(file.getFileName().toString(), mode(file));
            }
            assertThat(modes)
                    .isEqualTo(Map.of(
                            "ca.crt", "rw-------",
                            "lock", "rw-------",
                            "objects.log", "rw-------",
                            "server.crt", "rw-------",
                            "server.key", "rw-------",
                            "token", "rw-------"));
            assertThat(mode(directory())).isEqualTo("rwx------");
            assertThat(mode(kubeconfig)).isEqualTo("rw-------");
            assertThat(server.token()).matches("[0-9a-f]{64}");
        }
    }

    private static String mode(Path path) throws IOException {
        return PosixFilePermissions.toString(Files.getPosixFilePermissions(path));
    }

    @Test
    void opensToNobodyButOnLoopback() {
        assertThatThrownBy(() -> Settings.of(directory(), new InetSocketAddress("0.0.0.0", 0)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("loopback only");
    }

    @Test
    void objectsIdentityAndCredentialsSurviveARestart() throws Exception {
        String token;
        String ca;
        JsonNode made;
        JsonNode system;
        try (ApiServer server = ApiServer.start(settings())) {
            token = server.token();
            ca = server.caCertificatePem();
            made = send(server, "POST", CONFIGMAPS, configMap("kept")).body;
            send(server, "POST", CONFIGMAPS, configMap("gone"));
            send(server, "DELETE", CONFIGMAPS + "/gone", "");
            system = send(server, "GET", "/api/v1/namespaces/kube-system", "").body;
        }
        try (ApiServer server = ApiServer.start(settings())) {
            assertThat(server.token()).isEqualTo(token);
            assertThat(server.caCertificatePem()).isEqualTo(ca);
            assertThat(send(server, "GET", CONFIGMAPS + "/kept", "").body).isEqualTo(made);
            assertThat(send(server, "GET", CONFIGMAPS + "/gone", "").code).isEqualTo(404);
            assertThat(send(server, "GET", "/api/v1/namespaces/kube-system", "").body)
                    .isEqualTo(system);
            JsonNode next = send(server, "POST", CONFIGMAPS, configMap("next")).body;
            assertThat(next.at("/metadata/resourceVersion").asLong())
                    .isGreaterThan(made.at("/metadata/resourceVersion").asLong() + 2);
        }
    }

    @Test
    void certificatesAreMadeAnewBeforeTheyEnd() throws Exception {
        String first;
        try (ApiServer server = ApiServer.start(settings())) {
            first = server.caCertificatePem();
        }
        Clock later = Clock.fixed(Instant.now().plus(Duration.ofDays(3_600)), ZoneOffset.UTC);
        Settings then =
                new Settings(directory(), settings().listen(), settings().crds(), Admission.NONE, later);
        try (ApiServer server = ApiServer.start(then)) {
            assertThat(server.caCertificatePem()).isNotEqualTo(first);
        }
    }

    @Test
    void certificatesAreMadeAnewForAnotherAddress() throws Exception {
        ApiServer.start(settings()).close();
        Settings other = Settings.of(directory(), new InetSocketAddress("127.0.0.9", 0));
        String made;
        try (ApiServer server = ApiServer.start(other)) {
            made = server.caCertificatePem();
            assertThat(send(server, "GET", "/version", "").code).isEqualTo(200);
        }
        try (ApiServer server = ApiServer.start(other)) {
            assertThat(server.caCertificatePem()).isEqualTo(made);
        }
    }

    /** Any user of the machine can connect: what that costs must not end the process. */
    @Test
    void takesNoMoreConnectionsThanItHasMemoryFor() throws Exception {
        try (ApiServer server = ApiServer.start(settings())) {
            List<Socket> open = new ArrayList<>();
            try {
                for (int i = 0; i < 510; i++) {
                    open.add(new Socket(server.uri().getHost(), server.uri().getPort()));
                }
                Socket last = open.getLast();
                last.setSoTimeout((int) PATIENCE.toMillis());
                assertThat(last.getInputStream().read())
                        .as("closed by the server")
                        .isEqualTo(-1);
            } finally {
                for (Socket socket : open) socket.close();
            }
            await().atMost(PATIENCE).ignoreExceptions().until(() -> send(server, "GET", "/version", "").code == 200);
        }
    }

    @Test
    void aSecondServerIsRefusedWithTheNameOfTheFirst() throws Exception {
        try (ApiServer server = ApiServer.start(settings())) {
            assertThatThrownBy(() -> ApiServer.start(settings()))
                    .isInstanceOf(StoreException.Locked.class)
                    .hasMessageContaining(
                            "is in use by process " + ProcessHandle.current().pid() + ", started at ")
                    .hasMessageContaining("stop that one, or choose another directory");
            assertThat(send(server, "GET", "/version", "").code).isEqualTo(200);
        }
    }

    @Test
    void aTakenPortIsSaidAndTheDirectoryIsFreeAgain() throws Exception {
        try (ServerSocket taken = new ServerSocket()) {
            taken.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
            int port = taken.getLocalPort();
            assertThatThrownBy(() -> ApiServer.start(
                            Settings.of(directory(), new InetSocketAddress(InetAddress.getLoopbackAddress(), port))))
                    .isInstanceOf(IOException.class)
                    .hasMessage("cannot listen on 127.0.0.1:" + port + ": Address already in use; stop what uses that"
                            + " port, or choose another");
        }
        ApiServer.start(settings()).close();
    }

    @Test
    void aDamagedStoreIsNotSilentlyEmptied() throws Exception {
        ApiServer.start(settings()).close();
        Path objects = directory().resolve("objects.log");
        byte[] bytes = Files.readAllBytes(objects);
        bytes[200] ^= 1;
        Files.write(objects, bytes);
        assertThatThrownBy(() -> ApiServer.start(settings()))
                .isInstanceOf(StoreException.Damaged.class)
                .hasMessageContaining(objects + " is damaged at byte ");
        assertThat(Files.readAllBytes(objects)).isEqualTo(bytes);
    }

    @Test
    void admissionHasTheLastHandOnWhatIsStored() throws Exception {
        Settings settings = settings().withAdmission((type, object, _) -> {
            if (type.kind().equals("VirtualMachine")
                    && object.path("spec").path("nodeName").asText().isEmpty()) {
                ((ObjectNode) object.path("spec")).put("nodeName", "here");
            }
            return object;
        });
        String machines = "/apis/vmlet.dev/v1alpha1/namespaces/default/virtualmachines";
        String machine = """
                {"apiVersion": "vmlet.dev/v1alpha1", "kind": "VirtualMachine", "metadata": {"name": "a"},
                 "spec": {"memory": {"size": "1Gi"}, "disks": [{"name": "root", "size": "1Gi"}]}}
                """;
        try (ApiServer server = ApiServer.start(settings)) {
            JsonNode made = send(server, "POST", machines, machine).body;
            assertThat(made.at("/spec/nodeName").asText()).isEqualTo("here");
            assertThat(send(server, "GET", machines + "?fieldSelector=spec.nodeName%3Dhere", "")
                            .body
                            .at("/items/0"))
                    .isEqualTo(made);
            ObjectNode replacement = (ObjectNode) MAPPER.readTree(machine);
            replacement.withObject("/metadata").set("resourceVersion", made.at("/metadata/resourceVersion"));
            // An applied manifest without the field must not take it away.
            Answer replaced = send(server, "PUT", machines + "/a", replacement.toString());
            assertThat(replaced.code).isEqualTo(200);
            assertThat(replaced.body.at("/spec/nodeName").asText()).isEqualTo("here");
        }
    }

    @Test
    void eventsDoNotStayForEver() throws Exception {
        MovingClock clock = new MovingClock();
        Settings settings =
                new Settings(directory(), settings().listen(), settings().crds(), Admission.NONE, clock);
        String events = "/api/v1/namespaces/default/events";
        String about = "\"involvedObject\": {\"kind\": \"ConfigMap\", \"name\": \"a\", \"namespace\": \"default\"}";
        try (ApiServer server = ApiServer.start(settings)) {
            send(
                    server,
                    "POST",
                    events,
                    "{\"apiVersion\": \"v1\", \"kind\": \"Event\", \"metadata\": {\"name\": \"old\"}, " + about + "}");
            clock.advance(Duration.ofMinutes(50));
            send(
                    server,
                    "POST",
                    events,
                    "{\"apiVersion\": \"v1\", \"kind\": \"Event\", \"metadata\": {\"name\": \"new\"}, " + about + "}");
            clock.advance(Duration.ofMinutes(11));
            // Housekeeping is woken by a deletion.
            send(server, "POST", CONFIGMAPS, configMap("a"));
            send(server, "DELETE", CONFIGMAPS + "/a", "");
            await().atMost(PATIENCE)
                    .until(() -> send(server, "GET", events, "").body.findValuesAsText("name").stream()
                            .filter(List.of("old", "new")::contains)
                            .toList()
                            .equals(List.of("new")));
        }
    }

    /** The server's threads read it while the test turns it. */
    private static final class MovingClock extends Clock {
        private volatile Instant now = Instant.now();

        synchronized void advance(Duration by) {
            now = now.plus(by);
        }

        @Override
        public Instant instant() {
            return now;
        }

        @Override
        public java.time.ZoneId getZone() {
            return ZoneOffset.UTC;
        }

        @Override
        public Clock withZone(java.time.ZoneId zone) {
            return this;
        }
    }

    @Test
    void stopsAtOnceThoughWatchesAreOpen() throws Exception {
        ApiServer server = ApiServer.start(settings());
        HttpRequest watch = HttpRequest.newBuilder(URI.create(server.uri() + CONFIGMAPS + "?watch=true"))
                .header("Authorization", "Bearer " + server.token())
                .build();
        try (HttpClient http = http(server)) {
            InputStream open =
                    http.send(watch, HttpResponse.BodyHandlers.ofInputStream()).body();
            long begin = System.nanoTime();
            server.close();
            assertThat(Duration.ofNanos(System.nanoTime() - begin)).isLessThan(Duration.ofSeconds(20));
            assertThat(open.readAllBytes()).isEmpty();
        }
    }

    /** fabric8 opens a watch as WebSocket unless it is told not to, and streams when that is answered with 503. */
    @Test
    void aClientThatWantsAWebSocketGetsAStream() throws Exception {
        try (ApiServer server = ApiServer.start(settings())) {
            Path kubeconfig = temporary.resolve("kubeconfig");
            Kubeconfig.write(server, kubeconfig);
            try (KubernetesClient client = new KubernetesClientBuilder()
                            .withConfig(Config.fromKubeconfig(kubeconfig.toFile()))
                            .build();
                    var informer = client.configMaps().inNamespace("default").inform()) {
                send(server, "POST", CONFIGMAPS, configMap("seen"));
                await().atMost(PATIENCE)
                        .until(() -> informer.getStore().list().stream()
                                .anyMatch(map -> map.getMetadata().getName().equals("seen")));
            }
        }
    }

    @Test
    void refusesAKindThatIsNotBuiltIn() throws Exception {
        String crd = """
                {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                 "metadata": {"name": "things.example.com"},
                 "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"},
                  "versions": [{"name": "v1", "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": {"type": "object"}}}]}}
                """;
        String crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        try (ApiServer server = ApiServer.start(settings())) {
            Answer answer = send(server, "POST", crds, crd);
            assertThat(answer.code).isEqualTo(403);
            assertThat(answer.body.path("message").asText())
                    .contains("serves the kinds that are built into vmlet and no others");
            Answer changed = send(
                    server,
                    "PATCH",
                    crds + "/networks.vmlet.dev",
                    "{\"spec\": {\"names\": {\"shortNames\": [\"x\"]}}}");
            assertThat(changed.code).isEqualTo(403);
            Answer noted = send(
                    server, "PATCH", crds + "/networks.vmlet.dev", "{\"metadata\": {\"annotations\": {\"a\": \"b\"}}}");
            assertThat(noted.code).isEqualTo(200);
            assertThat(send(server, "DELETE", crds + "/networks.vmlet.dev", "").code)
                    .isEqualTo(403);
        }
    }
}
