package dev.vmlet.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.host.files.EvacuationFile;
import dev.vmlet.host.files.FileRecords;
import dev.vmlet.model.Given;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmRecord;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class EvacuateCommandTest {
    private static final Instant NOW = Given.NOW;

    @TempDir
    Path directory;

    private HostPaths paths;
    private FileRecords records;
    private final StringWriter out = new StringWriter();

    @BeforeEach
    void anAgentHasRun() throws Exception {
        paths = new HostPaths(
                directory.resolve("state").toString(), directory.resolve("run").toString());
        records = new FileRecords(paths);
    }

    private boolean await(Duration timeout) throws Exception {
        EvacuationProgress progress = new EvacuationProgress(paths, Clock.systemUTC(), new PrintWriter(out));
        progress.announce();
        return progress.await(timeout);
    }

    @Test
    void withoutGuestsTheNodeIsEvacuatedAtOnce() throws Exception {
        records.write(Given.record());
        assertThat(await(Duration.ofSeconds(30))).isTrue();
        assertThat(out).hasToString("""
                        No guest of this node runs.
                        Evacuated: nothing starts on this node until `vmlet evacuate --end`.
                        """);
    }

    @Test
    void tellsEachRungOfEachStopUntilTheLastGuestIsProvedDead() throws Exception {
        VmRecord runs = Given.record().withLaunch(Given.launch(), 0);
        VmRecord.Stop pressed = new VmRecord.Stop(NOW, Reason.Evacuated, VmRecord.Rung.POWER_BUTTON, NOW, NOW);
        records.write(runs);
        Thread agent = Thread.ofVirtual().start(() -> {
            try {
                awaitSaid("runs");
                records.write(runs.withStop(pressed));
                awaitSaid("pressed");
                records.write(runs.withStop(pressed.begun(VmRecord.Rung.POWER_OFF, NOW)));
                awaitSaid("cut");
                records.write(runs.withExit(new VmRecord.Exit(Reason.Evacuated, "", NOW, 3, ""), 0));
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        });
        assertThat(await(Duration.ofSeconds(60))).isTrue();
        agent.join();
        assertThat(out.toString().replaceAll(" +\\d+ s  ", "# ")).isEqualTo("""
                        1 guest of this node to be stopped.
                        # lab/web: runs
                        # lab/web: power button pressed; has until 2026-01-01T12:00:30Z to shut down
                        # lab/web: power cut
                        # lab/web: stopped (Evacuated)
                        Evacuated: nothing starts on this node until `vmlet evacuate --end`.
                        """);
    }

    private void awaitSaid(String word) {
        org.awaitility.Awaitility.await()
                .atMost(Duration.ofSeconds(30))
                .until(() -> out.toString().contains(word));
    }

    @Test
    void namesWhoIsNotStoppedInTime() throws Exception {
        records.write(Given.record().withLaunch(Given.launch(), 0));
        assertThat(await(Duration.ZERO)).isFalse();
        assertThat(out.toString())
                .endsWith(
                        "Not stopped within 0 s: lab/web. The agent goes on; the same command shows how far it is.\n");
    }

    @Test
    void aRecordThatCannotBeReadMayBeAGuestThatRuns() throws Exception {
        Path broken = Path.of(paths.vmRecord("vm-9"));
        Files.createDirectories(broken.getParent());
        Files.writeString(broken, "{");
        assertThat(await(Duration.ZERO)).isFalse();
        assertThat(out.toString()).contains("vm-9");
    }

    @Test
    void theMarkOutlivesItsWriterAndIsKeptAsItWasFirst() throws Exception {
        EvacuationFile mark = new EvacuationFile(paths);
        assertThat(mark.read()).isEqualTo(Seen.missing());
        mark.begin(NOW);
        mark.begin(NOW.plusSeconds(60));
        assertThat(new EvacuationFile(paths).read())
                .isEqualTo(Seen.present("This node is evacuated since 2026-01-01T12:00:00Z."));
        mark.end();
        mark.end();
        assertThat(mark.read()).isEqualTo(Seen.missing());
        Files.createDirectory(Path.of(paths.evacuationFile()));
        assertThat(mark.read()).isInstanceOf(Seen.Unknown.class);
    }
}
