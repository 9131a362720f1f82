package dev.vmlet.host.vmm;

import dev.vmlet.host.Vmms;
import dev.vmlet.model.GuestProcess;
import dev.vmlet.model.GuestState;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostNames;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.LaunchSpec;
import dev.vmlet.model.Seen;
import dev.vmlet.model.Tampering;
import dev.vmlet.model.Testimony;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmRecord;
import dev.vmlet.model.VmmKind;
import java.io.IOException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.WatchService;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;

/**
 * Guest processes of a Linux host. What it keeps in memory (exit watch, console readers, answers of VMMs) is rebuilt from
 * disk and /proc as it is asked: it can be thrown away at any time.
 *
 * <p>Identity: {@link #process} lets {@link Evidence} judge what record, pid file, /proc, cgroup and VMM say. The VMM is
 * asked by {@link #guest}; when it names another machine, {@link #process} asks it again at each look, so that it heals.
 */
public final class LinuxVmms implements Vmms, AutoCloseable {
    private static final Duration KILL_PATIENCE = Duration.ofSeconds(3);
    /** From the VMM's end to its launcher's note of it: fork, exec and a rename on a busy machine. */
    private static final Duration EXIT_FILE_PATIENCE = Duration.ofSeconds(1);

    private static final Duration LAST_CONSOLE_PATIENCE = Duration.ofMillis(200);
    /** How old the list of the host's VMMs may be when a guest is looked at, and when one is started. */
    private static final Duration MACHINES_AGE = Duration.ofSeconds(30);

    private static final Duration MACHINES_AGE_AT_START = Duration.ofSeconds(1);

    private final Config config;
    private final Map<VmmKind, Vmm> vmms;
    private final Cgroups cgroups;
    private final Launcher launcher;
    private final RunFiles runFiles;
    private final Preflight preflight;
    private final ExitWatch exits;
    private final GuestLogs logs;
    private final EventSockets events;
    private final LimitWatch limitWatch;
    private final Purpose purpose;

    /** Whether guests are looked after, by the one agent, or only looked at, beside it. */
    private enum Purpose {
        ACT,
        /** Opens no console: a VMM serves one reader, and a second one puts the agent's out of the door. */
        LOOK
    }

    /** What the VMMs of living processes answered last, by VM uid. */
    private final Map<String, Answered> answers = new ConcurrentHashMap<>();

    private record Answered(GuestProcess.Alive process, String machine) {}

    private final Machines machines;

    /** One caller at a time for spawn and release of a VM; entries stay, they are few and small. */
    private final Map<String, Object> locks = new ConcurrentHashMap<>();

    /**
     * @param bootId /proc/sys/kernel/random/boot_id
     * @param wake called with a VM's uid when its process ended or its guest did something worth a look; from threads
     *     of this class, must not block
     */
    public record Config(HostPaths paths, HostNames names, String bootId, Consumer<String> wake, HostEntry entry) {
        /** On the host itself. */
        public Config(HostPaths paths, HostNames names, String bootId, Consumer<String> wake) {
            this(paths, names, bootId, wake, HostEntry.none());
        }
    }

    /** @param vmms those usable on this host */
    public LinuxVmms(Config config, Map<VmmKind, Vmm> vmms) throws HostException {
        this(config, vmms, new Preflight(config.entry));
    }

    /** For commands that only look, beside a running agent. */
    public static LinuxVmms toLook(Config config, Map<VmmKind, Vmm> vmms) throws HostException {
        return new LinuxVmms(config, vmms, new Preflight(config.entry), Purpose.LOOK);
    }

    LinuxVmms(Config config, Map<VmmKind, Vmm> vmms, Preflight preflight) throws HostException {
        this(config, vmms, preflight, Purpose.ACT);
    }

    private LinuxVmms(Config config, Map<VmmKind, Vmm> vmms, Preflight preflight, Purpose purpose)
            throws HostException {
        this.purpose = purpose;
        this.config = config;
        this.vmms = Map.copyOf(vmms);
        this.machines =
                new Machines(Path.of("/proc"), this.vmms.values(), Path.of(config.paths.binDir()), config.entry);
        this.preflight = preflight;
        this.launcher = new Launcher(Path.of(config.paths.binDir()), config.bootId, config.entry);
        this.runFiles = new RunFiles();
        try {
            this.cgroups = new Cgroups(CgroupMounts.find(), config.names.cgroup(), config.entry);
            this.exits = new ExitWatch(config.wake);
            this.logs = new GuestLogs(config.wake, inotify("what guests do is seen by the periodic looks only"));
            this.events = new EventSockets(config.wake);
            this.limitWatch = new LimitWatch(config.wake, inotify("limits of guests are looked at periodically only"));
        } catch (IOException e) {
            throw new HostException.Refused("prepare for guest processes", e);
        }
    }

