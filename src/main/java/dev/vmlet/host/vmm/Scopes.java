package dev.vmlet.host.vmm;

import dev.vmlet.host.vmm.CgroupMounts.Hierarchy;
import dev.vmlet.model.HostException;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/**
 * Where systemd is PID 1, the cgroup tree is its own: a guest gets a transient scope, which no unit file describes, which
 * {@code daemon-reload} leaves alone, and which is no part of the agent's service. Below the scope the tree is delegated
 * to us (systemd.resource-control(5)):
 *
 * <pre>
 *  vmlet.slice/vmlet-&lt;inst&gt;.slice/vmlet-&lt;inst&gt;-&lt;vm uid&gt;.scope   limits, as properties, a little above the guest's
 *      launcher   the shell that waits for the VMM
 *      guest      the VMM, with the guest's own limits
 * </pre>
 *
 * The scope goes by itself when its last process has ended.
 */
final class Scopes {
    private static final Path SYSTEMD_RUNS = Path.of("/run/systemd/system");
    private static final List<String> SYSTEMD_RUN = List.of("/usr/bin/systemd-run", "/bin/systemd-run");
    private static final Duration COLLECT_PATIENCE = Duration.ofSeconds(5);
    /** For the launcher, which is in the scope and not in the guest's leaf. */
    private static final long LAUNCHER_BYTES = 16 << 20;

    private static final int LAUNCHER_PROCESSES = 8;
    private static final String SUFFIX = ".scope";

    private final Path mount;
    private final String systemdRun;
    private final String parent;

    /**
     * @param mount where cgroup v2 is mounted
     * @param parent {@code vmlet-<inst>}
     */
    Scopes(Path mount, String systemdRun, String parent) {
        this.mount = mount;
        this.systemdRun = systemdRun;
        this.parent = parent;
    }

    /** Empty where systemd is not PID 1 (sd_booted(3)), or shares the processes among hierarchies of cgroup v1. */
    static Optional<Scopes> find(List<Hierarchy> hierarchies, String parent, HostEntry entry) {
        boolean pure = !hierarchies.isEmpty() && hierarchies.stream().allMatch(Hierarchy::unified);
        if (!pure || !Files.isDirectory(entry.seen(SYSTEMD_RUNS), LinkOption.NOFOLLOW_LINKS)) {
            return Optional.empty();
        }
        return SYSTEMD_RUN.stream()
                .filter(program -> Files.isExecutable(entry.seen(Path.of(program))))
                .findFirst()
                .map(program -> new Scopes(hierarchies.getFirst().mount(), program, parent));
    }

    private Path slice() {
        // A dash in a slice's name is a level of the tree (systemd.slice(5)); an installation id has none.
        return mount.resolve("vmlet.slice").resolve(parent + ".slice");
    }

    Path scope(String vmUid) {
        return slice().resolve(parent + "-" + vmUid + SUFFIX);
    }

    Path launcher(String vmUid) {
        return scope(vmUid).resolve("launcher");
    }

    Path guest(String vmUid) {
        return scope(vmUid).resolve("guest");
    }

    /** What goes before the launcher's command. The scope is there, and limited, before the launcher begins. */
    List<String> words(String vmUid, Cgroups.Limits limits) {
        return List.of(
                systemdRun,
                "--scope",
                "--quiet",
                "--collect",
                "--unit=" + parent + "-" + vmUid + SUFFIX,
                "--slice=" + parent + ".slice",
                "--description=vmlet guest, VM uid " + vmUid,
                "--property=Delegate=yes",
                "--property=MemoryMax=" + (limits.memoryBytes() + LAUNCHER_BYTES),
                "--property=TasksMax=" + (limits.processes() + LAUNCHER_PROCESSES),
                "--property=CPUQuota=" + limits.cpus() * 100 + "%",
                "--");
    }

    /**
     * Returns when systemd has collected the scope, after the last process in it has ended.
     *
     * @throws HostException.Busy when it has not in time
     */
    void awaitGone(String vmUid) throws HostException {
        Path scope = scope(vmUid);
        if (!Waiting.until(COLLECT_PATIENCE, () -> !Files.exists(scope))) {
            throw new HostException.Busy(
                    "remove " + scope + ": systemd has not collected it; `systemctl status " + scope.getFileName()
                            + "` says what is left in it",
                    null);
        }
    }

    /** Uids of VMs that have a scope. */
    Set<String> names() throws HostException {
        Set<String> names = new TreeSet<>();
        String prefix = parent + "-";
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(slice(), prefix + "*" + SUFFIX)) {
            for (Path entry : entries) {
                String name = String.valueOf(entry.getFileName());
                names.add(name.substring(prefix.length(), name.length() - SUFFIX.length()));
            }
        } catch (NoSuchFileException e) {
            return names;
        } catch (IOException e) {
            throw new HostException.Refused("list scopes below " + slice(), e);
        }
        return names;
    }
}
