package dev.vmlet.cli;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * A role that this process plays until a signal ends it. SIGTERM and SIGINT ask the role to end, and the process ends
 * when the role has, or after four seconds, whichever comes first: within the five that a supervisor may grant, with
 * guests running on.
 */
final class Foreground {
    private static final int PATIENCE_SECONDS = 4;

    private Foreground() {}

    /** The role's work: starts, waits for the end, and closes what it opened. */
    interface Role {
        void play(End end) throws Exception;
    }

    /** Told to a role that is to end. */
    interface End {
        /** Returns when a signal asks for the end. */
        void await() throws InterruptedException;
    }

    /**
     * Plays the role on the calling thread.
     *
     * @return the exit code, 0
     * @throws Exception what the role threw
     */
    static int play(Role role) throws Exception {
        CountDownLatch asked = new CountDownLatch(1);
        CountDownLatch ended = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(Thread.ofPlatform().unstarted(() -> {
            asked.countDown();
            try {
                boolean _ = ended.await(PATIENCE_SECONDS, TimeUnit.SECONDS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }));
        try {
            role.play(asked::await);
            return 0;
        } finally {
            ended.countDown();
        }
    }
}
