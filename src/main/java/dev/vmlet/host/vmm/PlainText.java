package dev.vmlet.host.vmm;

import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;

/**
 * What a guest wrote, made fit for a person's terminal as it comes in: no escape sequence, no control character but line
 * end and tab, one kind of line end. Pieces may be cut anywhere, also inside a sequence or a character.
 *
 * <pre>
 * TEXT --ESC--> ESCAPE --[--> CSI (until @..~)      --> TEXT
 *                      --]PX^_--> STRING (until BEL or ESC \)  --> TEXT
 *                      --blank../--> ESCAPE (one more) --> TEXT
 * </pre>
 */
final class PlainText {
    private enum State {
        TEXT,
        ESCAPE,
        CSI,
        STRING,
        STRING_ESCAPE
    }

    private static final char ESC = '\u001b';
    private static final char BEL = '\u0007';

    private final CharsetDecoder decoder = StandardCharsets.UTF_8
            .newDecoder()
            .onMalformedInput(CodingErrorAction.REPLACE)
            .onUnmappableCharacter(CodingErrorAction.REPLACE)
            .replaceWith("?");
    private ByteBuffer undecoded = ByteBuffer.allocate(0);
    private State state = State.TEXT;
    private boolean returned;

    /** The plain text of the next piece. */
    String of(ByteBuffer piece) {
        ByteBuffer bytes = ByteBuffer.allocate(undecoded.remaining() + piece.remaining())
                .put(undecoded)
                .put(piece)
                .flip();
        CharBuffer characters = CharBuffer.allocate(bytes.remaining() + 1);
        decoder.decode(bytes, characters, false);
        undecoded = bytes;
        characters.flip();
        StringBuilder text = new StringBuilder(characters.remaining());
        while (characters.hasRemaining()) {
            take(characters.get(), text);
        }
        return text.toString();
    }

    private void take(char c, StringBuilder text) {
        switch (state) {
            case TEXT -> plain(c, text);
            case ESCAPE -> {
                if (c == '[') {
                    state = State.CSI;
                } else if ("]PX^_".indexOf(c) >= 0) {
                    state = State.STRING;
                } else if (c < ' ' || c > '/') {
                    state = State.TEXT;
                }
            }
            case CSI -> {
                if (c >= '@' && c <= '~') {
                    state = State.TEXT;
                } else if (c < ' ' || c > '?') {
                    // No sequence after all: the rest of the line is not swallowed.
                    state = State.TEXT;
                    plain(c, text);
                }
            }
            case STRING -> {
                if (c == ESC) {
                    state = State.STRING_ESCAPE;
                } else if (c == BEL || c == '\n') {
                    state = State.TEXT;
                }
            }
            case STRING_ESCAPE -> state = c == '\\' ? State.TEXT : State.STRING;
        }
    }

    private void plain(char c, StringBuilder text) {
        boolean afterReturn = returned;
        returned = c == '\r';
        if (c == '\r') {
            return;
        }
        if (afterReturn && c != '\n') {
            // Overwritten lines, such as progress bars, come one below the other.
            text.append('\n');
        }
        if (c == ESC) {
            state = State.ESCAPE;
        } else if (c == '\n' || c == '\t' || !Character.isISOControl(c)) {
            text.append(c);
        }
    }
}
