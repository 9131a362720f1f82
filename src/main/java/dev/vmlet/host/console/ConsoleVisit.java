package dev.vmlet.host.console;

import dev.vmlet.host.console.Frame.Kind;
import dev.vmlet.host.console.Frame.Wish;
import dev.vmlet.model.HostException;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** A visit to a guest's console, from the visitor's side. One thread may read while another types. */
public final class ConsoleVisit implements AutoCloseable {
    /** For those who are joined when the agent goes. */
    public static final String AGENT_ENDED =
            "The agent has ended, and this console with it. The guest goes on; join again when the agent is back.";

    private final SocketChannel channel;
    private final ByteBuffer received = ByteBuffer.allocate(2 * (Frame.HEADER + Frame.PAYLOAD_MAX));

    private ConsoleVisit(SocketChannel channel) {
        this.channel = channel;
    }

    /**
     * @param who tells others who it is that writes, in a few words
     * @throws HostException.NotPermitted when the socket is not ours to open
     * @throws HostException.Busy when nobody listens at the socket
     */
    public static ConsoleVisit join(Path socket, Wish wish, String who) throws HostException {
        SocketChannel channel = null;
        try {
            channel = SocketChannel.open(StandardProtocolFamily.UNIX);
            boolean _ = channel.connect(UnixDomainSocketAddress.of(socket));
            ConsoleVisit visit = new ConsoleVisit(channel);
            visit.send(Frame.of(Kind.JOIN, wish.name().toLowerCase(Locale.ROOT) + " " + who));
            return visit;
        } catch (IOException e) {
            close(channel);
            String cause = String.valueOf(e.getMessage());
            if (e instanceof AccessDeniedException || cause.contains("ermission denied")) {
                throw new HostException.NotPermitted("join the console at " + socket + ": permission denied", e);
            }
            throw new HostException.Busy("join the console at " + socket + ": nobody listens", e);
        }
    }

    private void send(Frame frame) throws IOException {
        ByteBuffer bytes = frame.encode();
        while (bytes.hasRemaining()) {
            int _ = channel.write(bytes);
        }
    }

    /** Sends keys; waits while the guest takes none. */
    public void type(byte[] keys, int length) throws IOException {
        send(new Frame(Kind.INPUT, ByteBuffer.wrap(keys, 0, length)));
    }

    /** Waits for the next frame; empty when the agent has hung up without a word. */
    public Optional<Frame> read() throws IOException {
        while (true) {
            received.flip();
            Optional<Frame> frame;
            try {
                frame = Frame.take(received);
            } catch (IllegalArgumentException e) {
                throw new IOException("the agent speaks another language: " + e.getMessage(), e);
            } finally {
                received.compact();
            }
            if (frame.isPresent()) {
                return frame;
            }
            if (channel.read(received) < 0) {
                return Optional.empty();
            }
        }
    }

    private static void close(@Nullable SocketChannel channel) {
        try {
            if (channel != null) {
                channel.close();
            }
        } catch (IOException e) {
            // There is nothing to do about a failed close(2).
        }
    }

    @Override
    public void close() {
        close(channel);
    }
}
