package dev.vmlet.apiserver;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.MissingNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/** HTTP and JSON to an API server, with nothing of a Kubernetes client between the test and the wire. Thread-safe. */
final class Wire implements AutoCloseable {
    static final String JSON = "application/json";
    static final String MERGE = "application/merge-patch+json";
    static final String JSON_PATCH = "application/json-patch+json";
    static final String STRATEGIC = "application/strategic-merge-patch+json";
    static final String APPLY = "application/apply-patch+yaml";

    private static final ObjectMapper YAML = new ObjectMapper(new YAMLFactory());
    private static final ObjectMapper MAPPER = new ObjectMapper();

    /** No answer of a healthy server takes this long, however busy the machine. */
    private static final Duration PATIENCE = Duration.ofSeconds(30);

    private final Endpoint endpoint;
    private final HttpClient http;

    Wire(Endpoint endpoint) {
        this.endpoint = endpoint;
        this.http = HttpClient.newBuilder()
                .sslContext(endpoint.tls())
                .version(HttpClient.Version.HTTP_1_1)
                .connectTimeout(PATIENCE)
                .build();
    }

    /** Parses YAML, of which JSON is a part. */
    static JsonNode read(String yaml) {
        try {
            return YAML.readTree(yaml);
        } catch (JsonProcessingException e) {
            throw new IllegalArgumentException(yaml, e);
        }
    }

    /** What a server said. The body of an answer that is no JSON is a text node. */
    record Answer(int status, List<String> warnings, String contentType, JsonNode body) {
        /** The body, once the status is what it should be. */
        JsonNode expect(int wanted) {
            assertThat(status).as("status of %s", body).isEqualTo(wanted);
            return body;
        }

        JsonNode at(String pointer) {
            return body.at(pointer);
        }
    }

    Answer get(String path) {
        return send("GET", path, null, null);
    }

    Answer post(String path, JsonNode body) {
        return send("POST", path, JSON, body.toString());
    }

    Answer put(String path, JsonNode body) {
        return send("PUT", path, JSON, body.toString());
    }

    /** The patch as YAML; it goes out as JSON, which every patch type takes. */
    Answer patch(String path, String contentType, String yaml) {
        return send("PATCH", path, contentType, read(yaml).toString());
    }

    Answer delete(String path) {
        return send("DELETE", path, null, null);
    }

    Answer delete(String path, String options) {
        return send("DELETE", path, JSON, read(options).toString());
    }

    Answer send(String method, String path, @Nullable String contentType, @Nullable String body, String... headers) {
        HttpRequest.Builder request = request(path)
                .method(
                        method,
                        body == null ? HttpRequest.BodyPublishers.noBody() : HttpRequest.BodyPublishers.ofString(body));
        if (contentType != null) request.setHeader("Content-Type", contentType);
        for (int i = 0; i < headers.length; i += 2) request.setHeader(headers[i], headers[i + 1]);
        HttpResponse<String> response =
                exchange(request.timeout(PATIENCE).build(), HttpResponse.BodyHandlers.ofString());
        return new Answer(
                response.statusCode(),
                response.headers().allValues("Warning"),
                response.headers().firstValue("Content-Type").orElse(""),
                parse(response.body()));
    }

    /** Opens a watch; {@code path} carries its query. Fails when the answer is not 200. */
    Watching watch(String path) {
        HttpResponse<InputStream> response =
                exchange(request(path).GET().build(), HttpResponse.BodyHandlers.ofInputStream());
        assertThat(response.statusCode()).as(path).isEqualTo(200);
        return new Watching(response.body());
    }

    private HttpRequest.Builder request(String path) {
        return HttpRequest.newBuilder(URI.create(endpoint.uri() + path))
                .setHeader("Authorization", "Bearer " + endpoint.token())
                .setHeader("Accept", JSON);
    }

    private <T> HttpResponse<T> exchange(HttpRequest request, HttpResponse.BodyHandler<T> handler) {
        try {
            return http.send(request, handler);
        } catch (IOException e) {
            throw new UncheckedIOException(request.method() + " " + request.uri(), e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted", e);
        }
    }

    private static JsonNode parse(String body) {
        try {
            JsonNode parsed = MAPPER.readTree(body);
            return parsed == null ? MissingNode.getInstance() : parsed;
        } catch (JsonProcessingException e) {
            return MAPPER.getNodeFactory().textNode(body);
        }
    }

    @Override
    public void close() {
        http.shutdownNow();
    }

    /** The events of one watch, in the order in which they came. */
    static final class Watching implements AutoCloseable {
        private final InputStream stream;
        private final BlockingQueue<JsonNode> arrived = new LinkedBlockingQueue<>();

        private Watching(InputStream stream) {
            this.stream = stream;
            Thread.ofVirtual().start(this::readLines);
        }

        private void readLines() {
            try (BufferedReader lines = new BufferedReader(new InputStreamReader(stream, StandardCharsets.UTF_8))) {
                for (String line = lines.readLine(); line != null; line = lines.readLine()) arrived.add(parse(line));
            } catch (IOException e) {
                // Closed by the test, or broken off by the server: either way these were all the events.
            }
            arrived.add(MissingNode.getInstance());
        }

        /** The next event, bookmarks included; a missing node when the stream has ended. */
        JsonNode next() {
            try {
                JsonNode event = arrived.poll(PATIENCE.toSeconds(), TimeUnit.SECONDS);
                if (event == null) throw new AssertionError("no event within " + PATIENCE.toSeconds() + " s");
                return event;
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new IllegalStateException("interrupted", e);
            }
        }

        /** So many events, each as "TYPE name". */
        List<String> next(int count) {
            List<String> said = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                JsonNode event = next();
                said.add((event.path("type").asText() + " "
                                + event.at("/object/metadata/name").asText())
                        .strip());
            }
            return said;
        }

        @Override
        public void close() throws IOException {
            stream.close();
        }
    }
}
