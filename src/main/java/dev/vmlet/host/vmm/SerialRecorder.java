package dev.vmlet.host.vmm;

import dev.vmlet.host.console.ConsoleRoom;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
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
 * Reads the consoles of all guests into their logs, on one daemon thread, and serves those who have joined one. A VMM
 * serves one connection at a time, and this is it. Always drains: a reader that is connected and does not read stops its
 * guest. Connects again when a console hangs up, because cloud-hypervisor makes the socket anew at every guest reboot.
 * Where the VMM writes the log itself, it is connected only while somebody has joined: an agent that is stopped
 * (SIGSTOP) then stops nobody.
 */
final class SerialRecorder implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(SerialRecorder.class);
    private static final long RECONNECT_MILLIS = 100;

    private final Selector selector;
    private volatile boolean ended;
    private final ByteBuffer buffer = ByteBuffer.allocate(64 << 10);

    /** Guarded by this; the channels in it belong to the recording thread. */
    private final Map<String, Console> consoles = new HashMap<>();

    /** To be read once more and closed; guarded by this. */
    private final Set<Console> leaving = new HashSet<>();

    /** Who writes what the guest says into its log. */
    enum Log {
        OURS,
        OF_VMM
    }

    /** One guest's console. All but the paths belongs to the recording thread. */
    private final class Console implements ConsoleRoom.Guest {
        final Path socket;
        final Path log;
        final Log whose;
        final ConsoleRoom room;
        final CountDownLatch finished = new CountDownLatch(1);
        boolean doorReported;

        @Nullable
        SocketChannel channel;

        Console(VmFiles files, Log whose) {
            this.socket = files.serial();
            this.log = files.serialLog();
            this.whose = whose;
            this.room = new ConsoleRoom(files.console(), this);
        }

        @Override
        public void type(ByteBuffer keys) {
            SocketChannel guest = channel;
            try {
                if (guest != null) {
                    int _ = guest.write(keys);
                }
            } catch (IOException e) {
                LOG.atDebug().addKeyValue("socket", socket).setCause(e).log("console takes no keys");
                hangUp(this);
            }
        }

        @Override
        public void awaitRoom() {
            // Without a connection: the next one types on.
            SelectionKey key = channel == null ? null : channel.keyFor(selector);
            if (key != null && key.isValid()) {
                key.interestOps(SelectionKey.OP_READ | SelectionKey.OP_WRITE);
            }
        }

        @Override
        public byte[] lastWords() {
            return LogFiles.lastLines(log);
        }
    }

    SerialRecorder() throws IOException {
        this.selector = Selector.open();
        Thread.ofPlatform().daemon().name("vmm-serial").start(this::run);
    }

    /** Harmless to call again for a console that is served. */
    synchronized void serve(VmFiles files, Log whose) {
        if (!consoles.containsKey(files.vmUid())) {
            consoles.put(files.vmUid(), new Console(files, whose));
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

    /** Returns at once; the thread says farewell to those who have joined. */
    @Override
    public void close() {
        ended = true;
        selector.wakeup();
    }

    private void run() {
        try (selector) {
            while (!ended) {
                // The old before the new: the next guest's door may be at the same path.
                closeLeaving();
                boolean unconnected = connectAll();
                int _ = unconnected ? selector.select(RECONNECT_MILLIS) : selector.select();
                for (SelectionKey key : selector.selectedKeys()) {
                    if (key.isValid() && key.attachment() instanceof ConsoleRoom.Ready ready) {
                        serve(ready, key);
                    }
                }
                selector.selectedKeys().clear();
            }
            closeAll();
        } catch (IOException e) {
            LOG.atError().setCause(e).log("consoles are no longer recorded");
        }
    }

    /** A defect of ours, met by one guest's console, costs this one connection and not the consoles of all. */
    static void serve(ConsoleRoom.Ready ready, SelectionKey key) {
        try {
            ready.ready(key);
        } catch (RuntimeException e) {
            LOG.atError().setCause(e).log("a console's connection is given up");
            key.cancel();
            try {
                key.channel().close();
            } catch (IOException closed) {
                LOG.atDebug().setCause(closed).log("it was closed already");
            }
        }
    }

    private synchronized void closeAll() {
        for (Console console : consoles.values()) {
            console.room.close();
            close(console.channel);
        }
    }

    /** Opens what is to be open; whether some console is yet to be connected to. */
    private synchronized boolean connectAll() {
        boolean unconnected = false;
        for (Console console : consoles.values()) {
            unconnected |= openDoor(console);
            boolean wanted = console.whose == Log.OURS || console.room.occupied();
            if (console.channel == null && wanted) {
                connect(console);
                unconnected |= console.channel == null;
            } else if (console.channel != null && !wanted) {
                hangUp(console);
            }
        }
        return unconnected;
    }

    /** Whether it is to be opened again soon. */
    private boolean openDoor(Console console) {
        try {
            return console.room.open(selector);
        } catch (IOException e) {
            if (!console.doorReported) {
                console.doorReported = true;
                LOG.atWarn().addKeyValue("log", console.log).setCause(e).log("nobody can join this console");
            }
            return false;
        }
    }

    private void connect(Console console) {
        SocketChannel channel = null;
        try {
            channel = SocketChannel.open(StandardProtocolFamily.UNIX);
            channel.configureBlocking(false);
            // A unix socket connects at once or not at all.
            if (channel.connect(UnixDomainSocketAddress.of(console.socket))) {
                channel.register(selector, SelectionKey.OP_READ, (ConsoleRoom.Ready) key -> ready(console, key));
                console.channel = channel;
                console.room.typeOn();
                return;
            }
        } catch (IOException e) {
            LOG.atTrace().addKeyValue("socket", console.socket).setCause(e).log("console not there yet");
        }
        close(channel);
    }

    private void ready(Console console, SelectionKey key) {
        if (key.isWritable()) {
            key.interestOps(SelectionKey.OP_READ);
            console.room.typeOn();
        }
        if (key.isValid() && key.isReadable()) {
            drain(console);
        }
    }

    private void hangUp(Console console) {
        SocketChannel channel = console.channel;
        console.channel = null;
        close(channel);
        console.room.guestHungUp();
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
                    hangUp(console);
                    return;
                }
                if (count == 0) {
                    return;
                }
                buffer.flip();
                if (console.whose == Log.OURS) {
                    append(console.log, buffer.duplicate());
                }
                console.room.output(buffer);
            }
        } catch (IOException e) {
            LOG.atDebug().addKeyValue("socket", console.socket).setCause(e).log("console hung up");
            hangUp(console);
        }
    }

    private synchronized void closeLeaving() {
        for (Console console : leaving) {
            try {
                drain(console);
                close(console.channel);
                console.channel = null;
                console.room.close("The guest has ended. `vmlet logs` has its last words.");
            } catch (RuntimeException e) {
                LOG.atError().addKeyValue("log", console.log).setCause(e).log("this console ended badly");
            }
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
                    log,
                    Set.of(StandardOpenOption.CREATE, StandardOpenOption.APPEND, LinkOption.NOFOLLOW_LINKS),
                    LogFiles.PRIVATE)) {
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
