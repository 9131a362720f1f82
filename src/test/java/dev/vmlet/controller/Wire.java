package dev.vmlet.controller;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * A wire to an API server that can be spoiled: a port on loopback whose connections lead there. What is encrypted stays
 * so; only bytes are held back.
 */
public final class Wire implements AutoCloseable {
    private final ServerSocket door;
    private final URI upstream;
    private final Set<Line> lines = ConcurrentHashMap.newKeySet();
    private final CountDownLatch end = new CountDownLatch(1);
    private volatile Duration late = Duration.ZERO;
    private volatile boolean cut;

    private record Line(Socket client, Socket server, CountDownLatch dead) {
        void close() {
            try (client;
                    server) {
                dead.countDown();
            } catch (IOException _) {
                // It was closed already.
            }
        }
    }

    public Wire(URI upstream) throws IOException {
        this.upstream = upstream;
        this.door = new ServerSocket(0, 100, InetAddress.getLoopbackAddress());
        Thread.ofVirtual().start(this::accept);
    }

    /** Where a client finds the server by this wire. */
    public URI uri() {
        return URI.create(upstream.getScheme() + "://127.0.0.1:" + door.getLocalPort() + "/");
    }

    /** All connections there are stay open, and not a byte crosses them any more. Later ones are good. */
    public int freeze() {
        lines.forEach(line -> line.dead.countDown());
        return lines.size();
    }

    /** What the server says comes later by so much. */
    public void delay(Duration by) {
        late = by;
    }

    /** All connections break, and no other comes about. */
    public void cut() {
        cut = true;
        lines.forEach(Line::close);
    }

    public void mend() {
        cut = false;
    }

    private void accept() {
        while (end.getCount() > 0) {
            try {
                Socket client = door.accept();
                if (cut) {
                    client.close();
                    continue;
                }
                Socket server = new Socket(upstream.getHost(), upstream.getPort());
                Line line = new Line(client, server, new CountDownLatch(1));
                lines.add(line);
                Thread.ofVirtual().start(() -> carry(line, client, server, false));
                Thread.ofVirtual().start(() -> carry(line, server, client, true));
            } catch (IOException _) {
                // The server is away, or this wire is at its end.
            }
        }
    }

    private void carry(Line line, Socket from, Socket to, boolean slow) {
        byte[] some = new byte[16_384];
        try {
            InputStream in = from.getInputStream();
            OutputStream out = to.getOutputStream();
            for (int count = in.read(some); count >= 0; count = in.read(some)) {
                if (line.dead.getCount() == 0) {
                    end.await();
                    break;
                }
                if (slow) {
                    TimeUnit.NANOSECONDS.sleep(late.toNanos());
                }
                out.write(some, 0, count);
            }
        } catch (IOException _) {
            // One of the ends has gone.
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        if (line.dead.getCount() > 0) {
            lines.remove(line);
            line.close();
        }
    }

    @Override
    public void close() throws IOException {
        end.countDown();
        door.close();
        lines.forEach(Line::close);
    }
}
