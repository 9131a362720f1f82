package dev.vmlet.host.vmm;

import dev.vmlet.model.Seen;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Which VMM processes of this host run as which machine, by their command lines: what no record, pid file and cgroup
 * tells of. One look serves all VMs for a while, because it reads a file of every process.
 */
final class Machines {
    private final Path proc;
    private final Collection<Vmm> vmms;

    /** Guarded by this. */
    private Map<String, Set<Integer>> seen = Map.of();

    private long seenAtNanos;
    private boolean looked;

    Machines(Path proc, Collection<Vmm> vmms) {
        this.proc = proc;
        this.vmms = vmms;
    }

    /** Pids of the VMMs that run as this machine, as a look not older than {@code age} found them. */
    synchronized Set<Integer> of(String machine, Duration age) {
        long now = System.nanoTime();
        if (!looked || now - seenAtNanos >= age.toNanos()) {
            seen = look();
            seenAtNanos = now;
            looked = true;
        }
        return seen.getOrDefault(machine, Set.of());
    }

    /** Those that still do: a process of the last look may have ended, or become another. */
    Set<Integer> still(String machine, Set<Integer> pids) {
        Set<Integer> left = new HashSet<>(pids);
        left.removeIf(pid -> !machineOf(pid).equals(Optional.of(machine)));
        return left;
    }

    private Map<String, Set<Integer>> look() {
        Map<String, Set<Integer>> found = new HashMap<>();
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(
                proc, entry -> Character.isDigit(name(entry).charAt(0)))) {
            for (Path entry : entries) {
                int pid = Integer.parseInt(name(entry));
                machineOf(pid)
                        .ifPresent(machine -> found.computeIfAbsent(machine, _ -> new HashSet<>())
                                .add(pid));
            }
        } catch (IOException e) {
            // Without a list of processes there is nothing to say; the other witnesses stand for themselves.
            return found;
        }
        return found;
    }

    private static String name(Path entry) {
        return String.valueOf(entry.getFileName());
    }

    /** Empty for what is no VMM, and for one without a uuid. */
    Optional<String> machineOf(int pid) {
        List<String> words = commandLine(pid);
        return vmms.stream().flatMap(vmm -> vmm.machineOf(words).stream()).findFirst();
    }

    /** Without a word when it has ended: a corpse has no command line either. */
    List<String> commandLine(int pid) {
        try {
            String line = new String(Files.readAllBytes(proc.resolve(pid + "/cmdline")), StandardCharsets.ISO_8859_1);
            return List.of(line.split("\0"));
        } catch (IOException e) {
            return List.of();
        }
    }

    /** The members of a cgroup that neither are the process nor come from it. */
    Set<Integer> strays(int pid, Set<Integer> members) {
        Set<Integer> strays = new HashSet<>();
        for (int member : members) {
            int ancestor = member;
            // As deep as the cgroup is large: numbers that are reused meanwhile make no endless loop.
            for (int depth = 0; depth < members.size() && ancestor != pid && members.contains(ancestor); depth++) {
                ancestor =
                        ProcStat.read(proc, ancestor) instanceof Seen.Present<ProcStat>(var stat) ? stat.parent() : pid;
            }
            if (ancestor != pid) {
                strays.add(member);
            }
        }
        return strays;
    }
}
