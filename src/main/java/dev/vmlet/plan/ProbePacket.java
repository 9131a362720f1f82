package dev.vmlet.plan;

import dev.vmlet.model.DesiredNetwork;
import dev.vmlet.model.Destination;
import dev.vmlet.model.Egress;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.MacAddress;
import dev.vmlet.model.Protocol;
import dev.vmlet.model.ServicePort;
import java.nio.ByteBuffer;
import java.util.Optional;
import java.util.Set;

/**
 * A packet as a guest would send it out of its node, to find out whether somebody's firewall lets it: the first of a TCP
 * connection, or a UDP packet where the Network allows no other. It is known again by what nobody translates on the way.
 * As long as its {@link #rules} are there, their last hook stops it before it would leave the host.
 *
 * @param by the interface through which it comes to the node's own network stack
 * @param to that interface's address
 * @param cookie drawn by chance
 */
public record ProbePacket(
        LinkName by,
        MacAddress to,
        Ipv4Address source,
        Ipv4Address destination,
        Protocol protocol,
        int port,
        int cookie) {
    /** Chains of {@link #rules}, by which its trace tells how far it came. */
    public static final String FIRST = "first";

    public static final String ROUTED = "routed";
    public static final String LET = "let";
    public static final String LAST = "last";
    public static final String TAKEN = "taken";

    /** A root name server: an address that no filter of unroutable ones knows, and that has been the same for decades. */
    private static final Ipv4Address SOMEWHERE = Ipv4Address.parse("198.41.0.4");

    private static final int HTTPS = 443;
    private static final int IPV4 = 0x0800;
    private static final int TTL = 64;
    private static final int DO_NOT_FRAGMENT = 0x4000;
    private static final int SYN = 2;
    private static final int TCP_HEADER = 20;
    private static final int UDP_HEADER = 8;
    private static final int IP_HEADER = 20;
    private static final int ETHERNET_HEADER = 14;

    /** Nobody's; the port it is sent by does not learn. */
    private static final MacAddress SENDER = new MacAddress("52:00:00:70:72:6f");

    /**
     * Of a Network on this node; empty where nothing may leave it.
     *
     * @param taken addresses that guests have: the highest other one sends, and if all are taken the highest
     */
    public static Optional<ProbePacket> of(DesiredNetwork network, Set<Ipv4Address> taken, int cookie) {
        if (network.egress() != Egress.MASQUERADE) {
            return Optional.empty();
        }
        Optional<Destination> listed = network.policy().egressAllow().stream().findFirst();
        Ipv4Address destination = listed.map(d -> within(d.cidr())).orElse(SOMEWHERE);
        ServicePort port = listed.flatMap(Destination::port).orElse(new ServicePort(Protocol.TCP, HTTPS));
        return Optional.of(new ProbePacket(
                network.bridge(),
                network.bridgeMac(),
                sender(network, taken),
                destination,
                port.protocol(),
                port.port(),
                cookie));
    }

    /** Of a node without a Network, through an interface with a prefix of two usable addresses, whose second sends. */
    public static ProbePacket of(LinkName by, MacAddress to, Ipv4Prefix prefix, int cookie) {
        return new ProbePacket(by, to, prefix.network().plus(2), SOMEWHERE, Protocol.TCP, HTTPS, cookie);
    }

    private static Ipv4Address within(Ipv4Prefix cidr) {
        return cidr.length() > 30 ? cidr.network() : cidr.network().plus(1);
    }

    private static Ipv4Address sender(DesiredNetwork network, Set<Ipv4Address> taken) {
        Ipv4Address highest = network.subnet().last().plus(-1);
        for (Ipv4Address at = highest; at.compareTo(network.gateway()) > 0; at = at.plus(-1)) {
            if (!taken.contains(at)) {
                return at;
            }
        }
        return highest;
    }

    private int sourcePort() {
        return 0x8000 | cookie & 0x3fff;
    }

    private int identification() {
        return (cookie ^ cookie >>> 16) & 0xffff;
    }

    /** The whole Ethernet frame. */
    public byte[] frame() {
        byte[] segment = protocol == Protocol.TCP ? tcp() : udp();
        ByteBuffer frame = ByteBuffer.allocate(ETHERNET_HEADER + IP_HEADER + segment.length);
        frame.put(to.bytes()).put(SENDER.bytes()).putShort((short) IPV4);
        ByteBuffer ip = ByteBuffer.allocate(IP_HEADER);
        ip.put((byte) 0x45).put((byte) 0).putShort((short) (IP_HEADER + segment.length));
        ip.putShort((short) identification()).putShort((short) DO_NOT_FRAGMENT);
        ip.put((byte) TTL).put((byte) protocol.number()).putShort((short) 0);
        ip.put(source.bytes()).put(destination.bytes());
        ip.putShort(10, (short) ~sum(ip.array(), 0));
        return frame.put(ip.array()).put(segment).array();
    }

    private byte[] tcp() {
        ByteBuffer tcp = ByteBuffer.allocate(TCP_HEADER);
        tcp.putShort((short) sourcePort()).putShort((short) port);
        tcp.putInt(cookie).putInt(0);
        tcp.put((byte) (TCP_HEADER / 4 << 4)).put((byte) SYN).putShort((short) 0xfaf0);
        return checked(tcp.array(), 16);
    }

    private byte[] udp() {
        ByteBuffer udp = ByteBuffer.allocate(UDP_HEADER + 4);
        udp.putShort((short) sourcePort()).putShort((short) port).putShort((short) udp.capacity());
        udp.putInt(UDP_HEADER, cookie);
        return checked(udp.array(), 6);
    }

    /** With its checksum, which covers a pseudo-header (RFC 9293 3.1, RFC 768): conntrack takes no packet with a wrong one. */
    private byte[] checked(byte[] segment, int at) {
        int pseudo = sum(source.bytes(), 0) + sum(destination.bytes(), 0) + protocol.number() + segment.length;
        ByteBuffer.wrap(segment).putShort(at, (short) ~sum(segment, pseudo));
        return segment;
    }

    private static int sum(byte[] bytes, int start) {
        long sum = start;
        for (int i = 0; i < bytes.length; i += 2) {
            sum += (bytes[i] & 0xff) << 8 | bytes[i + 1] & 0xff;
        }
        while (sum >>> 16 != 0) {
            sum = (sum & 0xffff) + (sum >>> 16);
        }
        return (int) sum;
    }

    /**
     * Whether these headers, as a trace tells them, are its own. Translation changes addresses and ports, not these.
     *
     * @param ip from the IP header on
     * @param transport from the header behind it on
     */
    public boolean isIn(byte[] ip, byte[] transport) {
        int cookieAt = protocol == Protocol.TCP ? 4 : UDP_HEADER;
        return ip.length >= IP_HEADER
                && transport.length >= cookieAt + 4
                && ip[9] == protocol.number()
                && (ByteBuffer.wrap(ip).getShort(4) & 0xffff) == identification()
                && ByteBuffer.wrap(transport).getInt(cookieAt) == cookie;
    }

    private String match() {
        // At 64 bits of a UDP packet its content begins.
        String content = protocol == Protocol.TCP ? "tcp sequence " : "meta l4proto udp @th,64,32 ";
        return "ip id " + identification() + " " + content + Integer.toUnsignedString(cookie);
    }

    /**
     * What makes the kernel tell of it, and stops it, as one nft transaction that replaces what an earlier probe left. No
     * rule of it matches any other packet, but for the answers to this one.
     *
     * @param owned whether the tables are to go with the process that makes them (Linux 5.12)
     */
    public String rules(String table, boolean owned) {
        return """
                %1$stable inet %2$s {
                  %3$s
                  chain first {
                    type filter hook prerouting priority -2147483648; policy accept;
                    iifname "%4$s" %5$s meta nftrace set 1
                  }
                  chain taken {
                    type filter hook input priority 2147483646; policy accept;
                    %5$s drop
                  }
                  chain routed {
                    type filter hook forward priority -2147483648; policy accept;
                    %5$s meta nftrace set 1
                  }
                  chain let {
                    type filter hook forward priority 2147483646; policy accept;
                    %5$s meta nftrace set 1
                  }
                  chain last {
                    type filter hook postrouting priority 2147483646; policy accept;
                    %5$s drop
                  }
                  chain answers {
                    type filter hook output priority -2147483648; policy accept;
                    ip daddr %6$s meta l4proto %7$s th dport %8$d drop
                    ip daddr %6$s icmp type destination-unreachable drop
                  }
                }
                table bridge %2$s {
                  %3$s
                  chain first {
                    type filter hook prerouting priority -2147483648; policy accept;
                    ether type ip %5$s meta nftrace set 1
                  }
                }
                """.formatted(
                        remove(table, owned),
                        table,
                        owned ? "flags owner;" : "",
                        by,
                        match(),
                        source,
                        protocol.text(),
                        sourcePort());
    }

    /** Removes what {@link #rules} made, whether it is there or not. An owned table must not be named as one that is not. */
    public static String remove(String table, boolean owned) {
        return """
                table inet %1$s { %2$s }
                delete table inet %1$s
                table bridge %1$s { %2$s }
                delete table bridge %1$s
                """.formatted(table, owned ? "flags owner;" : "");
    }
}
