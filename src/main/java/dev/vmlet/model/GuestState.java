package dev.vmlet.model;

/** What the VMM says of its guest. */
public record GuestState(Kind kind, boolean panicked, String version) {
    /** One word for what the VMM answered. */
    public enum Kind {
        /** There is no process to ask. */
        NONE,
        /** The process lives but does not answer yet, or says it is not booted. */
        STARTING,
        RUNNING,
        PAUSED,
        /** The guest powered itself off; the VMM stays until it is told to go. */
        POWERED_OFF,
        /** The VMM did not answer in time: busy, not dead. */
        BUSY
    }

    public static GuestState of(Kind kind) {
        return new GuestState(kind, false, "");
    }
}
