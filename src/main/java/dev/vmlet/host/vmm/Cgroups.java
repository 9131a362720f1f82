package dev.vmlet.host.vmm;

import dev.vmlet.host.vmm.CgroupMounts.Hierarchy;
import dev.vmlet.model.HostException;
import dev.vmlet.model.Seen;
import java.io.IOException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Function;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One leaf {@code vmlet-<inst>/<vm uid>} per guest in every hierarchy of the host, and one leaf {@code launchers} for the
 * shells that wait for them. Every hierarchy, not only those with limits: a container runtime finds the processes it
 * kills through whichever hierarchy it likes, and a guest must be in none of the agent's.
 *
 * <p>Where systemd owns the tree, new guests get a scope of theirs ({@link Scopes}) and no leaf of this kind; guests that
 * a former agent started in leaves are found there all the same.
 *
 * <p>Stateless but for the list of hierarchies; safe for use by several threads as long as one VM has one caller.
 */
final class Cgroups {
    private static final Logger LOG = LoggerFactory.getLogger(Cgroups.class);
    private static final String LAUNCHERS = "launchers";
    private static final List<String> LIMITING = List.of("memory", "cpu", "pids");

    private final List<Hierarchy> hierarchies;
    private final String parent;
    private final Optional<Scopes> scopes;

    /** @param parent name of our directory below the root of every hierarchy */
    Cgroups(List<Hierarchy> hierarchies, String parent) {
        this(hierarchies, parent, HostEntry.none());
    }

    /** @param entry where systemd is looked for */
    Cgroups(List<Hierarchy> hierarchies, String parent, HostEntry entry) {
        this(hierarchies, parent, Scopes.find(hierarchies, parent, entry));
    }

    Cgroups(List<Hierarchy> hierarchies, String parent, Optional<Scopes> scopes) {
        this.hierarchies = List.copyOf(hierarchies);
        this.parent = parent;
        this.scopes = scopes;
    }

    /**
     * Where a launcher and its VMM are to be.
     *
     * @param before words before the launcher's command, which make what follows
     * @param delegated a cgroup that is ours, with what is below it, once those words have run
     */
    record Place(List<String> before, Optional<Path> delegated, List<Path> homes, List<Path> leaves) {}

    /** What one guest process may use. */
    record Limits(long memoryBytes, int cpus, int processes) {}

    /** Directories that the launcher joins. Made on demand; harmless to call again. */
    List<Path> homes() throws HostException {
        List<Path> homes = new ArrayList<>();
        for (Hierarchy hierarchy : hierarchies) {
            Path top = hierarchy.mount().resolve(parent);
            make(hierarchy, top);
            if (hierarchy.unified()) {
                enableControllers(hierarchy.mount());
                enableControllers(top);
            }
            make(hierarchy, top.resolve(LAUNCHERS));
            homes.add(top.resolve(LAUNCHERS));
        }
        return homes;
    }

    /** Where the VM's process may be; those that do not exist hold nothing. */
    List<Path> leaves(String vmUid) {
        return Stream.concat(
                        scopes.map(s -> s.guest(vmUid)).stream(),
                        hierarchies.stream().map(h -> h.mount().resolve(parent).resolve(vmUid)))
                .toList();
    }

    /**
     * Makes the VM's leaves anew, so that their counters start at nothing, and sets what limits there are.
     *
     * @throws HostException.Busy when a process is left in one of them
     */
    Place create(String vmUid, Limits limits) throws HostException {
        remove(vmUid);
        if (scopes.isPresent()) {
            Scopes own = scopes.get();
            return new Place(
                    own.words(vmUid, limits),
                    Optional.of(own.scope(vmUid)),
                    List.of(own.launcher(vmUid)),
                    List.of(own.guest(vmUid)));
        }
        List<Path> homes = homes();
        for (Hierarchy hierarchy : hierarchies) {
            Path leaf = hierarchy.mount().resolve(parent).resolve(vmUid);
            make(hierarchy, leaf);
            new CgroupLimits(limits).set(leaf);
        }
        return new Place(List.of(), Optional.empty(), homes, leaves(vmUid));
    }

