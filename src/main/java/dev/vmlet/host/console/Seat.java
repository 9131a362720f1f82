package dev.vmlet.host.console;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.SocketChannel;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Optional;

/** One visitor of a console, as the agent sees it. Belongs to the recording thread; never waits for the visitor. */
final class Seat {
    /** A visitor that lags behind by this much misses what comes until it has caught up. */
    private static final int QUEUE_MAX = 256 << 10;

    private final SocketChannel channel;
    private final SelectionKey key;
    private final ByteBuffer received = ByteBuffer.allocate(Frame.HEADER + Frame.PAYLOAD_MAX);
    private final Deque<ByteBuffer> queue = new ArrayDeque<>();
    private int queued;
    private long missed;
    private boolean mayType = true;

    /** Empty until it has joined. */
    private Optional<String> who = Optional.empty();

    private boolean toldThatItReads;

    Seat(SocketChannel channel, SelectionKey key) {
        this.channel = channel;
        this.key = key;
    }

    Optional<String> who() {
        return who;
    }

    void joined(String name) {
        who = Optional.of(name);
    }

    /** True the first time: a reader who types is told once, not at each key. */
    boolean tellThatItReads() {
        boolean first = !toldThatItReads;
        toldThatItReads = true;
        return first;
    }

    void output(ByteBuffer bytes) {
        ByteBuffer rest = bytes.duplicate();
        while (rest.hasRemaining()) {
            int length = Math.min(rest.remaining(), Frame.PAYLOAD_MAX);
            ByteBuffer part = rest.slice(rest.position(), length);
            rest.position(rest.position() + length);
            if (missed > 0 || queued + length > QUEUE_MAX) {
                missed += length;
            } else {
                queue(new Frame(Frame.Kind.OUTPUT, part));
            }
        }
    }

    void note(String sentence) {
        queue(Frame.of(Frame.Kind.NOTE, sentence));
    }

    private void queue(Frame frame) {
        ByteBuffer bytes = frame.encode();
        queue.add(bytes);
        queued += bytes.remaining();
        interest();
    }

    /** Whether its keys are read; they wait in its own socket while the guest takes none. */
    void mayType(boolean may) {
        mayType = may;
        interest();
    }

    private void interest() {
        if (key.isValid()) {
            key.interestOps((mayType ? SelectionKey.OP_READ : 0) | (queue.isEmpty() ? 0 : SelectionKey.OP_WRITE));
        }
    }

    /** Sends what the visitor's socket takes now. */
    void send() throws IOException {
        ByteBuffer next = queue.peek();
        while (next != null) {
            queued -= channel.write(next);
            if (next.hasRemaining()) {
                break;
            }
            queue.remove();
            next = queue.peek();
        }
        if (queue.isEmpty() && missed > 0) {
            long bytes = missed;
            missed = 0;
            note("You missed " + bytes + " bytes: the guest wrote faster than they were read here."
                    + " `vmlet logs` has them.");
        }
        interest();
    }

    /** False at the visitor's end of the line. */
    boolean receive() throws IOException {
        return channel.read(received) >= 0;
    }

    /** The next whole frame that has arrived. */
    Optional<Frame> next() {
        received.flip();
        try {
            return Frame.take(received);
        } finally {
            received.compact();
        }
    }

    /** Hangs up. The last sentence reaches a visitor that has kept up. */
    void end(String sentence) {
        queue(Frame.of(Frame.Kind.END, sentence));
        try {
            send();
        } catch (IOException e) {
            // It is gone already.
        }
        close();
    }

    void close() {
        try {
            channel.close();
        } catch (IOException e) {
            // There is nothing to do about a failed close(2).
        }
    }
}
