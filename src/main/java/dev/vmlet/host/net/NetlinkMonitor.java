package dev.vmlet.host.net;

import dev.vmlet.model.HostException;
import java.nio.ByteBuffer;
import java.util.List;
import jnr.constants.platform.Errno;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Listens to netlink groups on one daemon thread, from construction to {@link #close}. What it hears are hints: the
 * kernel drops messages when nobody reads fast enough (ENOBUFS), and the listener is then told that it missed some.
 */
final class NetlinkMonitor implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(NetlinkMonitor.class);
    private static final int RECEIVE_BYTES = 64 * 1024;
    private static final int QUEUE_BYTES = 4 * 1024 * 1024;

    /** Called on the monitor's thread: be quick, wake somebody else. */
    interface Listener {
        void heard(NetlinkMessage message) throws KernelRefusal;

        /** Some messages are lost; anything may have changed. */
        void missed();
    }

    private final Kernel kernel;
    private final String name;
    private final int socket;
    private final int stop;
    private final Listener listener;
    private final Thread thread;

    private NetlinkMonitor(Kernel kernel, String name, int socket, int stop, Listener listener) {
        this.kernel = kernel;
        this.name = name;
        this.socket = socket;
        this.stop = stop;
        this.listener = listener;
        this.thread = Thread.ofPlatform().daemon().name(name).unstarted(this::listen);
    }

    /** What happens after this call is heard. */
    static NetlinkMonitor start(String name, int protocol, List<Integer> groups, Listener listener)
            throws HostException {
        Kernel kernel = new Kernel();
        int socket = -1;
        try {
            socket = kernel.netlinkSocket(protocol);
            enlargeQueue(kernel, socket);
            kernel.bindNetlink(socket);
            for (int group : groups) {
                kernel.setOption(socket, Kernel.SOL_NETLINK, Kernel.NETLINK_ADD_MEMBERSHIP, group);
            }
            NetlinkMonitor monitor = new NetlinkMonitor(kernel, name, socket, kernel.eventfd(), listener);
            monitor.thread.start();
            return monitor;
        } catch (KernelRefusal e) {
            if (socket >= 0) {
                kernel.close(socket);
            }
            throw e.during("start " + name);
        }
    }

    private static void enlargeQueue(Kernel kernel, int socket) throws KernelRefusal {
        try {
            kernel.setOption(socket, Kernel.SOL_SOCKET, Kernel.SO_RCVBUFFORCE, QUEUE_BYTES);
        } catch (KernelRefusal e) {
            // Needs CAP_NET_ADMIN in the first user namespace. A short queue overflows sooner, and that is handled.
            if (e.errno() != Errno.EPERM) {
                throw e;
            }
        }
    }

    private void listen() {
        ByteBuffer received = Kernel.buffer(RECEIVE_BYTES);
        try {
            while (kernel.awaitFirst(socket, stop)) {
                hear(received);
            }
        } catch (KernelRefusal e) {
            log.atError().addKeyValue("monitor", name).setCause(e).log("kernel events are not heard any more");
            listener.missed();
        } finally {
            kernel.close(socket);
            kernel.close(stop);
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
            listener.missed();
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
