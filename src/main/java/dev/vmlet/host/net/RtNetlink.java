package dev.vmlet.host.net;

import static dev.vmlet.host.net.NetlinkRequest.ACK;
import static dev.vmlet.host.net.NetlinkRequest.CREATE;
import static dev.vmlet.host.net.NetlinkRequest.DUMP;
import static dev.vmlet.host.net.NetlinkRequest.EXCL;
import static dev.vmlet.host.net.NetlinkRequest.REPLACE;

import dev.vmlet.model.BridgePort;
import dev.vmlet.model.InterfaceAddress;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.Link;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.MacAddress;
import dev.vmlet.model.Mark;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;

/**
 * The words of rtnetlink we speak: requests to the kernel and values from its answers. Pure; numbers are those of
 * include/uapi/linux/rtnetlink.h, if_link.h, if_addr.h and if_tun.h.
 */
final class RtNetlink {
    static final int NEWLINK = 16;
    static final int DELLINK = 17;
    static final int NEWADDR = 20;
    static final int DELADDR = 21;

    static final int NEWNETCONF = 80;

    /** Groups to subscribe to: RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_IFADDR and RTNLGRP_IPV4_NETCONF. */
    static final int GROUP_LINK = 1;

    static final int GROUP_NEIGH = 3;

    static final int GROUP_IPV4_IFADDR = 5;

    static final int GROUP_IPV4_NETCONF = 24;

    private static final int GETLINK = 18;
    private static final int GETADDR = 22;
    private static final int NEWROUTE = 24;
    private static final int GETROUTE = 26;

    private static final int IFINFOMSG = 16;
    private static final int IFADDRMSG = 8;
    private static final int RTMSG = 12;
    /** struct netconfmsg is one byte; attributes begin at the next multiple of four. */
    private static final int NETCONFMSG = 4;

    private static final int IFF_UP = 1;
    private static final int IFLA_ADDRESS = 1;
    private static final int IFLA_IFNAME = 3;
    private static final int IFLA_MTU = 4;
    private static final int IFLA_MASTER = 10;
    private static final int IFLA_LINKINFO = 18;
    private static final int IFLA_IFALIAS = 20;
    private static final int IFLA_GROUP = 27;
    private static final int IFLA_EXT_MASK = 29;
    private static final int IFLA_INFO_KIND = 1;
    private static final int IFLA_INFO_DATA = 2;
    private static final int IFLA_TUN_OWNER = 1;
    private static final int IFLA_INFO_SLAVE_KIND = 4;
    private static final int IFLA_INFO_SLAVE_DATA = 5;
    private static final int IFLA_BRPORT_LEARNING = 8;
    private static final int IFLA_BRPORT_UNICAST_FLOOD = 9;
    private static final int IFLA_BRPORT_MCAST_FLOOD = 27;
    private static final int IFLA_BRPORT_ISOLATED = 33;
    private static final int RTEXT_FILTER_SKIP_STATS = 8;

    private static final int NEWNEIGH = 28;
    private static final int DELNEIGH = 29;
    private static final int GETNEIGH = 30;
    private static final int NDMSG = 12;
    private static final int NDA_DST = 1;
    private static final int NDA_LLADDR = 2;
    private static final int NTF_MASTER = 4;
    /** What bridge(8) calls static. NUD_PERMANENT would make the address one of the host's own (fdb_add_entry). */
    private static final int NUD_NOARP = 0x40;

    private static final int NUD_PERMANENT = 0x80;

    private static final int IFA_ADDRESS = 1;
    private static final int IFA_LOCAL = 2;
    private static final int IFA_LABEL = 3;

    private static final int NETCONFA_IFINDEX = 1;
    private static final int NETCONFA_FORWARDING = 2;

    private static final int RT_TABLE_MAIN = 254;
    private static final int RTN_UNICAST = 1;
    private static final int RTM_F_CLONED = 0x200;
    private static final int RTA_DST = 1;
    private static final int RTA_OIF = 4;
    private static final int RTA_PRIORITY = 6;
    private static final int RTA_MULTIPATH = 9;
    private static final int RTA_TABLE = 15;

    private RtNetlink() {}

