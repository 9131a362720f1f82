package dev.vmlet.host.net;

import dev.vmlet.model.Ipv4Address;
import java.io.ByteArrayOutputStream;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HexFormat;

/** Ethernet frames byte by byte, true and false. A mark, twelve characters in angle brackets, ends each. */
final class Frames {
    static final String EVERYBODY = "ff:ff:ff:ff:ff:ff";
    static final int IPV4 = 0x0800;
    static final int ARP = 0x0806;
    static final int IPV6 = 0x86dd;

    private static final int MARK_LENGTH = 14;

    private Frames() {}

    static String markText(String name) {
        return "<" + (name + "............").substring(0, MARK_LENGTH - 2) + ">";
    }

    /** The mark at the frame's end, before padding; empty when there is none. */
    static String mark(byte[] frame) {
        String text = new String(frame, StandardCharsets.ISO_8859_1).stripTrailing();
        int start = text.length() - MARK_LENGTH;
        return start >= 0 && text.charAt(start) == '<' && text.endsWith(">") ? text.substring(start) : "";
    }

    static byte[] ethernet(String to, String from, int type, byte[] payload) {
        return join(mac(to), mac(from), number(type, 2), payload);
    }

    /** With one VLAN tag; {@code tagType} is 0x8100 or 0x88a8. */
    static byte[] tagged(String to, String from, int tagType, int vlan, int type, byte[] payload) {
        return join(mac(to), mac(from), number(tagType, 2), number(vlan, 2), number(type, 2), payload);
    }

    /** UDP without checksum in IPv4, any version number. */
    static byte[] udp(int version, String from, String to, int port, String mark) {
        return udp(version, from, to, 7, port, mark);
    }

    static byte[] udp(int version, String from, String to, int sourcePort, int port, String mark) {
        byte[] data = markText(mark).getBytes(StandardCharsets.US_ASCII);
        byte[] header = join(
                number(version << 4 | 5, 1),
                number(0, 1),
                number(28 + data.length, 2),
                number(0, 4),
                number(64, 1),
                number(17, 1),
                number(0, 2),
                address(from),
                address(to));
        int sum = 0;
        for (int i = 0; i < header.length; i += 2) {
            sum += (header[i] & 0xff) << 8 | header[i + 1] & 0xff;
        }
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        ByteBuffer.wrap(header).putShort(10, (short) ~sum);
        return join(header, number(sourcePort, 2), number(port, 2), number(8 + data.length, 2), number(0, 2), data);
    }

    /** A UDP packet in IPv6, without extension headers. */
    static byte[] udp6(String from, String to, int sourcePort, int port, String mark) {
        byte[] data = markText(mark).getBytes(StandardCharsets.US_ASCII);
        byte[] udp = join(number(sourcePort, 2), number(port, 2), number(8 + data.length, 2), number(0, 2), data);
        return ipv6(from, to, 17, udp);
    }

    /** An ICMPv6 message of this type: 134 is a router's advertisement, 128 an echo request. */
    static byte[] icmp6(String from, String to, int type, String mark) {
        byte[] text = markText(mark).getBytes(StandardCharsets.US_ASCII);
        return ipv6(from, to, 58, join(number(type, 1), number(0, 3), new byte[12], text));
    }

    private static byte[] ipv6(String from, String to, int nextHeader, byte[] payload) {
        return join(
                number(6 << 28, 4),
                number(payload.length, 2),
                number(nextHeader, 1),
                number(255, 1),
                address6(from),
                address6(to),
                payload);
    }

    private static byte[] address6(String text) {
        try {
            return InetAddress.getByName(text).getAddress();
        } catch (UnknownHostException e) {
            throw new IllegalArgumentException(text, e);
        }
    }

    /** An ARP packet; a true one has hardware address length 6. */
    static byte[] arp(int operation, int hardwareLength, String mac, String ip, String targetIp, String mark) {
        return join(
                number(1, 2),
                number(IPV4, 2),
                number(hardwareLength, 1),
                number(4, 1),
                number(operation, 2),
                mac(mac),
                address(ip),
                new byte[6],
                address(targetIp),
                // Beyond the packet, where Ethernet has padding.
                markText(mark).getBytes(StandardCharsets.US_ASCII));
    }

    static byte[] text(String mark) {
        return join(new byte[40], markText(mark).getBytes(StandardCharsets.US_ASCII));
    }

    private static byte[] mac(String text) {
        return HexFormat.ofDelimiter(":").parseHex(text);
    }

    private static byte[] address(String text) {
        return Ipv4Address.parse(text).bytes();
    }

    private static byte[] number(int value, int bytes) {
        byte[] all = ByteBuffer.allocate(4).putInt(value).array();
        return Arrays.copyOfRange(all, 4 - bytes, 4);
    }

    private static byte[] join(byte[]... parts) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        for (byte[] part : parts) {
            out.writeBytes(part);
        }
        return out.toByteArray();
    }
}
