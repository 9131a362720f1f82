package dev.vmlet.host.net;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import jnr.constants.platform.Errno;

/** One netlink message as received; {@code body} begins after the header, in the machine's byte order. */
record NetlinkMessage(int type, int flags, int sequence, int port, ByteBuffer body) {
    static final int ERROR = 2;
    static final int DONE = 3;

    private static final int OVERRUN = 4;
    private static final int DUMP_INTERRUPTED = 0x10;
    private static final int CAPPED = 0x100;
    private static final int ACK_ATTRIBUTES = 0x200;
    private static final int EXTENDED_TEXT = 1;

    /**
     * Cuts a datagram into messages. The bodies are copies: the datagram's buffer may be used again.
     *
     * @throws KernelRefusal EBADMSG when a length does not fit
     */
    static List<NetlinkMessage> parse(ByteBuffer datagram) throws KernelRefusal {
        List<NetlinkMessage> messages = new ArrayList<>();
        while (datagram.remaining() >= NetlinkRequest.HEADER) {
            int start = datagram.position();
            int length = datagram.getInt(start);
            if (length < NetlinkRequest.HEADER || length > datagram.remaining()) {
                throw malformed("message of " + length + " bytes where " + datagram.remaining() + " are left");
            }
            byte[] body = new byte[length - NetlinkRequest.HEADER];
            datagram.get(start + NetlinkRequest.HEADER, body);
            messages.add(new NetlinkMessage(
                    datagram.getShort(start + 4) & 0xffff,
                    datagram.getShort(start + 6) & 0xffff,
                    datagram.getInt(start + 8),
                    datagram.getInt(start + 12),
                    ByteBuffer.wrap(body).order(datagram.order())));
            datagram.position(Math.min(start + align(length), datagram.limit()));
        }
        if (datagram.hasRemaining()) {
            throw malformed(datagram.remaining() + " bytes where a header of 16 was expected");
        }
        return messages;
    }

    boolean dumpInterrupted() {
        return (flags & DUMP_INTERRUPTED) != 0;
    }

    /** The attributes after a fixed structure of so many bytes. */
    NetlinkAttributes attributes(int structureLength) throws KernelRefusal {
        if (body.limit() < structureLength) {
            throw malformed("type " + type + ": " + body.limit() + " bytes, at least " + structureLength + " expected");
        }
        int start = Math.min(align(structureLength), body.limit());
        return NetlinkAttributes.parse(body.slice(start, body.limit() - start).order(body.order()));
    }

    /** The refusal in an ERROR or DONE message; empty when it acknowledges success. */
    Optional<KernelRefusal> refusal() throws KernelRefusal {
        if (type == OVERRUN) {
            return Optional.of(new KernelRefusal(Errno.ENOBUFS, "netlink overrun"));
        }
        if (type == DONE && body.limit() < 4) {
            return Optional.empty();
        }
        if (body.limit() < 4) {
            throw malformed("acknowledgement of " + body.limit() + " bytes");
        }
        int error = -body.getInt(0);
        return error == 0
                ? Optional.empty()
                : Optional.of(
                        new KernelRefusal(Errno.valueOf(error), extendedText().orElse("netlink")));
    }

    /** Extended acknowledgement (Documentation/userspace-api/netlink/intro.rst): why, in the kernel's words. */
    private Optional<String> extendedText() throws KernelRefusal {
        if ((flags & ACK_ATTRIBUTES) == 0) {
            return Optional.empty();
        }
        int skip = 4;
        if (type == ERROR) {
            // The header of the failed request follows, and its body too unless the answer is capped.
            if (body.limit() < 4 + NetlinkRequest.HEADER) {
                throw malformed("acknowledgement of " + body.limit() + " bytes");
            }
            int echoed = (flags & CAPPED) != 0 ? NetlinkRequest.HEADER : body.getInt(4);
            if (echoed < NetlinkRequest.HEADER || echoed > body.limit() - 4) {
                throw malformed("acknowledgement of a request of " + echoed + " bytes");
            }
            skip += align(echoed);
        }
        return attributes(skip).text(EXTENDED_TEXT);
    }

    boolean isAcknowledgement() {
        return type == ERROR || type == OVERRUN;
    }

    static KernelRefusal malformed(String what) {
        return new KernelRefusal(Errno.EBADMSG, "malformed netlink answer: " + what);
    }

    static int align(int length) {
        return length + 3 & ~3;
    }
}
