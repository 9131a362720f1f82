package dev.vmlet.host.net;

import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.FirewallSet;
import dev.vmlet.model.HostNames;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Protocol;
import dev.vmlet.model.ServicePort;
import java.io.IOException;
import java.net.InetAddress;
import java.net.NetworkInterface;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Collection;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.locks.ReentrantLock;
import java.util.stream.Collectors;
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
 * <p>Of a Service's clients those by UDP go another way when a guest of this node comes behind it and they were led to the
 * node itself, and when theirs leaves it. TCP that is open stays with a guest that only is not ready, as kube-proxy lets it;
 * it is forgotten when the guest publishes its port no longer.
 *
 * <p>A guest that goes takes all its connections along, those that it began too: whoever gets its address next must not hear
 * what was meant for it.
 *
 * <p>Safe for use by several threads.
 */
final class Flows implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(Flows.class);

    private static final int SUBSYSTEM = 1 << 8;
    private static final int GET = SUBSYSTEM | 1;
    private static final int DELETE = SUBSYSTEM | 2;
    private static final int STATISTICS = SUBSYSTEM | 5;
    private static final int STATISTICS_ENTRIES = 1;
    /** So many flows are looked through here, by one walk of the kernel instead of two for each guest. */
    private static final int FEW = 4096;

    private static final int NFGENMSG = 4;
    private static final int AF_INET = 2;

    private static final int TUPLE_ORIG = 1;
    private static final int TUPLE_IP = 1;
    private static final int TUPLE_PROTO = 2;
    private static final int TUPLE_REPLY = 2;
    private static final int IP_V4_SRC = 1;
    private static final int IP_V4_DST = 2;
    private static final int PROTO_NUM = 1;
    private static final int PROTO_SRC_PORT = 2;
    private static final int PROTO_DST_PORT = 3;
    private static final int ID = 12;
    private static final int FILTER = 25;
    private static final int FILTER_ORIG = 1;
    private static final int FILTER_REPLY = 2;
    /** CTA_FILTER_F_CTA_IP_SRC of net/netfilter/nf_internals.h. */
    private static final int BY_SOURCE = 1;
    /** CTA_FILTER_F_CTA_PROTO_NUM and CTA_FILTER_F_CTA_PROTO_DST_PORT of the same. */
    private static final int BY_PROTOCOL_AND_PORT = 1 << 3 | 1 << 5;
    /** The first, CTA_FILTER_F_CTA_PROTO_NUM and CTA_FILTER_F_CTA_PROTO_SRC_PORT. */
    private static final int BY_SOURCE_AND_PORT = 1 | 1 << 3 | 1 << 4;

    private final int few;
    /** Whose flows somebody is about to forget; guarded by itself. */
    private final Set<Ipv4Address> gone = new HashSet<>();

    private final ReentrantLock looking = new ReentrantLock();
    private final NetlinkSockets netlink = new NetlinkSockets(new Kernel(), Kernel.NETLINK_NETFILTER);
    private final NetlinkSockets routes = new NetlinkSockets(new Kernel(), Kernel.NETLINK_ROUTE);

    Flows() {
        this(FEW);
    }

    /** @param few with more flows than that the kernel is asked for those of one guest at a time */
    Flows(int few) {
        this.few = few;
    }

    /**
     * Of these members of the firewall, which publish ports of this node, the UDP flows to those ports go. What is not
     * forgotten is no failure of what was asked: it goes when its sender pauses, and is logged.
     */
    void published(Collection<FirewallElement> added) {
        forget(added, EnumSet.of(Protocol.UDP));
        leading(added).forEach(lead -> {
            if (lead.place.protocol() == Protocol.UDP) {
                attempt(lead.place, () -> forgetOthers(lead));
            }
        });
    }

    /** The same, and TCP too; and where an address is no guest's any more, all that was with it. */
    void deleted(Collection<FirewallElement> members) {
        forget(members, EnumSet.of(Protocol.TCP, Protocol.UDP));
        Set<Ipv4Address> guests = members.stream()
                .filter(element -> element.set() == FirewallSet.HELD)
                .map(element -> Ipv4Address.parse(element.key().get(0)))
                .collect(Collectors.toSet());
        if (!guests.isEmpty()) {
            forgetWithOthers(guests);
        }
        members.stream()
                .filter(element -> element.set() == FirewallSet.PUBLISHED_TO)
                .map(element -> target(
                        element.key().get(0),
                        element.key().get(1),
                        element.key().get(2)))
                .filter(target -> !guests.contains(target.ip))
                .forEach(target -> attempt(target.port, () -> forgetWith(target, _ -> true)));
        leading(members).forEach(lead -> {
            if (lead.place.protocol() == Protocol.UDP) {
                attempt(lead.place, () -> forgetWith(lead.guest, lead::isAskedBy));
            }
        });
    }

    /** A guest's port. */
    private record Target(Ipv4Address ip, ServicePort port) {}

    private static Target target(String ip, String protocol, String port) {
        return new Target(Ipv4Address.parse(ip), port(protocol, port));
    }

    private static ServicePort port(String protocol, String port) {
        return new ServicePort(Protocol.valueOf(protocol.toUpperCase(Locale.ROOT)), Integer.parseInt(port));
    }

    /**
     * A way to a guest, of whatever place of its Service.
     *
     * @param address empty: each of the node's own
     */
    private record Lead(Optional<Ipv4Address> address, ServicePort place, Target guest) {
        boolean isAskedBy(NetlinkAttributes flow) throws KernelRefusal, IOException {
            NetlinkAttributes asked = flow.nested(TUPLE_ORIG);
            return isTo(place, asked)
                    && (address.isPresent() ? ip(asked, IP_V4_DST).equals(address) : isLocal(ip(asked, IP_V4_DST)));
        }
    }

    private static Set<Lead> leading(Collection<FirewallElement> elements) {
        return elements.stream()
                .filter(element -> element.set().isOfServices())
                .map(element -> {
                    List<String> key = element.key();
                    int to = element.set().keyParts(key.size());
                    return new Lead(
                            element.set() == FirewallSet.SERVED
                                    ? Optional.of(Ipv4Address.parse(key.get(1)))
                                    : Optional.empty(),
                            port(key.get(to - 2), key.get(to - 1)),
                            target(key.get(to), key.get(to - 2), key.get(to + 1)));
                })
                .collect(Collectors.toSet());
    }

    private interface Which {
        boolean is(NetlinkAttributes flow) throws KernelRefusal, IOException;
    }

    /** Flows to the Service that nobody has translated, or that were led to the node itself. */
    private void forgetOthers(Lead lead) throws KernelRefusal, IOException {
        forget(flowsTo(lead.place), flow -> {
            Optional<Ipv4Address> answers = ip(flow.nested(TUPLE_REPLY), IP_V4_SRC);
            return lead.isAskedBy(flow) && (answers.equals(ip(flow.nested(TUPLE_ORIG), IP_V4_DST)) || isLocal(answers));
        });
    }

    /** Flows that were translated to that port of a guest. */
    private void forgetWith(Target target, Which which) throws KernelRefusal, IOException {
        forget(flowsWith(target), flow -> {
            NetlinkAttributes answers = flow.nested(TUPLE_REPLY);
            return ip(answers, IP_V4_SRC).equals(Optional.of(target.ip))
                    && has(answers, target.port, PROTO_SRC_PORT)
                    && !ip(flow.nested(TUPLE_ORIG), IP_V4_DST).equals(Optional.of(target.ip))
                    && which.is(flow);
        });
    }

    private void forget(NetlinkRequest flows, Which which) throws KernelRefusal, IOException {
        for (NetlinkMessage flow : netlink.exchange(socket -> socket.dump(flows))) {
            NetlinkAttributes told = flow.attributes(NFGENMSG);
            Optional<byte[]> tuple = told.bytes(TUPLE_ORIG);
            if (tuple.isPresent() && which.is(told)) {
                delete(tuple.get(), told.bytes(ID));
            }
        }
    }

    private interface Attempt {
        void make() throws KernelRefusal, IOException;
    }

    private static void attempt(ServicePort port, Attempt attempt) {
        try {
            attempt.make();
        } catch (KernelRefusal | IOException e) {
            log.atWarn()
                    .addKeyValue("port", port.toString())
                    .addKeyValue("cause", e.getMessage())
                    .log("flows to a published port were not forgotten; who sends without a pause keeps the old way");
        }
    }

    /**
     * Each look walks the whole of the kernel's table, which is tens of milliseconds on a large machine: who comes while
     * somebody looks waits, and one of those then looks for all.
     */
    private void forgetWithOthers(Set<Ipv4Address> guests) {
        synchronized (gone) {
            gone.addAll(guests);
        }
        looking.lock();
        try {
            Set<Ipv4Address> all;
            synchronized (gone) {
                all = Set.copyOf(gone);
                gone.clear();
            }
            forgetThoseBehindUs(all);
        } finally {
            looking.unlock();
        }
    }

    private void forgetThoseBehindUs(Set<Ipv4Address> addresses) {
        try {
            Set<Ipv4Address> guests = new HashSet<>();
            for (Ipv4Address address : addresses) {
                if (isBehindUs(address)) {
                    guests.add(address);
                }
            }
            if (!guests.isEmpty()) {
                forgetGuests(guests);
            }
        } catch (KernelRefusal | IOException e) {
            log.atWarn()
                    .addKeyValue("addresses", addresses.toString())
                    .addKeyValue("cause", e.getMessage())
                    .log(
                            "flows of a guest that is gone were not forgotten; answers to it may reach the next one there");
        }
    }

    /**
     * Whether the address is of a Network of ours. On an operator's bridge a guest may have asked for any address of the LAN,
     * this node's or the API server's too, and what the node has open with those is not the guest's.
     */
    private boolean isBehindUs(Ipv4Address guest) throws KernelRefusal, IOException {
        int index = 0;
        try {
            for (NetlinkMessage answer : routes.exchange(socket -> socket.ask(RtNetlink.getRouteTo(guest)))) {
                index = Math.max(index, RtNetlink.leavesBy(answer));
            }
        } catch (KernelRefusal e) {
            if (e.errno() != Errno.ENETUNREACH && e.errno() != Errno.EHOSTUNREACH) {
                throw e;
            }
        }
        NetworkInterface link = index > 0 ? NetworkInterface.getByIndex(index) : null;
        return link != null && link.getName().startsWith(HostNames.BRIDGE);
    }

    private void forgetGuests(Set<Ipv4Address> guests) throws KernelRefusal, IOException {
        if (count() <= few) {
            forget(
                    request(GET, NetlinkRequest.DUMP),
                    flow -> sender(flow, TUPLE_ORIG).filter(guests::contains).isPresent()
                            || sender(flow, TUPLE_REPLY)
                                    .filter(guests::contains)
                                    .isPresent());
            return;
        }
        for (Ipv4Address guest : guests) {
            // What it began, and what was begun with it, under whatever address of the node.
            for (int direction : new int[] {TUPLE_ORIG, TUPLE_REPLY}) {
                forget(
                        flowsFrom(guest, direction),
                        flow -> sender(flow, direction).equals(Optional.of(guest)));
            }
        }
    }

    /** How many flows this network namespace has. */
    private int count() throws KernelRefusal {
        int entries = Integer.MAX_VALUE;
        for (NetlinkMessage answer : netlink.exchange(socket -> socket.ask(request(STATISTICS, NetlinkRequest.ACK)))) {
            Optional<byte[]> told = answer.attributes(NFGENMSG).bytes(STATISTICS_ENTRIES);
            entries = told.map(bytes -> ByteBuffer.wrap(bytes).getInt()).orElse(Integer.MAX_VALUE);
        }
        return entries;
    }

    private void forget(Collection<FirewallElement> changed, Set<Protocol> protocols) {
        List<ServicePort> ports = changed.stream()
                .filter(element -> element.set() == FirewallSet.PUBLISHED)
                .flatMap(element -> protocols.stream()
                        .filter(protocol -> element.key().get(0).equals(protocol.text()))
                        .map(protocol -> new ServicePort(
                                protocol, Integer.parseInt(element.key().get(1)))))
                .toList();
        // What only passes through this node to a port of that number is none of ours.
        ports.forEach(port -> attempt(
                port,
                () -> forget(
                        flowsTo(port),
                        flow -> isTo(port, flow.nested(TUPLE_ORIG))
                                && isLocal(ip(flow.nested(TUPLE_ORIG), IP_V4_DST)))));
    }

    private static boolean isTo(ServicePort port, NetlinkAttributes tuple) throws KernelRefusal {
        return has(tuple, port, PROTO_DST_PORT);
    }

    private static boolean has(NetlinkAttributes tuple, ServicePort port, int which) throws KernelRefusal {
        NetlinkAttributes protocol = tuple.nested(TUPLE_PROTO);
        return protocol.bytes(PROTO_NUM)
                        .filter(n -> n[0] == port.protocol().number())
                        .isPresent()
                && protocol.bytes(which)
                        .filter(p -> ByteBuffer.wrap(p).getShort() == (short) port.port())
                        .isPresent();
    }

    private static Optional<Ipv4Address> sender(NetlinkAttributes flow, int direction) throws KernelRefusal {
        return ip(flow.nested(direction), IP_V4_SRC);
    }

    private static Optional<Ipv4Address> ip(NetlinkAttributes tuple, int which) throws KernelRefusal {
        return tuple.nested(TUPLE_IP).bytes(which).map(Ipv4Address::of);
    }

    private static boolean isLocal(Optional<Ipv4Address> address) throws IOException {
        return address.isPresent()
                && NetworkInterface.getByInetAddress(
                                InetAddress.getByAddress(address.get().bytes()))
                        != null;
    }

    private static NetlinkRequest flowsWith(Target target) {
        NetlinkRequest request = request(GET, NetlinkRequest.DUMP);
        int tuple = request.begin(TUPLE_REPLY);
        int ip = request.begin(TUPLE_IP);
        request.attribute(IP_V4_SRC, target.ip.bytes()).end(ip);
        int protocol = request.begin(TUPLE_PROTO);
        request.attribute(PROTO_NUM, new byte[] {(byte) target.port.protocol().number()})
                .attribute(PROTO_SRC_PORT, bytes(target.port.port()))
                .end(protocol)
                .end(tuple);
        return filtered(request, 0, BY_SOURCE_AND_PORT);
    }

    private static byte[] bytes(int port) {
        return ByteBuffer.allocate(2)
                .order(ByteOrder.BIG_ENDIAN)
                .putShort((short) port)
                .array();
    }

    private static NetlinkRequest flowsTo(ServicePort port) {
        NetlinkRequest request = request(GET, NetlinkRequest.DUMP);
        int tuple = request.begin(TUPLE_ORIG);
        int protocol = request.begin(TUPLE_PROTO);
        request.attribute(PROTO_NUM, new byte[] {(byte) port.protocol().number()})
                .attribute(PROTO_DST_PORT, bytes(port.port()))
                .end(protocol)
                .end(tuple);
        return filtered(request, BY_PROTOCOL_AND_PORT, 0);
    }

    /** @param direction whose sender it is: of the first packet, or of its answers */
    private static NetlinkRequest flowsFrom(Ipv4Address guest, int direction) {
        NetlinkRequest request = request(GET, NetlinkRequest.DUMP);
        int tuple = request.begin(direction);
        int ip = request.begin(TUPLE_IP);
        request.attribute(IP_V4_SRC, guest.bytes()).end(ip).end(tuple);
        return filtered(request, direction == TUPLE_ORIG ? BY_SOURCE : 0, direction == TUPLE_REPLY ? BY_SOURCE : 0);
    }

    /** Linux 5.8 and newer filter by it; an older kernel answers with all, which is why each is looked at again. */
    private static NetlinkRequest filtered(NetlinkRequest request, int original, int reply) {
        int filter = request.begin(FILTER);
        return request.attribute(FILTER_ORIG, original)
                .attribute(FILTER_REPLY, reply)
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
        routes.close();
    }
}
