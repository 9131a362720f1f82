package dev.vmlet.e2e;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * A web server on every loopback address that has files and misbehaves as asked: {@code /torn} ends in the middle of the
 * first answer and goes on from there, {@code /always-torn} never comes further, {@code /endless} does not say its length,
 * {@code /to?URL} leads elsewhere.
 */
final class ImageWeb implements AutoCloseable {
    private final HttpServer server;
    private final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();
    private final Map<String, Path> files = new ConcurrentHashMap<>();
    /** As {@code path}, or {@code path from N} where a part was asked for. */
    final List<String> requests = new CopyOnWriteArrayList<>();

    ImageWeb() {
        try {
            server = HttpServer.create(new InetSocketAddress(InetAddress.ofLiteral("0.0.0.0"), 0), 0);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        server.setExecutor(threads);
        server.createContext("/", this::answer);
        server.start();
    }

    int port() {
        return server.getAddress().getPort();
    }

    String url(String path) {
        return "http://127.0.0.1:" + port() + path;
    }

    /** Offers the file; answers its path. */
    String offer(String path, Path file) {
        files.put(path, file);
        return path;
    }

    long asked(String path) {
        return requests.stream().filter(path::equals).count();
    }

    private void answer(HttpExchange exchange) throws IOException {
        String path = exchange.getRequestURI().getPath();
        String range = exchange.getRequestHeaders().getFirst("Range");
        int from = range == null ? 0 : Integer.parseInt(range.replaceAll("[^0-9]", ""));
        requests.add(path + (from == 0 ? "" : " from " + from));
        try (exchange) {
            if (path.equals("/to")) {
                exchange.getResponseHeaders()
                        .set("Location", exchange.getRequestURI().getQuery());
                exchange.sendResponseHeaders(302, -1);
            } else if (path.equals("/page")) {
                byte[] page = "<!doctype html><title>Sign in</title>".getBytes(StandardCharsets.US_ASCII);
                exchange.sendResponseHeaders(200, page.length);
                exchange.getResponseBody().write(page);
            } else if (files.containsKey(path)) {
                send(exchange, path, Files.readAllBytes(files.get(path)), from);
            } else {
                exchange.sendResponseHeaders(404, -1);
            }
        }
    }

    private static void send(HttpExchange exchange, String path, byte[] content, int from) throws IOException {
        if (path.startsWith("/torn")) {
            exchange.getResponseHeaders().set("ETag", "\"one\"");
        }
        if (from > 0) {
            exchange.getResponseHeaders()
                    .set("Content-Range", "bytes " + from + "-" + (content.length - 1) + "/" + content.length);
        }
        exchange.sendResponseHeaders(from > 0 ? 206 : 200, path.startsWith("/endless") ? 0 : content.length - from);
        boolean tears = path.startsWith("/always-torn") || path.startsWith("/torn") && from == 0;
        exchange.getResponseBody().write(content, from, (content.length - from) / (tears ? 2 : 1));
        exchange.getResponseBody().flush();
    }

    @Override
    public void close() {
        server.stop(0);
        threads.shutdownNow();
    }
}
