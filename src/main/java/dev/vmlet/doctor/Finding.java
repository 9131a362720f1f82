package dev.vmlet.doctor;

import java.util.List;

/**
 * One thing about this host that matters to guests.
 *
 * @param check what was looked at, one word for machines
 * @param what was found, for people, without a full stop
 * @param remedy what to do about it; empty where all is well
 */
public record Finding(Verdict verdict, String check, String what, String remedy) {
    /** How bad it is. */
    public enum Verdict {
        OK("ok"),
        /** Guests run, and something about them does not work. */
        WARN("warn"),
        /** No guest can run, or none can be cut off again. */
        FAIL("fail");

        private final String text;

        Verdict(String text) {
            this.text = text;
        }

        public String text() {
            return text;
        }
    }

    static Finding ok(String check, String what) {
        return new Finding(Verdict.OK, check, what, "");
    }

    static Finding warn(String check, String what, String remedy) {
        return new Finding(Verdict.WARN, check, what, remedy);
    }

    static Finding fail(String check, String what, String remedy) {
        return new Finding(Verdict.FAIL, check, what, remedy);
    }

    /** The worst of them; OK for none. */
    public static Verdict worst(List<Finding> findings) {
        return findings.stream().map(Finding::verdict).max(Verdict::compareTo).orElse(Verdict.OK);
    }

    @Override
    public String toString() {
        String line = String.format("%-4s  %s", verdict.text(), what);
        return remedy.isEmpty() ? line : line + " — " + remedy;
    }
}
