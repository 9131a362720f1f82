package dev.vmlet.apiserver;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpHandler;
import dev.vmlet.apiserver.schema.OpenApi;
import dev.vmlet.apiserver.schema.Refused;
import dev.vmlet.apiserver.store.Store;
import dev.vmlet.apiserver.store.StoreException;
import dev.vmlet.apiserver.store.Stored;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Semaphore;
import java.util.function.Predicate;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Takes every request, asks who it is, hands it on, and turns what goes wrong into a Status. For many threads. */
final class Front implements HttpHandler {
    private static final Logger log = LoggerFactory.getLogger(Front.class);

    /** As kube-apiserver: 3 MiB. */
    static final int BODY_MAX = 3 << 20;

    private static final long DRAINED_MAX = 64L << 20;
    private static final int REQUESTS_MAX = 400;
    /** Below the connections that ApiServer allows, so that requests come through beside them. */
    private static final int WATCHES_MAX = 300;

    private static final int WARNING_MAX = 4_096;

    private final byte[] authorization;
    private final Router router;
    private final Discovery discovery;
    private final Supplier<OpenApi> openApi;
    private final Store store;
    private final Reads reads;
    private final Writes writes;
    private final Semaphore requests = new Semaphore(REQUESTS_MAX);
    private final Semaphore watches = new Semaphore(WATCHES_MAX);
    private final Set<Thread> watching = ConcurrentHashMap.newKeySet();
    private volatile boolean stopping;

    /** @param openApi made when somebody first asks for it */
    Front(
            String token,
            Router router,
            Discovery discovery,
            Supplier<OpenApi> openApi,
            Store store,
            Reads reads,
            Writes writes) {
        this.authorization = ("Bearer " + token).getBytes(StandardCharsets.UTF_8);
        this.router = router;
        this.discovery = discovery;
        this.openApi = openApi;
        this.store = store;
        this.reads = reads;
        this.writes = writes;
    }

    /** Ends the watches that are open and refuses new ones. */
    void stop() {
        stopping = true;
        watching.forEach(Thread::interrupt);
    }

    @SuppressWarnings("ArrayRecordComponent") // Sent once.
    private record Reply(int code, String contentType, byte[] body, List<String> warnings) {
        static Reply of(int code, JsonNode body, List<String> warnings) {
            return new Reply(code, "application/json", Json.bytes(body), warnings);
        }

        static Reply of(JsonNode body) {
            return of(200, body, List.of());
        }

        Reply inYaml() {
            return contentType.equals("application/json")
                    ? new Reply(code, Form.YAML, Json.yaml(Json.own(body)), warnings)
                    : this;
        }
    }

    @Override
    public void handle(HttpExchange exchange) {
        try (exchange) {
            Reply reply = answer(exchange);
            if (reply != null) send(exchange, Form.inYaml(accept(exchange)) ? reply.inYaml() : reply);
        } catch (IOException e) {
            log.atDebug().setCause(e).log("client went away");
        }
    }

    /** Null when a watch has already been answered. */
    private @Nullable Reply answer(HttpExchange exchange) throws IOException {
        try {
            return route(exchange);
        } catch (ApiException e) {
            e.retryAfter()
                    .ifPresent(seconds -> exchange.getResponseHeaders().set("Retry-After", Integer.toString(seconds)));
            return Reply.of(e.code(), e.status(), List.of());
        } catch (Refused e) {
            return Reply.of(e.code(), e.status(), List.of());
        } catch (StoreException e) {
            ApiException told = ApiException.of(e);
            return Reply.of(told.code(), told.status(), List.of());
        } catch (InterruptedException e) {
            // The server stops. This thread ends here, and must not be interrupted while it ends the answer.
            return null;
        } catch (RuntimeException e) {
            log.atError()
                    .addKeyValue("request", exchange.getRequestMethod() + " " + exchange.getRequestURI())
                    .setCause(e)
                    .log("request failed");
            ApiException told = ApiException.internal("see the log of vmlet: " + e);
            return Reply.of(told.code(), told.status(), List.of());
        }
    }