    /** None to look: nothing is followed then. */
    private Optional<WatchService> inotify(String without) {
        return purpose == Purpose.ACT ? Inotify.open(without) : Optional.empty();
    }

    /** What this host cannot limit, as sentences for {@code VmNode} and {@code doctor}. */
    public List<String> limitsNotEnforced() {
        return cgroups.notEnforced();
    }

    /** Boot id of the running kernel. */
    public static String currentBootId() throws HostException {
        Path file = Path.of("/proc/sys/kernel/random/boot_id");
        try {
            return Files.readString(file).strip();
        } catch (IOException e) {
            throw new HostException.Refused("read " + file, e);
        }
    }

    @Override
    public Seen<GuestProcess> process(VmRecord record) {
        String uid = record.id().uid();
        VmFiles files = files(uid);
        Optional<String> boot = record.launch().map(VmRecord.Launch::bootId);
        Evidence evidence = look(files, boot, MACHINES_AGE);
        if (!evidence.machine().isEmpty() && !evidence.machine().equalsIgnoreCase(uid)) {
            record.launch().ifPresent(launch -> ask(files, launch));
            evidence = look(files, boot, MACHINES_AGE);
        }
        Seen<GuestProcess> judged = evidence.judge();
        return switch (judged) {
            case Seen.Present<GuestProcess>(GuestProcess.Alive alive) -> {
                if (purpose == Purpose.ACT) {
                    exits.watch(uid, alive.pid(), alive.startTicks());
                    record.launch().ifPresent(launch -> follow(files, launch.spec()));
                    limitWatch.watch(uid, cgroups.leaves(uid));
                }
                yield judged;
            }
            case Seen.Present<GuestProcess>(GuestProcess.Ended ended) -> Seen.present(withLastWords(files, ended));
            case Seen.Missing<GuestProcess> _, Seen.Unknown<GuestProcess> _ -> judged;
        };
    }

    private Evidence look(VmFiles files, Optional<String> launchBootId, Duration machinesAge) {
        Evidence evidence = lookOnce(files, launchBootId, machinesAge);
        // Its parent writes the code down some milliseconds after the kernel reports the end.
        if (evidence.judge() instanceof Seen.Present<GuestProcess>(GuestProcess.Ended _)
                && evidence.exit() instanceof Seen.Missing<RunFiles.Exit>
                && evidence.pidFile() instanceof Seen.Present<PidFile>(var file)
                && file.bootId().equals(config.bootId)) {
            boolean _ = Waiting.until(
                    EXIT_FILE_PATIENCE,
                    () -> Files.exists(files.exit())
                            || !(ProcStat.read(file.launcherPid()) instanceof Seen.Present<ProcStat>(var stat)
                                    && stat.startTicks() == file.launcherStartTicks()
                                    && !stat.dead()));
            evidence = lookOnce(files, launchBootId, machinesAge);
        }
        return evidence;
    }

    private Evidence lookOnce(VmFiles files, Optional<String> launchBootId, Duration machinesAge) {
        String uid = files.vmUid();
        Seen<PidFile> pidFile = PidFile.read(files.pid());
        int pid = pidFile instanceof Seen.Present<PidFile>(var file) ? file.pid() : -1;
        Seen<ProcStat> process = pid > 0 ? ProcStat.read(pid) : Seen.missing();
        Seen<Set<Integer>> members = cgroups.processes(uid);
        Set<Integer> strays = members instanceof Seen.Present<Set<Integer>>(var pids) && pids.size() > 1
                ? machines.strays(pid, pids)
                : Set.of();
        Set<Integer> twins = new TreeSet<>(machines.of(uid, machinesAge));
        twins.remove(pid);
        return new Evidence(
                uid,
                config.bootId,
                launchBootId,
                pidFile,
                process,
                members,
                strays,
                machine(uid, pidFile),
                twins.isEmpty() ? twins : machines.confirmed(uid, twins, pid, owners(uid)),
                Files.exists(files.run(), LinkOption.NOFOLLOW_LINKS),
                RunFiles.exit(files.exit()));
    }

