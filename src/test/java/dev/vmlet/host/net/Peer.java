package dev.vmlet.host.net;

import java.io.IOException;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import jnr.ffi.LibraryLoader;
import jnr.ffi.types.size_t;
import jnr.ffi.types.ssize_t;

/**
 * A guest, or the world outside: a network namespace with one interface {@code eth0}, whose other end is a veth here.
 * The firewall goes by interface names, so the veth is as good as a tap.
 */
final class Peer implements AutoCloseable {
    private static final int AF_PACKET = 17;
    private static final int SOCK_RAW = 3;
    private static final int MSG_DONTWAIT = 0x40;
    private static final int ETH_P_ALL = 3;
    private static final int PING_MILLIS = 700;
    private static final int PATIENCE_MILLIS = 15_000;
    private static final int SOL_PACKET = 263;
    private static final int PACKET_IGNORE_OUTGOING = 23;
    private static final int CLONE_NEWNET = 0x40000000;

    private final Posix posix = LibraryLoader.create(Posix.class).load("c");
    private final Process holder;
    private final String linkHere;
    private int raw = -1;

    /** Public because jnr-ffi binds public interfaces only. */
    public interface Posix {
        int open(String path, int flags);

        int close(int fd);

        int setns(int fd, int type);

        int socket(int domain, int type, int protocol);

        int bind(int fd, ByteBuffer address, int length);

        int setsockopt(int fd, int level, int option, ByteBuffer value, int length);

        int if_nametoindex(String name);

        @ssize_t
        long send(int fd, ByteBuffer bytes, @size_t long length, int flags);

        @ssize_t
        long recv(int fd, ByteBuffer bytes, @size_t long length, int flags);
    }

    private Peer(Process holder, String linkHere) {
        this.holder = holder;
        this.linkHere = linkHere;
    }

    /** A peer whose link here has this name, with this MAC and address (with prefix length), up, gateway as default. */
    static Peer plug(String linkHere, String mac, String address, String gateway) throws Exception {
        Peer peer = plugDown(linkHere, mac, address, gateway);
        OwnNamespace.run("ip", "link", "set", linkHere, "up");
        return peer;
    }

    /** The same with its link here still down. */
    static Peer plugDown(String linkHere, String mac, String address, String gateway) throws Exception {
        Peer peer = new Peer(new ProcessBuilder("unshare", "--net", "sleep", "600").start(), linkHere);
        String pid = String.valueOf(peer.holder.pid());
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(5);
        while (OwnNamespace.namespace(pid).equals(OwnNamespace.namespace("self"))) {
            if (System.nanoTime() > deadline) {
                throw new AssertionError("no namespace for " + linkHere);
            }
            Thread.onSpinWait();
        }
        OwnNamespace.run("ip", "link", "add", linkHere, "type", "veth", "peer", "name", "eth0", "netns", pid);
        peer.run("ip", "link", "set", "lo", "up");
        // A kernel that speaks IPv6 by itself would be counted among what a test sends.
        peer.run("ip", "link", "set", "eth0", "addrgenmode", "none", "address", mac, "up");
        peer.run("ip", "address", "add", address, "dev", "eth0");
        // A link that is not up here is without carrier there; the route is wanted all the same.
        peer.run("ip", "route", "add", "default", "via", gateway, "dev", "eth0", "onlink");
        peer.openRaw();
        return peer;
    }

    private List<String> inside(String... command) {
        List<String> all = new ArrayList<>(List.of("nsenter", "--net=/proc/" + holder.pid() + "/ns/net"));
        all.addAll(Arrays.asList(command));
        return all;
    }

    void run(String... command) throws IOException, InterruptedException {
        OwnNamespace.run(inside(command).toArray(String[]::new));
    }

    String output(String... command) throws IOException, InterruptedException {
        return OwnNamespace.output(inside(command).toArray(String[]::new));
    }

    /**
     * By an ICMP echo: the JDK sends one where it may, and we may do everything in our namespace. Where no answer is
     * expected, a late one is none.
     */
    boolean pings(String address) throws Exception {
        return within(() -> InetAddress.getByName(address).isReachable(PING_MILLIS));
    }

    /** Where an answer is expected: returns with it, and does not mind a machine that is busy. */
    boolean reaches(String address) throws Exception {
        return within(() -> InetAddress.getByName(address).isReachable(PATIENCE_MILLIS));
    }

