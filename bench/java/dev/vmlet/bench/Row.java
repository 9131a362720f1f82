package dev.vmlet.bench;

import java.util.Arrays;
import java.util.Locale;

/** One line of the table; {@code bench/run} finds it in the output by its first word. */
final class Row {
    private Row() {}

    static void print(String what, String measured, String rival, String goal) {
        System.out.println("ROW\t" + what + "\t" + measured + "\t" + rival + "\t" + goal);
    }

    /** What is worth reading, but no figure of the table. */
    static void note(String format, Object... arguments) {
        System.out.println("  " + String.format(Locale.ROOT, format, arguments));
    }

    /** The value that so many per cent of the values do not exceed. */
    static double percentile(double[] values, int percent) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        return sorted[Math.max(0, (int) Math.ceil(sorted.length * percent / 100.0) - 1)];
    }

    static String of(String format, Object... arguments) {
        return String.format(Locale.ROOT, format, arguments);
    }
}
