package dev.vmlet.host.disk;

import java.io.IOException;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Semaphore;

/**
 * Hashing, copying and conversion, a few at a time, each on a thread of the platform's: native calls and long
 * computations hold a virtual thread's carrier, and two of them would stop every virtual thread of a small node.
 */
final class Heavy {
    private final Semaphore permits;

    Heavy(int atOnce) {
        permits = new Semaphore(atOnce, true);
    }

    /**
     * Waits for the work. An interrupt of the caller interrupts the work and then still waits for its end: it may use
     * file descriptors that the caller closes next, and a number that is closed is soon another file's.
     */
    <T> T run(Callable<T> work) throws DiskFailure, IOException, InterruptedException {
        permits.acquire();
        try {
            CompletableFuture<T> result = new CompletableFuture<>();
            Thread thread = Thread.ofPlatform().daemon().name("image").start(() -> {
                try {
                    result.complete(work.call());
                } catch (Throwable e) {
                    // Whatever it is, the caller must hear of it.
                    result.completeExceptionally(e);
                }
            });
            return await(thread, result);
        } finally {
            permits.release();
        }
    }

    private static <T> T await(Thread thread, CompletableFuture<T> result)
            throws DiskFailure, IOException, InterruptedException {
        try {
            return result.get();
        } catch (ExecutionException e) {
            throw Flights.unwrap(e);
        } catch (InterruptedException e) {
            thread.interrupt();
            result.handle((value, failure) -> "ended").join();
            throw e;
        }
    }
}
