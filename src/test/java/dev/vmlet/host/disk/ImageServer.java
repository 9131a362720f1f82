package dev.vmlet.host.disk;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import dev.vmlet.model.ImageFormat;
import dev.vmlet.model.ImageSource;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/** A web server on loopback that fails in every way a web server can. */
final class ImageServer implements AutoCloseable {
    final AtomicInteger requests = new AtomicInteger();
    final List<String> paths = new CopyOnWriteArrayList<>();
    final List<String> ranges = new CopyOnWriteArrayList<>();
    /** While this is not zero, /slow does not go on. */
    final CountDownLatch slow = new CountDownLatch(1);

    private final HttpServer server;
    private final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();
    private final byte[] image;

    ImageServer(byte[] image) throws IOException {
        this.image = image;
        server = HttpServer.create(new InetSocketAddress(InetAddress.ofLiteral("127.0.0.1"), 0), 0);
        server.setExecutor(threads);
        server.createContext("/image", this::whole);
        server.createContext("/slow", this::slowly);
        server.createContext("/cut", this::cut);
        server.createContext("/cut-changing", this::cutChanging);
        server.createContext("/html", exchange -> {
            exchange.getResponseHeaders().set("Content-Type", "text/html");
            send(
                    exchange,
                    200,
                    "<!doctype html><title>Download</title>".getBytes(java.nio.charset.StandardCharsets.UTF_8));
        });
        server.createContext("/missing", exchange -> send(exchange, 404, new byte[0]));
        server.createContext("/broken", exchange -> send(exchange, 503, new byte[0]));
        server.createContext("/to", exchange -> {
            exchange.getResponseHeaders()
                    .set("Location", exchange.getRequestURI().getQuery());
            send(exchange, 302, new byte[0]);
        });
        server.createContext("/loop", exchange -> {
            exchange.getResponseHeaders().set("Location", "/loop");
            send(exchange, 302, new byte[0]);
        });
        server.start();
    }

    int port() {
        return server.getAddress().getPort();
    }

    ImageSource.Url url(String path, String sha256) {
        return new ImageSource.Url("http://127.0.0.1:" + port() + path, ImageFormat.RAW, sha256);
    }

    private void send(HttpExchange exchange, int code, byte[] body) throws IOException {
        requests.incrementAndGet();
        paths.add(exchange.getRequestURI().toString());
        try (exchange) {
            exchange.sendResponseHeaders(code, body.length == 0 ? -1 : body.length);
            exchange.getResponseBody().write(body);
        }
    }

    private void whole(HttpExchange exchange) throws IOException {
        send(exchange, 200, image);
    }

    private void slowly(HttpExchange exchange) throws IOException {
        requests.incrementAndGet();
        try (exchange) {
            exchange.sendResponseHeaders(200, image.length);
            exchange.getResponseBody().write(image, 0, image.length / 2);
            exchange.getResponseBody().flush();
            if (slow.await(30, TimeUnit.SECONDS)) {
                exchange.getResponseBody().write(image, image.length / 2, image.length - image.length / 2);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** The first answer ends in the middle, the second goes on from there. */
    private void cut(HttpExchange exchange) throws IOException {
        exchange.getResponseHeaders().set("ETag", "\"v1\"");
        if (requests.incrementAndGet() == 1) {
            sendHalf(exchange);
            return;
        }
        String range = String.valueOf(exchange.getRequestHeaders().getFirst("Range"));
        ranges.add(range + " if " + exchange.getRequestHeaders().getFirst("If-Range"));
        int from = Integer.parseInt(range.replaceAll("[^0-9]", ""));
        exchange.getResponseHeaders()
                .set("Content-Range", "bytes " + from + "-" + (image.length - 1) + "/" + image.length);
        try (exchange) {
            exchange.sendResponseHeaders(206, image.length - from);
            exchange.getResponseBody().write(image, from, image.length - from);
        }
    }

    /** The second answer is another version's, whole. */
    private void cutChanging(HttpExchange exchange) throws IOException {
        exchange.getResponseHeaders().set("ETag", "\"v" + (requests.get() + 1) + "\"");
        if (requests.incrementAndGet() == 1) {
            sendHalf(exchange);
            return;
        }
        try (exchange) {
            exchange.sendResponseHeaders(200, image.length);
            exchange.getResponseBody().write(image);
        }
    }

    private void sendHalf(HttpExchange exchange) throws IOException {
        exchange.sendResponseHeaders(200, image.length);
        exchange.getResponseBody().write(image, 0, image.length / 2);
        exchange.getResponseBody().flush();
        exchange.close();
    }

    @Override
    public void close() {
        slow.countDown();
        server.stop(0);
        threads.shutdownNow();
    }
}
