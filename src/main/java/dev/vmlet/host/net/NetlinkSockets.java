package dev.vmlet.host.net;

import dev.vmlet.model.HostException;
import java.util.ArrayDeque;
import java.util.Deque;
import jnr.constants.platform.Errno;

/**
 * Open netlink sockets of one protocol, lent to one thread at a time. As many as threads ask at once; a few stay open.
 * All belong to the network namespace of the thread that opened them.
 */
final class NetlinkSockets implements AutoCloseable {
    private static final int KEPT_MAX = 4;

    private final Kernel kernel;
    private final int protocol;

    /** Guarded by itself, as is {@link #closed}. */
    private final Deque<NetlinkSocket> idle = new ArrayDeque<>();

    private boolean closed;

    NetlinkSockets(Kernel kernel, int protocol) {
        this.kernel = kernel;
        this.protocol = protocol;
    }

    /** What a thread does with a socket. */
    interface Exchange<T> {
        T run(NetlinkSocket socket) throws KernelRefusal;
    }

    /** Runs the exchange; what the kernel refuses is thrown as it said it. */
    <T> T exchange(Exchange<T> exchange) throws KernelRefusal {
        NetlinkSocket socket = borrow();
        boolean usable = false;
        try {
            T result = exchange.run(socket);
            usable = true;
            return result;
        } catch (KernelRefusal e) {
            // After these an answer may still be under way, or half read.
            usable = e.errno() != Errno.EAGAIN
                    && e.errno() != Errno.EBADMSG
                    && e.errno() != Errno.EMSGSIZE
                    && e.errno() != Errno.ENOBUFS;
            throw e;
        } finally {
            giveBack(socket, usable);
        }
    }

    /** Runs the exchange; {@code operation} names what is tried on which object. */
    <T> T exchange(String operation, Exchange<T> exchange) throws HostException {
        try {
            return exchange(exchange);
        } catch (KernelRefusal e) {
            throw e.during(operation);
        }
    }

    private NetlinkSocket borrow() throws KernelRefusal {
        synchronized (idle) {
            NetlinkSocket socket = idle.poll();
            if (socket != null) {
                return socket;
            }
        }
        return NetlinkSocket.open(kernel, protocol);
    }

    private void giveBack(NetlinkSocket socket, boolean usable) {
        synchronized (idle) {
            if (usable && !closed && idle.size() < KEPT_MAX) {
                idle.push(socket);
                return;
            }
        }
        socket.close();
    }

    @Override
    public void close() {
        synchronized (idle) {
            closed = true;
            idle.forEach(NetlinkSocket::close);
            idle.clear();
        }
    }
}
