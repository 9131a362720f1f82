package dev.vmlet.host.net;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import jnr.constants.platform.Errno;

/**
 * A netlink socket for requests. One thread at a time. After {@link Errno#EAGAIN} (no answer in {@link #TIMEOUT_SECONDS})
 * it must be closed: the answer may still come and would be read as that of the next request.
 */
final class NetlinkSocket implements AutoCloseable {
    static final long TIMEOUT_SECONDS = 5;

    /** The kernel fills dumps in pieces of up to 32 KiB when the reader offers that much. */
    private static final int RECEIVE_BYTES = 64 * 1024;

    private static final int DUMP_ATTEMPTS = 8;

    private final Kernel kernel;
    private final int fd;
    private final ByteBuffer received = Kernel.buffer(RECEIVE_BYTES);
    private int sequence;

    private NetlinkSocket(Kernel kernel, int fd) {
        this.kernel = kernel;
        this.fd = fd;
    }

    static NetlinkSocket open(Kernel kernel, int protocol) throws KernelRefusal {
        NetlinkSocket socket = new NetlinkSocket(kernel, kernel.netlinkSocket(protocol));
        try {
            kernel.setTimeouts(socket.fd, TIMEOUT_SECONDS);
            kernel.setOption(socket.fd, Kernel.SOL_NETLINK, Kernel.NETLINK_CAP_ACK, 1);
            kernel.setOption(socket.fd, Kernel.SOL_NETLINK, Kernel.NETLINK_EXT_ACK, 1);
            // Without it the kernel ignores filters it does not like and answers with everything.
            kernel.setOption(socket.fd, Kernel.SOL_NETLINK, Kernel.NETLINK_GET_STRICT_CHK, 1);
            kernel.bindNetlink(socket.fd);
        } catch (KernelRefusal e) {
            socket.close();
            throw e;
        }
        return socket;
    }

    /** Sends a request that asks for an acknowledgement, and returns what came before it. */
    List<NetlinkMessage> ask(NetlinkRequest request) throws KernelRefusal {
        int asked = ++sequence;
        kernel.send(fd, request.finish(asked));
        List<NetlinkMessage> answers = new ArrayList<>();
        while (true) {
            for (NetlinkMessage message : next(asked)) {
                if (message.isAcknowledgement()) {
                    refuse(message);
                    return answers;
                }
                answers.add(message);
            }
        }
    }

    /**
     * A dump that is one consistent picture: asked for again while the kernel says that a change came in between
     * (NLM_F_DUMP_INTR) or that it ran out of room (ENOBUFS).
     *
     * @throws KernelRefusal EBUSY when it never is
     */
    List<NetlinkMessage> dump(NetlinkRequest request) throws KernelRefusal {
        for (int attempt = 0; attempt < DUMP_ATTEMPTS; attempt++) {
            List<NetlinkMessage> answers = new ArrayList<>();
            try {
                if (dumpOnce(request, answers)) {
                    return answers;
                }
            } catch (KernelRefusal e) {
                if (e.errno() != Errno.ENOBUFS) {
                    throw e;
                }
            }
        }
        throw new KernelRefusal(Errno.EBUSY, "dump interrupted by changes " + DUMP_ATTEMPTS + " times");
    }

    private boolean dumpOnce(NetlinkRequest request, List<NetlinkMessage> answers) throws KernelRefusal {
        int asked = ++sequence;
        kernel.send(fd, request.finish(asked));
        boolean consistent = true;
        while (true) {
            for (NetlinkMessage message : next(asked)) {
                consistent &= !message.dumpInterrupted();
                if (message.type() == NetlinkMessage.DONE || message.isAcknowledgement()) {
                    refuse(message);
                    return consistent;
                }
                answers.add(message);
            }
        }
    }

    /** The messages of the next datagram that answer the request; late answers to an earlier one are dropped. */
    private List<NetlinkMessage> next(int asked) throws KernelRefusal {
        kernel.receive(fd, received);
        List<NetlinkMessage> messages = NetlinkMessage.parse(received);
        messages.removeIf(m -> m.sequence() != asked);
        return messages;
    }

    private static void refuse(NetlinkMessage message) throws KernelRefusal {
        var refusal = message.refusal();
        if (refusal.isPresent()) {
            throw refusal.get();
        }
    }

    @Override
    public void close() {
        kernel.close(fd);
    }
}