    /** Sets the limits of a leaf that only the launch has made; until then its scope has held them. */
    void limit(String vmUid, Limits limits) throws HostException {
        for (Path leaf : leaves(vmUid)) {
            if (Files.isDirectory(leaf)) {
                new CgroupLimits(limits).set(leaf);
            }
        }
    }

    /** Pids in any of the VM's leaves; Missing when it has no leaf at all. The dead are not listed by the kernel. */
    Seen<Set<Integer>> processes(String vmUid) {
        Set<Integer> pids = new TreeSet<>();
        boolean any = false;
        for (Path leaf : leaves(vmUid)) {
            try {
                // Asked at each pass of each VM: a reader of lines would allocate 24 kB for these few bytes.
                Files.readString(leaf.resolve("cgroup.procs"))
                        .lines()
                        .forEach(line -> pids.add(Integer.valueOf(line.strip())));
                any = true;
            } catch (NoSuchFileException e) {
                // Not in this hierarchy.
            } catch (IOException | NumberFormatException e) {
                // ENODEV: removed between open and read.
                if (Files.exists(leaf)) {
                    return Seen.unknown("cannot read " + leaf + "/cgroup.procs: " + e.getMessage());
                }
            }
        }
        return any ? Seen.present(pids) : Seen.missing();
    }

    /** Whether the kernel killed a process of the VM for lack of memory since its leaf was made. */
    boolean oomKilled(String vmUid) {
        for (Path leaf : leaves(vmUid)) {
            for (String file : List.of("memory.events", "memory.oom_control")) {
                try {
                    for (String line : Files.readAllLines(leaf.resolve(file))) {
                        if (line.startsWith("oom_kill ") && !line.equals("oom_kill 0")) {
                            return true;
                        }
                    }
                } catch (IOException e) {
                    // Not a hierarchy with this file.
                }
            }
        }
        return false;
    }

    /**
     * SIGKILL to every process in the VM's leaves. By cgroup.kill where the kernel has it (5.14), which no fork escapes,
     * and one by one for what stands in other hierarchies.
     *
     * @throws HostException.Busy when some are left after the rounds a deadline allows
     */
    void kill(String vmUid, Duration patience) throws HostException {
        for (Path leaf : leaves(vmUid)) {
            Path file = leaf.resolve("cgroup.kill");
            if (Files.exists(file)) {
                try {
                    Files.writeString(file, "1");
                } catch (IOException e) {
                    LOG.atDebug().addKeyValue("cgroup", leaf).setCause(e).log("cgroup.kill failed, killing one by one");
                }
            }
        }
        boolean gone = Waiting.until(patience, () -> {
            if (!(processes(vmUid) instanceof Seen.Present<Set<Integer>>(var pids)) || pids.isEmpty()) {
                return true;
            }
            pids.forEach(pid -> killMember(vmUid, pid));
            return false;
        });
        if (!gone) {
            throw new HostException.Busy("kill the processes of VM " + vmUid + ": some are left in its cgroup", null);
        }
    }

    private void killMember(String vmUid, int pid) {
        try {
            int pidfd = Syscalls.pidfdOpen(pid);
            try {
                // Looked up again behind the pidfd: a number that was reused meanwhile is not in our leaf.
                if (processes(vmUid) instanceof Seen.Present<Set<Integer>>(var pids) && pids.contains(pid)) {
                    Syscalls.pidfdSendSignal(pidfd, Signals.KILL);
                }
            } finally {
                Syscalls.close(pidfd);
            }
        } catch (Syscalls.NoSuchProcess e) {
            return;
        } catch (IOException e) {
            // No pidfd (before 5.3): ProcessHandle compares the start time itself before it signals.
            ProcessHandle.of(pid).ifPresent(ProcessHandle::destroyForcibly);
        }
    }

    /**
     * Removes the VM's leaves.
     *
     * @throws HostException.Busy when a process is left in one of them
     */
    void remove(String vmUid) throws HostException {
        for (Path leaf : leaves(vmUid)) {
            IOException[] last = new IOException[1];
            // rmdir answers EBUSY for some milliseconds after the last process went.
            boolean removed = Waiting.until(Duration.ofMillis(500), () -> {
                try {
                    Files.deleteIfExists(leaf);
                    return true;
                } catch (DirectoryNotEmptyException e) {
                    last[0] = e;
                    return true;
                } catch (IOException e) {
                    last[0] = e;
                    return processes(vmUid) instanceof Seen.Present<Set<Integer>>(var pids) && !pids.isEmpty();
                }
            });
            if (!removed || last[0] != null && Files.exists(leaf)) {
                throw new HostException.Busy("remove cgroup " + leaf, last[0]);
            }
        }
        if (scopes.isPresent()) {
            scopes.get().awaitGone(vmUid);
        }
    }

