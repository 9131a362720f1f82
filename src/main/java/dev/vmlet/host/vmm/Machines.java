package dev.vmlet.host.vmm;

import dev.vmlet.model.Seen;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryIteratorException;
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
 * tells of. One look serves all VMs for a while, because it reads a file of every process: its name, and the command line
 * of those alone that bear a VMM's. A name is at hand whatever the process does; its command line may not be, see {@link
 * CommandLines}.
 *
 * <p>Anybody may write anything into a command line of theirs. It counts only of a process that runs a VMM's executable,
 * and as a user who could open the VM's disks.
 */
final class Machines {
    private final Path proc;
    private final Collection<Vmm> vmms;
    private final Path binDir;
    private final CommandLines commandLines;
    private final HostEntry entry;

    /** What a VMM may be called besides the names of the executables that are set up. */
    private static final List<String> USUAL = List.of("cloud-hyperv", "qemu");

    /** As much of a name as the kernel keeps of it (TASK_COMM_LEN, with its zero). */
    private static final int COMM_LENGTH = 15;

    /** What the kernel puts behind the name of an executable that has none any more. */
    private static final String DELETED = " (deleted)";

    /** Guarded by this. */
    private Map<String, Set<Integer>> seen = Map.of();

    private long seenAtNanos;
    private boolean looked;

    /** On the host itself. */
    Machines(Path proc, Collection<Vmm> vmms, Path binDir) {
        this(proc, vmms, binDir, HostEntry.none());
    }

    /** @param binDir where VMMs of ours lie, former versions among them */
    Machines(Path proc, Collection<Vmm> vmms, Path binDir, HostEntry entry) {
        this.entry = entry;
        this.proc = proc;
        this.vmms = vmms;
        this.commandLines = new CommandLines(proc);
        this.binDir = binDir.toAbsolutePath().normalize();
    }

    /** Pids of those that claim to run as this machine, as a look not older than {@code age} found them. */
    synchronized Set<Integer> of(String machine, Duration age) {
        long now = System.nanoTime();
        if (!looked || now - seenAtNanos >= age.toNanos()) {
            seen = look();
            seenAtNanos = now;
            looked = true;
        }
        return seen.getOrDefault(machine, Set.of());
    }

    /**
     * Those that do: a process of the last look may have ended, or become another, or never been a VMM.
     *
     * @param own pid of the VM's recorded process, whose executable is a VMM's whatever is set up now
     * @param owners users who own the VM's disks
     */
    Set<Integer> confirmed(String machine, Set<Integer> pids, int own, Set<Integer> owners) {
        Set<Integer> left = new HashSet<>(pids);
        left.removeIf(pid -> !machineOf(pid).equals(Optional.of(machine)) || !isVmm(pid, own) || !harms(pid, owners));
        return left;
    }

    /** By inode: the name of an executable is what its mount namespace says. */
    private boolean isVmm(int pid, int own) {
        Path exe = exe(pid);
        if (vmms.stream().anyMatch(vmm -> isSame(exe, entry.seen(vmm.binary()))) || isSame(exe, exe(own))) {
            return true;
        }
        try (DirectoryStream<Path> binaries = Files.newDirectoryStream(binDir)) {
            for (Path binary : binaries) {
                if (isSame(exe, binary)) {
                    return true;
                }
            }
        } catch (IOException | DirectoryIteratorException e) {
            // No such directory: nothing of ours lies there.
        }
        return wasReplaced(exe);
    }

    private Path exe(int pid) {
        return proc.resolve(pid + "/exe");
    }

    private static boolean isSame(Path one, Path other) {
        try {
            return Files.isSameFile(one, other);
        } catch (IOException e) {
            // One of them is not there; that of a kernel thread never is.
            return false;
        }
    }

    /** An executable that an upgrade has put another file in the place of has no inode to be found but its name. */
    private boolean wasReplaced(Path exe) {
        try {
            String name = Files.readSymbolicLink(exe).toString();
            if (!name.endsWith(DELETED)) {
                return false;
            }
            Path former = Path.of(name.substring(0, name.length() - DELETED.length()));
            return binDir.equals(former.getParent())
                    || vmms.stream().anyMatch(vmm -> vmm.binary().equals(former) || isRealPath(former, vmm.binary()));
        } catch (IOException e) {
            return false;
        }
    }

    private static boolean isRealPath(Path path, Path binary) {
        try {
            return binary.toRealPath().equals(path);
        } catch (IOException e) {
            return false;
        }
    }

    /** Real users: another's program that runs as root by a bit of its file is still another's. */
    private boolean harms(int pid, Set<Integer> owners) {
        try {
            int user = ProcStat.user(proc, pid);
            return user == 0 || owners.contains(user);
        } catch (IOException e) {
            // It has ended, or nobody can tell: then the look at its command line stands.
            return Files.exists(proc.resolve(String.valueOf(pid)));
        }
    }

    private Map<String, Set<Integer>> look() {
        Map<String, Set<Integer>> found = new HashMap<>();
        Set<String> names = names();
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(
                proc, entry -> Character.isDigit(name(entry).charAt(0)))) {
            for (Path entry : entries) {
                int pid = Integer.parseInt(name(entry));
                if (!isCalled(entry, names)) {
                    continue;
                }
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

    /** Of the executables that are set up, as far as the kernel keeps them. */
    private Set<String> names() {
        Set<String> names = new HashSet<>();
        for (Vmm vmm : vmms) {
            names.add(cut(name(vmm.binary())));
            try {
                names.add(cut(name(vmm.binary().toRealPath())));
            } catch (IOException e) {
                // Not there: then nothing runs by that name.
            }
        }
        try (DirectoryStream<Path> binaries = Files.newDirectoryStream(binDir)) {
            binaries.forEach(binary -> names.add(cut(name(binary))));
        } catch (IOException | DirectoryIteratorException e) {
            // No such directory: nothing of ours lies there.
        }
        return names;
    }

    /** By the process's own name, which it may change, or by its executable's, which it may not. */
    private static boolean isCalled(Path process, Set<String> names) {
        try {
            if (isVmms(
                    Files.readString(process.resolve("comm"), StandardCharsets.ISO_8859_1)
                            .strip(),
                    names)) {
                return true;
            }
            String exe = name(Files.readSymbolicLink(process.resolve("exe")));
            return isVmms(exe.endsWith(DELETED) ? exe.substring(0, exe.length() - DELETED.length()) : exe, names);
        } catch (IOException e) {
            // It has ended, or is a kernel thread.
            return false;
        }
    }

    private static boolean isVmms(String name, Set<String> names) {
        return names.contains(cut(name)) || USUAL.stream().anyMatch(name::startsWith);
    }

    private static String cut(String name) {
        return name.length() > COMM_LENGTH ? name.substring(0, COMM_LENGTH) : name;
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
        return commandLines.of(pid);
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
