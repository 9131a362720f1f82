package dev.vmlet.host.vmm;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedSelectorException;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.nio.channels.WritableByteChannel;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Reads the consoles of all guests into their logs, on one daemon thread. Always drains: a reader that is connected and
 * does not read stops its guest. Connects again when a console hangs up, because cloud-hypervisor makes the socket anew
 * at every guest reboot.
 */
final class SerialRecorder implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(SerialRecorder.class);
    private static final long RECONNECT_MILLIS = 100;

    private final Selector selector;
    private final ByteBuffer buffer = ByteBuffer.allocate(64 << 10);

    /** Guarded by this; the channels in it belong to the recording thread. */
    private final Map<String, Console> consoles = new HashMap<>();

    /** To be read once more and closed; guarded by this. */
    private final Set<Console> leaving = new HashSet<>();

    /** One guest's console. All but the paths belongs to the recording thread. */
    private static final class Console {
        final Path socket;
        final Path log;
        final CountDownLatch finished = new CountDownLatch(1);

        @Nullable
        SocketChannel channel;

        Console(Path socket, Path log) {
            this.socket = socket;
            this.log = log;
        }
    }

    SerialRecorder() throws IOException {
        this.selector = Selector.open();
        Thread.ofPlatform().daemon().name("vmm-serial").start(this::run);
    }

    /** Harmless to call again for a console that is recorded. */
    synchronized void record(String vmUid, Path socket, Path log) {
        if (consoles.putIfAbsent(vmUid, new Console(socket, log)) == null) {
            selector.wakeup();
        }
    }

    /** Reads what is left, closes, and returns when that is done or the patience ends. */
    void finish(String vmUid, Duration patience) {
        Console console;
        synchronized (this) {
            console = consoles.remove(vmUid);
            if (console == null) {
                return;
            }
            leaving.add(console);
        }
        selector.wakeup();
        try {
            boolean _ = console.finished.await(patience.toNanos(), TimeUnit.NANOSECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
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
                boolean unconnected = connectAll();
                int _ = unconnected ? selector.select(RECONNECT_MILLIS) : selector.select();
                for (SelectionKey key : selector.selectedKeys()) {
                    if (key.isValid() && key.attachment() instanceof Console console) {
                        drain(console);
                    }
                }
                selector.selectedKeys().clear();
                closeLeaving();
            }
        } catch (ClosedSelectorException e) {
            return;
        } catch (IOException e) {
            LOG.atError().setCause(e).log("consoles are no longer recorded");
        }
    }

    /** Whether some console has nobody to connect to yet. */
    private synchronized boolean connectAll() {
        boolean unconnected = false;
        for (Console console : consoles.values()) {
            if (console.channel == null) {
                connect(console);
                unconnected |= console.channel == null;
            }
        }
        return unconnected;
    }

    private void connect(Console console) {
        SocketChannel channel = null;
        try {
            channel = SocketChannel.open(StandardProtocolFamily.UNIX);
            channel.configureBlocking(false);
            // A unix socket connects at once or not at all.
            if (channel.connect(UnixDomainSocketAddress.of(console.socket))) {
                channel.register(selector, SelectionKey.OP_READ, console);
                console.channel = channel;
                return;
            }
        } catch (IOException e) {
            LOG.atTrace().addKeyValue("socket", console.socket).setCause(e).log("console not there yet");
        }
        close(channel);
    }

    private void drain(Console console) {
        SocketChannel channel = console.channel;
        if (channel == null) {
            return;
        }
        try {
            // Bounded, so that one noisy guest does not starve the others: the selector comes back to it.
            for (int i = 0; i < 16; i++) {
                buffer.clear();
                int count = channel.read(buffer);
                if (count < 0) {
                    console.channel = null;
                    close(channel);
                    return;
                }
                if (count == 0) {
                    return;
                }
                append(console.log, buffer.flip());
            }
        } catch (IOException e) {
            LOG.atDebug().addKeyValue("socket", console.socket).setCause(e).log("console hung up");
            console.channel = null;
            close(channel);
        }
    }

    private synchronized void closeLeaving() {
        for (Console console : leaving) {
            drain(console);
            close(console.channel);
            console.channel = null;
            console.finished.countDown();
        }
        leaving.clear();
    }

    /** Never fails: a full disk must not stop the draining, or it stops the guest. */
    private static void append(Path log, ByteBuffer bytes) {
        try {
            if (Files.exists(log, LinkOption.NOFOLLOW_LINKS) && Files.size(log) + bytes.remaining() > LogFiles.LIMIT) {
                LogFiles.rotate(log);
            }
            try (WritableByteChannel file = Files.newByteChannel(
                    log, Set.of(StandardOpenOption.CREATE, StandardOpenOption.APPEND, LinkOption.NOFOLLOW_LINKS))) {
                while (bytes.hasRemaining()) {
                    int _ = file.write(bytes);
                }
            }
        } catch (IOException e) {
            LOG.atDebug().addKeyValue("log", log).setCause(e).log("console output dropped");
        }
    }

    private static void close(@Nullable SocketChannel channel) {
        if (channel != null) {
            try {
                channel.close();
            } catch (IOException e) {
                LOG.atDebug().setCause(e).log("console was closed already");
            }
        }
    }
}
