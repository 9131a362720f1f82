package dev.vmlet.host.net;

import dev.vmlet.model.HostException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.List;
import jnr.constants.platform.Errno;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Listens to netlink groups on one daemon thread, from construction to {@link #close}. What it hears are hints: the
 * kernel drops messages when nobody reads fast enough (ENOBUFS), and the listener is then told that it missed some. A
 * socket that fails is replaced, sooner or later: an agent that hears nothing sees drift only on its periodic looks.
 *
 * <pre>
 *  HEARS --socket fails--> DEAF (told) --a new socket, tried after 1 s, 2 s … 30 s--> HEARS (told, and missed)
 * </pre>
 */
final class NetlinkMonitor implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(NetlinkMonitor.class);
    private static final int RECEIVE_BYTES = 64 * 1024;
    private static final int QUEUE_BYTES = 4 * 1024 * 1024;
    private static final Duration REOPEN_FIRST = Duration.ofSeconds(1);
    private static final Duration REOPEN_LONGEST = Duration.ofSeconds(30);

    /** Called on the monitor's thread: be quick, wake somebody else. */
    interface Listener {
        void heard(NetlinkMessage message) throws KernelRefusal;

        /** Some messages are lost; anything may have changed. */
        void missed();
    }

    private final Kernel kernel;
    private final String name;
    private final int protocol;
    private final List<Integer> groups;
    private final int stop;
    private final Listener listener;
    private final MonitorHealth health;
    private final Thread thread;
    /** Written by the constructor, then by the thread alone; -1 while there is none. */
    private volatile int socket;

    private NetlinkMonitor(
            Kernel kernel, String name, int protocol, List<Integer> groups, Listener listener, MonitorHealth health)
            throws KernelRefusal {
        this.kernel = kernel;
        this.name = name;
        this.protocol = protocol;
        this.groups = List.copyOf(groups);
        this.listener = listener;
        this.health = health;
        this.socket = open();
        try {
            this.stop = kernel.eventfd();
        } catch (KernelRefusal e) {
            kernel.close(socket);
            throw e;
        }
        this.thread = Thread.ofPlatform().daemon().name(name).unstarted(this::listen);
    }

    /** What happens after this call is heard. */
    static NetlinkMonitor start(
            String name, int protocol, List<Integer> groups, Listener listener, MonitorHealth health)
            throws HostException {
        try {
            NetlinkMonitor monitor = new NetlinkMonitor(new Kernel(), name, protocol, groups, listener, health);
            monitor.thread.start();
            return monitor;
        } catch (KernelRefusal e) {
            throw e.during("start " + name);
        }
    }

    private int open() throws KernelRefusal {
        int opened = kernel.netlinkSocket(protocol);
        try {
            kernel.enlargeQueue(opened, QUEUE_BYTES);
            kernel.bindNetlink(opened);
            for (int group : groups) {
                kernel.setOption(opened, Kernel.SOL_NETLINK, Kernel.NETLINK_ADD_MEMBERSHIP, group);
            }
            return opened;
        } catch (KernelRefusal e) {
            kernel.close(opened);
            throw e;
        }
    }

    /** The descriptor it listens on; -1 while there is none. */
    int socket() {
        return socket;
    }

    private void listen() {
        ByteBuffer received = Kernel.buffer(RECEIVE_BYTES);
        try {
            boolean asked = false;
            while (!asked) {
                asked = hearUntilItFails(received) || awaitAnotherSocket();
            }
        } finally {
            if (socket >= 0) {
                kernel.close(socket);
            }
            kernel.close(stop);
        }
    }

    /** @return true when the monitor is to end, false when the socket failed */
    private boolean hearUntilItFails(ByteBuffer received) {
        try {
            while (kernel.awaitFirst(socket, stop)) {
                hear(received);
            }
            return true;
        } catch (KernelRefusal e) {
            log.atError().addKeyValue("monitor", name).setCause(e).log("kernel events are not heard any more");
            health.deaf(name, name + " does not hear the kernel (" + e.getMessage() + ")");
            return false;
        }
    }

    /** @return true when the monitor is to end, false when it hears again */
    private boolean awaitAnotherSocket() {
        kernel.close(socket);
        socket = -1;
        Duration pause = REOPEN_FIRST;
        try {
            while (!kernel.awaitWithin(stop, pause)) {
                try {
                    socket = open();
                } catch (KernelRefusal e) {
                    log.atWarn().addKeyValue("monitor", name).setCause(e).log("no socket for kernel events yet");
                    pause = pause.multipliedBy(2).compareTo(REOPEN_LONGEST) < 0
                            ? pause.multipliedBy(2)
                            : REOPEN_LONGEST;
                    continue;
                }
                log.atInfo().addKeyValue("monitor", name).log("kernel events are heard again");
                health.hears(name);
                tellMissed();
                return false;
            }
            return true;
        } catch (KernelRefusal e) {
            // A broken law: the eventfd is ours until this thread ends.
            log.atError()
                    .addKeyValue("monitor", name)
                    .setCause(e)
                    .log("kernel events are not heard any more, for good");
            return true;
        }
    }

    private void hear(ByteBuffer received) throws KernelRefusal {
        try {
            kernel.receive(socket, received);
            for (NetlinkMessage message : NetlinkMessage.parse(received)) {
                listener.heard(message);
            }
        } catch (KernelRefusal e) {
            if (e.errno() != Errno.ENOBUFS && e.errno() != Errno.EMSGSIZE && e.errno() != Errno.EBADMSG) {
                throw e;
            }
            log.atDebug().addKeyValue("monitor", name).setCause(e).log("kernel events missed");
            tellMissed();
        } catch (RuntimeException e) {
            // A defect of ours. Whoever sends the message that meets it must not make us deaf to all the others.
            log.atError().addKeyValue("monitor", name).setCause(e).log("a kernel event was not understood");
            tellMissed();
        }
    }

    private void tellMissed() {
        try {
            listener.missed();
        } catch (RuntimeException e) {
            log.atError()
                    .addKeyValue("monitor", name)
                    .setCause(e)
                    .log("nobody was told that kernel events were missed");
        }
    }

    /** Ends the thread and waits for it, unless called on it. */
    @Override
    public void close() {
        if (!thread.isAlive()) {
            return;
        }
        try {
            kernel.signal(stop);
            if (Thread.currentThread() != thread) {
                thread.join();
            }
        } catch (KernelRefusal e) {
            throw new IllegalStateException("eventfd of " + name, e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
