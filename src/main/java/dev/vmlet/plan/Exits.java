package dev.vmlet.plan;

import dev.vmlet.model.GuestProcess;
import dev.vmlet.model.Reason;
import dev.vmlet.model.RunStrategy;
import dev.vmlet.model.VmRecord;
import dev.vmlet.model.VmRecord.Exit;
import dev.vmlet.model.VmRecord.Launch;
import java.time.Duration;
import java.time.Instant;

/** What the end of a guest means, and when it is started again. */
public final class Exits {
    private static final int SIGSYS = 31;
    /** Characters of the console that go into a message. */
    private static final int LONGEST_CONSOLE = 400;

    private static final Duration HEALTHY = Duration.ofMinutes(10);
    private static final Duration LONGEST = Duration.ofMinutes(5);

    private Exits() {}

    /**
     * Names the cause of death from what is written down and what is seen. What nobody asked for has the console's last
     * lines with it.
     */
    static Exit classify(VmRecord record, Launch launch, GuestProcess.Ended ended, String bootId, Instant now) {
        Reason reason;
        String message;
        if (!launch.bootId().equals(bootId)) {
            reason = Reason.HostRebooted;
            message = Reason.HostRebooted.sentence();
        } else if (ended.oomKilled()) {
            reason = Reason.OutOfMemory;
            message = Reason.OutOfMemory.sentence() + console(ended.lastSerial());
        } else if (record.stop().isPresent()) {
            reason = record.stop().get().reason();
            message = reason.sentence()
                    + (reason == Reason.GuestPanic || reason == Reason.GuestPoweredOff
                            ? console(ended.lastSerial())
                            : "");
        } else if (ended.signal() == SIGSYS) {
            reason = Reason.SeccompViolation;
            message = Reason.SeccompViolation.sentence() + tail(ended.lastLog()) + console(ended.lastSerial());
        } else if (ended.signal() != 0) {
            reason = Reason.VmmKilled;
            message = "The VMM was killed by signal " + ended.signal() + "." + tail(ended.lastLog())
                    + console(ended.lastSerial());
        } else if (launch.ranAt().isEmpty()) {
            reason = Reason.StartFailed;
            message = "The VMM ended with " + code(ended) + " before the guest ran." + tail(ended.lastLog());
        } else {
            reason = Reason.VmmExited;
            message = "The VMM ended with " + code(ended) + "." + tail(ended.lastLog()) + console(ended.lastSerial());
        }
        return new Exit(
                reason,
                message,
                at(launch, ended, now),
                launch.spec().generation(),
                launch.spec().restartToken());
    }

    /**
     * When the guest ended, if it was noted, and else when that is seen; never before its start or after now, whatever
     * became of the host's clock in between.
     */
    private static Instant at(Launch launch, GuestProcess.Ended ended, Instant now) {
        Instant at = ended.at().orElse(now);
        Instant started = launch.ranAt().orElse(launch.startedAt());
        return at.isAfter(now) ? now : at.isBefore(started) && !started.isAfter(now) ? started : at;
    }

    /** Ends in a row without ten minutes of health between them, this one included. */
    static int failures(VmRecord record, Launch launch, Exit exit) {
        return switch (exit.reason()) {
            case HostRebooted, HostShutdown, Evacuated, StoppedOnRequest, Deleting, TapLost -> 0;
            default -> {
                boolean healthy = launch.ranAt()
                        .map(ran -> Duration.between(ran, exit.at()).compareTo(HEALTHY) >= 0)
                        .orElse(false);
                yield healthy ? 1 : record.failures() + 1;
            }
        };
    }

    /** Whether a guest that ended so is to be started again at all. */
    public static boolean startsAgain(RunStrategy strategy, Exit exit, String restartToken) {
        if (strategy == RunStrategy.HALTED) {
            return false;
        }
        // A guest that we stopped to give it a new tap has not ended by itself.
        boolean asked = exit.reason() == Reason.StoppedOnRequest
                || exit.reason() == Reason.TapLost
                || !restartToken.isEmpty() && !restartToken.equals(exit.restartToken());
        if (asked) {
            return true;
        }
        return switch (strategy) {
            case ALWAYS -> true;
            case RERUN_ON_FAILURE -> exit.reason() != Reason.GuestPoweredOff;
            case ONCE, HALTED -> false;
        };
    }

    /** 1 s, 2 s, 4 s … 5 min after the first, second, third end in a row; none after an end that is no failure. */
    public static Duration pause(int failures) {
        if (failures <= 0) {
            return Duration.ZERO;
        }
        Duration pause = Duration.ofSeconds(1L << Math.min(failures - 1, 16));
        return pause.compareTo(LONGEST) < 0 ? pause : LONGEST;
    }

    private static String code(GuestProcess.Ended ended) {
        return ended.code() < 0 ? "an exit code nobody could record" : "exit code " + ended.code();
    }

    private static String console(String serial) {
        String last = serial.strip();
        return last.isEmpty()
                ? ""
                : " Last on its console: " + last.substring(Math.max(0, last.length() - LONGEST_CONSOLE));
    }

    private static String tail(String log) {
        return log.isBlank() ? "" : " Its last words: " + log.strip();
    }
}
