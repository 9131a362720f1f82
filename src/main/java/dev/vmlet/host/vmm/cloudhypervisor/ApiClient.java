package dev.vmlet.host.vmm.cloudhypervisor;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.MissingNode;
import dev.vmlet.host.vmm.UnixConversation;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.net.SocketException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * cloud-hypervisor's REST API: HTTP/1.1 over a unix socket, one connection per call because the server admits ten. Only
 * calls without a body: those are refused with any body at all, so no Content-Length is sent.
 *
 * <p>One thread of the server answers one request after the other: a time-out means busy, never dead.
 */
final class ApiClient {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final int HEAD_MAX = 16 << 10;
    private static final int BODY_MAX = 4 << 20;

    private final Path socket;

    ApiClient(Path socket) {
        this.socket = socket;
    }

    /** The server understood and said no; the message shows all that it said. */
    static final class Refused extends IOException {
        final int status;

        Refused(int status, String message) {
            super(message);
            this.status = status;
        }
    }

    /** Every connection is taken: busy. */
    static final class Crowded extends IOException {
        Crowded(String message) {
            super(message);
        }
    }

    JsonNode get(String call, Duration patience) throws IOException {
        return request("GET", call, patience);
    }

    void put(String call, Duration patience) throws IOException {
        JsonNode _ = request("PUT", call, patience);
    }

    /**
     * The answer's body, missing when it has none.
     *
     * @throws java.net.SocketTimeoutException when the patience ends
     * @throws EOFException when the server hung up before it answered
     */
    private JsonNode request(String method, String call, Duration patience) throws IOException {
        try (UnixConversation connection = new UnixConversation(socket, patience)) {
            send(connection, method + " /api/v1/" + call + " HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n");
            String head = readHead(connection);
            int status = status(head);
            int length = contentLength(head);
            byte[] body = readBody(connection, length);
            if (status == 503) {
                throw new Crowded(call + ": " + errors(body));
            }
            if (status / 100 != 2) {
                throw new Refused(status, call + ": " + status + " " + errors(body));
            }
            return body.length == 0 ? MissingNode.getInstance() : JSON.readTree(body);
        }
    }

    private static void send(UnixConversation connection, String request) throws IOException {
        try {
            connection.write(request.getBytes(StandardCharsets.US_ASCII));
        } catch (SocketException e) {
            // The eleventh connection is answered and closed before it has asked: the answer can still be read.
        }
    }

    private static int read(UnixConversation connection, byte[] buffer, int offset, int length) throws IOException {
        try {
            return connection.read(buffer, offset, length);
        } catch (SocketException e) {
            // A peer that closes with our request unread resets the connection: hung up, like any other end.
            return -1;
        }
    }

    private static String readHead(UnixConversation connection) throws IOException {
        ByteArrayOutputStream head = new ByteArrayOutputStream();
        byte[] one = new byte[1];
        // Byte by byte: what follows the empty line belongs to the body. The answer is in the socket's buffer already.
        while (!head.toString(StandardCharsets.ISO_8859_1).endsWith("\r\n\r\n")) {
            if (read(connection, one, 0, 1) < 0) {
                throw new EOFException("cloud-hypervisor hung up before it answered");
            }
            head.write(one[0]);
            if (head.size() > HEAD_MAX) {
                throw new IOException("not an HTTP answer: head longer than " + HEAD_MAX + " bytes");
            }
        }
        return head.toString(StandardCharsets.ISO_8859_1);
    }

    private static int status(String head) throws IOException {
        String[] words = head.substring(0, head.indexOf('\r')).split(" ");
        if (words.length < 2 || !words[0].startsWith("HTTP/1.") || !words[1].matches("[1-5][0-9]{2}")) {
            throw new IOException("not an HTTP answer: " + words[0]);
        }
        return Integer.parseInt(words[1]);
    }

    private static int contentLength(String head) throws IOException {
        for (String line : head.lines().toList()) {
            if (line.toLowerCase(Locale.ROOT).startsWith("content-length:")) {
                String value = line.substring(line.indexOf(':') + 1).strip();
                if (!value.matches("[0-9]{1,7}") || Integer.parseInt(value) > BODY_MAX) {
                    throw new IOException("answer of " + value + " bytes");
                }
                return Integer.parseInt(value);
            }
        }
        return 0;
    }

    private static byte[] readBody(UnixConversation connection, int length) throws IOException {
        byte[] body = new byte[length];
        int have = 0;
        while (have < length) {
            int count = read(connection, body, have, length - have);
            if (count < 0) {
                throw new EOFException("cloud-hypervisor hung up within its answer");
            }
            have += count;
        }
        return body;
    }

    /** A VMM may be in the hands of its guest, and this reaches Events and terminals. */
    private static String errors(byte[] body) {
        return chain(body).replaceAll("[\\p{Cc}&&[^\n\t]]", "?");
    }

    /** A chain of strings from the outside in, shown whole; anything else as it came. */
    private static String chain(byte[] body) {
        try {
            JsonNode all = JSON.readTree(body);
            if (all.isArray()) {
                List<String> texts = new ArrayList<>();
                all.forEach(text -> texts.add(text.asText()));
                return String.join(": ", texts);
            }
        } catch (IOException e) {
            // Not JSON: shown below.
        }
        return new String(body, StandardCharsets.UTF_8);
    }
}
