package dev.vmlet.host.net;

import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Optional;
import jnr.constants.platform.Errno;
import jnr.ffi.LibraryLoader;
import jnr.ffi.Runtime;

/**
 * System calls whose failures are {@link KernelRefusal}s and which start over after a signal (EINTR). Safe for use by
 * several threads; the descriptors are not.
 */
final class Kernel {
    static final int AF_UNSPEC = 0;
    static final int AF_INET = 2;
    static final int AF_BRIDGE = 7;
    static final int AF_NETLINK = 16;
    static final int NETLINK_ROUTE = 0;
    static final int NETLINK_NETFILTER = 12;
    static final int SOL_SOCKET = 1;
    private static final int SO_RCVBUFFORCE = 33;
    static final int SO_RCVTIMEO = 20;
    static final int SO_SNDTIMEO = 21;
    static final int SOL_NETLINK = 270;
    static final int NETLINK_ADD_MEMBERSHIP = 1;
    static final int NETLINK_CAP_ACK = 10;
    static final int NETLINK_EXT_ACK = 11;
    static final int NETLINK_GET_STRICT_CHK = 12;

    private static final int SOCK_RAW = 3;
    private static final int SOCK_CLOEXEC = 0x80000;
    private static final int O_RDWR = 2;
    private static final int O_CLOEXEC = 0x80000;
    private static final int EFD_CLOEXEC = 0x80000;
    private static final int MSG_TRUNC = 0x20;
    private static final short POLLIN = 1;

    private final LibC libc = LibraryLoader.create(LibC.class).load("c");
    private final Runtime runtime = Runtime.getRuntime(libc);

    /** A zeroed buffer outside the heap in the machine's byte order, as netlink and ioctl structures are. */
    static ByteBuffer buffer(int size) {
        return ByteBuffer.allocateDirect(size).order(ByteOrder.nativeOrder());
    }

    int netlinkSocket(int protocol) throws KernelRefusal {
        int fd = libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
        return check(fd, "socket(AF_NETLINK, " + protocol + ")");
    }

    /** Binds a netlink socket to a port id of the kernel's choice. */
    void bindNetlink(int fd) throws KernelRefusal {
        ByteBuffer address = buffer(12);
        address.putShort(0, (short) AF_NETLINK);
        check(held(address, () -> libc.bind(fd, address, 12)), "bind(AF_NETLINK)");
    }

    void setOption(int fd, int level, int option, int value) throws KernelRefusal {
        ByteBuffer bytes = buffer(4).putInt(0, value);
        setOption(fd, level, option, bytes, "setsockopt(" + level + ", " + option + ")");
    }

    /** Bounds each receive and send on the socket; the call then fails with EAGAIN. */
    void setTimeouts(int fd, long seconds) throws KernelRefusal {
        ByteBuffer timeval = buffer(16).putLong(0, seconds);
        setOption(fd, SOL_SOCKET, SO_RCVTIMEO, timeval, "setsockopt(SO_RCVTIMEO)");
        setOption(fd, SOL_SOCKET, SO_SNDTIMEO, timeval, "setsockopt(SO_SNDTIMEO)");
    }

