package dev.vmlet.apiserver.store;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * A process that writes from many threads is killed with -9, again and again, on one directory. What it said was written
 * is there, whole, and revisions never go back. {@code -Dcrash.rounds} sets how often, {@code -Dcrash.seed} repeats.
 */
class StoreCrashTest {
    private static final int ROUNDS = Integer.getInteger("crash.rounds", 25);
    private static final int WRITERS = 8;
    private static final int KEYS = 5;

    @TempDir
    Path directory;

    /** What the killed process said. */
    private record Acknowledged(Map<Key, Integer> counters, long revision) {}

    @Test
    void everyAcknowledgedWriteSurvivesAKill() throws Exception {
        long seed = Long.getLong("crash.seed", System.nanoTime());
        SplittableRandom random = new SplittableRandom(seed);
        Map<Key, Integer> counters = new HashMap<>();
        long revision = 0;
        long acknowledged = 0;
        for (int round = 1; round <= ROUNDS; round++) {
            String where = "seed " + seed + ", round " + round;
            Acknowledged told = writeUntilKilled(counters, 1 + random.nextInt(120));
            acknowledged += told.counters.size();
            try (Store store = Store.open(directory, "the test", StoreCrashTest::index)) {
                assertThat(store.revision()).as(where).isGreaterThanOrEqualTo(Math.max(revision, told.revision));
                told.counters.forEach((key, counter) ->
                        assertThat(counterOf(store, key)).as(where + ", " + key).isGreaterThanOrEqualTo(counter));
                for (Stored stored : store.all()) {
                    counters.put(stored.key(), counter(stored));
                }
                revision = store.revision();
            }
        }
        assertThat(acknowledged).as("writes that were acknowledged").isPositive();
        assertThat(revision).isGreaterThan(ROUNDS);
    }

    private static int counterOf(Store store, Key key) {
        Stored stored = store.get(key);
        return stored == null ? -1 : counter(stored);
    }

    /** Fails unless the text is one that a writer wrote. */
    private static int counter(Stored stored) {
        String text = new String(stored.json(), UTF_8);
        int counter = Integer.parseInt(text.substring(0, text.indexOf(' ')));
        assertThat(text).isEqualTo(text(stored.key(), counter, stored.revision()));
        return counter;
    }

    private static Stored.Index index(Key key, byte[] json) {
        return new Stored.Index(Map.of(), Map.of(), "", List.of());
    }

    /** Says itself what it must be: counter, revision, and a long tail that depends on all of it. */
    private static String text(Key key, int counter, long revision) {
        try {
            byte[] hash =
                    MessageDigest.getInstance("SHA-256").digest((key + " " + counter + " " + revision).getBytes(UTF_8));
            return counter + " " + revision + " "
                    + HexFormat.of().formatHex(hash).repeat(1 + counter % 97);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    private Acknowledged writeUntilKilled(Map<Key, Integer> before, int lines) throws Exception {
        Process child = new ProcessBuilder(command())
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        Map<Key, Integer> told = new HashMap<>(before);
        long revision = 0;
        try (BufferedReader from = child.inputReader()) {
            String line;
            int read = 0;
            while ((line = from.readLine()) != null) {
                // The last line may have been torn by the kill.
                String[] words = line.split(" ");
                if (words.length != 4 || !words[3].equals("ok")) continue;
                told.merge(new Key("vms", "default", words[0]), Integer.parseInt(words[1]), Math::max);
                revision = Math.max(revision, Long.parseLong(words[2]));
                // Not by the Process itself: that would throw away what the child has already said.
                if (++read == lines) child.toHandle().destroyForcibly();
            }
        } finally {
            child.toHandle().destroyForcibly();
        }
        assertThat(child.waitFor(30, TimeUnit.SECONDS)).isTrue();
        assertThat(child.exitValue()).as("killed, not failed").isEqualTo(137);
        return new Acknowledged(told, revision);
    }

    private List<String> command() throws IOException {
        // Without a logging backend the process starts in a fifth of a second.
        String path = Stream.of(System.getProperty("java.class.path").split(":"))
                .filter(entry -> Files.isDirectory(Path.of(entry)) || entry.contains("slf4j-api"))
                .collect(Collectors.joining(":"));
        return List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xshare:auto",
                "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC",
                "-Dslf4j.internal.verbosity=ERROR",
                "-cp",
                path,
                Writer.class.getName(),
                directory.toString());
    }

    /** The process that is killed. */
    static final class Writer {
        private Writer() {}

        public static void main(String[] args) throws Exception {
            Store store = Store.open(Path.of(args[0]), "the writer", StoreCrashTest::index);
            PrintStream out = new PrintStream(new java.io.FileOutputStream(java.io.FileDescriptor.out), true, UTF_8);
            for (int w = 0; w < WRITERS; w++) {
                int writer = w;
                Thread.ofPlatform().start(() -> write(store, writer, out));
            }
        }

        private static void write(Store store, int writer, PrintStream out) {
            for (int i = 0; ; i++) {
                // Neighbours share some keys, so that they race.
                Key key = new Key("vms", "default", "vm-" + (writer / 2 * KEYS + i % KEYS));
                Stored latest = store.latest(key);
                int counter = latest == null ? 1 : 1 + Integer.parseInt(firstWord(latest));
                try {
                    Stored stored = store.put(
                            key,
                            latest == null ? 0 : latest.revision(),
                            revision -> text(key, counter, revision).getBytes(UTF_8));
                    out.println(key.name() + " " + counter + " " + stored.revision() + " ok");
                } catch (Store.Raced e) {
                    // The neighbour was faster.
                } catch (StoreException e) {
                    throw new IllegalStateException(e);
                }
            }
        }

        private static String firstWord(Stored stored) {
            String text = new String(stored.json(), UTF_8);
            return text.substring(0, text.indexOf(' '));
        }
    }
}
