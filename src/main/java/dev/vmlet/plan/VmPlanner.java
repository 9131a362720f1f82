package dev.vmlet.plan;

import dev.vmlet.model.ArpWitness;
import dev.vmlet.model.DesiredDisk;
import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.DesiredVm;
import dev.vmlet.model.DiskState;
import dev.vmlet.model.Downtime;
import dev.vmlet.model.GuestProcess;
import dev.vmlet.model.GuestState;
import dev.vmlet.model.HostNames;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.LaunchSpec;
import dev.vmlet.model.Link;
import dev.vmlet.model.NicObservation;
import dev.vmlet.model.PowerWish;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Resolution;
import dev.vmlet.model.RunStrategy;
import dev.vmlet.model.Seen;
import dev.vmlet.model.Tampering;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmObservation;
import dev.vmlet.model.VmRecord;
import dev.vmlet.model.VmRecord.Launch;
import dev.vmlet.model.Witnesses;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/** Plans one VM: its record, disks, seed, taps, set members and guest process, from first start to last file. */
public final class VmPlanner {
    private static final Duration SOON = Duration.ofSeconds(2);
    private static final Duration LATER = Duration.ofSeconds(30);
    private static final Duration RETRY = Duration.ofSeconds(30);
    /** Where only a person can help; the image may have been put in place meanwhile. */
    private static final Duration RETRY_RARELY = Duration.ofMinutes(2);

    private static final String HALTED = "runStrategy is Halted";

    private static final Duration HEALTHY = Duration.ofMinutes(10);
    /** How long a guest that asks for its address is looked at often. */
    private static final Duration LEASE = Duration.ofMinutes(5);

    private final HostNames names;
    private final String bootId;
    private final HostPaths paths;
    private final Endings endings;
    private final Launches launches;
    private final Farewell farewell;

    public VmPlanner(HostNames names, HostPaths paths, String bootId) {
        this.names = names;
        this.bootId = bootId;
        this.paths = paths;
        this.endings = new Endings(bootId);
        this.launches = new Launches(paths, bootId);
        this.farewell = new Farewell(names, bootId);
    }

    /** Waits that pass by themselves: what the object asks for will be known in a moment. */
    private static final Set<Reason> PASSING =
            EnumSet.of(Reason.WaitingForSecret, Reason.WaitingForCidr, Reason.NetworkNotReady);

    public Plan plan(VmId vm, Resolution<DesiredVm> resolution, VmObservation seen, Instant now) {
        return plan(vm, resolution, Optional.empty(), seen, now);
    }

    public Plan plan(
            VmId vm, Resolution<DesiredVm> resolution, Optional<PowerWish> wish, VmObservation seen, Instant now) {
        return plan(vm, resolution, wish, Optional.empty(), seen, now);
    }

    /**
     * @param wish whether the VM is to run, which holds even where the rest of its object cannot be followed
     * @param downtime when the node's guests are to be down, whatever their objects ask for
     */
    public Plan plan(
            VmId vm,
            Resolution<DesiredVm> resolution,
            Optional<PowerWish> wish,
            Optional<Downtime> downtime,
            VmObservation seen,
            Instant now) {
        Optional<Plan> blind = blind(seen);
        if (blind.isPresent()) {
            return blind.get();
        }
        return switch (resolution) {
            case Resolution.Unresolved<DesiredVm>(Reason reason, String message) ->
                unresolved(Plan.waiting(reason, message, LATER), PASSING.contains(reason), wish, downtime, seen, now);
            case Resolution.Desired<DesiredVm>(DesiredVm desired) -> realise(desired, downtime, seen, now);
            case Resolution.Absent<DesiredVm> _ ->
                remove(
                        vm,
                        seen.record() instanceof Seen.Present<VmRecord>(VmRecord record)
                                ? record.retained()
                                : List.of(),
                        seen,
                        now);
        };
    }

    /**
     * The plan for a VM whose object is being deleted and can still be read.
     *
     * @param retained disks that the object's last word keeps; the record may not have heard of it yet
     */
    public Plan planRemoval(VmId vm, List<String> retained, VmObservation seen, Instant now) {
        return blind(seen).orElseGet(() -> remove(vm, retained, seen, now));
    }

