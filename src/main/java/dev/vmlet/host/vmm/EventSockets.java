package dev.vmlet.host.vmm;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedSelectorException;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Calls when a VMM that tells its events over a socket says anything at all: a hint to look. Of what it says only its
 * guest's reboots are kept, which no later look would find; those told before the connection are missed. One daemon thread
 * listens to all. Calls also after each connection.
 *
 * <p>A VMM may be in the hands of its guest: however fast it talks, it is heard {@link #PAUSE} apart.
 */
final class EventSockets implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(EventSockets.class);
    private static final int LINE_MAX = 4096;
    private static final Duration PAUSE = Duration.ofMillis(50);
    private static final Duration RECONNECT_FIRST = Duration.ofMillis(100);
    /** Guests of an earlier agent have no such socket and never will. */
    private static final Duration RECONNECT_LONGEST = Duration.ofSeconds(30);

    private final Consumer<String> wake;
    private final Selector selector;
    private final ByteBuffer buffer = ByteBuffer.allocate(64 << 10);

    /** Guarded by this; what is in a line belongs to the listening thread. */
    private final Map<String, Line> lines = new HashMap<>();

    private final List<Line> leaving = new ArrayList<>();

    private static final class Line {
        final String vmUid;
        final Vmm.Events source;

        @Nullable
        SocketChannel channel;

        /** When to connect, or while connected to listen, again; of {@link System#nanoTime}. */
        long nextAt = System.nanoTime();

        Duration reconnect = RECONNECT_FIRST;

        /** The line that has not ended yet. */
        final StringBuilder unfinished = new StringBuilder();

        final AtomicInteger reboots = new AtomicInteger();

        Line(String vmUid, Vmm.Events source) {
            this.vmUid = vmUid;
            this.source = source;
        }
    }

    /** @param wake called with the VM's uid, on the listening thread; must not block */
    EventSockets(Consumer<String> wake) throws IOException {
        this.wake = wake;
        this.selector = Selector.open();
        Thread.ofPlatform().daemon().name("vmm-events").start(this::run);
    }

    /** Harmless to call again for a VM that is listened to. */
    synchronized void follow(String vmUid, Vmm.Events source) {
        if (!lines.containsKey(vmUid)) {
            lines.put(vmUid, new Line(vmUid, source));
            selector.wakeup();
        }
    }

    synchronized void forget(String vmUid) {
        Line line = lines.remove(vmUid);
        if (line != null) {
            leaving.add(line);
            selector.wakeup();
        }
    }

    /** How often the guest has started over since it is followed. */
    synchronized int reboots(String vmUid) {
        Line line = lines.get(vmUid);
        return line == null ? 0 : line.reboots.get();
    }

    @Override
    public void close() {
        try {
            selector.close();
        } catch (IOException e) {
            LOG.atDebug().setCause(e).log("selector was closed already");
        }
    }

    private void run() {
        try {
            while (selector.isOpen()) {
                long wait = tend();
                int _ = wait < 0 ? selector.select() : selector.select(Math.max(1, wait));
                for (SelectionKey key : selector.selectedKeys()) {
                    if (key.isValid() && key.attachment() instanceof Line line) {
                        listen(line, key);
                    }
                }
                selector.selectedKeys().clear();
            }
        } catch (ClosedSelectorException e) {
            return;
        } catch (IOException e) {
            LOG.atError().setCause(e).log("events of VMMs are no longer heard: the timer finds what they tell");
        }
    }

    /** Connects, and listens again after a pause; how many milliseconds until that is due for somebody, -1 for never. */
    private synchronized long tend() {
        leaving.forEach(line -> close(line.channel));
        leaving.clear();
        long now = System.nanoTime();
        long soonest = Long.MAX_VALUE;
        for (Line line : lines.values()) {
            SelectionKey key = line.channel == null ? null : line.channel.keyFor(selector);
            if (line.nextAt - now <= 0) {
                if (key == null) {
                    connect(line, now);
                    key = line.channel == null ? null : line.channel.keyFor(selector);
                } else if (key.isValid()) {
                    key.interestOps(SelectionKey.OP_READ);
                }
            }
            boolean listening = key != null && key.isValid() && key.interestOps() == SelectionKey.OP_READ;
            if (!listening) {
                soonest = Math.min(soonest, line.nextAt - now);
            }
        }
        return soonest == Long.MAX_VALUE ? -1 : Math.max(0, soonest) / 1_000_000 + 1;
    }

    private void connect(Line line, long now) {
        SocketChannel channel = null;
        try {
            channel = SocketChannel.open(StandardProtocolFamily.UNIX);
            channel.configureBlocking(false);
            // A unix socket connects at once or not at all, and takes a few words at once.
            ByteBuffer hello = ByteBuffer.wrap(line.source.hello().getBytes(StandardCharsets.UTF_8));
            if (channel.connect(UnixDomainSocketAddress.of(line.source.socket()))
                    && channel.write(hello) >= 0
                    && !hello.hasRemaining()) {
                channel.register(selector, SelectionKey.OP_READ, line);
                line.channel = channel;
                line.reconnect = RECONNECT_FIRST;
                call(line.vmUid);
                return;
            }
        } catch (IOException e) {
            LOG.atTrace()
                    .addKeyValue("socket", line.source.socket())
                    .setCause(e)
                    .log("events not there yet");
        }
        close(channel);
        again(line, now);
    }

    private static void again(Line line, long now) {
        line.nextAt = now + line.reconnect.toNanos();
        Duration next = line.reconnect.multipliedBy(2);
        line.reconnect = next.compareTo(RECONNECT_LONGEST) < 0 ? next : RECONNECT_LONGEST;
    }

    private void listen(Line line, SelectionKey key) {
        SocketChannel channel = line.channel;
        if (channel == null) {
            return;
        }
        try {
            buffer.clear();
            if (channel.read(buffer) < 0) {
                throw new IOException("the VMM hung up");
            }
            hear(line);
            key.interestOps(0);
            line.nextAt = System.nanoTime() + PAUSE.toNanos();
        } catch (IOException e) {
            LOG.atDebug()
                    .addKeyValue("socket", line.source.socket())
                    .setCause(e)
                    .log("events hung up");
            line.channel = null;
            close(channel);
            again(line, System.nanoTime());
        }
        call(line.vmUid);
    }

    /** Counts what the lines in the buffer tell. Whoever talks without end of line is not kept in memory. */
    private void hear(Line line) {
        for (byte b : Arrays.copyOf(buffer.array(), buffer.position())) {
            if (b != '\n') {
                if (line.unfinished.length() < LINE_MAX) {
                    line.unfinished.append((char) (b & 0xff));
                }
            } else {
                if (line.source.reboot().test(line.unfinished.toString())) {
                    line.reboots.incrementAndGet();
                }
                line.unfinished.setLength(0);
            }
        }
    }

    private void call(String vmUid) {
        try {
            wake.accept(vmUid);
        } catch (RuntimeException e) {
            LOG.atError().addKeyValue("vmUid", vmUid).setCause(e).log("event callback failed");
        }
    }

    private static void close(@Nullable SocketChannel channel) {
        if (channel != null) {
            try {
                channel.close();
            } catch (IOException e) {
                LOG.atDebug().setCause(e).log("events were closed already");
            }
        }
    }
}
