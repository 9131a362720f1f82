package dev.vmlet.host.disk;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.channels.ClosedByInterruptException;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;

/**
 * Slow work that several wait for and that is done once. It runs on a thread of its own, so that it outlives the one who
 * asked first; it is interrupted when the last one stops waiting.
 */
final class Flights implements AutoCloseable {
    /** The work; its answer is a text: a digest, a path. */
    interface Work {
        String run(Progress progress) throws DiskFailure, IOException, InterruptedException;
    }

    private static final class Flight {
        final CompletableFuture<String> result = new CompletableFuture<>();
        final Progress progress = new Progress();
        final Thread thread;
        /** Guarded by the lock. */
        int waiting;

        Flight(Thread.Builder builder, Consumer<Flight> body) {
            thread = builder.unstarted(() -> body.accept(this));
        }
    }

    private final ReentrantLock lock = new ReentrantLock();
    /** Guarded by the lock. */
    private final Map<String, Flight> underway = new HashMap<>();

    String join(String key, Progress progress, Work work) throws DiskFailure, IOException, InterruptedException {
        Flight flight;
        lock.lock();
        try {
            Flight found = underway.get(key);
            if (found == null) {
                flight = new Flight(Thread.ofVirtual().name("image " + key), own -> run(key, own, work));
                underway.put(key, flight);
                flight.thread.start();
            } else {
                flight = found;
            }
            flight.waiting++;
        } finally {
            lock.unlock();
        }
        progress.follow(flight.progress);
        try {
            return flight.result.get();
        } catch (ExecutionException e) {
            throw unwrap(e);
        } finally {
            leave(key, flight);
        }
    }

    private void run(String key, Flight flight, Work work) {
        try {
            flight.result.complete(work.run(flight.progress));
        } catch (Throwable e) {
            // Whatever it is, those who wait must hear of it.
            flight.result.completeExceptionally(e);
        } finally {
            remove(key, flight);
        }
    }

    private void leave(String key, Flight flight) {
        lock.lock();
        try {
            flight.waiting--;
            if (flight.waiting == 0) {
                underway.remove(key, flight);
                flight.thread.interrupt();
            }
        } finally {
            lock.unlock();
        }
    }

    private void remove(String key, Flight flight) {
        lock.lock();
        try {
            underway.remove(key, flight);
        } finally {
            lock.unlock();
        }
    }

    /** The failure as the one who waits may throw it; what is no failure of ours is a bug and stays one. */
    static DiskFailure unwrap(ExecutionException e) throws DiskFailure, IOException, InterruptedException {
        switch (e.getCause()) {
            // Made anew: the other waiters throw the first one, and a stack trace belongs to one thread.
            case DiskFailure f -> throw new DiskFailure(f.reason(), String.valueOf(f.getMessage()), f.retry(), f);
            case InterruptedIOException i
            when Thread.currentThread().isInterrupted() -> throw new InterruptedException();
            case ClosedByInterruptException c -> throw new InterruptedException();
            case IOException io -> throw io;
            case InterruptedException i -> throw i;
            case CancellationException c -> throw new InterruptedException();
            case Error error -> throw error;
            case null, default -> throw new IllegalStateException("image work failed", e.getCause());
        }
    }

    /** Interrupts all of it. */
    @Override
    public void close() {
        lock.lock();
        try {
            underway.values().forEach(flight -> flight.thread.interrupt());
        } finally {
            lock.unlock();
        }
    }
}