    /**
     * The plan for a VM that is held without its object: its guest is shut down when all of the node's are to be, and that
     * is all. A stop is no removal: record, address and disks stay, and the object that comes back finds them.
     */
    public Plan planRest(Optional<Downtime> downtime, VmObservation seen, Instant now) {
        boolean begun = seen.record() instanceof Seen.Present<VmRecord>(VmRecord record)
                && record.stop()
                        .map(VmRecord.Stop::reason)
                        .filter(reason -> reason == Reason.Evacuated || reason == Reason.HostShutdown)
                        .isPresent();
        if (!begun && !downtime.map(Downtime::stops).orElse(false)) {
            return Plan.nothing();
        }
        return blind(seen).orElseGet(() -> unresolved(Plan.nothing(), true, Optional.empty(), downtime, seen, now));
    }

    /**
     * The plan for a VM that is to go and whose record is lost: a record by which {@link #planRemoval} can take it down.
     *
     * @param retained names of the disks that stay
     * @param grace how long its guest is given to shut down, where anybody tells
     */
    public Plan planFarewell(VmId vm, List<String> retained, Optional<Duration> grace, Witnesses left, Instant now) {
        return farewell.plan(vm, retained, grace, left, now);
    }

    /** A look that failed blocks every change to the VM. */
    private static Optional<Plan> blind(VmObservation seen) {
        Optional<String> dark = Looks.firstUnknown(seen.record(), seen.seed(), seen.leftovers(), seen.strayTaps());
        if (dark.isPresent()) {
            return Optional.of(Plan.waiting(Reason.CannotLook, dark.get(), SOON));
        }
        if (seen.process() instanceof Seen.Unknown<GuestProcess>(String evidence)) {
            return Optional.of(Plan.waiting(Reason.EvidenceDisagrees, evidence, SOON));
        }
        return seen.nics().values().stream()
                .flatMap(nic -> Looks.firstUnknown(
                        nic.bridge(),
                        nic.tap(),
                        nic.elements(),
                        nic.behind(),
                        nic.listeners(),
                        nic.clusterIps(),
                        nic.neighbours())
                        .stream())
                .findFirst()
                .map(cause -> Plan.waiting(Reason.CannotLook, cause, SOON));
    }

    /**
     * The object cannot be followed. What runs is stopped or kept running, which needs nothing of it; what has ended
     * is written down, and started again as it was started last where it is to run.
     *
     * @param wait for what the object lacks
     * @param passing whether that comes by itself soon: then a start waits for it
     */
    private Plan unresolved(
            Plan wait,
            boolean passing,
            Optional<PowerWish> wish,
            Optional<Downtime> downtime,
            VmObservation seen,
            Instant now) {
        if (!(seen.record() instanceof Seen.Present<VmRecord>(VmRecord record))) {
            return wait;
        }
        if (seen.process() instanceof Seen.Present<GuestProcess>(GuestProcess.Alive _)) {
            return record.launch()
                    .flatMap(launch -> StopReasons.ofUnresolved(
                            wish,
                            downtime,
                            record,
                            launch,
                            !passing && canStartAsBefore(record, launch.spec(), seen),
                            seen))
                    .map(reason -> stop(
                            record.withAsked(
                                    record.userId(),
                                    record.nics(),
                                    record.retained(),
                                    grace(downtime, wish.map(PowerWish::grace).orElse(record.grace()))),
                            seen,
                            reason,
                            now))
                    .orElseGet(() -> new Plan(goOn(record, wait, seen), wait.waitingFor()));
        }
        if (record.launch().isPresent()) {
            return endings.plan(
                    record,
                    record.launch().get(),
                    seen.process() instanceof Seen.Present<GuestProcess>(GuestProcess.Ended ended)
                            ? ended
                            : GuestProcess.Ended.WITHOUT_TRACE,
                    now);
        }
        if (seen.process() instanceof Seen.Present) {
            return new Plan(
                    List.of(new PlannedStep(new Step.ReleaseProcess(record.id()), "its process is proved dead")),
                    wait.waitingFor());
        }
        if (wish.map(w -> w.runStrategy() == RunStrategy.HALTED).orElse(false)) {
            return new Plan(NicPlanner.remove(record.id(), seen, names.installation(), HALTED), wait.waitingFor());
        }
        return passing || downtime.isPresent()
                ? wait
                : wish.flatMap(w -> startAsBefore(record, w, seen, now)).orElse(wait);
    }

