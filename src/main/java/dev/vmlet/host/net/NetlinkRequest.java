package dev.vmlet.host.net;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * Writes one netlink request: header, the family's fixed structure, attributes (include/uapi/linux/netlink.h). Numbers
 * are in the machine's byte order, everything is padded to four bytes.
 */
final class NetlinkRequest {
    static final int ACK = 0x4;
    static final int DUMP = 0x300;
    static final int REPLACE = 0x100;
    static final int EXCL = 0x200;
    static final int CREATE = 0x400;

    static final int HEADER = 16;

    private static final int REQUEST = 0x1;
    private static final int NESTED = 0x8000;

    /** On the heap: a direct buffer for each request would wait outside for a collection that seldom comes. */
    private final ByteBuffer bytes = ByteBuffer.allocate(2048).order(ByteOrder.nativeOrder());

    NetlinkRequest(int type, int flags) {
        bytes.putInt(0)
                .putShort((short) type)
                .putShort((short) (REQUEST | flags))
                .putInt(0)
                .putInt(0);
    }

    NetlinkRequest put8(int value) {
        bytes.put((byte) value);
        return this;
    }

    NetlinkRequest put16(int value) {
        bytes.putShort((short) value);
        return this;
    }

    NetlinkRequest put32(int value) {
        bytes.putInt(value);
        return this;
    }

    NetlinkRequest attribute(int type, byte[] value) {
        bytes.putShort((short) (4 + value.length)).putShort((short) type).put(value);
        pad();
        return this;
    }

    NetlinkRequest attribute(int type, int value) {
        bytes.putShort((short) 8).putShort((short) type).putInt(value);
        return this;
    }

    /** A string attribute with its terminating zero. */
    NetlinkRequest attribute(int type, String value) {
        byte[] text = value.getBytes(StandardCharsets.UTF_8);
        bytes.putShort((short) (5 + text.length))
                .putShort((short) type)
                .put(text)
                .put((byte) 0);
        pad();
        return this;
    }

    /** Opens a nested attribute; the result goes to {@link #end}. */
    int begin(int type) {
        int start = bytes.position();
        bytes.putShort((short) 0).putShort((short) (type | NESTED));
        return start;
    }

    NetlinkRequest end(int start) {
        bytes.putShort(start, (short) (bytes.position() - start));
        return this;
    }

    /** The finished message under this sequence number, ready to be sent. May be called again for another attempt. */
    ByteBuffer finish(int sequence) {
        int length = bytes.position();
        bytes.putInt(0, length).putInt(8, sequence);
        return bytes.duplicate().order(bytes.order()).flip();
    }

    private void pad() {
        while (bytes.position() % 4 != 0) {
            bytes.put((byte) 0);
        }
    }
}
