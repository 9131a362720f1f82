package dev.vmlet.host.console;

import dev.vmlet.host.console.Frame.Kind;
import dev.vmlet.host.console.Frame.Wish;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalLong;
import jdk.net.ExtendedSocketOptions;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Everybody who has joined one guest's console, at a socket that root alone may open: one writes, all read. Belongs to the
 * recording thread and its selector, and never waits: a visitor who does not read misses output, and a guest that does not
 * read leaves the writer's keys in the writer's socket.
 */
public final class ConsoleRoom implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(ConsoleRoom.class);
    private static final int SEATS_MAX = 16;
    /** A visitor who could not be let in knocks on: without a rest the selector would spin for as long as that lasts. */
    private static final Duration REST = Duration.ofSeconds(1);

    private final Path socket;
    private final Guest guest;
    private final Door door;
    private final List<Seat> seats = new ArrayList<>();
    private Optional<Seat> writer = Optional.empty();
    private @Nullable ServerSocketChannel server;
    /** Set while the door rests: until when, by System.nanoTime. */
    private OptionalLong restsUntil = OptionalLong.empty();

    /** Keys that the guest has not taken yet; ready to be read. */
    private ByteBuffer keys = ByteBuffer.allocate(0);

    /** What a room knows of its guest. */
    public interface Guest {
        /** Takes as many of the bytes as it can now, none while it is not there. */
        void type(ByteBuffer keys);

        /** Called when {@link #type} has left some: wants {@link ConsoleRoom#typeOn} when there is room again. */
        void awaitRoom();

        /** The end of what it wrote so far, for those who join. */
        byte[] lastWords();
    }

    /** What is attached to a selection key: called when it is ready, from the thread that selects. */
    public interface Ready {
        void ready(SelectionKey key);
    }

    /** How a visitor comes in: {@link ServerSocketChannel#accept}, for all but tests. */
    interface Door {
        @Nullable
        SocketChannel accept(ServerSocketChannel channel) throws IOException;
    }

    public ConsoleRoom(Path socket, Guest guest) {
        this(socket, guest, ServerSocketChannel::accept);
    }

    ConsoleRoom(Path socket, Guest guest, Door door) {
        this.socket = socket;
        this.guest = guest;
        this.door = door;
    }

    /**
     * Opens the door, in place of whatever a former agent left there, or again after a rest. Harmless to call again.
     *
     * @return whether the door rests and is to be opened again soon
     */
    public boolean open(Selector selector) throws IOException {
        if (server != null) {
            return !isAwake(server.keyFor(selector));
        }
        restsUntil = OptionalLong.empty();
        Files.deleteIfExists(socket);
        ServerSocketChannel channel = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        try {
            channel.bind(UnixDomainSocketAddress.of(socket));
            Files.setPosixFilePermissions(socket, PosixFilePermissions.fromString("rw-------"));
            channel.configureBlocking(false);
            channel.register(selector, SelectionKey.OP_ACCEPT, (Ready) key -> accept(selector, key, channel));
            server = channel;
            return false;
        } catch (IOException e) {
            channel.close();
            throw e;
        }
    }

    /** Whether anybody is here to read. */
    public boolean occupied() {
        return !seats.isEmpty();
    }

    private boolean isAwake(@Nullable SelectionKey key) {
        if (restsUntil.isPresent() && System.nanoTime() - restsUntil.getAsLong() < 0) {
            return false;
        }
        if (restsUntil.isPresent() && key != null && key.isValid()) {
            key.interestOps(SelectionKey.OP_ACCEPT);
        }
        restsUntil = OptionalLong.empty();
        return true;
    }

    private void accept(Selector selector, SelectionKey knock, ServerSocketChannel from) {
        SocketChannel channel;
        try {
            channel = door.accept(from);
        } catch (IOException e) {
            // Without a descriptor for it (EMFILE) the visitor stays at the door.
            LOG.atWarn().addKeyValue("socket", socket).setCause(e).log("visitor of a console not let in");
            knock.interestOps(0);
            restsUntil = OptionalLong.of(System.nanoTime() + REST.toNanos());
            return;
        }
        if (channel != null) {
            seat(selector, channel);
        }
    }

    private void seat(Selector selector, SocketChannel channel) {
        try {
            // The mode of the socket keeps others out; this is for the moment before it was set.
            String user =
                    channel.getOption(ExtendedSocketOptions.SO_PEERCRED).user().getName();
            if (seats.size() >= SEATS_MAX || !user.equals(Files.getOwner(socket).getName())) {
                LOG.atWarn()
                        .addKeyValue("socket", socket)
                        .addKeyValue("user", user)
                        .log("visitor of a console refused");
                channel.close();
                return;
            }
            channel.configureBlocking(false);
            SelectionKey key = channel.register(selector, SelectionKey.OP_READ);
            Seat seat = new Seat(channel, key);
            key.attach((Ready) ready -> serve(seat, ready));
            seats.add(seat);
        } catch (IOException e) {
            LOG.atWarn().addKeyValue("socket", socket).setCause(e).log("visitor of a console not let in");
            turnAway(channel);
        }
    }

    private void turnAway(SocketChannel channel) {
        try {
            channel.close();
        } catch (IOException e) {
            LOG.atDebug().addKeyValue("socket", socket).setCause(e).log("visitor of a console was gone already");
        }
    }

    private void serve(Seat seat, SelectionKey key) {
        try {
            if (key.isWritable()) {
                seat.send();
            }
            if (key.isReadable()) {
                if (!seat.receive()) {
                    leave(seat);
                    return;
                }
                hear(seat);
            }
        } catch (IOException | IllegalArgumentException e) {
            LOG.atDebug().addKeyValue("socket", socket).setCause(e).log("visitor of a console hung up");
            leave(seat);
        }
    }

    /** Takes frames until there is none, or the guest takes no more of the writer's keys. */
    private void hear(Seat seat) throws IOException {
        while (!(isWriter(seat) && keys.hasRemaining())) {
            Optional<Frame> frame = seat.next();
            if (frame.isEmpty()) {
                return;
            }
            if (frame.get().kind() == Kind.JOIN) {
                join(seat, frame.get().text());
            } else if (frame.get().kind() == Kind.INPUT && seat.who().isPresent()) {
                input(seat, frame.get());
            } else {
                throw new IOException(frame.get().kind() + " is not for a visitor to say");
            }
        }
    }

    private void join(Seat seat, String text) throws IOException {
        int blank = text.indexOf(' ');
        Wish wish = Wish.valueOf(text.substring(0, Math.max(0, blank)).toUpperCase(Locale.ROOT));
        String who = text.substring(blank + 1).replaceAll("\\p{Cc}", "?");
        seat.joined(who);
        seat.output(ByteBuffer.wrap(guest.lastWords()));
        if (wish == Wish.READ) {
            seat.note(writer.flatMap(Seat::who)
                    .map(w -> "You read along; " + w + " writes.")
                    .orElse("You read along; nobody writes."));
            return;
        }
        if (writer.isPresent() && wish == Wish.WRITE) {
            seat.note(writer.get().who().orElse("Somebody") + " writes here, so you only read along."
                    + " Leave and join again with --take to write yourself.");
            return;
        }
        writer.ifPresent(former -> former.note(who + " has taken the keyboard; you go on reading along."));
        writer.ifPresent(former -> former.mayType(true));
        writer = Optional.of(seat);
        // Keys of the former writer may wait still: the new one's wait behind them, in its own socket.
        seat.mayType(!keys.hasRemaining());
    }

    private void input(Seat seat, Frame frame) {
        if (!isWriter(seat)) {
            if (seat.tellThatItReads()) {
                seat.note("You only read along; what you type goes nowhere.");
            }
            return;
        }
        keys = ByteBuffer.wrap(frame.bytes());
        give();
    }

    private boolean isWriter(Seat seat) {
        return writer.isPresent() && writer.get().equals(seat);
    }

    /** For when the guest takes keys again: gives it what it has not taken yet, and listens to the writer again. */
    public void typeOn() {
        give();
        if (!keys.hasRemaining() && writer.isPresent()) {
            Seat seat = writer.get();
            try {
                hear(seat);
            } catch (IOException | IllegalArgumentException e) {
                LOG.atDebug().addKeyValue("socket", socket).setCause(e).log("visitor of a console hung up");
                leave(seat);
            }
        }
    }

    private void give() {
        if (keys.hasRemaining()) {
            guest.type(keys);
        }
        boolean stuck = keys.hasRemaining();
        writer.ifPresent(seat -> seat.mayType(!stuck));
        if (stuck) {
            guest.awaitRoom();
        }
    }

    /** Forgets keys for a guest that is not there any more: they were not meant for its successor. */
    public void guestHungUp() {
        keys = ByteBuffer.allocate(0);
        writer.ifPresent(seat -> seat.mayType(true));
    }

    /** What the guest wrote, to all. The bytes are copied. */
    public void output(ByteBuffer bytes) {
        for (Seat seat : seats) {
            if (seat.who().isPresent()) {
                seat.output(bytes);
            }
        }
    }

    private void leave(Seat seat) {
        seat.close();
        seats.remove(seat);
        if (isWriter(seat)) {
            writer = Optional.empty();
            seats.forEach(other -> other.note("The writer has left; join again to write."));
        }
    }

    /** Sends everybody away with a sentence and closes the door. */
    public void close(String sentence) {
        List.copyOf(seats).forEach(seat -> seat.end(sentence));
        seats.clear();
        writer = Optional.empty();
        ServerSocketChannel open = server;
        server = null;
        if (open != null) {
            try {
                open.close();
            } catch (IOException e) {
                LOG.atDebug().addKeyValue("socket", socket).setCause(e).log("door of a console was closed already");
            }
        }
    }

    @Override
    public void close() {
        close(ConsoleVisit.AGENT_ENDED);
    }
}