    /** Who could open the VM's disks beside root. */
    private Set<Integer> owners(String uid) {
        Set<Integer> owners = new TreeSet<>();
        try (DirectoryStream<Path> disks = Files.newDirectoryStream(Path.of(config.paths.disksDir(uid)))) {
            for (Path disk : disks) {
                if (Files.getAttribute(disk, "unix:uid", LinkOption.NOFOLLOW_LINKS) instanceof Integer owner) {
                    owners.add(owner);
                }
            }
        } catch (IOException | DirectoryIteratorException e) {
            // None, or gone meanwhile.
        }
        return owners;
    }

    /** What this very process has answered; the answer of one before it is not its word. */
    private String machine(String uid, Seen<PidFile> pidFile) {
        Answered answered = answers.get(uid);
        return answered != null
                        && pidFile instanceof Seen.Present<PidFile>(var file)
                        && answered.process.equals(new GuestProcess.Alive(file.pid(), file.startTicks()))
                ? answered.machine
                : "";
    }

    private GuestProcess.Ended withLastWords(VmFiles files, GuestProcess.Ended ended) {
        logs.finish(files.vmUid(), LAST_CONSOLE_PATIENCE);
        events.forget(files.vmUid());
        return new GuestProcess.Ended(
                ended.code(),
                ended.signal(),
                cgroups.oomKilled(files.vmUid()) || Files.exists(files.oom()),
                ended.at(),
                LogFiles.tail(files.vmmLog()),
                LogFiles.tail(files.serialLog()));
    }

    @Override
    public Seen<Testimony> testimony(VmId vm) {
        VmFiles files = files(vm.uid());
        Optional<String> boot = PidFile.read(files.pid()) instanceof Seen.Present<PidFile>(var file)
                ? Optional.of(file.bootId())
                : Optional.empty();
        return switch (look(files, boot, MACHINES_AGE_AT_START).judge()) {
            case Seen.Missing<GuestProcess> _ -> Seen.missing();
            case Seen.Unknown<GuestProcess>(var cause) -> Seen.unknown(cause);
            case Seen.Present<GuestProcess>(GuestProcess.Ended ended) -> Seen.present(Testimony.ofEnded(ended));
            case Seen.Present<GuestProcess>(GuestProcess.Alive alive) -> testimony(files, vm, alive);
        };
    }

    private Seen<Testimony> testimony(VmFiles files, VmId vm, GuestProcess.Alive alive) {
        String who = "process " + alive.pid();
        List<String> words = machines.commandLine(alive.pid());
        for (Map.Entry<VmmKind, Vmm> candidate : vmms.entrySet()) {
            if (candidate.getValue().machineOf(words).equals(Optional.of(vm.uid()))) {
                Vmm.Answer answer = candidate.getValue().ask(files, Optional.empty());
                if (!answer.uuid().equalsIgnoreCase(vm.uid())) {
                    return Seen.unknown(
                            answer.uuid().isEmpty()
                                    ? who + " bears its uuid and does not answer yet"
                                    : who + " answers as machine " + answer.uuid());
                }
                try {
                    return Seen.present(new Testimony(
                            alive,
                            OptionalInt.of(ProcStat.user(alive.pid())),
                            Optional.of(candidate.getKey()),
                            Optional.of(Files.getLastModifiedTime(files.pid()).toInstant()),
                            candidate.getValue().sizeOf(words),
                            answer.state()));
                } catch (IOException e) {
                    return Seen.unknown(who + " cannot be looked at: " + e.getMessage());
                }
            }
        }
        return Seen.unknown(who + " is in its cgroup and pid file, and its command line is not that of its VMM");
    }

    @Override
    public GuestState guest(VmRecord record, GuestProcess.Alive alive) {
        if (record.launch().isEmpty()) {
            return GuestState.of(GuestState.Kind.NONE);
        }
        Vmm.Answer answer = ask(files(record.id().uid()), record.launch().get());
        boolean another = !answer.uuid().isEmpty()
                && !answer.uuid().equalsIgnoreCase(record.id().uid());
        return another
                ? GuestState.of(GuestState.Kind.BUSY)
                : withReboots(record.id().uid(), answer.state());
    }

    /** A VMM that tells of them over a socket keeps no book itself. */
    private GuestState withReboots(String uid, GuestState state) {
        int heard = events.reboots(uid);
        return heard == 0 ? state : state.withReboots(heard);
    }

