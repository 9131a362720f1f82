package dev.vmlet.manifests;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ManifestDirectoryTest {
    @TempDir
    private Path temp;

    private Path directory;

    /** Everything that happened, in order. */
    private final List<String> happened = new ArrayList<>();

    private final Map<String, String> refusals = new HashMap<>();
    private final MovingClock clock = new MovingClock();
    private ManifestDirectory manifests;

    @BeforeEach
    void open() throws IOException {
        directory = Files.createDirectory(temp.resolve("manifests"));
        manifests = new ManifestDirectory(
                directory,
                manifest -> {
                    String refusal = refusals.get(manifest.words());
                    if (refusal != null) {
                        throw new ManifestRefused(refusal, new IOException());
                    }
                    happened.add("apply " + manifest.words());
                },
                new ManifestDirectory.Listener() {
                    @Override
                    public void problem(String sentence) {
                        happened.add("problem: " + sentence);
                    }

                    @Override
                    public void removed(String sentence) {
                        happened.add("removed: " + sentence);
                    }
                },
                clock);
    }

    private void write(String file, String text) throws IOException {
        Files.writeString(directory.resolve(file), text);
    }

    private static String secret(String name) {
        return "---\napiVersion: v1\nkind: Secret\nmetadata: {name: " + name + "}\n";
    }

    /** What happens at a look, two seconds after the one before. */
    private List<String> look() {
        happened.clear();
        clock.now = clock.now.plusSeconds(2);
        manifests.look();
        return happened;
    }

    @Test
    void appliesEveryFileAtTheStartInTheOrderOfTheirNames() throws IOException {
        write("b.yaml", secret("three"));
        write("a.yml", secret("one") + secret("two"));
        write("c.json", "{\"apiVersion\": \"v1\", \"kind\": \"Secret\", \"metadata\": {\"name\": \"four\"}}");
        write(".hidden.yaml", secret("hidden"));
        write("notes.txt", "nothing");
        Files.createDirectory(directory.resolve("folder.yaml"));
        assertThat(look())
                .containsExactly("apply Secret one", "apply Secret two", "apply Secret three", "apply Secret four");
        assertThat(look()).isEmpty();
    }

    @Test
    void appliesAFileAgainWhenItWasChangedAndWritingHasEnded() throws IOException {
        write("a.yaml", secret("one"));
        look();
        write("a.yaml", secret("one") + secret("two"));
        write("b.yaml", "apiVersion: v1\nkind: Sec");
        assertThat(look()).as("the look that notices").isEmpty();
        write("b.yaml", secret("three"));
        assertThat(look()).containsExactly("apply Secret one", "apply Secret two");
        assertThat(look()).containsExactly("apply Secret three");
    }

    @Test
    void noticesAFileThatWasReplacedByOneOfTheSameSizeAndTime() throws IOException {
        write("a.yaml", secret("one"));
        var time = Files.getLastModifiedTime(directory.resolve("a.yaml"));
        look();
        Files.writeString(temp.resolve("new"), secret("two"));
        Files.setLastModifiedTime(temp.resolve("new"), time);
        Files.move(temp.resolve("new"), directory.resolve("a.yaml"), java.nio.file.StandardCopyOption.REPLACE_EXISTING);
        look();
        assertThat(look()).containsExactly("apply Secret two");
    }

    @Test
    void namesABrokenFileWithItsLineOnceAndLoadsTheOthers() throws IOException {
        write("a.yaml", secret("one"));
        write("b.yaml", "apiVersion: v1\n  kind: [\n");
        write("c.yaml", secret("three"));
        assertThat(look())
                .satisfiesExactly(
                        one -> assertThat(one).isEqualTo("apply Secret one"),
                        broken -> assertThat(broken)
                                .startsWith("problem: b.yaml:2: this is no YAML: ")
                                .endsWith("; the file is left out until it changes"),
                        three -> assertThat(three).isEqualTo("apply Secret three"));
        assertThat(look()).isEmpty();
        write("b.yaml", secret("two"));
        look();
        assertThat(look()).containsExactly("apply Secret two");
    }

    @Test
    void triesARefusedObjectAgainAndTellsItOnceForEachReason() throws IOException {
        write("a.yaml", secret("one") + secret("two"));
        refusals.put("Secret one", "namespaces \"x\" not found");
        assertThat(look())
                .containsExactly(
                        "problem: a.yaml:2: Secret one is refused: namespaces \"x\" not found", "apply Secret two");
        assertThat(look()).isEmpty();
        clock.now = clock.now.plus(Duration.ofSeconds(30));
        assertThat(look()).isEmpty();
        refusals.put("Secret one", "the server is on fire");
        clock.now = clock.now.plus(Duration.ofSeconds(30));
        assertThat(look()).containsExactly("problem: a.yaml:2: Secret one is refused: the server is on fire");
        refusals.clear();
        clock.now = clock.now.plus(Duration.ofSeconds(30));
        assertThat(look()).containsExactly("apply Secret one");
        clock.now = clock.now.plus(Duration.ofSeconds(30));
        assertThat(look()).isEmpty();
    }

    @Test
    void leavesWhatARemovedFileAskedForAndSaysSo() throws IOException {
        write("a.yaml", secret("one") + secret("two"));
        look();
        Files.delete(directory.resolve("a.yaml"));
        assertThat(look())
                .containsExactly("removed: a.yaml is gone; what it asked for stays (Secret one, Secret two): delete it"
                        + " with kubectl if it shall go");
        assertThat(look()).isEmpty();
    }

    @Test
    void aDirectoryThatCannotBeReadChangesNothing() throws IOException {
        write("a.yaml", secret("one"));
        look();
        Files.move(directory, temp.resolve("elsewhere"));
        assertThat(look())
                .containsExactly("problem: the manifest directory " + directory
                        + " cannot be read (there is none); what it asked for stays as it is");
        assertThat(look()).isEmpty();
        Files.writeString(directory, "a file");
        assertThat(look()).hasSize(1).first().asString().contains("(it is not a directory)");
        Files.delete(directory);
        Files.move(temp.resolve("elsewhere"), directory);
        assertThat(look()).as("nothing has changed").isEmpty();
    }

    @Test
    void aLinkToItselfDoesNotHoldUpTheOthers() throws IOException {
        Files.createSymbolicLink(directory.resolve("a.yaml"), Path.of("a.yaml"));
        write("b.yaml", secret("two"));
        assertThat(look())
                .satisfiesExactly(
                        link -> assertThat(link)
                                .startsWith("problem: a.yaml:1: it cannot be read: ")
                                .contains("symbolic link"),
                        two -> assertThat(two).isEqualTo("apply Secret two"));
        assertThat(look()).isEmpty();
    }

    @Test
    void givesAnObjectToTheFirstOfTwoFiles() throws IOException {
        write("a.yaml", secret("one"));
        write("b.yaml", secret("two") + secret("one"));
        assertThat(look())
                .containsExactly(
                        "apply Secret one",
                        "problem: b.yaml:6: Secret one is in a.yaml:2 already; remove one of the two",
                        "apply Secret two");
        Files.delete(directory.resolve("a.yaml"));
        assertThat(look())
                .containsExactly("removed: a.yaml is gone; what it asked for stays (Secret one): delete it with kubectl"
                        + " if it shall go");
    }

    private static final class MovingClock extends Clock {
        private Instant now = Instant.parse("2026-11-26T12:00:00Z");

        @Override
        public ZoneId getZone() {
            return ZoneOffset.UTC;
        }

        @Override
        public Clock withZone(ZoneId zone) {
            throw new UnsupportedOperationException();
        }

        @Override
        public Instant instant() {
            return now;
        }
    }
}
