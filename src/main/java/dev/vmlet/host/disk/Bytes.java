package dev.vmlet.host.disk;

import java.util.Locale;

/** Amounts of bytes as people read them: {@code 382 MiB}, {@code 3.5 GiB}. */
final class Bytes {
    private static final String[] UNITS = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};

    private Bytes() {}

    static String text(long bytes) {
        double value = bytes;
        int unit = 0;
        while (value >= 1024 && unit < UNITS.length - 1) {
            value /= 1024;
            unit++;
        }
        boolean whole = unit < 2 || value >= 100 || value == Math.rint(value);
        return String.format(Locale.ROOT, whole ? "%.0f %s" : "%.1f %s", value, UNITS[unit]);
    }

    /** Two sizes that differ must not print alike. */
    static String exact(long bytes) {
        return text(bytes) + (bytes < 1024 || bytes % (1L << 20) == 0 ? "" : " (" + bytes + " bytes)");
    }
}
