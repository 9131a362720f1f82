package dev.vmlet.health;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpHandler;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Plain HTTP for probes and collectors, without a secret in it and without a way to change anything but how much is
 * logged, and that from this machine only.
 *
 * <pre>
 *   GET /livez      200 while the loop makes progress; a supervisor starts the process again on 503
 *   GET /readyz     200 when it knows what it has to know, and acts
 *   GET /metrics    Prometheus text
 *   GET /loglevel   the level
 *   PUT /loglevel   sets it to the body, until the process ends; from loopback only, as kubectl port-forward comes
 * </pre>
 */
public final class HealthDoor implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(HealthDoor.class);
    private static final int LONGEST_BODY = 64;

    private final HttpServer server;
    private final ExecutorService threads;

    /**
     * @param live whether the process lives; what is not in its hands does not belong here, for a restart would not help
     * @param metrics what a collector reads
     * @throws IOException when the address cannot be had
     */
    public HealthDoor(
            InetSocketAddress address,
            List<Check> live,
            List<Check> ready,
            Supplier<String> metrics,
            LogLevels logLevels)
            throws IOException {
        this.server = HttpServer.create(address, 16);
        this.threads = Executors.newVirtualThreadPerTaskExecutor();
        server.setExecutor(threads);
        server.createContext("/", exchange -> answer(exchange, 404, "there are /livez, /readyz and /metrics\n"));
        server.createContext("/livez", reading("/livez", exchange -> checks(exchange, live)));
        server.createContext("/readyz", reading("/readyz", exchange -> checks(exchange, ready)));
        server.createContext("/metrics", reading("/metrics", exchange -> {
            exchange.getResponseHeaders().set("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
            answer(exchange, 200, metrics.get());
        }));
        server.createContext("/loglevel", exchange -> logLevel(exchange, logLevels));
        server.start();
    }

    /**
     * To be called once, before the first server of this process: whoever is slow to ask or to listen is let go, so that
     * nobody keeps the probes out. It holds for every server of the process, and would end watches.
     */
    public static void limitSlowClients() {
        System.setProperty("sun.net.httpserver.maxReqTime", "10");
        System.setProperty("sun.net.httpserver.maxRspTime", "30");
        System.setProperty("jdk.httpserver.maxConnections", "128");
    }

    public InetSocketAddress address() {
        return server.getAddress();
    }

    private static HttpHandler reading(String path, HttpHandler handler) {
        return exchange -> {
            String method = exchange.getRequestMethod();
            if (!exchange.getRequestURI().getPath().equals(path)) {
                answer(exchange, 404, "there are /livez, /readyz and /metrics\n");
            } else if (method.equals("GET") || method.equals("HEAD")) {
                handler.handle(exchange);
            } else {
                exchange.getResponseHeaders().set("Allow", "GET, HEAD");
                answer(exchange, 405, path + " can only be read\n");
            }
        };
    }

    private static void checks(HttpExchange exchange, List<Check> checks) throws IOException {
        StringBuilder text = new StringBuilder();
        boolean all = true;
        for (Check check : checks) {
            boolean passes = check.passes().getAsBoolean();
            all &= passes;
            text.append(passes ? "[+]" : "[-]").append(check.name());
            text.append(passes ? " ok" : ": " + check.failing()).append('\n');
        }
        answer(exchange, all ? 200 : 503, text.toString());
    }

    private static void logLevel(HttpExchange exchange, LogLevels levels) throws IOException {
        switch (exchange.getRequestMethod()) {
            case "GET" -> answer(exchange, 200, levels.level() + "\n");
            case "PUT" -> {
                if (!exchange.getRemoteAddress().getAddress().isLoopbackAddress()) {
                    answer(
                            exchange,
                            403,
                            "the log level is set from this machine only; kubectl port-forward to the pod comes from"
                                    + " there\n");
                    return;
                }
                String asked = new String(exchange.getRequestBody().readNBytes(LONGEST_BODY), StandardCharsets.UTF_8);
                try {
                    levels.set(asked.strip());
                    answer(exchange, 200, levels.level() + "\n");
                } catch (IllegalArgumentException e) {
                    answer(exchange, 400, e.getMessage() + "\n");
                }
            }
            default -> {
                exchange.getResponseHeaders().set("Allow", "GET, PUT");
                answer(exchange, 405, "/loglevel can be read and set\n");
            }
        }
    }

    private static void answer(HttpExchange exchange, int code, String text) throws IOException {
        try (exchange) {
            byte[] body = text.getBytes(StandardCharsets.UTF_8);
            var headers = exchange.getResponseHeaders();
            if (!headers.containsKey("Content-Type")) {
                headers.set("Content-Type", "text/plain; charset=utf-8");
            }
            headers.set("X-Content-Type-Options", "nosniff");
            if (exchange.getRequestMethod().equals("HEAD")) {
                exchange.sendResponseHeaders(code, -1);
                return;
            }
            exchange.sendResponseHeaders(code, body.length);
            try (OutputStream out = exchange.getResponseBody()) {
                out.write(body);
            }
        } catch (IOException e) {
            // Whoever asked has gone.
            log.atDebug().setCause(e).log("not answered");
        }
    }

    @Override
    public void close() {
        server.stop(0);
        threads.shutdownNow();
    }
}
