package dev.vmlet.apiserver.store;

import org.jspecify.annotations.Nullable;

/** One durable write: created where there is no {@code before}, deleted where there is no {@code after}. */
public record Change(
        long revision,
        Key key,
        @Nullable Stored before,
        @Nullable Stored after) {
    int bytes() {
        return after == null ? 256 : after.json().length;
    }
}
