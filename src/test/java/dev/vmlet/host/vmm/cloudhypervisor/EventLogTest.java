package dev.vmlet.host.vmm.cloudhypervisor;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class EventLogTest {
    @TempDir
    private Path dir;

    private Path file;

    @BeforeEach
    void create() throws IOException {
        file = Files.createFile(dir.resolve("events"));
    }

    private static String event(String source, String event) {
        return """
               {
                 "timestamp": {
                   "secs": 4,
                   "nanos": 68211
                 },
                 "source": "%s",
                 "event": "%s",
                 "properties": {
                   "id": "_net1 {\\"quoted\\"}"
                 }
               }

               """.formatted(source, event);
    }

    private void append(String text) throws IOException {
        Files.writeString(file, text, StandardOpenOption.APPEND);
    }

    private EventLog log() throws IOException {
        return EventLog.of(file).readOn();
    }

    @Test
    void countsHowOftenTheGuestStartedOver() throws Exception {
        append(event("vm", "booted") + event("vm", "rebooting") + event("vm", "rebooted"));
        assertThat(log().reboots()).isEqualTo(1);
        append(event("vm", "rebooting") + event("vm", "rebooted"));
        assertThat(log().reboots()).isEqualTo(2);
    }

    @Test
    void findsEventsBetweenOthers() throws IOException {
        append(event("vmm", "starting") + event("vm", "booting") + event("vm", "booted") + event("guest", "panic"));
        assertThat(log().booted()).isTrue();
        assertThat(log().panicked()).isTrue();
    }

    @Test
    void readsOnWhereAnObjectWasOnlyHalfWritten() throws IOException {
        String text = event("vm", "booted");
        EventLog log = EventLog.of(file);
        for (int cut = 1; cut < text.length() - 3; cut += 7) {
            append(text.substring(cut == 1 ? 0 : cut - 7, cut));
            assertThat(log.readOn().booted()).as("after %d bytes", cut).isFalse();
        }
        Files.writeString(file, text);
        assertThat(EventLog.of(file, log)).isSameAs(log);
        assertThat(log.readOn().booted()).isTrue();
    }

    @Test
    void skipsAHoleAndATornObject() throws IOException {
        append("\0".repeat(5000) + event("vm", "booted"));
        append(event("guest", "panic").substring(0, 60) + "\n\n\n" + event("vm", "shutdown"));
        assertThat(log().booted()).isTrue();
        assertThat(log().panicked()).isFalse();
        append(event("guest", "panic"));
        assertThat(log().panicked()).isTrue();
    }

    @Test
    void startsAnewWithAnotherFile() throws IOException {
        append(event("vm", "booted"));
        EventLog before = log();
        Files.delete(file);
        Files.createFile(file);
        assertThat(EventLog.of(file, before).readOn().booted()).isFalse();
    }
}
