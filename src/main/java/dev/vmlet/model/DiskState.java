package dev.vmlet.model;

import java.time.Instant;

/** A disk or boot file of a VM as seen. Preparation runs beside the loop and wakes it when it ends. */
public sealed interface DiskState {
    record Missing() implements DiskState {}

    /** {@code progress} is a sentence for people: {@code Downloading debian-13: 41 % of 382 MiB}. */
    record Preparing(String progress) implements DiskState {}

    record Ready(long sizeBytes) implements DiskState {}

    /** The last attempt failed; {@code retry} tells whether another may succeed without a change by a person. */
    record Failed(Reason reason, String message, boolean retry, Instant at) implements DiskState {}
}
