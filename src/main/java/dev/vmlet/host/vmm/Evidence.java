package dev.vmlet.host.vmm;

import dev.vmlet.model.GuestProcess;
import dev.vmlet.model.Seen;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/**
 * All that is known of one VM's process at one moment, read but not judged: what the witnesses said.
 *
 * <table>
 * <caption>How it is judged</caption>
 * <tr><th>record</th><th>pid file</th><th>/proc</th><th>cgroup</th><th>the VMM</th><th>elsewhere</th><th>verdict</th></tr>
 * <tr><td>this boot</td><td>of this boot</td><td>lives, same start</td><td>holds it</td><td>is this VM, or is busy</td>
 *     <td>nothing</td><td>Alive: adopted</td></tr>
 * <tr><td colspan="4">the same</td><td>is another machine</td><td></td><td>Unknown</td></tr>
 * <tr><td colspan="3">the same</td><td>holds others that are not its children</td><td></td><td></td><td>Unknown</td></tr>
 * <tr><td colspan="3">the same</td><td>does not hold it</td><td></td><td></td><td>Unknown</td></tr>
 * <tr><td>no start, or another boot</td><td>of this boot</td><td>lives, same start</td><td></td><td></td><td></td>
 *     <td>Unknown</td></tr>
 * <tr><td></td><td>of this boot</td><td>gone, a corpse, or the number is another's by now</td><td>empty</td><td></td>
 *     <td>nothing</td><td>Ended</td></tr>
 * <tr><td></td><td>of another boot</td><td></td><td>empty</td><td></td><td>nothing</td><td>Ended</td></tr>
 * <tr><td>a start</td><td>none</td><td></td><td>none or empty</td><td></td><td>nothing</td><td>Ended</td></tr>
 * <tr><td>no start</td><td>none</td><td></td><td>none</td><td></td><td>nothing</td><td>Missing</td></tr>
 * <tr><td></td><td>none, or its process is gone</td><td></td><td>holds processes</td><td></td><td></td>
 *     <td>Unknown</td></tr>
 * <tr><td></td><td></td><td></td><td></td><td></td><td>a VMM bears the VM's uuid</td><td>Unknown</td></tr>
 * <tr><td colspan="6">one of them cannot be read</td><td>Unknown</td></tr>
 * </table>
 *
 * A VMM that does not answer in time says nothing: it is busy, not dead.
 *
 * @param vmUid the machine uuid its VMM was given
 * @param bootId of the host now
 * @param launchBootId what the record says, empty when it knows no launch
 * @param process /proc's word on the pid file's pid, Missing also when there is no pid file
 * @param members pids in the VM's cgroup leaves, Missing when it has none
 * @param strays those of the members that are neither the pid file's process nor come from it
 * @param machine the uuid that this very process's VMM answered with last, empty before it has answered
 * @param twins other VMM processes on this host with this VM's uuid, by {@link Machines#confirmed}
 * @param runFiles whether a run directory of the VM exists
 * @param exit what the launcher recorded
 */
