package dev.vmlet.host.vmm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.vmlet.model.HostException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.SplittableRandom;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class SerialLogTest {
    private Path dir;
    private VmFiles files;

    @BeforeEach
    void prepare() throws IOException {
        dir = Hosts.directory();
        files = Hosts.files(dir);
        Files.createDirectories(files.state());
    }

    @AfterEach
    void clear() throws IOException {
        if (Files.exists(dir)) {
            Hosts.delete(dir);
        }
    }

    private String printed(int lines, SerialLog.Text text) throws Exception {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        new SerialLog(files, text).print(lines, false, out);
        return out.toString(StandardCharsets.UTF_8);
    }

    @Test
    void printsTheFormerGenerationBeforeThePresentOne() throws Exception {
        Files.writeString(LogFiles.former(files.serialLog()), "one\ntwo\n");
        Files.writeString(files.serialLog(), "three\nfour\nlogin: ");
        assertThat(printed(Integer.MAX_VALUE, SerialLog.Text.PLAIN)).isEqualTo("one\ntwo\nthree\nfour\nlogin: ");
        assertThat(printed(4, SerialLog.Text.PLAIN)).isEqualTo("two\nthree\nfour\nlogin: ");
        assertThat(printed(1, SerialLog.Text.PLAIN)).isEqualTo("login: ");
        assertThat(printed(0, SerialLog.Text.PLAIN)).isEmpty();
        Files.writeString(files.serialLog(), "three\nfour\n");
        assertThat(printed(1, SerialLog.Text.PLAIN)).isEqualTo("four\n");
    }

    @Test
    void takesOutWhatSteersATerminalUnlessAskedNotTo() throws Exception {
        Files.writeString(files.serialLog(), "\u001b[1;32m[  OK  ]\u001b[0m up\r\n\u001b]0;title\u0007x\u0007\n");
        assertThat(printed(9, SerialLog.Text.PLAIN)).isEqualTo("[  OK  ] up\nx\n");
        assertThat(printed(9, SerialLog.Text.AS_WRITTEN))
                .isEqualTo("\u001b[1;32m[  OK  ]\u001b[0m up\r\n\u001b]0;title\u0007x\u0007\n");
    }

    @Test
    void saysThatThereIsNothingYet() {
        assertThatThrownBy(() -> printed(1, SerialLog.Text.PLAIN))
                .isInstanceOf(HostException.Refused.class)
                .hasMessage("read " + files.serialLog()
                        + ": there is none yet; a guest's console is recorded from its first start");
    }

    @Test
    void followsThroughBothKindsOfRotationUntilTheVmIsGone() throws Exception {
        Files.writeString(files.serialLog(), "a\n");
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        Thread following = Thread.ofPlatform().daemon().start(() -> {
            try {
                new SerialLog(files, SerialLog.Text.PLAIN).print(10, true, out);
            } catch (IOException | HostException e) {
                throw new UncheckedIOException(new IOException(e));
            }
        });
        await(out, "a\n");
        append("b\n");
        await(out, "a\nb\n");
        LogFiles.rotate(files.serialLog());
        append("c\n");
        await(out, "a\nb\nc\n");
        // As for a VMM that holds it open: copied and cut.
        Files.writeString(files.serialLog(), "");
        await(out, "a\nb\nc\n");
        append("d\n");
        await(out, "a\nb\nc\nd\n");
        Hosts.delete(files.state());
        following.join(Duration.ofSeconds(20));
        assertThat(following.isAlive()).isFalse();
    }

    private void append(String text) throws IOException {
        Files.writeString(files.serialLog(), text, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
    }

    private static void await(ByteArrayOutputStream out, String text) {
        Awaitility.await()
                .atMost(Duration.ofSeconds(20))
                .untilAsserted(
                        () -> assertThat(out.toString(StandardCharsets.UTF_8)).isEqualTo(text));
    }

    @Test
    void plainTextIsTheSameHoweverItIsCut() {
        String written =
                "\u001b[?25l\u001b(B\u001b]0;t\u001b\\ä€\r\nprogress 1\rprogress 2\r\r\n\u001bPdcs\u001b\\\tend\u0000\u009b\n";
        String plain = "ä€\nprogress 1\nprogress 2\n\tend\n";
        byte[] bytes = written.getBytes(StandardCharsets.UTF_8);
        long seed = System.nanoTime();
        SplittableRandom random = new SplittableRandom(seed);
        for (int round = 0; round < 200; round++) {
            PlainText text = new PlainText();
            StringBuilder all = new StringBuilder();
            for (int at = 0; at < bytes.length; ) {
                int length = Math.min(bytes.length - at, random.nextInt(4));
                all.append(text.of(ByteBuffer.wrap(bytes, at, length)));
                at += length;
            }
            assertThat(all.toString()).as("seed %d round %d", seed, round).isEqualTo(plain);
        }
    }

    @Test
    void whatIsNoUtf8BecomesQuestionMarks() {
        assertThat(new PlainText().of(ByteBuffer.wrap(new byte[] {'a', (byte) 0xff, 'b'})))
                .isEqualTo("a?b");
    }
}
