package dev.vmlet.host.console;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * The terminal at standard input, in raw mode while this is open: every key goes to the guest, Ctrl-C too. Restored when
 * closed and when the process ends by a signal that can be caught (SIGTERM, SIGHUP).
 */
public final class Terminal implements AutoCloseable {
    private static final long PATIENCE_SECONDS = 5;

    private final String before;
    private final AtomicBoolean restored = new AtomicBoolean();

    private Terminal(String before) {
        this.before = before;
    }

    /** Empty when standard input is no terminal. */
    public static Optional<Terminal> raw() throws IOException {
        Optional<String> before = stty("-g");
        if (before.isEmpty()) {
            return Optional.empty();
        }
        Terminal terminal = new Terminal(before.get().strip());
        Runtime.getRuntime().addShutdownHook(Thread.ofPlatform().unstarted(terminal::close));
        if (stty("raw", "-echo").isEmpty()) {
            terminal.close();
            throw new IOException("stty cannot set the terminal to raw mode");
        }
        return Optional.of(terminal);
    }

    /** What it printed; empty when it failed. Standard input is ours: that is the terminal it asks. */
    private static Optional<String> stty(String... arguments) throws IOException {
        List<String> command = new ArrayList<>(List.of("stty"));
        command.addAll(List.of(arguments));
        Process process = new ProcessBuilder(command)
                .redirectInput(ProcessBuilder.Redirect.INHERIT)
                .redirectError(ProcessBuilder.Redirect.to(new File("/dev/null")))
                .start();
        try {
            String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.US_ASCII);
            return process.waitFor(PATIENCE_SECONDS, TimeUnit.SECONDS) && process.exitValue() == 0
                    ? Optional.of(said)
                    : Optional.empty();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return Optional.empty();
        } finally {
            process.destroyForcibly();
        }
    }

    @Override
    public void close() {
        if (restored.getAndSet(true)) {
            return;
        }
        try {
            Optional<String> _ = stty(before);
        } catch (IOException e) {
            System.err.println("vmlet: the terminal is still in raw mode; type: stty sane");
        }
    }
}
