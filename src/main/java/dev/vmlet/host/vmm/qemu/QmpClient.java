package dev.vmlet.host.vmm.qemu;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.vmlet.host.vmm.UnixConversation;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;

/**
 * QEMU's monitor protocol, one connection per conversation because QEMU serves one client at a time (docs/interop/qmp-spec.rst):
 * a greeting, the negotiation, then a command and its answer, with events in between. One JSON object a line.
 */
final class QmpClient implements AutoCloseable {
    private static final ObjectMapper JSON = new ObjectMapper();

    /** Longest line accepted; the answers asked for here are below 1 KiB. */
    private static final int LINE_MAX = 1 << 20;

    private final UnixConversation socket;
    private final byte[] buffer = new byte[8192];
    private int start;
    private int end;
    private final String version;

    /**
     * Connects and negotiates.
     *
     * @throws IOException also when the deadline passes (SocketTimeoutException), such as while another client is served
     */
    QmpClient(Path path, Duration patience) throws IOException {
        this.socket = new UnixConversation(path, patience);
        try {
            JsonNode greeting = readLine();
            JsonNode qemu = greeting.path("QMP").path("version").path("qemu");
            if (!qemu.isObject()) {
                throw new IOException("not a QMP greeting: " + greeting);
            }
            this.version = qemu.path("major").asInt() + "." + qemu.path("minor").asInt() + "."
                    + qemu.path("micro").asInt();
            JsonNode _ = execute("qmp_capabilities");
        } catch (IOException e) {
            socket.close();
            throw e;
        }
    }

    /** QEMU's own, from its greeting. */
    String version() {
        return version;
    }

    /**
     * The command's {@code return} value.
     *
     * @throws EOFException when QEMU hung up before it answered
     * @throws Refused when it answered with an error
     */
    JsonNode execute(String command) throws IOException {
        socket.write((JSON.createObjectNode().put("execute", command) + "\n").getBytes(StandardCharsets.UTF_8));
        while (true) {
            JsonNode answer = readLine();
            if (answer.has("return")) {
                return answer.path("return");
            }
            if (answer.has("error")) {
                // A VMM may be in the hands of its guest, and this reaches Events and terminals.
                String desc = answer.path("error").path("desc").asText().replaceAll("\\p{Cc}", "?");
                throw new Refused(command + ": " + desc);
            }
            // Events come whenever they like.
        }
    }

    /** QEMU understood and said no. */
    static final class Refused extends IOException {
        Refused(String message) {
            super(message);
        }
    }

    private JsonNode readLine() throws IOException {
        ByteArrayOutputStream line = new ByteArrayOutputStream();
        while (true) {
            if (start == end) {
                start = 0;
                end = socket.read(buffer, 0, buffer.length);
                if (end < 0) {
                    end = 0;
                    throw new EOFException("QEMU hung up");
                }
            }
            byte next = buffer[start++];
            if (next == '\n') {
                if (line.size() > 0) {
                    return JSON.readTree(line.toByteArray());
                }
            } else if (next != '\r') {
                line.write(next);
                if (line.size() > LINE_MAX) {
                    throw new IOException("QMP line longer than " + LINE_MAX + " bytes");
                }
            }
        }
    }

    @Override
    public void close() throws IOException {
        socket.close();
    }
}
