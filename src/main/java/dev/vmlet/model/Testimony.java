package dev.vmlet.model;

import java.time.Instant;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * What a guest process tells of itself, whatever a record says: by its pid file, /proc, its cgroup, its command line and
 * its VMM's answer, which agree.
 *
 * @param userId whom a living process runs as
 * @param vmm which VMM it is, of a living process
 * @param startedAt when it was started, as its launcher noted
 * @param size by the command line of a living process
 */
public record Testimony(
        GuestProcess process,
        OptionalInt userId,
        Optional<VmmKind> vmm,
        Optional<Instant> startedAt,
        Optional<Size> size,
        GuestState guest) {
    /** What its VMM was told to give the guest. */
    public record Size(int cores, Mebibytes memory) {}

    public static Testimony ofEnded(GuestProcess.Ended ended) {
        return new Testimony(
                ended,
                OptionalInt.empty(),
                Optional.empty(),
                Optional.empty(),
                Optional.empty(),
                GuestState.of(GuestState.Kind.NONE));
    }
}
