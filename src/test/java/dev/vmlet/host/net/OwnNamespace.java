package dev.vmlet.host.net;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Assumptions;

/** The guard of kernel tests: they run only in a network namespace that was made for this JVM. */
public final class OwnNamespace {
    private OwnNamespace() {}

    /** Skips the test, saying why, unless {@code src/test/netns/bin/java} started this JVM. */
    public static void require() {
        Assumptions.assumeTrue(
                isPrivate(), "needs a network namespace of its own: ./mvnw -Pnetns verify (src/test/netns/bin/java)");
    }

    /** The wrapper's word, and where it can be read, that our namespace is not that of process 1. */
    public static boolean isPrivate() {
        if (!"1".equals(System.getenv("VMLET_NETNS"))) {
            return false;
        }
        Optional<Path> first = namespace("1");
        return first.isEmpty() || !first.equals(namespace("self"));
    }

    /** Identity of a process's network namespace; empty when we may not know. */
    static Optional<Path> namespace(String pid) {
        try {
            return Optional.of(Files.readSymbolicLink(Path.of("/proc", pid, "ns", "net")));
        } catch (IOException e) {
            return Optional.empty();
        }
    }

    /** Runs a command here, as somebody else on the host would; fails the test when the command does. */
    public static void run(String... command) throws IOException, InterruptedException {
        output(command);
    }

    /** What a command prints; fails the test when the command does. */
    static String output(String... command) throws IOException, InterruptedException {
        StringBuilder output = new StringBuilder();
        int exit = exitOf(output, command);
        if (exit != 0) {
            throw new AssertionError(String.join(" ", command) + ": exit code " + exit + ": " + output);
        }
        return output.toString();
    }

    /** Deletes a link, if it is there still. */
    static void takeAway(String link) {
        try {
            var _ = exitOf("ip", "link", "delete", link);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    static int exitOf(String... command) throws IOException, InterruptedException {
        return exitOf(new StringBuilder(), command);
    }

    private static int exitOf(StringBuilder into, String... command) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        into.append(output);
        if (!process.waitFor(10, TimeUnit.SECONDS)) {
            process.destroyForcibly();
            throw new AssertionError(String.join(" ", command) + ": no end in 10 s: " + output);
        }
        return process.exitValue();
    }
}