    static NetlinkRequest getLinks() {
        return linkStructure(new NetlinkRequest(GETLINK, DUMP), 0, 0, 0)
                .attribute(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    }

    static NetlinkRequest getLink(LinkName name) {
        return linkStructure(new NetlinkRequest(GETLINK, ACK), 0, 0, 0)
                .attribute(IFLA_IFNAME, name.value())
                .attribute(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    }

    /** Without a mark: the kernel ignores IFLA_IFALIAS in the message that creates a link (rtnl_create_link). */
    static NetlinkRequest createBridge(LinkName name, MacAddress mac) {
        NetlinkRequest request = linkStructure(new NetlinkRequest(NEWLINK, ACK | CREATE | EXCL), 0, 0, 0)
                .attribute(IFLA_IFNAME, name.value())
                .attribute(IFLA_ADDRESS, mac.bytes());
        int info = request.begin(IFLA_LINKINFO);
        return request.attribute(IFLA_INFO_KIND, "bridge").end(info);
    }

    /** A bridge with an MTU that none may have: refused for its kind where the kernel has no bridges, else for that. */
    static NetlinkRequest impossibleBridge() {
        NetlinkRequest request = linkStructure(new NetlinkRequest(NEWLINK, ACK | CREATE | EXCL), 0, 0, 0)
                .attribute(IFLA_MTU, 1);
        int info = request.begin(IFLA_LINKINFO);
        return request.attribute(IFLA_INFO_KIND, "bridge").end(info);
    }

    static NetlinkRequest markLink(int index, int mtu, Mark mark) {
        return linkStructure(new NetlinkRequest(NEWLINK, ACK), index, 0, 0)
                .attribute(IFLA_MTU, mtu)
                .attribute(IFLA_IFALIAS, mark.text());
    }

    static NetlinkRequest setUp(int index) {
        return linkStructure(new NetlinkRequest(NEWLINK, ACK), index, IFF_UP, IFF_UP);
    }

    static NetlinkRequest setMtu(int index, int mtu) {
        return linkStructure(new NetlinkRequest(NEWLINK, ACK), index, 0, 0).attribute(IFLA_MTU, mtu);
    }

    static NetlinkRequest setMac(int index, MacAddress mac) {
        return linkStructure(new NetlinkRequest(NEWLINK, ACK), index, 0, 0).attribute(IFLA_ADDRESS, mac.bytes());
    }

    static NetlinkRequest setMaster(int index, int masterIndex) {
        return linkStructure(new NetlinkRequest(NEWLINK, ACK), index, 0, 0).attribute(IFLA_MASTER, masterIndex);
    }

    static NetlinkRequest setBridgePort(int index, BridgePort flags) {
        NetlinkRequest request = linkStructure(new NetlinkRequest(NEWLINK, ACK), index, 0, 0);
        int info = request.begin(IFLA_LINKINFO);
        request.attribute(IFLA_INFO_SLAVE_KIND, "bridge");
        int data = request.begin(IFLA_INFO_SLAVE_DATA);
        return request.attribute(IFLA_BRPORT_LEARNING, flag(flags.learning()))
                .attribute(IFLA_BRPORT_UNICAST_FLOOD, flag(flags.flood()))
                .attribute(IFLA_BRPORT_MCAST_FLOOD, flag(flags.multicastFlood()))
                .attribute(IFLA_BRPORT_ISOLATED, flag(flags.isolated()))
                .end(data)
                .end(info);
    }

    private static byte[] flag(boolean on) {
        return new byte[] {(byte) (on ? 1 : 0)};
    }

    static NetlinkRequest putBehind(int portIndex, MacAddress mac) {
        return behind(new NetlinkRequest(NEWNEIGH, ACK | CREATE | REPLACE), portIndex, NUD_NOARP)
                .attribute(NDA_LLADDR, mac.bytes());
    }

    static NetlinkRequest getBehind(int portIndex, MacAddress mac) {
        return behind(new NetlinkRequest(GETNEIGH, ACK), portIndex, 0).attribute(NDA_LLADDR, mac.bytes());
    }

    private static NetlinkRequest behind(NetlinkRequest request, int portIndex, int state) {
        return neighbour(request, Kernel.AF_BRIDGE, portIndex, state, NTF_MASTER);
    }

    static NetlinkRequest putNeighbour(int index, Ipv4Address address, MacAddress mac) {
        return neighbour(new NetlinkRequest(NEWNEIGH, ACK | CREATE | REPLACE), Kernel.AF_INET, index, NUD_PERMANENT, 0)
                .attribute(NDA_DST, address.bytes())
                .attribute(NDA_LLADDR, mac.bytes());
    }

    static NetlinkRequest getNeighbour(int index, Ipv4Address address) {
        return neighbour(new NetlinkRequest(GETNEIGH, ACK), Kernel.AF_INET, index, 0, 0)
                .attribute(NDA_DST, address.bytes());
    }

    static NetlinkRequest deleteNeighbour(int index, Ipv4Address address) {
        return neighbour(new NetlinkRequest(DELNEIGH, ACK), Kernel.AF_INET, index, 0, 0)
                .attribute(NDA_DST, address.bytes());
    }

    private static NetlinkRequest neighbour(NetlinkRequest request, int family, int index, int state, int flags) {
        return request.put8(family)
                .put8(0)
                .put16(0)
                .put32(index)
                .put16(state)
                .put8(flags)
                .put8(0);
    }

    /** Whether the message says that the bridge has, for good, an address behind this port. */
    static boolean isBehind(NetlinkMessage message, int portIndex) {
        return isNeighbour(message, NEWNEIGH, Kernel.AF_BRIDGE)
                && message.body().getInt(4) == portIndex
                && (message.body().getShort(8) & NUD_NOARP) != 0;
    }

    private static boolean isNeighbour(NetlinkMessage message, int type, int family) {
        return message.type() == type
                && message.body().limit() >= NDMSG
                && message.body().get(0) == family;
    }

    /** The index of the port behind which a bridge has learnt, of itself, that somebody is: a sign of life. */
    static Optional<Integer> learntBehind(NetlinkMessage message) {
        return isNeighbour(message, NEWNEIGH, Kernel.AF_BRIDGE)
                        && (message.body().getShort(8) & (NUD_NOARP | NUD_PERMANENT)) == 0
                ? Optional.of(message.body().getInt(4))
                : Optional.empty();
    }

    /** The MAC address that the node has for good for the address it is asked for; empty for one it learnt itself. */
    static Optional<String> permanentNeighbour(NetlinkMessage message) throws KernelRefusal {
        return isNeighbour(message, NEWNEIGH, Kernel.AF_INET) && (message.body().getShort(8) & NUD_PERMANENT) != 0
                ? message.attributes(NDMSG).bytes(NDA_LLADDR).map(HexFormat.ofDelimiter(":")::formatHex)
                : Optional.empty();
    }

    /** An IPv4 address that the node knows no longer on some link. */
    static Optional<Ipv4Address> forgottenNeighbour(NetlinkMessage message) throws KernelRefusal {
        Optional<byte[]> address = isNeighbour(message, DELNEIGH, Kernel.AF_INET)
                ? message.attributes(NDMSG).bytes(NDA_DST)
                : Optional.empty();
        return address.isEmpty() ? Optional.empty() : Optional.of(ipv4(address.get()));
    }

    /** Down, out of its bridge and into the group in one message. */
    static NetlinkRequest retire(int index, int group) {
        return linkStructure(new NetlinkRequest(NEWLINK, ACK), index, 0, IFF_UP)
                .attribute(IFLA_MASTER, 0)
                .attribute(IFLA_GROUP, group);
    }

    static NetlinkRequest setGroup(int index, int group) {
        return linkStructure(new NetlinkRequest(NEWLINK, ACK), index, 0, 0).attribute(IFLA_GROUP, group);
    }

    /** Every link of the group, whosever it is; the kernel waits once for all of them (rtnl_group_dellink). */
    static NetlinkRequest deleteGroup(int group) {
        return linkStructure(new NetlinkRequest(DELLINK, ACK), 0, 0, 0).attribute(IFLA_GROUP, group);
    }

    static NetlinkRequest deleteLink(int index) {
        return linkStructure(new NetlinkRequest(DELLINK, ACK), index, 0, 0);
    }

    private static NetlinkRequest linkStructure(NetlinkRequest request, int index, int flags, int change) {
        return request.put8(Kernel.AF_UNSPEC)
                .put8(0)
                .put16(0)
                .put32(index)
                .put32(flags)
                .put32(change);
    }

    /** The link in a NEWLINK or DELLINK message; empty for any other message. */
    static Optional<Link> link(NetlinkMessage message) throws KernelRefusal {
        if (message.type() != NEWLINK && message.type() != DELLINK) {
            return Optional.empty();
        }
        NetlinkAttributes attributes = message.attributes(IFINFOMSG);
        NetlinkAttributes info = attributes.nested(IFLA_LINKINFO);
        String kind = info.text(IFLA_INFO_KIND).orElse("");
        long tapUid = -1;
        if (kind.equals("tun")) {
            NetlinkAttributes tun = info.nested(IFLA_INFO_DATA);
            tapUid = tun.has(IFLA_TUN_OWNER) ? Integer.toUnsignedLong(tun.number(IFLA_TUN_OWNER, 0)) : -1;
        }
        return Optional.of(new Link(
                message.body().getInt(4),
                name(attributes),
                kind,
                attributes
                        .bytes(IFLA_ADDRESS)
                        .map(HexFormat.ofDelimiter(":")::formatHex)
                        .orElse(""),
                attributes.number(IFLA_MTU, 0),
                (message.body().getInt(8) & IFF_UP) != 0,
                new Mark(attributes.text(IFLA_IFALIAS).orElse("")),
                attributes.number(IFLA_MASTER, 0),
                tapUid,
                attributes.number(IFLA_GROUP, 0),
                bridgePort(info)));
    }

    private static BridgePort bridgePort(NetlinkAttributes info) throws KernelRefusal {
        if (!info.text(IFLA_INFO_SLAVE_KIND).orElse("").equals("bridge")) {
            return BridgePort.PLAIN;
        }
        NetlinkAttributes port = info.nested(IFLA_INFO_SLAVE_DATA);
        return new BridgePort(
                isSet(port, IFLA_BRPORT_ISOLATED, false),
                isSet(port, IFLA_BRPORT_LEARNING, true),
                isSet(port, IFLA_BRPORT_UNICAST_FLOOD, true),
                isSet(port, IFLA_BRPORT_MCAST_FLOOD, true));
    }

    private static boolean isSet(NetlinkAttributes port, int type, boolean otherwise) {
        return port.bytes(type).map(b -> b.length > 0 && b[0] != 0).orElse(otherwise);
    }

    private static LinkName name(NetlinkAttributes attributes) throws KernelRefusal {
        String name = attributes.text(IFLA_IFNAME).orElse("");
        try {
            return new LinkName(name);
        } catch (IllegalArgumentException e) {
            throw NetlinkMessage.malformed("link without a usable name: \"" + name + "\"");
        }
    }

    /** Addresses of one link, or of all for index 0. */
    static NetlinkRequest getAddresses(int index) {
        return new NetlinkRequest(GETADDR, DUMP)
                .put8(Kernel.AF_INET)
                .put8(0)
                .put8(0)
                .put8(0)
                .put32(index);
    }

    static NetlinkRequest addAddress(int index, InterfaceAddress address) {
        return addressRequest(NEWADDR, ACK | CREATE | EXCL, index, address);
    }

    static NetlinkRequest deleteAddress(int index, InterfaceAddress address) {
        return addressRequest(DELADDR, ACK, index, address);
    }

    private static NetlinkRequest addressRequest(int type, int flags, int index, InterfaceAddress address) {
        byte[] bytes = address.address().bytes();
        return new NetlinkRequest(type, flags)
                .put8(Kernel.AF_INET)
                .put8(address.length())
                .put8(0)
                .put8(0)
                .put32(index)
                .attribute(IFA_LOCAL, bytes)
                .attribute(IFA_ADDRESS, bytes);
    }

    /** An IPv4 address, the index of its link and its label (the link's name, perhaps with ":" and more). */
    record AddressAt(int index, String label, InterfaceAddress address) {}

    /** The address in a NEWADDR or DELADDR message; empty for any other message or family. */
    static Optional<AddressAt> address(NetlinkMessage message) throws KernelRefusal {
        if (message.type() != NEWADDR && message.type() != DELADDR) {
            return Optional.empty();
        }
        NetlinkAttributes attributes = message.attributes(IFADDRMSG);
        ByteBuffer body = message.body();
        // On a point-to-point link IFA_ADDRESS is the peer; IFA_LOCAL is ours.
        Optional<byte[]> local = attributes.bytes(IFA_LOCAL).or(() -> attributes.bytes(IFA_ADDRESS));
        if (body.get(0) != Kernel.AF_INET || local.isEmpty()) {
            return Optional.empty();
        }
        return Optional.of(new AddressAt(
                body.getInt(4),
                attributes.text(IFA_LABEL).orElse(""),
                new InterfaceAddress(ipv4(local.get()), prefixLength(body))));
    }

    /**
     * Index of the link whose IPv4 forwarding flag was written, or which was just made (a new link tells all its flags).
     * Empty for any other message, and for the switches of all links and of links to come, which have no index: the
     * kernel tells of each link that follows them.
     */
    static Optional<Integer> forwardingWritten(NetlinkMessage message) throws KernelRefusal {
        if (message.type() != NEWNETCONF || message.body().get(0) != Kernel.AF_INET) {
            return Optional.empty();
        }
        NetlinkAttributes attributes = message.attributes(NETCONFMSG);
        int index = attributes.number(NETCONFA_IFINDEX, 0);
        return attributes.has(NETCONFA_FORWARDING) && index > 0 ? Optional.of(index) : Optional.empty();
    }

    static NetlinkRequest getMainRoutes() {
        return new NetlinkRequest(GETROUTE, DUMP)
                .put8(Kernel.AF_INET)
                .put8(0)
                .put8(0)
                .put8(0)
                .put8(RT_TABLE_MAIN)
                .put8(0)
                .put8(0)
                .put8(RTN_UNICAST)
                .put32(0);
    }

    /** Asks for the one route by which this node sends to an address. */
    static NetlinkRequest getRouteTo(Ipv4Address to) {
        return new NetlinkRequest(GETROUTE, NetlinkRequest.ACK)
                .put8(Kernel.AF_INET)
                .put8(Integer.SIZE)
                .put8(0)
                .put8(0)
                .put32(0)
                .put32(0)
                .attribute(RTA_DST, to.bytes());
    }

    /** The index of the link that the answer to {@link #getRouteTo} names; 0 where it names none. */
    static int leavesBy(NetlinkMessage message) throws KernelRefusal {
        return message.type() == NEWROUTE ? message.attributes(RTMSG).number(RTA_OIF, 0) : 0;
    }

    /** A destination of the main table and the index of one link it leaves by; metric as an unsigned number. */
    record RouteBy(Ipv4Prefix destination, int index, long metric) {}

    /** The routes in a message, one for each next hop; none unless it is an IPv4 unicast route of the main table. */
    static List<RouteBy> routes(NetlinkMessage message) throws KernelRefusal {
        if (message.type() != NEWROUTE) {
            return List.of();
        }
        NetlinkAttributes attributes = message.attributes(RTMSG);
        ByteBuffer body = message.body();
        if (body.get(0) != Kernel.AF_INET
                || attributes.number(RTA_TABLE, body.get(4) & 0xff) != RT_TABLE_MAIN
                || body.get(7) != RTN_UNICAST
                || (body.getInt(8) & RTM_F_CLONED) != 0) {
            return List.of();
        }
        Ipv4Address network = ipv4(attributes.bytes(RTA_DST).orElse(new byte[4]));
        Ipv4Prefix destination = Ipv4Prefix.around(network, prefixLength(body));
        long metric = Integer.toUnsignedLong(attributes.number(RTA_PRIORITY, 0));
        List<RouteBy> routes = new ArrayList<>();
        int only = attributes.number(RTA_OIF, 0);
        if (only != 0) {
            routes.add(new RouteBy(destination, only, metric));
        }
        for (int index : nextHops(attributes.bytes(RTA_MULTIPATH).orElse(new byte[0]), body)) {
            routes.add(new RouteBy(destination, index, metric));
        }
        return routes;
    }

    private static Ipv4Address ipv4(byte[] bytes) throws KernelRefusal {
        if (bytes.length != 4) {
            throw NetlinkMessage.malformed("IPv4 address of " + bytes.length + " bytes");
        }
        return Ipv4Address.of(bytes);
    }

    /** The second byte of ifaddrmsg and of rtmsg. */
    private static int prefixLength(ByteBuffer body) throws KernelRefusal {
        int length = body.get(1) & 0xff;
        if (length > 32) {
            throw NetlinkMessage.malformed("IPv4 prefix of " + length + " bits");
        }
        return length;
    }

    /** Link indexes of an RTA_MULTIPATH: structures rtnexthop, each with its own length and attributes. */
    private static List<Integer> nextHops(byte[] multipath, ByteBuffer like) throws KernelRefusal {
        ByteBuffer bytes = ByteBuffer.wrap(multipath).order(like.order());
        List<Integer> indexes = new ArrayList<>();
        int at = 0;
        while (at < bytes.limit()) {
            int left = bytes.limit() - at;
            int length = left < 8 ? left : bytes.getShort(at) & 0xffff;
            if (length < 8 || length > left) {
                throw NetlinkMessage.malformed("next hop of " + length + " bytes where " + left + " are left");
            }
            indexes.add(bytes.getInt(at + 4));
            at += NetlinkMessage.align(length);
        }
        return indexes;
    }
}
