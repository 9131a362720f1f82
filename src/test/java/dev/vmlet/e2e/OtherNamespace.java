package dev.vmlet.e2e;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.awaitility.Awaitility;

/** A network namespace beside that of this JVM, kept by a process that sleeps in it. It ends with that process. */
final class OtherNamespace implements AutoCloseable {
    private final Process holder;

    /** @param whose for the message if it does not come about */
    OtherNamespace(String whose) {
        holder = started(List.of("unshare", "--net", "sleep", "infinity"), ProcessBuilder.Redirect.DISCARD);
        Awaitility.await("a namespace for " + whose)
                .atMost(Duration.ofSeconds(20))
                .pollInterval(Duration.ofMillis(20))
                .until(() -> !netOf("self").equals(netOf(pid())));
        run("ip", "link", "set", "lo", "up");
    }

    private static Process started(List<String> command, ProcessBuilder.Redirect output) {
        try {
            return new ProcessBuilder(command)
                    .redirectErrorStream(true)
                    .redirectOutput(output)
                    .start();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static Path netOf(String pid) throws IOException {
        return Files.readSymbolicLink(Path.of("/proc", pid, "ns", "net"));
    }

    /** How {@code ip link ... netns} names it. */
    String pid() {
        return Long.toString(holder.pid());
    }

    /** The command, as it is run there; it becomes that command, by exec. */
    List<String> enter(String... command) {
        List<String> all = new ArrayList<>(List.of("nsenter", "--net=/proc/" + pid() + "/ns/net", "--"));
        all.addAll(List.of(command));
        return all;
    }

    Command.Ended tryRun(String... command) {
        return Command.of(enter(command)).run();
    }

    /** Runs a command there, which must succeed; returns what it printed. */
    String run(String... command) {
        return tryRun(command).mustSucceed();
    }

    /** Starts a command there that goes on until somebody ends it. */
    Process start(Path log, String... command) {
        return started(enter(command), ProcessBuilder.Redirect.appendTo(log.toFile()));
    }

    @Override
    public void close() {
        holder.destroyForcibly();
    }
}