    /** The guest runs on as its record says; tables that were made anew lead to it again. */
    private static List<PlannedStep> goOn(VmRecord record, Plan wait, VmObservation seen) {
        List<PlannedStep> steps = new ArrayList<>(
                record.launch().map(launch -> Mending.all(record, launch, seen)).orElse(List.of()));
        // A port that is refused for good may be one of the record: it is not given out for want of a listener.
        if (wait.waitingFor().filter(w -> w.reason() == Reason.HostPortTaken).isEmpty()) {
            for (DesiredNic nic : record.nics()) {
                NicObservation look = seen.nics().get(nic.network().uid());
                if (look != null) {
                    steps.addAll(NicPlanner.publishAgain(record.id(), nic, look));
                }
            }
        }
        return steps;
    }

    /** The NICs that the record names are those of the launch, and their bridges are there. */
    private static boolean canStartAsBefore(VmRecord record, LaunchSpec spec, VmObservation seen) {
        // Without a disk it is the spec of a farewell, which knows of a launch what its end needs.
        return !spec.drives().isEmpty()
                && spec.userId() == record.userId()
                && spec.nics().equals(Launches.nics(record.nics()))
                && record.nics().stream().allMatch(nic -> {
                    NicObservation look = seen.nics().get(nic.network().uid());
                    return look != null
                            && look.bridge() instanceof Seen.Present<Link>(Link bridge)
                            && nic.belongsOn(bridge);
                });
    }

    /** The last good start again, with the disks and the seed that it left; empty where it cannot or need not be. */
    private Optional<Plan> startAsBefore(VmRecord record, PowerWish wish, VmObservation seen, Instant now) {
        if (record.lastRun().isEmpty()
                || record.lastExit().isEmpty()
                || !canStartAsBefore(record, record.lastRun().get(), seen)
                || !Exits.startsAgain(wish.runStrategy(), record.lastExit().get(), wish.restartToken())) {
            return Optional.empty();
        }
        return Optional.of(backOff(record, wish.restartToken(), now).orElseGet(() -> {
            LaunchSpec spec = record.lastRun().get().withRestartToken(wish.restartToken());
            Plan nics = nics(record, record.nics(), seen);
            return nics.waitingFor().isPresent() ? nics : launches.plan(record, record, spec, nics.steps(), now);
        }));
    }

    private Plan realise(DesiredVm desired, Optional<Downtime> downtime, VmObservation seen, Instant now) {
        VmId vm = desired.id();
        if (!(seen.record() instanceof Seen.Present<VmRecord>(VmRecord record))) {
            if (seen.process() instanceof Seen.Present<GuestProcess>(GuestProcess.Alive alive)) {
                return Plan.waiting(
                        Reason.EvidenceDisagrees,
                        "process " + alive.pid() + " runs as VM " + vm + ", which has no record on this node",
                        LATER);
            }
            VmRecord first = VmRecord.of(vm, desired.userId(), desired.nics(), retained(desired), desired.grace());
            return new Plan(
                    List.of(new PlannedStep(
                            new Step.WriteVmRecord(first, "addresses and user id"),
                            "VM " + vm + " is new on this node")),
                    Optional.empty());
        }
        if (seen.process() instanceof Seen.Present<GuestProcess>(GuestProcess process)) {
            return switch (process) {
                case GuestProcess.Alive alive -> alive(desired, downtime, record, alive, seen, now);
                case GuestProcess.Ended ended ->
                    record.launch().isPresent()
                            ? endings.plan(record, record.launch().get(), ended, now)
                            : new Plan(
                                    List.of(new PlannedStep(new Step.ReleaseProcess(vm), "its process is proved dead")),
                                    Optional.empty());
            };
        }
        if (record.launch().isPresent()) {
            return endings.plan(record, record.launch().get(), GuestProcess.Ended.WITHOUT_TRACE, now);
        }
        return idle(desired, downtime, record, seen, now);
    }

