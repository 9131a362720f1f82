package dev.vmlet.model;

/**
 * What the VMM says of its guest.
 *
 * @param reboots how often the guest has started over inside this process, as far as its VMM told anybody who listened
 */
public record GuestState(Kind kind, boolean panicked, String version, int reboots) {
    public GuestState(Kind kind, boolean panicked, String version) {
        this(kind, panicked, version, 0);
    }

    /** One word for what the VMM answered. */
    public enum Kind {
        /** There is no process to ask. */
        NONE,
        /** The process lives but does not answer yet, or says it is not booted. */
        STARTING,
        RUNNING,
        /** Somebody paused it through its VMM; it goes on when it is told to. */
        PAUSED,
        /** The VMM paused it because the host refused a write, mostly for a full disk; told to go on, it tries again. */
        WRITE_FAILED,
        /** It does not run, and to order it on is not ours: asleep by its own wish, in a debugger, being saved. */
        HELD,
        /** The guest powered itself off; the VMM stays until it is told to go. */
        POWERED_OFF,
        /** The VMM did not answer in time: busy, not dead. */
        BUSY;

        /** Whether the guest is there and does not run. */
        public boolean isPaused() {
            return this == PAUSED || this == WRITE_FAILED || this == HELD;
        }
    }

    public GuestState withReboots(int seen) {
        return new GuestState(kind, panicked, version, seen);
    }

    public static GuestState of(Kind kind) {
        return new GuestState(kind, false, "");
    }
}
