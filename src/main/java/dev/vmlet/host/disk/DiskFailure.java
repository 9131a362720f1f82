package dev.vmlet.host.disk;

import dev.vmlet.host.files.DurableFiles;
import dev.vmlet.model.Reason;
import java.io.IOException;
import org.jspecify.annotations.Nullable;

/** Why a disk could not be prepared, in the words that the object's status shows. */
final class DiskFailure extends Exception {
    private final Reason reason;
    private final boolean retry;

    DiskFailure(Reason reason, String message, boolean retry, @Nullable Throwable cause) {
        super(message, cause);
        this.reason = reason;
        this.retry = retry;
    }

    /** Nothing changes it but a person. */
    static DiskFailure last(Reason reason, String message) {
        return new DiskFailure(reason, message, false, null);
    }

    /** Another attempt may find it otherwise. */
    static DiskFailure again(Reason reason, String message) {
        return new DiskFailure(reason, message, true, null);
    }

    /** What a file system refused, with the remedy. {@code what} names operation and path. */
    static DiskFailure of(String what, IOException e) {
        return new DiskFailure(
                DurableFiles.isNoSpace(e) ? Reason.NoSpace : Reason.HostRefused,
                String.valueOf(DurableFiles.refusal(what, e).getMessage()),
                true,
                e);
    }

    Reason reason() {
        return reason;
    }

    boolean retry() {
        return retry;
    }
}