    /** The guest process lives. */
    private Plan alive(
            DesiredVm desired,
            Optional<Downtime> downtime,
            VmRecord record,
            GuestProcess.Alive alive,
            VmObservation seen,
            Instant now) {
        if (record.launch().isEmpty()) {
            return Plan.waiting(
                    Reason.EvidenceDisagrees,
                    "process " + alive.pid() + " runs as VM " + desired.id() + ", and the record knows of no start",
                    LATER);
        }
        Launch launch = record.launch().get();
        Optional<Reason> stopReason = StopReasons.of(desired, downtime, record, launch, seen);
        if (stopReason.isPresent()) {
            // With the grace that is asked for now: one edit may halt the VM and change its grace.
            return stop(
                    record.withAsked(
                            record.userId(), record.nics(), retained(desired), grace(downtime, desired.grace())),
                    seen,
                    stopReason.get(),
                    now);
        }
        List<PlannedStep> steps = new ArrayList<>(Mending.waken(record, seen));
        VmRecord next = record;
        if (seen.guest().kind() == GuestState.Kind.RUNNING && launch.ranAt().isEmpty()) {
            next = next.withLaunch(launch.withRan(now, seen.guest().version()), record.restarts());
            steps.add(new PlannedStep(
                    new Step.WriteVmRecord(next, "that the guest runs"), "the VMM says that the guest runs"));
        }
        if (record.failures() > 0
                && launch.ranAt()
                        .map(ran -> Duration.between(ran, now).compareTo(HEALTHY) >= 0)
                        .orElse(false)) {
            next = next.withFailures(0);
            steps.add(new PlannedStep(
                    new Step.WriteVmRecord(next, "ten minutes of health"), "the guest has run for ten minutes"));
        }
        if (!record.retained().equals(retained(desired)) || !record.grace().equals(desired.grace())) {
            next = next.withAsked(next.userId(), next.nics(), retained(desired), desired.grace());
            steps.add(new PlannedStep(
                    new Step.WriteVmRecord(next, "what applies to a running guest too"), "the object was changed"));
        }
        List<DesiredNic> nics = NicPlanner.live(record, desired);
        Plan ports = nics(record, nics, seen);
        Optional<Plan.Wait> waiting = ports.waitingFor();
        if (nics.equals(record.nics())) {
            // A running guest was given all of it: what is missing, somebody took.
            steps.addAll(PlannedStep.with(PlannedStep.Cause.DRIFT, ports.steps()));
        } else {
            // What is no longer allowed goes while the record names it; what is new comes when the record does.
            next = next.withAsked(next.userId(), nics, next.retained(), next.grace());
            ports.steps().stream()
                    .filter(p -> p.step() instanceof Step.DeleteElements)
                    .forEach(steps::add);
            steps.add(new PlannedStep(
                    new Step.WriteVmRecord(next, "what applies to a running guest too"), "the object was changed"));
            ports.steps().stream()
                    .filter(p -> !(p.step() instanceof Step.DeleteElements))
                    .forEach(steps::add);
        }
        // Last: the kernel may refuse a limit, and all else is to be done by then.
        steps.addAll(Mending.limits(launch, seen));
        if (waiting.isEmpty() && seen.tampering() instanceof Seen.Unknown<Tampering>(String cause)) {
            waiting = wait(Reason.CannotLook, cause, SOON);
        }
        if (waiting.isEmpty() && seen.guest().kind() == GuestState.Kind.HELD) {
            waiting = wait(Reason.Paused, Reason.Paused.sentence(), LATER);
        }
        if (waiting.isEmpty() && seen.guest().kind() == GuestState.Kind.WRITE_FAILED) {
            waiting = wait(
                    Reason.NoSpace,
                    "The file system of its disks is full: its VMM paused the guest at a write, and it is resumed after a"
                            + " pause. Make room where "
                            + paths.disksDir(desired.id().uid()) + " is",
                    SOON);
        }
        if (waiting.isEmpty()
                && seen.guest().kind() == GuestState.Kind.RUNNING
                && seen.tampering() instanceof Seen.Present<Tampering>(Tampering tampering)
                && !tampering.kept().isEmpty()) {
            waiting = wait(Reason.HostRefused, String.join("; ", tampering.kept()), LATER);
        }
        if (waiting.isEmpty()
                && seen.guest().kind() == GuestState.Kind.RUNNING
                && Duration.between(launch.startedAt(), now).compareTo(LEASE) < 0
                && nics.stream().anyMatch(nic -> isUnheard(nic, seen))) {
            waiting = wait(Reason.AddressPending, Reason.AddressPending.sentence(), SOON);
        }
        if (waiting.isEmpty()
                && seen.guest().kind() != GuestState.Kind.RUNNING
                && !seen.guest().kind().isPaused()) {
            waiting = Optional.of(new Plan.Wait(
                    Reason.Starting,
                    "waiting for " + launch.spec().vmm().text() + " to answer",
                    Duration.ofMillis(250)));
        }
        return new Plan(steps, waiting);
    }

