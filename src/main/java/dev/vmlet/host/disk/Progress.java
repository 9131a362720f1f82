package dev.vmlet.host.disk;

import java.util.function.Supplier;

/** What a piece of slow work is doing now, as a sentence. One thread says it, any may read it. */
final class Progress {
    private volatile Supplier<String> now = () -> "Waiting for its turn";

    void say(String sentence) {
        now = () -> sentence;
    }

    /** Shows what another piece of work says, for as long as this one waits for it. */
    void follow(Progress other) {
        now = other::text;
    }

    /** Says how far through {@code total} bytes it is; {@code verb} is {@code Cloning debian-13.raw}. */
    void share(String verb, long done, long total) {
        now = () -> verb + ": " + (total <= 0 ? 100 : 100 * done / total) + " % of " + Bytes.text(total);
    }

    String text() {
        return now.get();
    }
}