    /** Lets a socket hold more than it does by default, where this may be done: by root of the first user namespace. */
    void enlargeQueue(int fd, int bytes) throws KernelRefusal {
        try {
            setOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, bytes);
        } catch (KernelRefusal e) {
            // A short queue overflows sooner, which whoever reads must be ready for.
            if (e.errno() != Errno.EPERM) {
                throw e;
            }
        }
    }

    private void setOption(int fd, int level, int option, ByteBuffer value, String call) throws KernelRefusal {
        check(held(value, () -> libc.setsockopt(fd, level, option, value, value.capacity())), call);
    }

    /** Sends the bytes between position and limit as one datagram. */
    void send(int fd, ByteBuffer bytes) throws KernelRefusal {
        check(held(bytes, () -> libc.send(fd, bytes, bytes.remaining(), 0)), "send");
    }

    /** Writes the bytes at once or not at all, as a tap takes a frame. */
    void write(int fd, byte[] bytes) throws KernelRefusal {
        ByteBuffer copy = buffer(bytes.length).put(bytes).flip();
        check(held(copy, () -> libc.write(fd, copy, bytes.length)), "write");
    }

    /** Receives one datagram; the buffer is then ready to be read. EMSGSIZE when it did not fit. */
    void receive(int fd, ByteBuffer into) throws KernelRefusal {
        into.clear();
        // MSG_TRUNC makes recv tell the datagram's own length; without it a cut message looks whole.
        long length = check(held(into, () -> libc.recv(fd, into, into.capacity(), MSG_TRUNC)), "recv");
        if (length > into.capacity()) {
            throw new KernelRefusal(Errno.EMSGSIZE, "datagram of " + length + " bytes, room for " + into.capacity());
        }
        into.limit((int) length);
    }

    int open(String path) throws KernelRefusal {
        return check(libc.open(path, O_RDWR | O_CLOEXEC), "open " + path);
    }

    void ioctl(int fd, long request, ByteBuffer argument, String name) throws KernelRefusal {
        check(held(argument, () -> libc.ioctl(fd, request, argument)), name);
    }

    void ioctl(int fd, long request, long argument, String name) throws KernelRefusal {
        check(libc.ioctl(fd, request, argument), name);
    }

    /** An eventfd: {@link #signal} makes it readable for good. */
    int eventfd() throws KernelRefusal {
        return check(libc.eventfd(0, EFD_CLOEXEC), "eventfd");
    }

    void signal(int eventfd) throws KernelRefusal {
        ByteBuffer one = buffer(8).putLong(0, 1);
        check(held(one, () -> libc.write(eventfd, one, 8)), "write to eventfd");
    }

    /** Waits without limit until one of the two is readable, and says whether it is the first. */
    boolean awaitFirst(int first, int second) throws KernelRefusal {
        ByteBuffer descriptors = buffer(16);
        descriptors.putInt(0, first).putShort(4, POLLIN).putInt(8, second).putShort(12, POLLIN);
        check(held(descriptors, () -> libc.poll(descriptors, 2, -1)), "poll");
        // The second wins: it is the request to stop.
        return descriptors.getShort(14) == 0;
    }

    /** Waits until the descriptor is readable, at most so long, and says whether it is. */
    boolean awaitWithin(int fd, Duration longest) throws KernelRefusal {
        ByteBuffer descriptor = buffer(8);
        descriptor.putInt(0, fd).putShort(4, POLLIN);
        return check(held(descriptor, () -> libc.poll(descriptor, 1, (int) longest.toMillis())), "poll") > 0;
    }

    /** The name of the link with this index in the network namespace of the calling thread; empty when it is gone. */
    Optional<String> linkName(int index) {
        ByteBuffer name = buffer(16);
        if (libc.if_indextoname(index, name) == null) {
            return Optional.empty();
        }
        byte[] bytes = new byte[16];
        name.get(0, bytes);
        int end = 0;
        while (end < bytes.length && bytes[end] != 0) {
            end++;
        }
        return Optional.of(new String(bytes, 0, end, StandardCharsets.UTF_8));
    }

    /** Closes without a word: there is nothing to do about a failed close(2). */
    void close(int fd) {
        libc.close(fd);
    }

    private interface Call {
        long run();
    }

    /**
     * Makes the call, again when a signal interrupts it. Its memory is held until it has returned: what Java does not look at
     * afterwards may be collected, and freed, while the kernel waits in the call and is yet to write into it.
     */
    private long held(ByteBuffer memory, Call call) {
        try {
            while (true) {
                long result = call.run();
                if (result >= 0 || runtime.getLastError() != Errno.EINTR.intValue()) {
                    return result;
                }
            }
        } finally {
            Reference.reachabilityFence(memory);
        }
    }

    private int check(int result, String call) throws KernelRefusal {
        return (int) check((long) result, call);
    }

    private long check(long result, String call) throws KernelRefusal {
        if (result < 0) {
            throw new KernelRefusal(Errno.valueOf(runtime.getLastError()), call);
        }
        return result;
    }
}
