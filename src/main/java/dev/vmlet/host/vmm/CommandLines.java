package dev.vmlet.host.vmm;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Command lines of processes, each read within a deadline. The kernel copies one out of the process's own memory under
 * that memory's lock (proc_pid_cmdline_read, access_remote_vm): a process that hangs in the kernel with the lock held, as
 * on a dead file system, makes every reader hang with it, and no signal ends that. Such a reader is left to itself on a
 * daemon thread, one for each process, and until it comes back the process has no words. Safe for use by several threads.
 */
final class CommandLines {
    private static final Duration DEADLINE = Duration.ofMillis(500);

    private final Path proc;
    private final ExecutorService readers = Executors.newCachedThreadPool(
            Thread.ofPlatform().name("command-line-", 0).daemon().factory());
    /** Readers that did not come back in time, by pid. */
    private final Map<Integer, Future<List<String>>> stuck = new ConcurrentHashMap<>();

    CommandLines(Path proc) {
        this.proc = proc;
    }

    /** Without a word when the process has ended, is a corpse, or hangs. */
    List<String> of(int pid) {
        Future<List<String>> before = stuck.get(pid);
        if (before != null) {
            if (!before.isDone()) {
                return List.of();
            }
            stuck.remove(pid, before);
        }
        Future<List<String>> reading = readers.submit(() -> read(pid));
        try {
            return reading.get(DEADLINE.toMillis(), TimeUnit.MILLISECONDS);
        } catch (TimeoutException e) {
            stuck.put(pid, reading);
            return List.of();
        } catch (ExecutionException | CancellationException e) {
            return List.of();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return List.of();
        }
    }

    private List<String> read(int pid) {
        try {
            String line = new String(Files.readAllBytes(proc.resolve(pid + "/cmdline")), StandardCharsets.ISO_8859_1);
            return List.of(line.split("\0"));
        } catch (IOException e) {
            return List.of();
        }
    }
}
