package dev.vmlet.plan;

import dev.vmlet.model.GuestProcess;
import dev.vmlet.model.Reason;
import dev.vmlet.model.VmRecord;
import dev.vmlet.model.VmRecord.Exit;
import dev.vmlet.model.VmRecord.Launch;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.List;
import java.util.Optional;

/** Plans what follows when a launch is recorded and its process is proved gone. */
final class Endings {
    private final String bootId;

    Endings(String bootId) {
        this.bootId = bootId;
    }

    Plan plan(VmRecord record, Launch launch, GuestProcess.Ended ended, Instant now) {
        return neverBegan(record, launch, ended) ? withdrawn(record, launch, now) : buried(record, launch, ended, now);
    }

    /**
     * The record tells of a launch, and nothing else does: the agent died between writing it down and starting the VMM,
     * or the host refused to start it. A VMM that was started leaves its code.
     */
    private boolean neverBegan(VmRecord record, Launch launch, GuestProcess.Ended ended) {
        return launch.bootId().equals(bootId)
                && launch.ranAt().isEmpty()
                && record.stop().isEmpty()
                && ended.code() < 0
                && ended.signal() == 0
                && !ended.oomKilled();
    }

    /** Takes the launch back out of the record: it was no run of the guest, so it is no exit and no restart either. */
    private static Plan withdrawn(VmRecord record, Launch launch, Instant now) {
        int failures = record.failures() + 1;
        // The same pause as after an end: a host that refuses once is likely to refuse at once again.
        Instant notBefore = launch.startedAt().plus(Exits.pause(failures));
        if (now.isBefore(notBefore)) {
            return Plan.waiting(
                    Reason.BackOff,
                    "The VMM could not be started. The next try is at " + notBefore.truncatedTo(ChronoUnit.SECONDS)
                            + ".",
                    Duration.between(now, notBefore));
        }
        String because = "no process came of it";
        return new Plan(
                List.of(
                        new PlannedStep(
                                new Step.WriteVmRecord(
                                        record.withoutLaunch(
                                                Math.max(0, record.restarts() - (isStartedAgain(record) ? 1 : 0)),
                                                failures),
                                        "that the start did not happen"),
                                because),
                        new PlannedStep(new Step.ReleaseProcess(record.id()), because)),
                Optional.empty());
    }

    /** Whether a start counts as one more after an end that nobody asked for. */
    static boolean isStartedAgain(VmRecord record) {
        return record.lastExit()
                .map(exit -> switch (exit.reason()) {
                    case StoppedOnRequest, Evacuated, HostShutdown -> false;
                    default -> true;
                })
                .orElse(false);
    }

    /** The guest has ended: say how, then let go of the process; its taps stay for the next start. */
    private Plan buried(VmRecord record, Launch launch, GuestProcess.Ended ended, Instant now) {
        Exit exit = Exits.classify(record, launch, ended, bootId, now);
        VmRecord next = record.withExit(exit, Exits.failures(record, launch, exit));
        return new Plan(
                List.of(
                        new PlannedStep(new Step.WriteVmRecord(next, "how the guest ended"), exit.message()),
                        new PlannedStep(new Step.ReleaseProcess(record.id()), "its process is proved dead")),
                Optional.empty());
    }
}
