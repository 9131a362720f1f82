package dev.vmlet.host.vmm;

import dev.vmlet.host.vmm.CgroupLimits.Differences;
import dev.vmlet.model.HostException;
import dev.vmlet.model.Seen;
import dev.vmlet.model.Tampering;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/**
 * What a launch bound one guest process to, as the kernel has it now: the limits of its cgroups, its membership in those
 * that limit, its OOM score, and whether it is stopped. A process that is in none of its cgroups is no business of this
 * class: who it is, is in doubt then.
 */
final class Restraints {
    /** As the launcher sets it. */
    private static final String OOM_SCORE_ADJ = "0";

    private static final Set<String> LIMITING =
            Set.of("memory.max", "memory.limit_in_bytes", "pids.max", "cpu.max", "cpu.cfs_quota_us");

    private final Path proc;
    private final int pid;
    private final List<Path> leaves;
    private final CgroupLimits limits;

    /** @param proc {@code /proc} */
    Restraints(Path proc, int pid, List<Path> leaves, Cgroups.Limits limits) {
        this.proc = proc;
        this.pid = pid;
        this.leaves = List.copyOf(leaves);
        this.limits = new CgroupLimits(limits);
    }

    /** Missing when the process ended meanwhile. */
    Seen<Tampering> look() {
        List<String> differences = new ArrayList<>();
        Set<String> told = new TreeSet<>();
        Set<String> kept = new TreeSet<>();
        for (Path leaf : leaves) {
            switch (limits.differences(leaf)) {
                case Seen.Present<Differences>(Differences found) -> {
                    told.addAll(found.mendable());
                    kept.addAll(found.kept());
                }
                case Seen.Missing<Differences> _ -> {}
                case Seen.Unknown<Differences>(String cause) -> {
                    return Seen.unknown(cause);
                }
            }
        }
        differences.addAll(told);
        try {
            for (Path leaf : leaves) {
                if (hasLeft(leaf)) {
                    differences.add("process " + pid + " is not in " + leaf);
                }
            }
            String score =
                    Files.readString(proc.resolve(pid + "/oom_score_adj")).strip();
            if (!score.equals(OOM_SCORE_ADJ)) {
                differences.add("oom_score_adj is " + score + ", at its launch it was " + OOM_SCORE_ADJ);
            }
        } catch (NoSuchFileException e) {
            return Seen.missing();
        } catch (IOException e) {
            return Files.exists(proc.resolve(String.valueOf(pid)))
                    ? Seen.unknown("limits of process " + pid + ": " + e.getMessage())
                    : Seen.missing();
        }
        return switch (ProcStat.read(proc, pid)) {
            // Not 't', which a debugger holds: it lets go by itself.
            case Seen.Present<ProcStat>(ProcStat stat) ->
                Seen.present(new Tampering(stat.state() == 'T', differences, List.copyOf(kept)));
            case Seen.Missing<ProcStat> _ -> Seen.missing();
            case Seen.Unknown<ProcStat>(String cause) -> Seen.unknown(cause);
        };
    }

    /** Restores all that can be, in every leaf, and then tells the first refusal. */
    void restore() throws HostException {
        List<HostException> refusals = new ArrayList<>();
        for (Path leaf : leaves) {
            try {
                limits.set(leaf);
            } catch (HostException e) {
                refusals.add(e);
            }
            try {
                if (hasLeft(leaf)) {
                    Files.writeString(leaf.resolve("cgroup.procs"), String.valueOf(pid));
                }
            } catch (IOException e) {
                refusals.add(new HostException.Refused("move process " + pid + " into " + leaf, e));
            }
        }
        try {
            restoreScore();
        } catch (HostException e) {
            refusals.add(e);
        }
        if (!refusals.isEmpty()) {
            throw refusals.getFirst();
        }
    }

    private void restoreScore() throws HostException {
        Path score = proc.resolve(pid + "/oom_score_adj");
        try {
            if (!Files.readString(score).strip().equals(OOM_SCORE_ADJ)) {
                Files.writeString(score, OOM_SCORE_ADJ);
            }
        } catch (NoSuchFileException e) {
            return;
        } catch (IOException e) {
            throw new HostException.Refused("set " + score + " to " + OOM_SCORE_ADJ, e);
        }
    }

    /** Only where a limit would be evaded by it: elsewhere a person may group processes as they like. */
    private boolean hasLeft(Path leaf) throws IOException {
        return LIMITING.stream().anyMatch(file -> Files.exists(leaf.resolve(file)))
                && Files.readString(leaf.resolve("cgroup.procs"))
                        .lines()
                        .noneMatch(line -> line.strip().equals(String.valueOf(pid)));
    }
}
