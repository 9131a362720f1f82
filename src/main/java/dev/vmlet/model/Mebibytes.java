package dev.vmlet.model;

/** An amount of memory in MiB, positive. */
public record Mebibytes(long value) implements Comparable<Mebibytes> {
    public Mebibytes {
        if (value <= 0 || value > Long.MAX_VALUE >> 20) {
            throw new IllegalArgumentException("memory in MiB: " + value);
        }
    }

    public long bytes() {
        return value << 20;
    }

    @Override
    public int compareTo(Mebibytes other) {
        return Long.compare(value, other.value);
    }

    @Override
    public String toString() {
        return value + " MiB";
    }
}
