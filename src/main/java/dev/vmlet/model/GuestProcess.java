package dev.vmlet.model;

import java.time.Instant;
import java.util.Optional;

/** The process of a guest as seen. Missing (in {@link Seen}) means: proved gone, and nothing of it left to read. */
public sealed interface GuestProcess {
    /** {@code startTicks} is field 22 of /proc/pid/stat: pid and start time together are never reused in one boot. */
    record Alive(int pid, long startTicks) implements GuestProcess {}

    /**
     * Proved gone: no such process and an empty cgroup.
     *
     * @param code exit code, -1 when nobody could record it
     * @param signal number of the signal that ended it, 0 for none
     * @param oomKilled its cgroup counts a kill for lack of memory
     * @param at when it ended, as its launcher noted; empty when nobody could record it
     * @param lastLog the last lines of the VMM's own log, may be empty
     * @param lastSerial the last lines of the guest's serial console, may be empty
     */
    record Ended(int code, int signal, boolean oomKilled, Optional<Instant> at, String lastLog, String lastSerial)
            implements GuestProcess {
        /** Nothing tells how it ended. */
        public static final Ended WITHOUT_TRACE = new Ended(-1, 0, false, Optional.empty(), "", "");
    }
}
