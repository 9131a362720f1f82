package dev.vmlet.host.net;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** The attributes of one message or of one nested attribute, by number; of two with the same number the last counts. */
record NetlinkAttributes(Map<Integer, ByteBuffer> values) {
    /** Takes off NLA_F_NESTED and NLA_F_NET_BYTEORDER. */
    private static final int TYPE_MASK = 0x3fff;

    static NetlinkAttributes parse(ByteBuffer bytes) throws KernelRefusal {
        Map<Integer, ByteBuffer> values = new HashMap<>();
        int at = 0;
        while (at < bytes.limit()) {
            int left = bytes.limit() - at;
            int length = left < 4 ? left : bytes.getShort(at) & 0xffff;
            if (length < 4 || length > left) {
                throw NetlinkMessage.malformed("attribute of " + length + " bytes where " + left + " are left");
            }
            int type = bytes.getShort(at + 2) & TYPE_MASK;
            values.put(type, bytes.slice(at + 4, length - 4).order(bytes.order()));
            at += NetlinkMessage.align(length);
        }
        return new NetlinkAttributes(values);
    }

    boolean has(int type) {
        return values.containsKey(type);
    }

    Optional<byte[]> bytes(int type) {
        ByteBuffer value = values.get(type);
        if (value == null) {
            return Optional.empty();
        }
        byte[] copy = new byte[value.limit()];
        value.get(0, copy);
        return Optional.of(copy);
    }

    /** A string without its terminating zero, if it has one. */
    Optional<String> text(int type) {
        return bytes(type).map(b -> {
            int end = 0;
            while (end < b.length && b[end] != 0) {
                end++;
            }
            return new String(b, 0, end, StandardCharsets.UTF_8);
        });
    }

    int number(int type, int otherwise) throws KernelRefusal {
        ByteBuffer value = values.get(type);
        if (value == null) {
            return otherwise;
        }
        if (value.limit() < 4) {
            throw NetlinkMessage.malformed("attribute " + type + " of " + value.limit() + " bytes, 4 expected");
        }
        return value.getInt(0);
    }

    /** The attributes within each of those within: of a list, whose members all have one number. */
    List<NetlinkAttributes> list(int type) throws KernelRefusal {
        List<NetlinkAttributes> members = new ArrayList<>();
        ByteBuffer value = values.get(type);
        int at = 0;
        while (value != null && at < value.limit()) {
            int left = value.limit() - at;
            int length = left < 4 ? left : value.getShort(at) & 0xffff;
            if (length < 4 || length > left) {
                throw NetlinkMessage.malformed("member of " + length + " bytes where " + left + " are left");
            }
            members.add(parse(value.slice(at + 4, length - 4).order(value.order())));
            at += NetlinkMessage.align(length);
        }
        return members;
    }

    /** The attributes within; none when it is not there. */
    NetlinkAttributes nested(int type) throws KernelRefusal {
        ByteBuffer value = values.get(type);
        return value == null ? new NetlinkAttributes(Map.of()) : parse(value);
    }
}
