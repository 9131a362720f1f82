package dev.vmlet;

import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * Lets the heap shrink again after busy times. The serial collector takes from the system what a burst of work needs and
 * collects only when that is full, which for an agent at rest is never: the garbage of a hundred starts would stay
 * resident for days. A collection of so small a heap takes some hundredths of a second, and there is one only where the
 * last minute left something.
 */
final class IdleHeap {
    private static final Duration LOOK = Duration.ofMinutes(1);
    private static final long WORTH_IT_BYTES = 4 << 20;

    private IdleHeap() {}

    static void keepSmall() {
        CountDownLatch never = new CountDownLatch(1);
        Thread.ofPlatform().name("idle-heap").daemon().start(() -> {
            long live = 0;
            try {
                while (!never.await(LOOK.toMillis(), TimeUnit.MILLISECONDS)) {
                    if (used() - live > WORTH_IT_BYTES) {
                        System.gc();
                        live = used();
                    }
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        });
    }

    private static long used() {
        Runtime runtime = Runtime.getRuntime();
        return runtime.totalMemory() - runtime.freeMemory();
    }
}
