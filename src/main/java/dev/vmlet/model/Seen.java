package dev.vmlet.model;

/** The result of a look: it is there, it is not there, or the look failed. The third is never taken for the second. */
public sealed interface Seen<T> {
    record Present<T>(T value) implements Seen<T> {}

    record Missing<T>() implements Seen<T> {}

    /** {@code cause} is a sentence that names the object and what failed. */
    record Unknown<T>(String cause) implements Seen<T> {}

    static <T> Seen<T> present(T value) {
        return new Present<>(value);
    }

    static <T> Seen<T> missing() {
        return new Missing<>();
    }

    static <T> Seen<T> unknown(String cause) {
        return new Unknown<>(cause);
    }
}