    /** Uids of VMs that have a leaf or a scope of ours. */
    Set<String> names() throws HostException {
        Set<String> names = scopes.isPresent() ? scopes.get().names() : new TreeSet<>();
        for (Hierarchy hierarchy : hierarchies) {
            Path top = hierarchy.mount().resolve(parent);
            try (DirectoryStream<Path> entries = Files.newDirectoryStream(top, Files::isDirectory)) {
                entries.forEach(entry -> names.add(String.valueOf(entry.getFileName())));
            } catch (NoSuchFileException e) {
                // No guest yet in this hierarchy.
            } catch (IOException e) {
                throw new HostException.Refused("list cgroups below " + top, e);
            }
        }
        names.remove(LAUNCHERS);
        return names;
    }

    /** What this host cannot limit, as sentences for a person. Empty where all is well. */
    List<String> notEnforced() {
        if (hierarchies.isEmpty()) {
            return List.of("no writable cgroup hierarchy is mounted: guests are neither limited nor kept apart");
        }
        if (scopes.isPresent()) {
            // systemd hands a scope what its properties need, of what the root has.
            return missing(Cgroups::available);
        }
        try {
            homes();
        } catch (HostException e) {
            return List.of("cgroups cannot be made (" + e.getMessage() + "): guests cannot be limited");
        }
        return missing(this::handedOn);
    }

    private List<String> missing(Function<Hierarchy, Set<String>> controllers) {
        Set<String> there = new TreeSet<>();
        hierarchies.forEach(h -> there.addAll(controllers.apply(h)));
        return LIMITING.stream()
                .filter(controller -> !there.contains(controller))
                .map(controller -> "the " + controller + " controller is in no cgroup hierarchy: the " + controller
                        + " limit of guests is not enforced")
                .toList();
    }

    private static Set<String> available(Hierarchy hierarchy) {
        try {
            return Set.copyOf(words(hierarchy.mount().resolve("cgroup.controllers")));
        } catch (IOException e) {
            return Set.of();
        }
    }

    private Set<String> handedOn(Hierarchy hierarchy) {
        if (!hierarchy.unified()) {
            return hierarchy.controllers();
        }
        try {
            return Set.copyOf(words(hierarchy.mount().resolve(parent).resolve("cgroup.subtree_control")));
        } catch (IOException e) {
            return Set.of();
        }
    }

    private static void make(Hierarchy hierarchy, Path directory) throws HostException {
        try {
            if (Files.isDirectory(directory)) {
                return;
            }
            Files.createDirectories(directory);
            if (hierarchy.has("cpuset")) {
                // A v1 cpuset starts empty and admits nobody until it has processors and memory nodes.
                for (String file : List.of("cpuset.cpus", "cpuset.mems")) {
                    Files.writeString(
                            directory.resolve(file),
                            Files.readString(
                                    directory.resolveSibling(".").normalize().resolve(file)));
                }
            }
        } catch (IOException e) {
            throw new HostException.Refused("make cgroup " + directory, e);
        }
    }

    /** What cannot be switched on shows in {@link #notEnforced}; a busy parent (EBUSY) is no reason not to start. */
    private static void enableControllers(Path directory) {
        Path file = directory.resolve("cgroup.subtree_control");
        for (String controller : LIMITING) {
            try {
                if (words(directory.resolve("cgroup.controllers")).contains(controller)
                        && !words(file).contains(controller)) {
                    Files.writeString(file, "+" + controller);
                }
            } catch (IOException e) {
                LOG.atDebug()
                        .addKeyValue("cgroup", directory)
                        .addKeyValue("controller", controller)
                        .setCause(e)
                        .log("controller not enabled");
            }
        }
    }

    private static List<String> words(Path file) throws IOException {
        return List.of(Files.readString(file).strip().split(" "));
    }
}