    /** Remembers who answered: a VMM that keeps silent is busy, and what it said before stands. */
    private Vmm.Answer ask(VmFiles files, VmRecord.Launch launch) {
        Vmm vmm = vmms.get(launch.spec().vmm());
        if (vmm == null) {
            return Vmm.Answer.of(GuestState.Kind.BUSY);
        }
        Seen<PidFile> before = PidFile.read(files.pid());
        if (before instanceof Seen.Present<PidFile>(var file) && isStopped(file.pid())) {
            // A stopped process answers nobody: do not wait for it.
            return Vmm.Answer.of(GuestState.Kind.BUSY);
        }
        Vmm.Answer answer = vmm.ask(files, Optional.of(launch));
        if (!answer.uuid().isEmpty() && before instanceof Seen.Present<PidFile>(var file)) {
            answers.put(
                    files.vmUid(), new Answered(new GuestProcess.Alive(file.pid(), file.startTicks()), answer.uuid()));
        }
        return answer;
    }

    private static boolean isStopped(int pid) {
        return ProcStat.read(pid) instanceof Seen.Present<ProcStat>(var stat) && stat.state() == 'T';
    }

    @Override
    public Seen<Tampering> tampering(VmRecord record, GuestProcess.Alive process) {
        return record.launch()
                .flatMap(launch -> restraints(process.pid(), launch.spec()))
                .map(Restraints::look)
                .orElseGet(Seen::missing);
    }

    /** Empty where its VMM is not set up on this host any more, so that nobody knows its overhead. */
    private Optional<Restraints> restraints(int pid, LaunchSpec launch) {
        return Optional.ofNullable(vmms.get(launch.vmm()))
                .map(vmm -> new Restraints(
                        Path.of("/proc"), pid, cgroups.leaves(launch.id().uid()), limits(launch, vmm)));
    }

    /**
     * Guests are held to these for as long as they run, those of an earlier agent too: lowered here, they are lowered
     * under running guests by the first pass of the new agent.
     */
    private static Cgroups.Limits limits(LaunchSpec launch, Vmm vmm) {
        return new Cgroups.Limits(
                launch.memory().bytes() + vmm.overheadBytes(launch),
                // One more than the guest has: the VMM's own threads carry its disks and NICs.
                launch.cores() + 1,
                256 + 16 * launch.cores());
    }

    @Override
    public void restoreLimits(LaunchSpec launch) throws HostException {
        if (PidFile.read(files(launch.id().uid()).pid()) instanceof Seen.Present<PidFile>(var file)
                && file.bootId().equals(config.bootId)
                && ProcStat.read(file.pid()) instanceof Seen.Present<ProcStat>(var stat)
                && stat.startTicks() == file.startTicks()) {
            Optional<Restraints> restraints = restraints(file.pid(), launch);
            if (restraints.isPresent()) {
                restraints.get().restore();
            }
        }
    }

    @Override
    public void continueProcess(VmRecord record) throws HostException {
        if (PidFile.read(files(record.id().uid()).pid()) instanceof Seen.Present<PidFile>(var file)
                && file.bootId().equals(config.bootId)) {
            signal(file.pid(), file.startTicks(), Signals.CONT);
        }
    }

    @Override
    public void resume(VmRecord record) throws HostException {
        vmm(kind(record)).resume(files(record.id().uid()));
    }

    @Override
    public void spawn(LaunchSpec launch) throws HostException {
        Vmm vmm = vmm(launch.vmm());
        VmFiles files = files(launch.id().uid());
        synchronized (lock(files.vmUid())) {
            proveDead(launch.id());
            OptionalInt group = preflight.check(launch, vmm);
            List<String> command = vmm.command(launch, files);
            logs.finish(files.vmUid(), Duration.ZERO);
            events.forget(files.vmUid());
            runFiles.prepare(files, launch.userId());
            limitWatch.forget(files.vmUid());
            Cgroups.Limits limits = limits(launch, vmm);
            Cgroups.Place place = cgroups.create(files.vmUid(), limits);
            launcher.launch(files, place, new Launcher.Credentials(launch.userId(), group), command);
            cgroups.limit(files.vmUid(), limits);
            if (PidFile.read(files.pid()) instanceof Seen.Present<PidFile>(var file)) {
                exits.watch(files.vmUid(), file.pid(), file.startTicks());
            }
            follow(files, launch);
        }
    }

    /** A second VMM on a living one's socket deletes that socket: nothing starts before the former is proved dead. */
    private void proveDead(VmId vm) throws HostException {
        switch (look(files(vm.uid()), Optional.of(config.bootId), MACHINES_AGE_AT_START)
                .judge()) {
            case Seen.Present<GuestProcess>(GuestProcess.Alive alive) ->
                throw new HostException.Busy("start the VMM of " + vm + ": process " + alive.pid() + " lives", null);
            case Seen.Unknown<GuestProcess>(var cause) ->
                throw new HostException.Busy("start the VMM of " + vm + ": " + cause, null);
            case Seen.Present<GuestProcess> _, Seen.Missing<GuestProcess> _ -> {}
        }
    }