    private static boolean isUnheard(DesiredNic nic, VmObservation seen) {
        NicObservation look = seen.nics().get(nic.network().uid());
        return nic.usesDhcp()
                && look != null
                && look.arp() instanceof Seen.Present<ArpWitness>(ArpWitness witness)
                && witness.address().isEmpty();
    }

    private static Plan stop(VmRecord record, VmObservation seen, Reason reason, Instant now) {
        return Mending.heard(StopLadder.climb(record, seen.guest(), reason, now), record, seen);
    }

    private static Duration grace(Optional<Downtime> downtime, Duration own) {
        return downtime.map(d -> d.grace(own)).orElse(own);
    }

    /** No process: start one, or rest. */
    private Plan idle(
            DesiredVm desired, Optional<Downtime> downtime, VmRecord record, VmObservation seen, Instant now) {
        boolean start = desired.runStrategy() != RunStrategy.HALTED
                && record.lastExit()
                        .map(exit -> Exits.startsAgain(desired.runStrategy(), exit, desired.restartToken()))
                        .orElse(true);
        VmRecord asked = record.withAsked(record.userId(), desired.nics(), retained(desired), desired.grace());
        if (!start) {
            return rest(desired, record, asked, seen);
        }
        if (downtime.isPresent()) {
            return Plan.waiting(downtime.get().reason(), downtime.get().message(), LATER);
        }
        Optional<Plan> pause = backOff(record, desired.restartToken(), now);
        if (pause.isPresent()) {
            return pause.get();
        }
        return start(desired, record, asked, seen, now);
    }

    /** The pause after an end that nobody asked for; a restart that is asked for does not wait. */
    private static Optional<Plan> backOff(VmRecord record, String restartToken, Instant now) {
        return record.lastExit()
                .filter(exit -> restartToken.isEmpty() || restartToken.equals(exit.restartToken()))
                .flatMap(exit -> {
                    Instant notBefore = exit.at().plus(Exits.pause(record.failures()));
                    return now.isBefore(notBefore)
                            ? Optional.of(Plan.waiting(
                                    Reason.BackOff,
                                    exit.message() + " The next try is at " + notBefore.truncatedTo(ChronoUnit.SECONDS)
                                            + ".",
                                    Duration.between(now, notBefore)))
                            : Optional.empty();
                });
    }

    private Plan rest(DesiredVm desired, VmRecord record, VmRecord asked, VmObservation seen) {
        String because = desired.runStrategy() == RunStrategy.HALTED
                ? HALTED
                : "the guest ended and runStrategy does not start it again";
        List<PlannedStep> steps = new ArrayList<>(NicPlanner.remove(desired.id(), seen, names.installation(), because));
        if (!asked.equals(record)) {
            steps.add(new PlannedStep(new Step.WriteVmRecord(asked, "what was changed"), "the object was changed"));
        }
        Reason reason = desired.runStrategy() == RunStrategy.HALTED ? Reason.Stopped : Reason.Completed;
        return new Plan(steps, Optional.of(new Plan.Wait(reason, because, Duration.ofHours(1))));
    }

