package dev.vmlet.e2e;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/** A command to be run to its end: arguments, environment added to ours, and what it reads. Immutable. */
final class Command {
    private static final Duration LIMIT = Duration.ofMinutes(1);

    private final List<String> arguments;
    private final Map<String, String> environment;
    private final @Nullable String input;
    private final Duration limit;

    private Command(List<String> arguments, Map<String, String> environment, @Nullable String input, Duration limit) {
        this.arguments = List.copyOf(arguments);
        this.environment = Map.copyOf(environment);
        this.input = input;
        this.limit = limit;
    }

    /** What came of it; {@code output} is both streams. */
    record Ended(String command, int code, String output) {
        /** The output without the last line break. */
        String mustSucceed() {
            if (code != 0) {
                throw new AssertionError(command + ": exit code " + code + ": " + output);
            }
            return output.stripTrailing();
        }

        boolean succeeded() {
            return code == 0;
        }
    }

    static Command of(String... arguments) {
        return new Command(List.of(arguments), Map.of(), null, LIMIT);
    }

    static Command of(List<String> arguments) {
        return new Command(arguments, Map.of(), null, LIMIT);
    }

    Command with(String variable, String value) {
        Map<String, String> more = new HashMap<>(environment);
        more.put(variable, value);
        return new Command(arguments, more, input, limit);
    }

    Command reading(String text) {
        return new Command(arguments, environment, text, limit);
    }

    Command within(Duration other) {
        return new Command(arguments, environment, input, other);
    }

    /** Runs it; a command that does not end in time is killed and fails the test. */
    Ended run() {
        String text = String.join(" ", arguments);
        try {
            // Files instead of pipes: a child that outlives the command (a server) must not keep us reading.
            Path output = Files.createTempFile("vmlet-e2e", ".out");
            Path reads = Files.createTempFile("vmlet-e2e", ".in");
            try {
                Files.writeString(reads, input == null ? "" : input);
                ProcessBuilder builder = new ProcessBuilder(arguments)
                        .redirectErrorStream(true)
                        .redirectInput(reads.toFile())
                        .redirectOutput(output.toFile());
                builder.environment().putAll(environment);
                Process process = builder.start();
                if (!process.waitFor(limit.toMillis(), TimeUnit.MILLISECONDS)) {
                    process.destroyForcibly();
                    throw new AssertionError(text + ": no end within " + limit.toSeconds() + " s: " + read(output));
                }
                return new Ended(text, process.exitValue(), read(output));
            } finally {
                Files.delete(output);
                Files.delete(reads);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(text, e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(text, e);
        }
    }

    private static String read(Path file) throws IOException {
        return new String(Files.readAllBytes(file), StandardCharsets.UTF_8);
    }
}