    private @Nullable Reply route(HttpExchange exchange)
            throws ApiException, Refused, StoreException, IOException, InterruptedException {
        List<String> parts = Router.parts(exchange.getRequestURI().getRawPath());
        String first = parts.isEmpty() ? "" : parts.getFirst();
        // Health tells nothing worth a secret.
        if (List.of("healthz", "livez", "readyz").contains(first)) {
            return new Reply(200, "text/plain; charset=utf-8", "ok".getBytes(StandardCharsets.UTF_8), List.of());
        }
        if (!authorized(exchange)) throw ApiException.unauthorized();
        boolean resource = first.equals("api") ? parts.size() > 2 : first.equals("apis") && parts.size() > 3;
        if (!resource) {
            if (!exchange.getRequestMethod().equals("GET")) throw ApiException.noSuchPath();
            return document(exchange, parts);
        }
        boolean core = first.equals("api");
        String group = core ? "" : parts.get(1);
        Router.Target target = router.target(group, parts.get(core ? 1 : 2), parts.subList(core ? 2 : 3, parts.size()))
                .orElseThrow(ApiException::noSuchPath);
        return limited(exchange, target);
    }

    private boolean authorized(HttpExchange exchange) {
        String given = exchange.getRequestHeaders().getFirst("Authorization");
        return given != null && MessageDigest.isEqual(given.getBytes(StandardCharsets.UTF_8), authorization);
    }

    private Reply document(HttpExchange exchange, List<String> parts) throws ApiException {
        String path = String.join("/", parts);
        if (path.equals("openapi/v2") && OpenApiV2.inProtobuf(accept(exchange))) {
            return new Reply(200, OpenApiV2.PROTOBUF, OpenApiV2.protobuf(), List.of());
        }
        Form form = Form.of(accept(exchange));
        if (form == Form.DISCOVERY && (path.equals("api") || path.equals("apis"))) {
            return new Reply(
                    200,
                    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
                    Json.bytes(discovery.aggregated(path.equals("api"))),
                    List.of());
        }
        Optional<ObjectNode> found = switch (parts.isEmpty() ? "" : parts.getFirst()) {
            case "" -> Optional.of(paths());
            case "version" -> Optional.of(Discovery.version());
            case "api" -> parts.size() == 1 ? Optional.of(discovery.core()) : discovery.resources("", parts.get(1));
            case "apis" ->
                switch (parts.size()) {
                    case 1 -> Optional.of(discovery.groups());
                    case 2 -> discovery.group(parts.get(1));
                    default -> discovery.resources(parts.get(1), parts.get(2));
                };
            case "openapi" -> openApi(path);
            default -> Optional.empty();
        };
        return Reply.of(found.orElseThrow(ApiException::noSuchPath));
    }

    private static ObjectNode paths() {
        ObjectNode paths = Json.object();
        var array = paths.putArray("paths");
        List.of("/api", "/apis", "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version")
                .forEach(array::add);
        return paths;
    }

    private Optional<ObjectNode> openApi(String path) {
        return switch (path) {
            case "openapi/v2" -> Optional.of(OpenApiV2.json());
            case "openapi/v3" -> Optional.of(openApi.get().index());
            default ->
                path.startsWith("openapi/v3/")
                        ? openApi.get().document(path.substring("openapi/v3/".length()))
                        : Optional.empty();
        };
    }

    private static String accept(HttpExchange exchange) {
        List<String> accepted = exchange.getRequestHeaders().getOrDefault("Accept", List.of());
        return String.join(",", accepted);
    }

    private @Nullable Reply limited(HttpExchange exchange, Router.Target target)
            throws ApiException, Refused, StoreException, IOException, InterruptedException {
        Call call = call(exchange, target);
        boolean watch =
                exchange.getRequestMethod().equals("GET") && call.query().flag("watch");
        Semaphore room = watch ? watches : requests;
        if (!room.tryAcquire()) throw ApiException.tooMany();
        try {
            if (watch) {
                watch(exchange, call);
                return null;
            }
            return dispatch(exchange.getRequestMethod(), call);
        } finally {
            room.release();
        }
    }

    private static Call call(HttpExchange exchange, Router.Target target) throws ApiException, IOException {
        String raw = exchange.getRequestURI().getRawQuery();
        String contentType = exchange.getRequestHeaders().getFirst("Content-Type");
        String agent = exchange.getRequestHeaders().getFirst("User-Agent");
        return new Call(
                target.type(),
                target.namespace(),
                target.name(),
                target.subresource(),
                Query.parse(raw == null ? "" : raw),
                Form.of(accept(exchange)),
                agent == null ? "" : agent,
                new Call.Body(contentType == null ? "" : contentType, body(exchange)));
    }

