package dev.vmlet.host.vmm;

import dev.vmlet.model.GuestProcess;
import dev.vmlet.model.Seen;
import java.util.Optional;
import java.util.Set;

/**
 * All that is known of one VM's process at one moment, read but not judged.
 *
 * @param bootId of the host now
 * @param launchBootId what the record says, empty when it knows no launch
 * @param process /proc's word on the pid file's pid, Missing also when there is no pid file
 * @param members pids in the VM's cgroup leaves, Missing when it has none
 * @param runFiles whether a run directory of the VM exists
 * @param exit what the launcher recorded
 */
record Evidence(
        String bootId,
        Optional<String> launchBootId,
        Seen<PidFile> pidFile,
        Seen<ProcStat> process,
        Seen<Set<Integer>> members,
        boolean runFiles,
        Seen<RunFiles.Exit> exit) {

    /**
     * The judgement, without logs and counters, which only an ended process needs.
     *
     * <pre>
     * anything unreadable                                 Unknown
     * pid file's process lives, in its cgroup, launched   Alive
     * … but the record knows no launch, or another boot   Unknown
     * … but it is not in the VM's cgroup                  Unknown
     * pid file's process is gone, cgroup not empty        Unknown
     * no pid file, cgroup not empty                       Unknown
     * nothing lives, no launch, no file, no cgroup        Missing
     * nothing lives, otherwise                            Ended
     * </pre>
     */
    Seen<GuestProcess> judge() {
        if (pidFile instanceof Seen.Unknown<PidFile>(var cause)) {
            return Seen.unknown(cause);
        }
        if (process instanceof Seen.Unknown<ProcStat>(var cause)) {
            return Seen.unknown(cause);
        }
        if (members instanceof Seen.Unknown<Set<Integer>>(var cause)) {
            return Seen.unknown(cause);
        }
        if (exit instanceof Seen.Unknown<RunFiles.Exit>(var cause)) {
            return Seen.unknown(cause);
        }
        Set<Integer> pids = members instanceof Seen.Present<Set<Integer>>(var found) ? found : Set.of();
        if (pidFile instanceof Seen.Present<PidFile>(var file)) {
            if (lives(file)) {
                return alive(file, pids);
            }
            if (!pids.isEmpty()) {
                return Seen.unknown(
                        "the pid file's process " + file.pid() + " has ended, but the VM's cgroup holds " + pids);
            }
        } else if (!pids.isEmpty()) {
            return Seen.unknown("the VM's cgroup holds " + pids + ", but there is no pid file");
        }
        boolean traces = runFiles || members instanceof Seen.Present<Set<Integer>>;
        if (launchBootId.isEmpty() && !traces) {
            return Seen.missing();
        }
        // A code of another boot, or of the launch before this one, says nothing.
        boolean codeIsOurs = pidFile instanceof Seen.Present<PidFile>(var file)
                && file.bootId().equals(bootId)
                && (launchBootId.isEmpty() || launchBootId.get().equals(bootId));
        Optional<RunFiles.Exit> noted = codeIsOurs && exit instanceof Seen.Present<RunFiles.Exit>(var recorded)
                ? Optional.of(recorded)
                : Optional.empty();
        int code = noted.map(RunFiles.Exit::code).orElse(-1);
        return Seen.present(
                new GuestProcess.Ended(code, Signals.ofExitCode(code), false, noted.map(RunFiles.Exit::at), "", ""));
    }

    /** The pid file's process itself: same boot, same start time, not a corpse. */
    private boolean lives(PidFile file) {
        return file.bootId().equals(bootId)
                && process instanceof Seen.Present<ProcStat>(var stat)
                && stat.startTicks() == file.startTicks()
                && !stat.dead();
    }

    private Seen<GuestProcess> alive(PidFile file, Set<Integer> pids) {
        String who = "process " + file.pid() + " lives";
        if (launchBootId.isEmpty()) {
            return Seen.unknown(who + " in the VM's name, but its record knows no launch");
        }
        if (!launchBootId.get().equals(bootId)) {
            return Seen.unknown(who + ", but its record was written in another boot of the host");
        }
        if (members instanceof Seen.Present<Set<Integer>> && !pids.contains(file.pid())) {
            return Seen.unknown(who + ", but not in the VM's cgroup, which holds " + pids);
        }
        return Seen.present(new GuestProcess.Alive(file.pid(), file.startTicks()));
    }
}
