package dev.vmlet.host.vmm;

/** Signal numbers that are the same on every Linux this runs on (signal(7)). */
final class Signals {
    static final int KILL = 9;
    static final int TERM = 15;
    static final int CONT = 18;

    private Signals() {}

    /** The signal in a shell's exit code, 0 for none. */
    static int ofExitCode(int code) {
        return code > 128 && code <= 128 + 64 ? code - 128 : 0;
    }
}
