package dev.vmlet.cli;

import io.fabric8.kubernetes.client.http.AsyncBody;
import io.fabric8.kubernetes.client.http.HttpRequest;
import io.fabric8.kubernetes.client.http.Interceptor;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;

/**
 * Hands the events of a watch to fabric8 in plain ASCII, each character beyond it as the escape that JSON has for it.
 *
 * <p>{@code WatchHTTPManager} of kubernetes-client 7.9.0 takes {@code UTF_8.decode(chunk).array()}: the whole array behind
 * the characters, which is as long as the chunk has bytes. One character of several bytes leaves NULs at its end, which
 * break the next event, and one cut in two by the network becomes two wrong ones. The informer then stops, and the agent
 * with it; any tenant could bring that about by an annotation. ASCII has as many characters as bytes.
 *
 * <p>Bodies of other requests are left alone: they are decoded as a whole. RFC 8259 section 7: outside strings JSON has
 * only ASCII, and in strings the escape means the same.
 */
final class EscapedWatches implements Interceptor {
    static final String NAME = "vmlet-escaped-watches";

    @Override
    public AsyncBody.Consumer<List<ByteBuffer>> consumer(
            AsyncBody.Consumer<List<ByteBuffer>> consumer, HttpRequest request) {
        return isWatch(request) ? new Escaped(consumer) : consumer;
    }

    static boolean isWatch(HttpRequest request) {
        String query = request.uri().getQuery();
        return query != null
                && List.of(query.toLowerCase(Locale.ROOT).split("&", -1)).contains("watch=true");
    }

    /** One body, read by one thread at a time. */
    private record Escaped(AsyncBody.Consumer<List<ByteBuffer>> next, Escaper escaper)
            implements AsyncBody.Consumer<List<ByteBuffer>> {
        Escaped(AsyncBody.Consumer<List<ByteBuffer>> next) {
            this(next, new Escaper());
        }

        @Override
        public void consume(List<ByteBuffer> chunks, AsyncBody body) throws Exception {
            next.consume(chunks.stream().map(escaper::escape).toList(), body);
        }

        @Override
        public <U> U unwrap(Class<U> target) {
            return next.unwrap(target);
        }
    }

    /** Keeps the first bytes of a character whose others are still to come. */
    static final class Escaper {
        private static final HexFormat HEX = HexFormat.of();

        private final CharsetDecoder decoder = StandardCharsets.UTF_8
                .newDecoder()
                .onMalformedInput(CodingErrorAction.REPLACE)
                .onUnmappableCharacter(CodingErrorAction.REPLACE);
        private ByteBuffer begun = ByteBuffer.allocate(0);

        /** @return the chunk itself where it holds nothing to escape */
        ByteBuffer escape(ByteBuffer chunk) {
            if (!begun.hasRemaining() && isAscii(chunk)) {
                return chunk;
            }
            ByteBuffer whole = ByteBuffer.allocate(begun.remaining() + chunk.remaining());
            whole.put(begun).put(chunk).flip();
            // A character of UTF-16 takes at least one byte of UTF-8, so there is always room.
            CharBuffer text = CharBuffer.allocate(whole.remaining());
            decoder.decode(whole, text, false);
            begun = whole;
            StringBuilder escaped = new StringBuilder(2 * text.position());
            for (char c : text.flip().toString().toCharArray()) {
                if (c < 0x80) {
                    escaped.append(c);
                } else {
                    escaped.append("\\u").append(HEX.toHexDigits(c));
                }
            }
            return StandardCharsets.US_ASCII.encode(escaped.toString());
        }

        private static boolean isAscii(ByteBuffer chunk) {
            for (int i = chunk.position(); i < chunk.limit(); i++) {
                if (chunk.get(i) < 0) {
                    return false;
                }
            }
            return true;
        }
    }
}
