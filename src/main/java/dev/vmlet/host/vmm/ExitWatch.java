package dev.vmlet.host.vmm;

import dev.vmlet.model.Seen;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import jnr.ffi.Memory;
import jnr.ffi.Pointer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Tells within milliseconds when a watched process ends, whoever its parent is: one daemon thread polls a pidfd per
 * process. Where the kernel has no pidfd (before 5.3), ProcessHandle tells within a second.
 *
 * <p>The callback runs on the watching thread and must not block. It may come for a process that was forgotten
 * meanwhile: it is a hint to look, not a fact.
 */
final class ExitWatch implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(ExitWatch.class);
    private static final int POLLFD_BYTES = 8;
    private static final int EVENTS_OFFSET = 4;
    private static final int REVENTS_OFFSET = 6;
    private static final short POLLIN = 1;

    private final Consumer<String> ended;
    private final int wake;
    private final Thread thread;

    /** Guarded by this. Descriptors are opened by callers and closed by the watching thread alone. */
    private final Map<String, Watched> watched = new HashMap<>();

    private final List<Integer> toClose = new ArrayList<>();
    private boolean closed;

    private record Watched(int pid, long startTicks, int pidfd) {}

    private static final int NO_PIDFD = -1;

    ExitWatch(Consumer<String> ended) throws IOException {
        this.ended = ended;
        this.wake = Syscalls.eventfd();
        this.thread = Thread.ofPlatform().daemon().name("vmm-exit-watch").unstarted(this::run);
        thread.start();
    }

    /** Watches a process. Calls back at once if it is gone already; nothing happens when it is watched already. */
    void watch(String vmUid, int pid, long startTicks) {
        synchronized (this) {
            Watched known = watched.get(vmUid);
            if (closed || known != null && known.pid == pid && known.startTicks == startTicks) {
                return;
            }
            forget(vmUid);
            int pidfd = NO_PIDFD;
            boolean gone = false;
            try {
                pidfd = Syscalls.pidfdOpen(pid);
            } catch (Syscalls.NoSuchProcess e) {
                gone = true;
            } catch (IOException e) {
                LOG.atDebug().addKeyValue("pid", pid).setCause(e).log("no pidfd, watching through ProcessHandle");
            }
            // Looked up behind the pidfd: the number may have been reused before it was opened.
            gone |= !(ProcStat.read(pid) instanceof Seen.Present<ProcStat>(var stat)
                    && stat.startTicks() == startTicks);
            if (!gone) {
                watched.put(vmUid, new Watched(pid, startTicks, pidfd));
                if (pidfd == NO_PIDFD) {
                    CompletableFuture<?> _ = ProcessHandle.of(pid)
                            .map(ProcessHandle::onExit)
                            .orElseGet(() -> CompletableFuture.completedFuture(null))
                            .thenRun(() -> report(vmUid));
                }
                Syscalls.signalEvent(wake);
                return;
            }
            if (pidfd != NO_PIDFD) {
                toClose.add(pidfd);
                Syscalls.signalEvent(wake);
            }
        }
        report(vmUid);
    }

    synchronized void forget(String vmUid) {
        Watched known = watched.remove(vmUid);
        if (known != null && known.pidfd != NO_PIDFD) {
            toClose.add(known.pidfd);
            Syscalls.signalEvent(wake);
        }
    }

    @Override
    public void close() {
        synchronized (this) {
            closed = true;
            List.copyOf(watched.keySet()).forEach(this::forget);
            Syscalls.signalEvent(wake);
        }
    }

    private void run() {
        while (true) {
            List<Map.Entry<String, Watched>> round = new ArrayList<>();
            synchronized (this) {
                toClose.forEach(Syscalls::close);
                toClose.clear();
                if (closed) {
                    Syscalls.close(wake);
                    return;
                }
                watched.forEach((uid, w) -> {
                    if (w.pidfd != NO_PIDFD) {
                        round.add(Map.entry(uid, w));
                    }
                });
            }
            Pointer fds = Memory.allocateDirect(Syscalls.RUNTIME, POLLFD_BYTES * (round.size() + 1));
            put(fds, 0, wake);
            for (int i = 0; i < round.size(); i++) {
                put(fds, i + 1, round.get(i).getValue().pidfd);
            }
            try {
                Syscalls.poll(fds, round.size() + 1, -1);
            } catch (IOException e) {
                // A broken law: every descriptor above is open until this thread closes it.
                LOG.atError().setCause(e).log("exit watch stopped: ended guests are noticed by the timer only");
                return;
            }
            if (ready(fds, 0)) {
                Syscalls.drainEvent(wake);
            }
            for (int i = 0; i < round.size(); i++) {
                if (ready(fds, i + 1)) {
                    finish(round.get(i).getKey(), round.get(i).getValue());
                }
            }
        }
    }

    private void finish(String vmUid, Watched gone) {
        synchronized (this) {
            if (!watched.remove(vmUid, gone)) {
                return;
            }
            toClose.add(gone.pidfd);
        }
        report(vmUid);
    }

    private void report(String vmUid) {
        try {
            ended.accept(vmUid);
        } catch (RuntimeException e) {
            LOG.atError().addKeyValue("vmUid", vmUid).setCause(e).log("exit callback failed");
        }
    }

    private static void put(Pointer fds, int index, int fd) {
        long at = (long) index * POLLFD_BYTES;
        fds.putInt(at, fd);
        fds.putShort(at + EVENTS_OFFSET, POLLIN);
        fds.putShort(at + REVENTS_OFFSET, (short) 0);
    }

    private static boolean ready(Pointer fds, int index) {
        return fds.getShort((long) index * POLLFD_BYTES + REVENTS_OFFSET) != 0;
    }
}