record Evidence(
        String vmUid,
        String bootId,
        Optional<String> launchBootId,
        Seen<PidFile> pidFile,
        Seen<ProcStat> process,
        Seen<Set<Integer>> members,
        Set<Integer> strays,
        String machine,
        Set<Integer> twins,
        boolean runFiles,
        Seen<RunFiles.Exit> exit) {
    Evidence {
        strays = Set.copyOf(strays);
        twins = Set.copyOf(twins);
    }

    /** The judgement, without logs and counters, which only an ended process needs. */
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
        if (!twins.isEmpty()) {
            return disagreement("another VMM runs as this VM: process " + list(twins));
        }
        Set<Integer> pids = pids();
        if (pidFile instanceof Seen.Present<PidFile>(var file)) {
            if (lives(file)) {
                return alive(file, pids);
            }
            if (!pids.isEmpty()) {
                return disagreement(
                        "the pid file's process has ended, and the VM's cgroup holds process " + list(pids));
            }
        } else if (!pids.isEmpty()) {
            return disagreement("the VM's cgroup holds process " + list(pids) + ", and there is no pid file");
        }
        boolean traces = runFiles || members instanceof Seen.Present<Set<Integer>>;
        return launchBootId.isEmpty() && !traces ? Seen.missing() : Seen.present(ended());
    }

    private Set<Integer> pids() {
        return members instanceof Seen.Present<Set<Integer>>(var found) ? found : Set.of();
    }

    private GuestProcess ended() {
        // A code of another boot, or of the launch before this one, says nothing.
        boolean codeIsOurs = pidFile instanceof Seen.Present<PidFile>(var file)
                && file.bootId().equals(bootId)
                && (launchBootId.isEmpty() || launchBootId.get().equals(bootId));
        Optional<RunFiles.Exit> noted = codeIsOurs && exit instanceof Seen.Present<RunFiles.Exit>(var recorded)
                ? Optional.of(recorded)
                : Optional.empty();
        int code = noted.map(RunFiles.Exit::code).orElse(-1);
        return new GuestProcess.Ended(code, Signals.ofExitCode(code), false, noted.map(RunFiles.Exit::at), "", "");
    }

    /** The pid file's process itself: same boot, same start time, not a corpse. */
    private boolean lives(PidFile file) {
        return file.bootId().equals(bootId)
                && process instanceof Seen.Present<ProcStat>(var stat)
                && stat.startTicks() == file.startTicks()
                && !stat.dead();
    }

    private Seen<GuestProcess> alive(PidFile file, Set<Integer> pids) {
        String who = "process " + file.pid() + " lives as this VM";
        if (launchBootId.isEmpty()) {
            return disagreement(who + ", and its record knows of no start");
        }
        if (!launchBootId.get().equals(bootId)) {
            return disagreement(who + ", and its record tells of a start in another boot of the host");
        }
        if (members instanceof Seen.Present<Set<Integer>> && !pids.contains(file.pid())) {
            return disagreement(who + ", and is not in the VM's cgroup");
        }
        if (!strays.isEmpty()) {
            return disagreement(who + ", and process " + list(strays) + " in its cgroup does not come from it");
        }
        if (!machine.isEmpty() && !machine.equalsIgnoreCase(vmUid)) {
            return disagreement(
                    "process " + file.pid() + " answers as machine " + machine + ", and this is VM uid " + vmUid);
        }
        return Seen.present(new GuestProcess.Alive(file.pid(), file.startTicks()));
    }

    /** What disagrees, then what each witness said: a person decides by these words. */
    private Seen<GuestProcess> disagreement(String what) {
        return Seen.unknown(what + ". The witnesses say: " + String.join("; ", testimony())
                + ". Nothing is touched until they agree");
    }

    private List<String> testimony() {
        List<String> said = new ArrayList<>();
        said.add("record: "
                + launchBootId.map(boot -> "started in " + boot(boot)).orElse("no start"));
        switch (pidFile) {
            case Seen.Present<PidFile>(var file) -> {
                said.add("pid file: process " + file.pid() + ", start " + file.startTicks() + ", in "
                        + boot(file.bootId()));
                said.add("/proc: "
                        + switch (process) {
                            case Seen.Present<ProcStat>(var stat) ->
                                "process " + file.pid() + (stat.dead() ? " is a corpse" : " lives") + ", start "
                                        + stat.startTicks()
                                        + (stat.startTicks() == file.startTicks()
                                                ? ""
                                                : ": the number is another's by now");
                            case Seen.Missing<ProcStat> _, Seen.Unknown<ProcStat> _ -> "no process " + file.pid();
                        });
            }
            case Seen.Missing<PidFile> _, Seen.Unknown<PidFile> _ -> said.add("pid file: none");
        }
        said.add("cgroup: "
                + (members instanceof Seen.Missing ? "none" : pids().isEmpty() ? "empty" : "holds " + list(pids())));
        said.add("VMM: " + (machine.isEmpty() ? "no answer" : "machine " + machine));
        said.add("elsewhere: " + (twins.isEmpty() ? "nothing" : "process " + list(twins) + " bears the VM's uuid"));
        return said;
    }

    private String boot(String id) {
        return id.equals(bootId) ? "this boot" : "another boot";
    }

    private static String list(Set<Integer> pids) {
        return String.join(
                ", ", new TreeSet<>(pids).stream().map(String::valueOf).toList());
    }
}
