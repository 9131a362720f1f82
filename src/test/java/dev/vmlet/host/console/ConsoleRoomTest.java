package dev.vmlet.host.console;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.host.console.Frame.Wish;
import dev.vmlet.model.HostException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A room whose thread is the test's. */
class ConsoleRoomTest {
    @TempDir
    private Path dir;

    /** Takes keys only when told to. */
    private static final class Busy implements ConsoleRoom.Guest {
        final StringBuilder taken = new StringBuilder();
        boolean takes;

        @Override
        public void type(ByteBuffer keys) {
            if (takes) {
                taken.append(StandardCharsets.US_ASCII.decode(keys));
            }
        }

        @Override
        public void awaitRoom() {}

        @Override
        public byte[] lastWords() {
            return new byte[0];
        }
    }

    /** Serves until nothing is left to serve; false when that never comes, which would be a thread that spins. */
    private static boolean serve(Selector selector) throws IOException {
        for (int round = 0; round < 10_000; round++) {
            if (selector.select(200) == 0) {
                return true;
            }
            for (SelectionKey key : selector.selectedKeys()) {
                if (key.isValid() && key.attachment() instanceof ConsoleRoom.Ready ready) {
                    ready.ready(key);
                }
            }
            selector.selectedKeys().clear();
        }
        return false;
    }

    private static void type(ConsoleVisit visit, String text) throws IOException {
        byte[] keys = text.getBytes(StandardCharsets.US_ASCII);
        visit.type(keys, keys.length);
    }

    @Test
    void whoTakesTheKeyboardFromAGuestThatTakesNoKeysWaitsInItsOwnSocket() throws IOException, HostException {
        Busy guest = new Busy();
        Path socket = dir.resolve("console.sock");
        try (Selector selector = Selector.open();
                ConsoleRoom room = new ConsoleRoom(socket, guest)) {
            boolean _ = room.open(selector);
            try (ConsoleVisit ann = ConsoleVisit.join(socket, Wish.WRITE, "ann")) {
                type(ann, "from ann ");
                assertThat(serve(selector)).isTrue();
                try (ConsoleVisit bob = ConsoleVisit.join(socket, Wish.TAKE, "bob")) {
                    // More than a seat keeps, less than a socket.
                    type(bob, "b".repeat(32_000));
                    type(bob, "b".repeat(32_000));
                    assertThat(serve(selector)).as("nothing is done in vain").isTrue();
                    guest.takes = true;
                    room.typeOn();
                    assertThat(serve(selector)).isTrue();
                    assertThat(guest.taken).hasToString("from ann " + "b".repeat(64_000));
                }
            }
        }
    }

    /** The kernel leaves a visitor at the door that it has no descriptor for, and says so at every look. */
    @Test
    void aVisitorWhoCannotBeLetInKeepsNobodyBusyAndComesInLater() throws IOException, HostException {
        Path socket = dir.resolve("console.sock");
        int[] tries = new int[1];
        ConsoleRoom.Door full = channel -> {
            if (tries[0]++ < 2) {
                throw new IOException("Too many open files");
            }
            return channel.accept();
        };
        try (Selector selector = Selector.open();
                ConsoleRoom room = new ConsoleRoom(socket, new Busy(), full)) {
            assertThat(room.open(selector)).isFalse();
            try (ConsoleVisit ann = ConsoleVisit.join(socket, Wish.READ, "ann")) {
                assertThat(ann).isNotNull();
                assertThat(serve(selector)).as("nothing is done in vain").isTrue();
                assertThat(tries[0]).isEqualTo(1);
                assertThat(room.open(selector)).as("the door rests").isTrue();
                assertThat(room.occupied()).isFalse();
                Awaitility.await().atMost(Duration.ofSeconds(20)).until(() -> {
                    boolean rests = room.open(selector);
                    return serve(selector) && !rests && room.occupied();
                });
                assertThat(tries[0]).isEqualTo(3);
            }
        }
    }
}
