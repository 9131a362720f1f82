package dev.vmlet.host.console;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Optional;

/**
 * What an agent and a visitor say to each other on a console's socket: a letter, two bytes of length (big-endian, at most
 * {@value #PAYLOAD_MAX}), and so many bytes. Framed, so that a sentence of the agent's can never be taken for one of the
 * guest's. The first frame is the visitor's JOIN.
 *
 * @param payload read-only, from its first to its last byte
 */
public record Frame(Kind kind, ByteBuffer payload) {
    static final int HEADER = 3;
    static final int PAYLOAD_MAX = 32 << 10;

    /** The letter on the wire. */
    public enum Kind {
        /** From the visitor: a {@link Wish} and, after a blank, who it is. */
        JOIN('J'),
        /** From the visitor: keys for the guest. */
        INPUT('I'),
        /** From the agent: what the guest wrote. */
        OUTPUT('O'),
        /** From the agent: a sentence for the visitor. */
        NOTE('N'),
        /** From the agent: the last sentence; it hangs up after it. */
        END('E');

        private final byte letter;

        Kind(char letter) {
            this.letter = (byte) letter;
        }

        static Optional<Kind> of(byte letter) {
            return Arrays.stream(values()).filter(k -> k.letter == letter).findFirst();
        }
    }

    /** What a visitor wants to do. */
    public enum Wish {
        READ,
        /** Write unless somebody else does. */
        WRITE,
        /** Write, also where somebody else does now. */
        TAKE
    }

    public Frame {
        if (payload.remaining() > PAYLOAD_MAX) {
            throw new IllegalArgumentException("a frame of " + payload.remaining() + " bytes");
        }
        payload = payload.asReadOnlyBuffer().slice();
    }

    static Frame of(Kind kind, String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        return new Frame(kind, ByteBuffer.wrap(bytes, 0, Math.min(bytes.length, PAYLOAD_MAX)));
    }

    public String text() {
        return StandardCharsets.UTF_8.decode(payload.duplicate()).toString();
    }

    /** The payload's bytes, the caller's own. */
    public byte[] bytes() {
        byte[] bytes = new byte[payload.remaining()];
        payload.duplicate().get(bytes);
        return bytes;
    }

    ByteBuffer encode() {
        return ByteBuffer.allocate(HEADER + payload.remaining())
                .put(kind.letter)
                .putShort((short) payload.remaining())
                .put(payload.duplicate())
                .flip();
    }

    /**
     * Takes one whole frame from the front of what was received; empty when it has not arrived yet.
     *
     * @param received ready to be read; left behind the frame that was taken, or untouched
     * @throws IllegalArgumentException when this is no frame of ours
     */
    static Optional<Frame> take(ByteBuffer received) {
        if (received.remaining() < HEADER) {
            return Optional.empty();
        }
        int at = received.position();
        byte letter = received.get(at);
        int length = Short.toUnsignedInt(received.getShort(at + 1));
        Kind kind = Kind.of(letter)
                .orElseThrow(() -> new IllegalArgumentException("a frame that begins with byte " + letter));
        if (length > PAYLOAD_MAX) {
            throw new IllegalArgumentException("a frame of " + length + " bytes");
        }
        if (received.remaining() < HEADER + length) {
            return Optional.empty();
        }
        byte[] payload = new byte[length];
        received.position(at + HEADER).get(payload);
        return Optional.of(new Frame(kind, ByteBuffer.wrap(payload)));
    }
}