    private static byte[] body(HttpExchange exchange) throws ApiException, IOException {
        InputStream from = exchange.getRequestBody();
        byte[] body = from.readNBytes(BODY_MAX + 1);
        if (body.length > BODY_MAX) {
            // A client that is still sending would take a closed connection for an error of the network.
            drain(from);
            throw ApiException.bodyTooLarge(BODY_MAX);
        }
        return body;
    }

    private static void drain(InputStream from) throws IOException {
        byte[] piece = new byte[8_192];
        for (long left = DRAINED_MAX; left > 0; ) {
            int read = from.read(piece);
            if (read < 0) return;
            left -= read;
        }
    }

    private void watch(HttpExchange exchange, Call call) throws ApiException, IOException, InterruptedException {
        if (exchange.getRequestHeaders().containsKey("Upgrade")) throw ApiException.noWebSocket();
        WatchStream stream = new WatchStream(store, reads, call);
        exchange.getResponseHeaders().set("Content-Type", "application/json");
        exchange.sendResponseHeaders(200, 0);
        exchange.getResponseBody().flush();
        watching.add(Thread.currentThread());
        try {
            stream.run(exchange.getResponseBody(), () -> stopping);
        } finally {
            watching.remove(Thread.currentThread());
        }
    }

    private Reply dispatch(String method, Call call) throws ApiException, Refused, StoreException {
        boolean collection = call.name().isEmpty();
        boolean homeless = call.type().namespaced() && call.namespace().isEmpty();
        return switch (method) {
            case "GET" -> Reply.of(collection ? reads.list(call) : reads.get(call));
            case "POST" -> {
                if (!collection || homeless) throw ApiException.methodNotAllowed(call.type(), "create");
                yield written(call, writes.create(call));
            }
            case "PUT" -> {
                if (collection) throw ApiException.methodNotAllowed(call.type(), "update");
                yield written(call, writes.update(call));
            }
            case "PATCH" -> {
                if (collection) throw ApiException.methodNotAllowed(call.type(), "patch");
                yield written(call, writes.patch(call));
            }
            case "DELETE" -> {
                if (homeless || call.status()) throw ApiException.methodNotAllowed(call.type(), "delete");
                yield Reply.of(collection ? deleteAll(call) : delete(call));
            }
            default -> throw ApiException.methodNotAllowed(call.type(), method.toLowerCase(Locale.ROOT));
        };
    }

    private Reply written(Call call, Writes.Outcome outcome) throws ApiException {
        return Reply.of(outcome.code(), reads.shown(call, outcome.object()), outcome.warnings());
    }

    private ObjectNode delete(Call call) throws ApiException, StoreException {
        ObjectNode gone = writes.delete(call.type(), call.key(), DeleteOptions.of(call));
        return Json.text(gone, "kind").equals("Status") ? gone : reads.shown(call, gone);
    }

    private ObjectNode deleteAll(Call call) throws ApiException, StoreException {
        Predicate<Stored> selected = Reads.selected(call);
        return reads.gone(call, writes.deleteAll(call.type(), call.namespace(), selected, DeleteOptions.of(call)));
    }

    private static void send(HttpExchange exchange, Reply reply) throws IOException {
        exchange.getResponseHeaders().set("Content-Type", reply.contentType);
        exchange.getResponseHeaders().set("Cache-Control", "no-cache, private");
        for (String warning : reply.warnings) {
            exchange.getResponseHeaders().add("Warning", "299 - " + quoted(warning));
        }
        exchange.sendResponseHeaders(reply.code, reply.body.length == 0 ? -1 : reply.body.length);
        exchange.getResponseBody().write(reply.body);
    }

    /** A quoted string of a header: one line of it. */
    private static String quoted(String text) {
        String line = text.replaceAll("[\\p{Cntrl}]", " ");
        String cut = line.length() > WARNING_MAX ? line.substring(0, WARNING_MAX) : line;
        return '"' + cut.replace("\\", "\\\\").replace("\"", "\\\"") + '"';
    }
}
