package dev.vmlet.host.net;

import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.FirewallSet;
import dev.vmlet.model.Protocol;
import dev.vmlet.model.ServicePort;
import java.io.IOException;
import java.net.InetAddress;
import java.net.NetworkInterface;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Collection;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import jnr.constants.platform.Errno;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What the kernel remembers of connections (conntrack, include/uapi/linux/netfilter/nfnetlink_conntrack.h). A connection is
 * translated by its first packet, and UDP has no other end than silence: a sender who never pauses would keep the way that
 * he had when a published port came, moved or went. TCP is forgotten when a port goes: its next packet then finds that
 * nobody is there and is answered so, where it would go on to a guest's address that has no guest any more, nor, once the
 * Network has left the node, a bridge: it would leave by the default route. When a port comes, TCP keeps its way: what is
 * open then is open with the node itself.
 *
 * <p>Safe for use by several threads.
 */
final class Flows implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(Flows.class);

    private static final int SUBSYSTEM = 1 << 8;
    private static final int GET = SUBSYSTEM | 1;
    private static final int DELETE = SUBSYSTEM | 2;
    private static final int NFGENMSG = 4;
    private static final int AF_INET = 2;

    private static final int TUPLE_ORIG = 1;
    private static final int TUPLE_IP = 1;
    private static final int TUPLE_PROTO = 2;
    private static final int IP_V4_DST = 2;
    private static final int PROTO_NUM = 1;
    private static final int PROTO_DST_PORT = 3;
    private static final int ID = 12;
    private static final int FILTER = 25;
    private static final int FILTER_ORIG = 1;
    private static final int FILTER_REPLY = 2;
    /** CTA_FILTER_F_CTA_PROTO_NUM and CTA_FILTER_F_CTA_PROTO_DST_PORT of net/netfilter/nf_internals.h. */
    private static final int BY_PROTOCOL_AND_PORT = 1 << 3 | 1 << 5;

    private final NetlinkSockets netlink = new NetlinkSockets(new Kernel(), Kernel.NETLINK_NETFILTER);

    /**
     * Of these members of the firewall, which publish ports of this node, the UDP flows to those ports go. What is not
     * forgotten is no failure of what was asked: it goes when its sender pauses, and is logged.
     */
    void published(Collection<FirewallElement> added) {
        forget(added, EnumSet.of(Protocol.UDP));
    }

    /** The same, and TCP too. */
    void unpublished(Collection<FirewallElement> deleted) {
        forget(deleted, EnumSet.of(Protocol.TCP, Protocol.UDP));
    }

    private void forget(Collection<FirewallElement> changed, Set<Protocol> protocols) {
        List<ServicePort> ports = changed.stream()
                .filter(element -> element.set() == FirewallSet.PUBLISHED)
                .flatMap(element -> protocols.stream()
                        .filter(protocol -> element.key().get(0).equals(protocol.text()))
                        .map(protocol -> new ServicePort(
                                protocol, Integer.parseInt(element.key().get(1)))))
                .toList();
        for (ServicePort port : ports) {
            try {
                forget(port);
            } catch (KernelRefusal | IOException e) {
                log.atWarn()
                        .addKeyValue("port", port.toString())
                        .addKeyValue("cause", e.getMessage())
                        .log(
                                "flows to a published port were not forgotten; who sends without a pause keeps the old way");
            }
        }
    }

    private void forget(ServicePort port) throws KernelRefusal, IOException {
        for (NetlinkMessage flow : netlink.exchange(socket -> socket.dump(flowsTo(port)))) {
            NetlinkAttributes told = flow.attributes(NFGENMSG);
            Optional<byte[]> tuple = told.bytes(TUPLE_ORIG);
            // What only passes through this node to a port of that number is none of ours.
            if (tuple.isPresent() && isTo(port, told.nested(TUPLE_ORIG)) && isLocal(told.nested(TUPLE_ORIG))) {
                delete(tuple.get(), told.bytes(ID));
            }
        }
    }

    private static boolean isTo(ServicePort port, NetlinkAttributes tuple) throws KernelRefusal {
        NetlinkAttributes protocol = tuple.nested(TUPLE_PROTO);
        return protocol.bytes(PROTO_NUM)
                        .filter(n -> n[0] == port.protocol().number())
                        .isPresent()
                && protocol.bytes(PROTO_DST_PORT)
                        .filter(p -> ByteBuffer.wrap(p).getShort() == (short) port.port())
                        .isPresent();
    }

    private static boolean isLocal(NetlinkAttributes tuple) throws KernelRefusal, IOException {
        Optional<byte[]> to = tuple.nested(TUPLE_IP).bytes(IP_V4_DST);
        return to.isPresent() && NetworkInterface.getByInetAddress(InetAddress.getByAddress(to.get())) != null;
    }

    private static NetlinkRequest flowsTo(ServicePort port) {
        NetlinkRequest request = request(GET, NetlinkRequest.DUMP);
        int tuple = request.begin(TUPLE_ORIG);
        int protocol = request.begin(TUPLE_PROTO);
        request.attribute(PROTO_NUM, new byte[] {(byte) port.protocol().number()})
                .attribute(
                        PROTO_DST_PORT,
                        ByteBuffer.allocate(2)
                                .order(ByteOrder.BIG_ENDIAN)
                                .putShort((short) port.port())
                                .array())
                .end(protocol)
                .end(tuple);
        // Linux 5.8 and newer filter by it; an older kernel answers with all, of which isTo takes none too many.
        int filter = request.begin(FILTER);
        return request.attribute(FILTER_ORIG, BY_PROTOCOL_AND_PORT)
                .attribute(FILTER_REPLY, 0)
                .end(filter);
    }

    /** By its id too: the flow that a packet has made anew meanwhile has another. */
    private void delete(byte[] tuple, Optional<byte[]> id) throws KernelRefusal {
        NetlinkRequest request = request(DELETE, NetlinkRequest.ACK).attribute(TUPLE_ORIG | 0x8000, tuple);
        id.ifPresent(value -> request.attribute(ID, value));
        try {
            netlink.exchange(socket -> socket.ask(request));
        } catch (KernelRefusal e) {
            if (e.errno() != Errno.ENOENT) {
                throw e;
            }
        }
    }

    private static NetlinkRequest request(int type, int flags) {
        return new NetlinkRequest(type, flags).put8(AF_INET).put8(0).put16(0);
    }

    @Override
    public void close() {
        netlink.close();
    }
}
