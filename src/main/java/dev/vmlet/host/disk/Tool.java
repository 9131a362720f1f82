package dev.vmlet.host.disk;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/** A program of the host, run with an environment of our own, a deadline and a bound on what it may say. */
public final class Tool {
    private static final String PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    private static final int OUTPUT_MAX = 64 << 10;

    private Tool() {}

    /** {@code code} is the exit status, 128 + signal where one ended it; {@code output} what it said on both streams. */
    public record Result(int code, String output) {
        /** The last line, which is where tools say what went wrong. */
        public String lastLine() {
            String trimmed = output.strip();
            return trimmed.substring(trimmed.lastIndexOf('\n') + 1);
        }
    }

    /** A program by its path, or by its name in the usual folders. */
    public static Optional<Path> find(String name) {
        if (name.contains("/")) {
            return Optional.of(Path.of(name)).filter(Files::isExecutable);
        }
        for (String folder : PATH.split(":")) {
            Path candidate = Path.of(folder, name);
            if (Files.isExecutable(candidate)) {
                return Optional.of(candidate);
            }
        }
        return Optional.empty();
    }

    static boolean isRoot() {
        return LibC.effectiveUser() == 0;
    }

    /**
     * @throws InterruptedIOException past the limit; the program is then dead
     * @throws InterruptedException when the thread is interrupted; likewise
     */
    public static Result run(Path folder, Duration limit, Map<String, String> environment, List<String> command)
            throws IOException, InterruptedException {
        ProcessBuilder builder = new ProcessBuilder(command)
                .directory(folder.toFile())
                .redirectErrorStream(true)
                .redirectInput(ProcessBuilder.Redirect.from(new File("/dev/null")));
        builder.environment().clear();
        builder.environment().put("PATH", PATH);
        builder.environment().put("LC_ALL", "C");
        builder.environment().putAll(environment);
        Process process = builder.start();
        CompletableFuture<String> output = new CompletableFuture<>();
        // Beside the wait: a full pipe would stop the program, and a silent program would stop the reader.
        Thread reader = Thread.ofVirtual().start(() -> output.complete(read(process.getInputStream())));
        try {
            if (!process.waitFor(limit.toMillis(), TimeUnit.MILLISECONDS)) {
                throw new InterruptedIOException(
                        command.getFirst() + " did not end within " + limit.toSeconds() + " s and was killed");
            }
            reader.join(Duration.ofSeconds(1));
            return new Result(process.exitValue(), output.getNow(""));
        } finally {
            process.destroyForcibly();
        }
    }

    private static String read(InputStream stream) {
        try (stream) {
            byte[] kept = stream.readNBytes(OUTPUT_MAX);
            stream.transferTo(OutputStream.nullOutputStream());
            return new String(kept, StandardCharsets.UTF_8);
        } catch (IOException e) {
            return "";
        }
    }
}