    private Plan start(DesiredVm desired, VmRecord record, VmRecord asked, VmObservation seen, Instant now) {
        VmId vm = desired.id();
        List<PlannedStep> farewell = NicPlanner.removeLeft(
                record, desired.nics(), seen, names.installation(), "VM " + vm + " is on that Network no longer");
        if (!farewell.isEmpty()) {
            // While the record names them: whoever dies in between finds them again.
            return new Plan(farewell, Optional.empty());
        }
        List<PlannedStep> steps = new ArrayList<>();
        if (!asked.equals(record)) {
            steps.add(new PlannedStep(
                    new Step.WriteVmRecord(asked, "addresses and user id"), "a change waited for this start"));
        }
        Optional<Plan.Wait> waiting = Optional.empty();
        for (DesiredDisk disk : desired.disks()) {
            switch (seen.disks().getOrDefault(disk.name(), new DiskState.Missing())) {
                case DiskState.Missing _ ->
                    steps.add(new PlannedStep(
                            new Step.PrepareDisk(vm, disk, asked.userId()), "VM " + vm + " cannot start without it"));
                case DiskState.Preparing(String progress) ->
                    waiting = waiting.or(() -> wait(Reason.PreparingDisks, progress, SOON));
                case DiskState.Failed(Reason reason, String message, boolean retry, Instant at) -> {
                    Duration left = Duration.between(now, at.plus(retry ? RETRY : RETRY_RARELY));
                    if (left.isNegative() || left.isZero()) {
                        steps.add(new PlannedStep(
                                new Step.PrepareDisk(vm, disk, asked.userId()),
                                "the last attempt failed (" + reason + ") and is made again"));
                    } else {
                        waiting = Optional.of(new Plan.Wait(reason, message, left));
                    }
                }
                case DiskState.Ready(long bytes) -> {
                    if (disk.role() == DesiredDisk.Role.DISK && bytes < disk.sizeBytes()) {
                        steps.add(new PlannedStep(
                                new Step.PrepareDisk(vm, disk, asked.userId()),
                                "it has " + bytes + " bytes, asked are " + disk.sizeBytes()));
                    }
                }
            }
        }
        if (waiting.isPresent() || !steps.isEmpty()) {
            // Disks first: a VM whose image is missing or wrong gets no link and no place in the firewall. A prepared
            // disk wakes the VM by itself.
            return new Plan(
                    steps, waiting.or(() -> wait(Reason.PreparingDisks, Reason.PreparingDisks.sentence(), SOON)));
        }
        if (!seen.seed().equals(Seen.present(desired.seed().fingerprint()))) {
            steps.add(new PlannedStep(
                    new Step.WriteSeed(vm, desired.seed(), asked.userId()),
                    seen.seed() instanceof Seen.Missing ? "VM " + vm + " has no seed yet" : "its contents changed"));
        }
        Plan nics = nics(asked, desired.nics(), seen);
        steps.addAll(nics.steps());
        if (nics.waitingFor().isPresent()) {
            return new Plan(steps, nics.waitingFor());
        }
        return launches.plan(record, asked, launch(desired, asked.userId()), steps, now);
    }

    private Plan nics(VmRecord record, List<DesiredNic> nics, VmObservation seen) {
        List<PlannedStep> steps = new ArrayList<>();
        Optional<Plan.Wait> waiting = Optional.empty();
        for (DesiredNic nic : nics) {
            NicObservation nicSeen = seen.nics().get(nic.network().uid());
            if (nicSeen == null) {
                waiting = waiting.or(
                        () -> wait(Reason.CannotLook, "NIC on " + nic.network() + " was not looked at", SOON));
                continue;
            }
            Plan part = NicPlanner.ensure(record.id(), record.userId(), nic, nicSeen, names.installation());
            steps.addAll(part.steps());
            waiting = waiting.or(part::waitingFor);
        }
        return new Plan(steps, waiting);
    }

    String bootId() {
        return bootId;
    }

    LaunchSpec launch(DesiredVm desired, int userId) {
        return launches.spec(desired, userId);
    }

    private Plan remove(VmId vm, List<String> retained, VmObservation seen, Instant now) {
        if (seen.process() instanceof Seen.Present<GuestProcess>(GuestProcess.Alive alive)) {
            if (seen.record() instanceof Seen.Present<VmRecord>(VmRecord record)
                    && record.launch().isPresent()) {
                Reason reason = record.stop().map(VmRecord.Stop::reason).orElse(Reason.Deleting);
                return stop(record, seen, reason, now);
            }
            return Plan.waiting(
                    Reason.EvidenceDisagrees,
                    "process " + alive.pid() + " runs as VM " + vm + ", and no record knows of its start",
                    LATER);
        }
        String because = "VM " + vm + " is deleted";
        List<PlannedStep> steps = new ArrayList<>();
        if (seen.process() instanceof Seen.Present<GuestProcess>(GuestProcess.Ended _)) {
            steps.add(new PlannedStep(new Step.ReleaseProcess(vm), "its process is proved dead"));
        }
        steps.addAll(NicPlanner.remove(vm, seen, names.installation(), because));
        if (seen.leftovers().equals(Seen.present(true))) {
            steps.add(new PlannedStep(new Step.DeleteVmFiles(vm, retained), because));
        }
        // The record goes last: while anything is left, it says whose it is.
        if (seen.record() instanceof Seen.Present) {
            steps.add(new PlannedStep(new Step.DeleteVmRecord(vm), because));
        }
        return new Plan(steps, Optional.empty());
    }

    static List<String> retained(DesiredVm desired) {
        return desired.disks().stream()
                .filter(DesiredDisk::retain)
                .map(DesiredDisk::name)
                .toList();
    }

    private static Optional<Plan.Wait> wait(Reason reason, String message, Duration lookAgain) {
        return Optional.of(new Plan.Wait(reason, message, lookAgain));
    }
}
