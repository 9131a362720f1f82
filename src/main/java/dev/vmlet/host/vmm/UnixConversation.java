package dev.vmlet.host.vmm;

import java.io.IOException;
import java.io.InputStream;
import java.net.SocketTimeoutException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import org.newsclub.net.unix.AFUNIXSocket;
import org.newsclub.net.unix.AFUNIXSocketAddress;

/**
 * One connection to a unix socket with one deadline for all that happens on it. Belongs to one thread. Requests are small
 * and fit the socket's buffer, so writing does not block.
 */
public final class UnixConversation implements AutoCloseable {
    private final AFUNIXSocket socket;
    private final InputStream in;
    private final long deadline;

    /** @throws SocketTimeoutException when nobody accepts in time; other IOExceptions when nobody listens at all */
    public UnixConversation(Path path, Duration patience) throws IOException {
        this.deadline = System.nanoTime() + patience.toNanos();
        this.socket = AFUNIXSocket.newInstance();
        try {
            socket.connect(AFUNIXSocketAddress.of(path), (int) patience.toMillis());
            this.in = socket.getInputStream();
        } catch (IOException e) {
            socket.close();
            throw e;
        }
    }

    public void write(byte[] bytes) throws IOException {
        socket.getOutputStream().write(bytes);
        socket.getOutputStream().flush();
    }

    /**
     * At least one byte, or -1 at the end.
     *
     * @throws SocketTimeoutException when the deadline of the whole conversation has passed
     */
    public int read(byte[] buffer, int offset, int length) throws IOException {
        long left = TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime());
        if (left <= 0) {
            throw new SocketTimeoutException("no answer in time");
        }
        socket.setSoTimeout((int) left);
        return in.read(buffer, offset, length);
    }

    @Override
    public void close() throws IOException {
        socket.close();
    }
}
