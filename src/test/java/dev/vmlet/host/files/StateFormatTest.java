package dev.vmlet.host.files;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.vmlet.model.HostException;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.LaunchSpec;
import dev.vmlet.model.NetworkRecord;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmRecord;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * State directories of older vmlets, in {@code src/test/resources/state}: each was written by the code of its day.
 *
 * <pre>
 * 1-first   commit d3c0228, 23 November 2026: no lastRun, no tries of a stop
 * 1         commit 3cb6bba, 26 November 2026
 * </pre>
 */
class StateFormatTest {
    private static final String WEB = "6ba7b810-9dad-41d1-80b4-00c04fd430c8";
    private static final String DB = "6ba7b811-9dad-41d1-80b4-00c04fd430c8";
    private static final String LAB = "1b4e28ba-2fa1-4d3b-9a3f-ef19b5a7633b";

    @TempDir
    Path folder;

    private HostPaths copy(String fixture) throws IOException {
        Path from = Path.of("src/test/resources/state").resolve(fixture);
        Path state = folder.resolve("state");
        try (Stream<Path> all = Files.walk(from)) {
            for (Path each : (Iterable<Path>) all::iterator) {
                Path to = state.resolve(from.relativize(each).toString());
                if (Files.isDirectory(each)) {
                    Files.createDirectories(to);
                } else {
                    Files.copy(each, to);
                }
            }
        }
        return new HostPaths(state.toString(), folder.resolve("run").toString());
    }

    @ParameterizedTest
    @ValueSource(strings = {"1-first", "1"})
    void readsWhatAnOlderVmletWroteAndConvertsItAsItIsNextWritten(String fixture) throws Exception {
        HostPaths paths = copy(fixture);
        try (Installation installation = Installation.open(paths)) {
            assertThat(installation.id()).isEqualTo(new InstallationId("k7wq2m5x"));
        }
        FileRecords records = new FileRecords(paths);
        assertThat(records.unreadable()).isEmpty();
        assertThat(records.vms()).extracting(r -> r.id().name()).containsExactly("web", "db", "idle");
        VmRecord web = present(records.vm(WEB));
        assertThat(web.userId()).isEqualTo(70_001);
        assertThat(web.nics()).singleElement().satisfies(nic -> {
            assertThat(nic.ip()).hasToString("10.77.4.2");
            assertThat(nic.mark()).hasToString("vmlet:k7wq2m5x:vm:" + WEB + ":" + LAB);
        });
        LaunchSpec spec = web.launch().orElseThrow().spec();
        assertThat(spec.id()).isEqualTo(new VmId("default", "web", WEB));
        assertThat(spec.drives()).hasSize(3);
        assertThat(web.stop().orElseThrow().rung()).isEqualTo(VmRecord.Rung.POWER_BUTTON);
        assertThat(web.lastExit().orElseThrow().message()).endsWith("\nKernel panic - not syncing");
        assertThat(present(records.vm(DB)).lastRun()).isEqualTo(Optional.empty());
        assertThat(records.networks())
                .singleElement()
                .extracting(NetworkRecord::id)
                .hasToString("default/lab");
        assertThat(records.keptForwarding("eth0")).isEqualTo(Seen.present(false));
        assertThat(records.cluster()).isEqualTo(Seen.present("0c1a53f2-4f6c-4f4e-8a0e-0b2b8e8b5a10"));

        for (VmRecord each : records.vms()) {
            records.write(each);
        }
        assertThat(Files.readString(Path.of(paths.vmRecord(WEB)))).contains("\"version\" : 2", "\"digest\" : \"");
        assertThat(Files.readString(Path.of(paths.formatFile()))).isEqualTo("2\n");
        assertThat(new FileRecords(paths).vms()).isEqualTo(records.vms());
    }

    private static VmRecord present(Seen<VmRecord> seen) {
        assertThat(seen).isInstanceOf(Seen.Present.class);
        return ((Seen.Present<VmRecord>) seen).value();
    }

    @Test
    void readsTheRecordOfAStopAsOneThatIsToBeTriedAgain() throws Exception {
        // It tells no tries and no end: whether the host took the rung is not known, so it is tried again.
        VmRecord.Stop stop =
                present(new FileRecords(copy("1-first")).vm(WEB)).stop().orElseThrow();
        assertThat(List.of(stop.tries(), stop.done())).containsExactly(0, false);
    }

    @Test
    void aDirectoryOfANewerVmletIsRefusedAndNotTouched() throws Exception {
        HostPaths paths = copy("1");
        Path format = Path.of(paths.formatFile());
        Files.writeString(format, "3\n");
        String sentence =
                "open state directory " + paths.stateDir() + ": it has format 3, which a newer vmlet wrote, and"
                        + " this one understands formats up to 2; start that newer vmlet again, it is the only one that can read"
                        + " this";
        assertThatThrownBy(() -> Installation.open(paths))
                .isInstanceOf(HostException.Refused.class)
                .hasMessage(sentence);
        assertThatThrownBy(() -> Installation.read(paths)).hasMessage(sentence);
        assertThatThrownBy(() -> new FileRecords(paths)).hasMessage(sentence);
        assertThat(format).hasContent("3");
    }

    @Test
    void aTornFormatIsWrittenAnewForEachRecordTellsItsOwn() throws Exception {
        HostPaths paths = copy("1");
        Files.writeString(Path.of(paths.formatFile()), "");
        Installation.open(paths).close();
        assertThat(Path.of(paths.formatFile())).hasContent("2");
    }
}