    @Override
    public void pressPowerButton(VmRecord record) throws HostException {
        vmm(kind(record)).pressPowerButton(files(record.id().uid()));
    }

    @Override
    public void powerOff(VmRecord record) throws HostException {
        vmm(kind(record)).powerOff(files(record.id().uid()));
    }

    @Override
    public void terminate(VmRecord record) throws HostException {
        VmFiles files = files(record.id().uid());
        switch (PidFile.read(files.pid())) {
            case Seen.Present<PidFile>(var file)
            when file.bootId().equals(config.bootId) -> signal(file.pid(), file.startTicks(), Signals.TERM);
            case Seen.Present<PidFile> _, Seen.Missing<PidFile> _ -> {}
            case Seen.Unknown<PidFile>(var cause) ->
                throw new HostException.Refused("terminate the VMM of " + record.id() + ": " + cause, null);
        }
    }

    /** Signals the process unless it is gone or its number belongs to another by now. */
    private static void signal(int pid, long startTicks, int signal) throws HostException {
        try {
            int pidfd = Syscalls.pidfdOpen(pid);
            try {
                if (ProcStat.read(pid) instanceof Seen.Present<ProcStat>(var stat) && stat.startTicks() == startTicks) {
                    Syscalls.pidfdSendSignal(pidfd, signal);
                }
            } finally {
                Syscalls.close(pidfd);
            }
        } catch (Syscalls.NoSuchProcess e) {
            return;
        } catch (IOException e) {
            throw new HostException.Refused("signal process " + pid, e);
        }
    }

    @Override
    public void kill(VmRecord record) throws HostException {
        String uid = record.id().uid();
        if (PidFile.read(files(uid).pid()) instanceof Seen.Present<PidFile>(var file)
                && file.bootId().equals(config.bootId)) {
            signal(file.pid(), file.startTicks(), Signals.KILL);
        }
        cgroups.kill(uid, KILL_PATIENCE);
    }

    @Override
    public void release(VmId vm) throws HostException {
        String uid = vm.uid();
        synchronized (lock(uid)) {
            proveDead(vm);
            exits.forget(uid);
            logs.finish(uid, Duration.ZERO);
            events.forget(uid);
            limitWatch.forget(uid);
            answers.remove(uid);
            cgroups.remove(uid);
            runFiles.remove(files(uid));
        }
    }

    @Override
    public Set<String> traces() throws HostException {
        Set<String> uids = new TreeSet<>(cgroups.names());
        Path dir = files("none").run().resolveSibling(".").normalize();
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(dir)) {
            entries.forEach(entry -> uids.add(String.valueOf(entry.getFileName())));
        } catch (NoSuchFileException e) {
            return uids;
        } catch (IOException e) {
            throw new HostException.Refused("list " + dir, e);
        }
        return uids;
    }

    /** Ends the threads; guests and their launchers run on. */
    @Override
    public void close() {
        exits.close();
        logs.close();
        events.close();
        limitWatch.close();
    }

    private Object lock(String uid) {
        return locks.computeIfAbsent(uid, _ -> new Object());
    }

    private VmFiles files(String uid) {
        return new VmFiles(config.paths, uid);
    }

    private void follow(VmFiles files, LaunchSpec launch) {
        logs.follow(files, logOf(launch));
        Optional.ofNullable(vmms.get(launch.vmm()))
                .flatMap(vmm -> vmm.events(files))
                .ifPresent(source -> events.follow(files.vmUid(), source));
    }

    private SerialRecorder.Log logOf(LaunchSpec launch) {
        Vmm vmm = vmms.get(launch.vmm());
        return vmm != null && vmm.serialNeedsReader() ? SerialRecorder.Log.OURS : SerialRecorder.Log.OF_VMM;
    }

    private Vmm vmm(VmmKind kind) throws HostException {
        Vmm vmm = vmms.get(kind);
        if (vmm == null) {
            throw new HostException.Unsupported("use " + kind.text() + ": it is not set up on this host", null);
        }
        return vmm;
    }

    private static VmmKind kind(VmRecord record) throws HostException {
        return record.launch()
                .map(launch -> launch.spec().vmm())
                .orElseThrow(() -> new HostException.Refused(
                        "talk to the VMM of " + record.id() + ": its record knows no launch", null));
    }
}