    /** Runs on a thread of its own in the peer's namespace; sockets opened there stay in it. */
    <T> T within(Callable<T> work) throws Exception {
        FutureTask<T> task = new FutureTask<>(() -> {
            int fd = posix.open("/proc/" + holder.pid() + "/ns/net", 0);
            if (posix.setns(fd, CLONE_NEWNET) != 0) {
                throw new AssertionError("setns");
            }
            posix.close(fd);
            return work.call();
        });
        Thread.ofPlatform().daemon().start(task);
        try {
            return task.get(20, TimeUnit.SECONDS);
        } catch (ExecutionException e) {
            if (e.getCause() instanceof Exception cause) {
                throw cause;
            }
            throw e;
        } catch (TimeoutException e) {
            throw new AssertionError(e);
        }
    }

    private void openRaw() throws Exception {
        raw = within(() -> {
            // ETH_P_ALL in network order; receives what eth0 receives.
            int fd = posix.socket(AF_PACKET, SOCK_RAW, ETH_P_ALL << 8);
            ByteBuffer address = ByteBuffer.allocateDirect(20).order(ByteOrder.nativeOrder());
            address.putShort(0, (short) AF_PACKET).putShort(2, (short) (ETH_P_ALL << 8));
            address.putInt(4, posix.if_nametoindex("eth0"));
            ByteBuffer timeval =
                    ByteBuffer.allocateDirect(16).order(ByteOrder.nativeOrder()).putLong(0, 2);
            // Else the peer's own answers are seen too, and an ICMP error ends with the frame it complains of.
            ByteBuffer yes =
                    ByteBuffer.allocateDirect(4).order(ByteOrder.nativeOrder()).putInt(0, 1);
            if (fd < 0
                    || posix.bind(fd, address, 20) != 0
                    || posix.setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, yes, 4) != 0
                    || posix.setsockopt(fd, Kernel.SOL_SOCKET, Kernel.SO_RCVTIMEO, timeval.position(0), 16) != 0) {
                throw new AssertionError("packet socket");
            }
            return fd;
        });
    }

    /** Puts a frame on the wire as it is, if the wire takes it: false while the link is down, or its queue is full. */
    boolean trySend(byte[] frame) {
        ByteBuffer bytes = ByteBuffer.allocateDirect(frame.length).put(frame).flip();
        return posix.send(raw, bytes, frame.length, 0) == frame.length;
    }

    /** Packets that a named counter of the peer's own inet table has counted. */
    long packets(String table, String counter) throws IOException, InterruptedException {
        String text = OwnNamespace.output(
                inside("nft", "list", "counter", "inet", table, counter).toArray(String[]::new));
        Matcher packets = Pattern.compile("packets (\\d+)").matcher(text);
        if (!packets.find()) {
            throw new AssertionError(text);
        }
        return Long.parseLong(packets.group(1));
    }

    /** Puts a frame on the wire as it is. */
    void send(byte[] frame) {
        ByteBuffer bytes = ByteBuffer.allocateDirect(frame.length).put(frame).flip();
        if (posix.send(raw, bytes, frame.length, 0) != frame.length) {
            throw new AssertionError("send of " + frame.length + " bytes");
        }
    }

    /** Reads what arrived until a frame ends with the last mark, and says which of the marks were at a frame's end. */
    List<String> marksUpTo(String last) {
        List<String> seen = new ArrayList<>();
        ByteBuffer bytes = ByteBuffer.allocateDirect(2048);
        while (true) {
            long length = posix.recv(raw, bytes, 2048, 0);
            if (length < 0) {
                throw new AssertionError("nothing ended with " + last + " in 2 s; before it " + seen);
            }
            byte[] frame = new byte[(int) length];
            bytes.get(0, frame);
            String mark = Frames.mark(frame);
            if (!mark.isEmpty()) {
                seen.add(mark);
            }
            if (mark.equals(last)) {
                return seen;
            }
        }
    }

    /** Which of the marks were at the end of a frame that has arrived; waits for none. */
    List<String> marks() {
        List<String> seen = new ArrayList<>();
        ByteBuffer bytes = ByteBuffer.allocateDirect(2048);
        long length;
        while ((length = posix.recv(raw, bytes, 2048, MSG_DONTWAIT)) >= 0) {
            byte[] frame = new byte[(int) length];
            bytes.get(0, frame);
            seen.add(Frames.mark(frame));
        }
        return seen;
    }

    @Override
    public void close() {
        if (raw >= 0) {
            posix.close(raw);
        }
        // A namespace takes its links along when the kernel gets to it, which may be after the next test wants the
        // name.
        OwnNamespace.takeAway(linkHere);
        holder.destroyForcibly();
    }
}
