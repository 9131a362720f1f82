package dev.vmlet.host.vmm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.vmlet.host.console.ConsoleVisit;
import dev.vmlet.host.console.Frame;
import dev.vmlet.host.console.Frame.Kind;
import dev.vmlet.host.console.Frame.Wish;
import dev.vmlet.model.HostException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Pipe;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The recorder between a guest and its visitors; the guest's end of the line is the test's. */
@Timeout(value = 60, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class SerialRecorderTest {
    private final List<AutoCloseable> open = new ArrayList<>();
    private Path dir;
    private VmFiles files;
    private ServerSocketChannel serial;
    private SerialRecorder recorder;

    @BeforeEach
    void prepare() throws Exception {
        dir = Hosts.directory();
        files = Hosts.files(dir);
        Files.createDirectories(files.sockets());
        Files.createDirectories(files.state());
        serial = listen();
        recorder = new SerialRecorder();
        open.add(recorder);
    }

    @AfterEach
    void clear() throws Exception {
        for (AutoCloseable each : open.reversed()) {
            each.close();
        }
        Hosts.delete(dir);
    }

    private ServerSocketChannel listen() throws IOException {
        ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        server.bind(UnixDomainSocketAddress.of(files.serial()));
        open.add(server);
        return server;
    }

    /** The VMM's end of the line. */
    private SocketChannel guest() throws IOException {
        SocketChannel channel = serial.accept();
        open.add(channel);
        return channel;
    }

    private ConsoleVisit join(Wish wish, String who) throws HostException {
        Awaitility.await().atMost(Duration.ofSeconds(10)).until(() -> Files.exists(files.console()));
        ConsoleVisit visit = Awaitility.await()
                .atMost(Duration.ofSeconds(10))
                .ignoreException(HostException.Busy.class)
                .until(() -> ConsoleVisit.join(files.console(), wish, who), _ -> true);
        open.add(visit);
        return visit;
    }

    private static void say(SocketChannel guest, String text) throws IOException {
        ByteBuffer bytes = ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8));
        while (bytes.hasRemaining()) {
            guest.write(bytes);
        }
    }

    private static void type(ConsoleVisit visit, String text) throws IOException {
        byte[] keys = text.getBytes(StandardCharsets.UTF_8);
        visit.type(keys, keys.length);
    }

    private static String hear(SocketChannel guest, int length) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(length);
        while (bytes.hasRemaining() && guest.read(bytes) >= 0) {}
        return new String(bytes.array(), 0, bytes.position(), StandardCharsets.UTF_8);
    }

    private static Frame next(ConsoleVisit visit) throws IOException {
        return visit.read().orElseThrow(() -> new AssertionError("hung up"));
    }

    /** What is shown until so many bytes of the guest's have come. */
    private static String shown(ConsoleVisit visit, int length) throws IOException {
        StringBuilder text = new StringBuilder();
        while (text.length() < length) {
            Frame frame = next(visit);
            assertThat(frame.kind()).as(frame.text()).isEqualTo(Kind.OUTPUT);
            text.append(frame.text());
        }
        return text.toString();
    }

    private static void assertNote(ConsoleVisit visit, String sentence) throws IOException {
        Frame frame = next(visit);
        assertThat(frame.text()).isEqualTo(sentence);
        assertThat(frame.kind()).isEqualTo(Kind.NOTE);
    }

    @Test
    void theWritersKeysReachTheGuestAndItsAnswerEverybody() throws Exception {
        recorder.serve(files, SerialRecorder.Log.OURS);
        SocketChannel guest = guest();
        ConsoleVisit writer = join(Wish.WRITE, "ann");
        ConsoleVisit reader = join(Wish.READ, "bob");
        type(writer, "uname\r");
        assertThat(hear(guest, 6)).isEqualTo("uname\r");
        assertNote(reader, "You read along; ann writes.");
        say(guest, "uname\r\nLinux\r\n");
        assertThat(shown(writer, 14)).isEqualTo("uname\r\nLinux\r\n");
        assertThat(shown(reader, 14)).isEqualTo("uname\r\nLinux\r\n");
        assertThat(files.serialLog()).content().isEqualTo("uname\r\nLinux\r\n");
    }

    @Test
    void aLogThatIsBegunAnewIsForItsOwnerAlone() throws Exception {
        recorder.serve(files, SerialRecorder.Log.OURS);
        SocketChannel guest = guest();
        say(guest, "password: secret\n");
        Awaitility.await()
                .atMost(Duration.ofSeconds(10))
                .untilAsserted(() -> assertThat(files.serialLog()).content().isEqualTo("password: secret\n"));
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(files.serialLog())))
                .isEqualTo("rw-------");
    }

    @Test
    void aSecondWriterIsToldWhoWritesAndMayTake() throws Exception {
        recorder.serve(files, SerialRecorder.Log.OURS);
        SocketChannel guest = guest();
        ConsoleVisit ann = join(Wish.WRITE, "ann");
        type(ann, "a");
        assertThat(hear(guest, 1)).isEqualTo("a");
        ConsoleVisit bob = join(Wish.WRITE, "bob");
        assertNote(bob, "ann writes here, so you only read along. Leave and join again with --take to write yourself.");
        type(bob, "x");
        type(bob, "y");
        assertNote(bob, "You only read along; what you type goes nowhere.");
        ConsoleVisit eve = join(Wish.TAKE, "eve");
        assertNote(ann, "eve has taken the keyboard; you go on reading along.");
        type(eve, "e");
        assertThat(hear(guest, 1)).as("nothing of bob's").isEqualTo("e");
        type(ann, "z");
        assertNote(ann, "You only read along; what you type goes nowhere.");
        eve.close();
        assertNote(bob, "The writer has left; join again to write.");
    }

    @Test
    void showsTheLastLinesToThoseWhoJoin() throws Exception {
        StringBuilder lines = new StringBuilder();
        for (int i = 0; i < 30; i++) {
            lines.append("line ").append(i).append('\n');
        }
        Files.writeString(files.serialLog(), lines + "login: ");
        recorder.serve(files, SerialRecorder.Log.OURS);
        String shown = shown(join(Wish.READ, "ann"), 100);
        assertThat(shown).startsWith("line 10\nline 11\n").endsWith("line 29\nlogin: ");
    }

    @Test
    void aReaderWhoDoesNotReadStopsNobody() throws Exception {
        recorder.serve(files, SerialRecorder.Log.OURS);
        SocketChannel guest = guest();
        ConsoleVisit idle = join(Wish.READ, "idle");
        assertNote(idle, "You read along; nobody writes.");
        String line = "0123456789abcde\n";
        // Far more than every buffer on the way; less than the log keeps.
        int lines = 60_000;
        for (int i = 0; i < lines / 100; i++) {
            say(guest, line.repeat(100));
        }
        Awaitility.await()
                .atMost(Duration.ofSeconds(20))
                .until(() -> Files.size(files.serialLog()) == (long) lines * line.length());
        long seen = 0;
        long missed = 0;
        // More than one note, when the sockets on the way took a whole queue at once.
        while (seen + missed < (long) lines * line.length()) {
            Frame frame = next(idle);
            if (frame.kind() == Kind.OUTPUT) {
                seen += frame.bytes().length;
            } else {
                missed += missedBytes(frame.text());
            }
        }
        assertThat(missed).isPositive();
        assertThat(seen + missed).isEqualTo((long) lines * line.length());
        say(guest, "and on\n");
        assertThat(shown(idle, 7)).isEqualTo("and on\n");
    }

    private static long missedBytes(String note) {
        Matcher sentence = Pattern.compile(
                        "You missed (\\d+) bytes: the guest wrote faster than they were read here. `vmlet logs` has them.")
                .matcher(note);
        assertThat(sentence.matches()).as(note).isTrue();
        return Long.parseLong(sentence.group(1));
    }

    @Test
    void aGuestThatTakesNoKeysLosesNone() throws Exception {
        recorder.serve(files, SerialRecorder.Log.OURS);
        SocketChannel guest = guest();
        ConsoleVisit writer = join(Wish.WRITE, "ann");
        ConsoleVisit reader = join(Wish.READ, "bob");
        assertNote(reader, "You read along; ann writes.");
        String word = "0123456789abcde ";
        int words = 100_000;
        Thread typing = Thread.ofPlatform().daemon().start(() -> {
            try {
                for (int i = 0; i < words / 100; i++) {
                    type(writer, word.repeat(100));
                }
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        });
        // Meanwhile the recorder serves the others.
        say(guest, "busy\n");
        assertThat(shown(reader, 5)).isEqualTo("busy\n");
        assertThat(hear(guest, words * word.length())).isEqualTo(word.repeat(words));
        typing.join();
    }

    @Test
    void staysThroughAGuestsReboot() throws Exception {
        recorder.serve(files, SerialRecorder.Log.OURS);
        SocketChannel guest = guest();
        ConsoleVisit writer = join(Wish.WRITE, "ann");
        type(writer, "reboot\r");
        assertThat(hear(guest, 7)).isEqualTo("reboot\r");
        say(guest, "bye\n");
        assertThat(shown(writer, 4)).isEqualTo("bye\n");
        // As cloud-hypervisor does: the socket goes, and comes again.
        serial.close();
        guest.close();
        Files.delete(files.serial());
        serial = listen();
        SocketChannel again = guest();
        say(again, "hello\n");
        assertThat(shown(writer, 6)).isEqualTo("hello\n");
        type(writer, "root\r");
        assertThat(hear(again, 5)).isEqualTo("root\r");
        assertThat(files.serialLog()).content().isEqualTo("bye\nhello\n");
    }

    @Test
    void connectsOnlyForVisitorsWhereTheVmmWritesTheLog() throws Exception {
        serial.configureBlocking(false);
        recorder.serve(files, SerialRecorder.Log.OF_VMM);
        ConsoleVisit writer = join(Wish.WRITE, "ann");
        type(writer, "early");
        SocketChannel guest = Awaitility.await().atMost(Duration.ofSeconds(10)).until(serial::accept, c -> c != null);
        guest.configureBlocking(true);
        open.add(guest);
        assertThat(hear(guest, 5)).isEqualTo("early");
        say(guest, "heard\n");
        assertThat(shown(writer, 6)).isEqualTo("heard\n");
        writer.close();
        assertThat(hear(guest, 1)).as("the end of the line").isEmpty();
        assertThat(files.serialLog()).doesNotExist();
        assertThat(serial.accept()).isNull();
    }

    @Test
    void sendsVisitorsAwayWhenTheGuestHasEnded() throws Exception {
        recorder.serve(files, SerialRecorder.Log.OURS);
        SocketChannel guest = guest();
        ConsoleVisit writer = join(Wish.WRITE, "ann");
        type(writer, "x");
        assertThat(hear(guest, 1)).isEqualTo("x");
        say(guest, "last words");
        recorder.finish(files.vmUid(), Duration.ofSeconds(5));
        assertThat(shown(writer, 10)).isEqualTo("last words");
        Frame end = next(writer);
        assertThat(end.kind()).isEqualTo(Kind.END);
        assertThat(end.text()).isEqualTo("The guest has ended. `vmlet logs` has its last words.");
        assertThat(writer.read()).isEqualTo(Optional.empty());
        // The next guest of the same VM.
        recorder.serve(files, SerialRecorder.Log.OURS);
        SocketChannel next = guest();
        ConsoleVisit again = join(Wish.WRITE, "ann");
        type(again, "y");
        assertThat(hear(next, 1)).isEqualTo("y");
    }

    @Test
    void anAgentThatEndsSaysSo() throws Exception {
        recorder.serve(files, SerialRecorder.Log.OURS);
        SocketChannel guest = guest();
        ConsoleVisit writer = join(Wish.WRITE, "ann");
        type(writer, "x");
        assertThat(hear(guest, 1)).isEqualTo("x");
        recorder.close();
        Frame end = next(writer);
        assertThat(end.kind()).isEqualTo(Kind.END);
        assertThat(end.text()).isEqualTo(ConsoleVisit.AGENT_ENDED);
    }

    @Test
    void theDoorIsTheOwnersAloneAndReplacesAStaleOne() throws Exception {
        Files.writeString(files.console(), "left by a dead agent");
        recorder.serve(files, SerialRecorder.Log.OURS);
        ConsoleVisit _ = Awaitility.await()
                .atMost(Duration.ofSeconds(10))
                .ignoreException(HostException.Busy.class)
                .until(() -> ConsoleVisit.join(files.console(), Wish.READ, "ann"), _ -> true);
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(files.console())))
                .isEqualTo("rw-------");
        recorder.close();
        Awaitility.await()
                .atMost(Duration.ofSeconds(10))
                .untilAsserted(() -> assertThatThrownBy(() -> ConsoleVisit.join(files.console(), Wish.READ, "ann"))
                        .isInstanceOf(HostException.Busy.class)
                        .hasMessage("join the console at " + files.console() + ": nobody listens"));
    }

    @Test
    void hangsUpOnAVisitorWhoSpeaksAnotherLanguage() throws Exception {
        recorder.serve(files, SerialRecorder.Log.OURS);
        SocketChannel guest = guest();
        Awaitility.await().atMost(Duration.ofSeconds(10)).until(() -> Files.exists(files.console()));
        try (SocketChannel stranger = SocketChannel.open(StandardProtocolFamily.UNIX)) {
            stranger.connect(UnixDomainSocketAddress.of(files.console()));
            say(stranger, "GET / HTTP/1.1\r\n\r\n");
            assertThat(hear(stranger, 1)).isEmpty();
        }
        ConsoleVisit writer = join(Wish.WRITE, "ann");
        type(writer, "x");
        assertThat(hear(guest, 1)).isEqualTo("x");
    }

    @Test
    void aDefectThatOneConsoleMeetsCostsThatConnectionAlone() throws Exception {
        try (Selector selector = Selector.open();
                Pipe.SourceChannel channel = Pipe.open().source()) {
            channel.configureBlocking(false);
            SelectionKey key = channel.register(selector, SelectionKey.OP_READ);
            SerialRecorder.serve(
                    _ -> {
                        throw new IllegalStateException("a defect");
                    },
                    key);
            assertThat(key.isValid()).isFalse();
            assertThat(channel.isOpen()).isFalse();
        }
    }
}
