package dev.vmlet.status;

import dev.vmlet.api.Condition.Status;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineSpec;
import dev.vmlet.api.VirtualMachineStatus;
import dev.vmlet.api.VirtualMachineStatus.Phase;
import dev.vmlet.model.BridgePort;
import dev.vmlet.model.DesiredDisk;
import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.DesiredVm;
import dev.vmlet.model.DiskState;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.GuestProcess;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.LaunchSpec;
import dev.vmlet.model.Link;
import dev.vmlet.model.NicObservation;
import dev.vmlet.model.Reach;
import dev.vmlet.model.Readiness;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Resolution;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmObservation;
import dev.vmlet.model.VmRecord;
import dev.vmlet.plan.Outcome;
import dev.vmlet.plan.Plan;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** What is said of a VM, from what was seen after acting. */
public final class VmStatus {
    static final String RESTART_REQUIRED = "RestartRequired";

    static final Set<Reason> NETWORK = EnumSet.of(
            Reason.NetworkNotFound,
            Reason.NetworkBeingDeleted,
            Reason.NetworkNotReady,
            Reason.WaitingForCidr,
            Reason.AddressesExhausted,
            Reason.AddressOutsideSlice,
            Reason.AddressTaken,
            Reason.AddressReserved,
            Reason.MacAddressTaken,
            Reason.BridgePortsExhausted,
            Reason.HostPortTaken,
            Reason.RecordUnreadable,
            Reason.ForeignObject,
            Reason.BridgeMissing,
            Reason.AddressPending,
            Reason.FirewallNotReady);
    static final Set<Reason> DISKS = EnumSet.of(
            Reason.PreparingDisks,
            Reason.ImageNotFound,
            Reason.ImageRefused,
            Reason.ImageChecksumMismatch,
            Reason.ImageFormatMismatch,
            Reason.ImageLargerThanDisk,
            Reason.ImageFetchFailed,
            Reason.NoSpace);

    private final VirtualMachine vm;
    private final Resolution<DesiredVm> resolution;
    private final Plan plan;
    private final Outcome outcome;
    private final VmObservation seen;
    private final Optional<Ipv4Address> node;
    private final Instant now;
    private final Optional<VmRecord> record;

    private VmStatus(
            VirtualMachine vm,
            Resolution<DesiredVm> resolution,
            Plan plan,
            Outcome outcome,
            VmObservation seen,
            Optional<Ipv4Address> node,
            Instant now) {
        this.vm = vm;
        this.resolution = resolution;
        this.plan = plan;
        this.outcome = outcome;
        this.seen = seen;
        this.node = node;
        this.now = now;
        this.record = recordIn(seen);
    }

    /** @param node the address that leads others to the node; empty where it has no way out, or nobody could look */
    public static VirtualMachineStatus of(
            VirtualMachine vm,
            Resolution<DesiredVm> resolution,
            Plan plan,
            Outcome outcome,
            VmObservation seen,
            Optional<Ipv4Address> node,
            Instant now) {
        VirtualMachineStatus status = new VmStatus(vm, resolution, plan, outcome, seen, node, now).status();
        boolean recordLost = seen.record() instanceof Seen.Unknown
                || seen.record() instanceof Seen.Missing && seen.process() instanceof Seen.Unknown;
        // What was told before is the last trace of it, and a witness when the record is rebuilt.
        return recordLost && vm.getStatus() != null ? status.withRecordOf(vm.getStatus()) : status;
    }

    /** The controller's word on a VM without a node. */
    public static VirtualMachineStatus ofUnassigned(VirtualMachine vm, Instant now) {
        VirtualMachineStatus before = vm.getStatus();
        Conditions conditions = new Conditions(
                before == null ? null : before.conditions(), vm.getMetadata().getGeneration(), now);
        conditions.add("Scheduled", Status.False, Reason.NotAssigned);
        conditions.add("Ready", Status.False, Reason.NotAssigned);
        return new VirtualMachineStatus(
                Phase.Pending,
                null,
                null,
                null,
                null,
                null,
                null,
                null,
                vm.getMetadata().getGeneration(),
                null,
                conditions.list());
    }

    /** What is said of a VM whose node is lost, and since when. */
    public static String lost(String node, Instant since) {
        return "node " + node + " has not been heard of since " + since.truncatedTo(ChronoUnit.SECONDS)
                + "; the guest may still run there, and its addresses stay its own. Start the agent of that node again";
    }

    /**
     * The controller's word on a VM whose node's agent is not heard of: whatever was seen last stands, but nobody knows
     * whether it is still so. Fields that are not named here stay the agent's.
     */
    public static VirtualMachineStatus ofLostNode(VirtualMachine vm, String node, Instant since, Instant now) {
        VirtualMachineStatus before = vm.getStatus();
        Conditions conditions = new Conditions(
                before == null ? null : before.conditions(), vm.getMetadata().getGeneration(), now);
        for (String type :
                List.of("NetworkReady", "DisksReady", "Running", "GuestReachable", "Ready", "ReachableFromPods")) {
            conditions.add(type, Status.Unknown, Reason.NodeLost, lost(node, since));
        }
        return new VirtualMachineStatus(
                Phase.Unknown, null, null, null, null, null, null, null, null, null, conditions.list());
    }

    /** Whether the controller took the VM's node for lost. */
    public static boolean isLost(VirtualMachine vm) {
        return vm.getStatus() != null
                && vm.getStatus().conditions() != null
                && vm.getStatus().conditions().stream()
                        .anyMatch(c -> Reason.NodeLost.name().equals(c.reason()));
    }

    private VirtualMachineStatus status() {
        VirtualMachineStatus before = vm.getStatus();
        Conditions conditions = new Conditions(
                before == null ? null : before.conditions(), vm.getMetadata().getGeneration(), now);
        conditions.add("Scheduled", Status.True, Reason.Assigned);
        Verdict network = network();
        Verdict disks = disks();
        Verdict running = running();
        Verdict reachable = reachable(running);
        conditions.add("NetworkReady", network.status(), network.reason(), network.message());
        conditions.add("DisksReady", disks.status(), disks.reason(), disks.message());
        conditions.add("Running", running.status(), running.reason(), running.message());
        conditions.add("GuestReachable", reachable.status(), reachable.reason(), reachable.message());
        Verdict ready = ready(running, reachable);
        conditions.add("Ready", ready.status(), ready.reason(), ready.message());
        Verdict restart = restart();
        conditions.add(RESTART_REQUIRED, restart.status(), restart.reason(), restart.message());
        Verdict pods = FromPods.of(
                running, vm.getMetadata().getUid(), record.map(VmRecord::nics).orElse(List.of()), seen.nics(), node);
        conditions.add("ReachableFromPods", pods.status(), pods.reason(), pods.message());

        Optional<VmRecord.Launch> launch = record.flatMap(VmRecord::launch);
        boolean alive = process() instanceof GuestProcess.Alive;
        VmRecord.Exit exit = record.flatMap(VmRecord::lastExit).orElse(null);
        return new VirtualMachineStatus(
                VmPhase.of(resolution, plan, outcome, seen, blind().isPresent()),
                addresses(),
                vm.getSpec() == null ? null : vm.getSpec().nodeName(),
                alive ? launch.map(this::vmm).orElse(null) : null,
                ImageName.of(vm.getSpec()),
                alive ? launch.map(l -> time(l.ranAt().orElse(l.startedAt()))).orElse(null) : null,
                record.map(VmRecord::restarts).orElse(0),
                exit == null
                        ? null
                        : new VirtualMachineStatus.LastExit(exit.reason().name(), exit.message(), time(exit.at())),
                vm.getMetadata().getGeneration(),
                alive ? launch.map(l -> (Long) l.spec().generation()).orElse(null) : null,
                conditions.list());
    }

    static Optional<VmRecord> recordIn(VmObservation seen) {
        return seen.record() instanceof Seen.Present<VmRecord>(VmRecord record)
                ? Optional.of(record)
                : Optional.empty();
    }

    static @Nullable GuestProcess processIn(VmObservation seen) {
        return seen.process() instanceof Seen.Present<GuestProcess>(GuestProcess process) ? process : null;
    }

    private @Nullable GuestProcess process() {
        return processIn(seen);
    }

    /** What holds the object up, whatever part it belongs to: a refusal, a failed step, or what the plan waits for. */
    private Optional<Verdict> obstacle(Set<Reason> part) {
        if (resolution instanceof Resolution.Unresolved<DesiredVm>(Reason reason, String message)
                && part.contains(reason)) {
            return Optional.of(new Verdict(Status.False, reason, message));
        }
        return plan.waitingFor()
                .filter(w -> part.contains(w.reason()))
                .map(w -> new Verdict(Status.False, w.reason(), w.message()));
    }

    private Optional<Verdict> blind() {
        if (seen.process() instanceof Seen.Unknown<GuestProcess>(String cause)) {
            // Of a damaged record the plan says besides why it cannot be rebuilt yet.
            String message = plan.waitingFor()
                    .filter(w -> seen.record() instanceof Seen.Unknown && w.reason() == Reason.EvidenceDisagrees)
                    .map(Plan.Wait::message)
                    .orElse(cause);
            return Optional.of(new Verdict(Status.Unknown, Reason.EvidenceDisagrees, message));
        }
        if (process() instanceof GuestProcess.Alive
                && record.flatMap(VmRecord::launch).isPresent()) {
            // The guest was seen; what could not be looked at is another part's.
            return Optional.empty();
        }
        return plan.waitingFor()
                .filter(w -> w.reason() == Reason.CannotLook || w.reason() == Reason.EvidenceDisagrees)
                .map(w -> new Verdict(Status.Unknown, w.reason(), w.message()));
    }

    private Verdict network() {
        Optional<Verdict> obstacle = obstacle(NETWORK);
        if (obstacle.isPresent()) {
            return obstacle.get();
        }
        if (resolution instanceof Resolution.Unresolved && record.isEmpty()) {
            return Verdict.of(Status.False, Reason.NetworkNotReady);
        }
        boolean alive = process() instanceof GuestProcess.Alive;
        // What runs is judged by what it was started with: a NIC that is asked for since waits for the next start.
        List<DesiredNic> nics = !alive && resolution instanceof Resolution.Desired<DesiredVm>(DesiredVm desired)
                ? desired.nics()
                : record.map(VmRecord::nics).orElse(List.of());
        for (DesiredNic nic : nics) {
            NicObservation look = seen.nics().get(nic.network().uid());
            if (look == null) {
                continue;
            }
            for (Seen<?> part : List.of(look.bridge(), look.tap(), look.elements(), look.arp())) {
                if (part instanceof Seen.Unknown<?>(String cause)) {
                    return new Verdict(Status.Unknown, Reason.CannotLook, cause);
                }
            }
            if (look.bridge() instanceof Seen.Missing || alive && !isConnected(nic, look)) {
                return contested().orElseGet(() -> Verdict.of(Status.False, Reason.NetworkNotReady));
            }
        }
        return addressing(Integer.MAX_VALUE)
                .or(() -> nics.stream()
                        .flatMap(nic ->
                                WayOut.of(nic, seen.nics().get(nic.network().uid())).stream())
                        .findFirst()
                        .map(out -> new Verdict(
                                out.reason() == Reason.WayOutUnknown ? Status.Unknown : Status.False,
                                out.reason(),
                                out.message())))
                .orElseGet(() -> Verdict.of(Status.True, Reason.AsExpected));
    }

    /** The first of so many of the record's NICs whose address is not used as it should be. */
    private Optional<Verdict> addressing(int nicsMax) {
        return record.map(VmRecord::nics).orElse(List.of()).stream()
                .limit(nicsMax)
                .flatMap(nic ->
                        Addressing.trouble(nic, seen.nics().get(nic.network().uid())).stream())
                .findFirst()
                .map(trouble -> new Verdict(Status.False, trouble.reason(), trouble.message()));
    }

    /** Somebody undoes the repairs, and the next one waits. */
    private Optional<Verdict> contested() {
        return obstacle(EnumSet.of(Reason.Contested));
    }

    private boolean isConnected(DesiredNic nic, NicObservation look) {
        return look.tap() instanceof Seen.Present<Link>(Link tap)
                && tap.up()
                && (!nic.isolated() || tap.port().equals(BridgePort.ISOLATED))
                && look.elements() instanceof Seen.Present<Set<FirewallElement>>(Set<FirewallElement> elements)
                && elements.containsAll(nic.elements(vm.getMetadata().getUid()));
    }

    private Verdict disks() {
        Optional<Verdict> obstacle = obstacle(DISKS);
        if (obstacle.isPresent()) {
            return obstacle.get();
        }
        for (Map.Entry<String, DiskState> disk : new java.util.TreeMap<>(seen.disks()).entrySet()) {
            switch (disk.getValue()) {
                case DiskState.Failed(Reason reason, String message, var _, var _) -> {
                    return new Verdict(Status.False, reason, message);
                }
                case DiskState.Preparing(String progress) -> {
                    return new Verdict(Status.False, Reason.PreparingDisks, progress);
                }
                case DiskState.Missing _ when waitsForTheNextStart(disk.getKey()) -> {}
                case DiskState.Missing _ -> {
                    return new Verdict(
                            Status.False, Reason.PreparingDisks, "disk " + disk.getKey() + " does not exist yet");
                }
                case DiskState.Ready _ -> {}
            }
        }
        return resolution instanceof Resolution.Desired || !seen.disks().isEmpty()
                ? Verdict.of(Status.True, Reason.AsExpected)
                : new Verdict(
                        Status.Unknown, Reason.CannotLook, "the object cannot be followed, so no disk was looked at");
    }

    /** A running guest was started without it, or has read it: a boot file. */
    private boolean waitsForTheNextStart(String disk) {
        return process() instanceof GuestProcess.Alive
                && record.flatMap(VmRecord::launch)
                        .map(l -> l.spec().drives().stream()
                                .noneMatch(d -> d.name().equals(disk) && d.role() == DesiredDisk.Role.DISK))
                        .orElse(false);
    }

    private Verdict running() {
        Optional<Verdict> blind = blind();
        if (blind.isPresent()) {
            return blind.get();
        }
        if (process() instanceof GuestProcess.Alive) {
            if (record.flatMap(VmRecord::stop).isPresent()) {
                return new Verdict(
                        Status.True,
                        Reason.Stopping,
                        plan.waitingFor().map(Plan.Wait::message).orElse(Reason.Stopping.sentence()));
            }
            return switch (seen.guest().kind()) {
                case RUNNING ->
                    // A limit that waits for the guest's next start, so that it survives.
                    plan.waitingFor()
                            .filter(w -> w.reason() == Reason.HostRefused)
                            .map(w -> new Verdict(Status.True, Reason.Running, w.message()))
                            .orElseGet(() -> Verdict.of(Status.True, Reason.Running));
                case PAUSED -> contested().orElseGet(() -> Verdict.of(Status.False, Reason.Paused));
                case HELD -> Verdict.of(Status.False, Reason.Paused);
                case WRITE_FAILED ->
                    obstacle(EnumSet.of(Reason.NoSpace)).orElseGet(() -> Verdict.of(Status.False, Reason.WriteFailed));
                case POWERED_OFF -> Verdict.of(Status.False, Reason.GuestPoweredOff);
                case STARTING -> Verdict.of(Status.False, Reason.Starting);
                case BUSY, NONE ->
                    ran()
                            ? new Verdict(Status.True, Reason.Running, "The VMM lives and is busy.")
                            : Verdict.of(Status.False, Reason.Starting);
            };
        }
        if (outcome.failed().isPresent()) {
            var failure = outcome.failed().get();
            return new Verdict(
                    Status.False,
                    Reason.HostRefused,
                    failure.step().step() + ": " + failure.cause().getMessage());
        }
        if (resolution instanceof Resolution.Unresolved<DesiredVm>(Reason reason, String message)) {
            return new Verdict(Status.False, reason, message);
        }
        return plan.waitingFor()
                .map(w -> new Verdict(Status.False, w.reason(), w.message()))
                .orElseGet(() -> Verdict.of(Status.False, Reason.NotRunning));
    }

    private boolean ran() {
        return record.flatMap(VmRecord::launch).flatMap(VmRecord.Launch::ranAt).isPresent();
    }

    private Verdict reachable(Verdict running) {
        if (running.status() != Status.True) {
            return new Verdict(
                    running.status() == Status.Unknown ? Status.Unknown : Status.False,
                    Reason.NotRunning,
                    Reason.NotRunning.sentence());
        }
        if (resolution instanceof Resolution.Desired<DesiredVm>(DesiredVm desired)) {
            return switch (desired.readiness()) {
                case Readiness.None _ -> Verdict.of(Status.Unknown, Reason.NoProbe);
                case Readiness.TcpPort(int port, Duration timeout) -> reach(port, timeout);
            };
        }
        if (seen.reach() == Reach.OPEN) {
            return Verdict.of(Status.True, Reason.PortOpen);
        }
        VirtualMachineSpec spec = vm.getSpec();
        boolean asksNothing = addresses().isEmpty()
                || spec != null && spec.readiness() != null && spec.readiness().none() != null;
        return asksNothing ? Verdict.of(Status.Unknown, Reason.NoProbe) : Verdict.of(Status.Unknown, Reason.PortClosed);
    }

    private Verdict reach(int port, Duration timeout) {
        String where =
                addresses().isEmpty() ? "port " + port : addresses().get(0).ip() + ":" + port;
        boolean unheard = !addresses().isEmpty() && addresses().get(0).ip() == null;
        if (addresses().isEmpty()) {
            return new Verdict(
                    Status.Unknown,
                    Reason.NoProbe,
                    "The VM has no Network, so no port can be asked; set spec.readiness to none.");
        }
        if (seen.reach() == Reach.OPEN) {
            return new Verdict(Status.True, Reason.PortOpen, where + " answered.");
        }
        if (seen.reach() == Reach.NOT_PROBED && former().answered(where)) {
            // An agent that has just started has not knocked yet; the guest it adopted is as ready as it was.
            return new Verdict(Status.True, Reason.PortOpen, where + " answered.");
        }
        // The port is looked for at the first address.
        Optional<Verdict> addressing = addressing(1);
        if (addressing.isPresent()) {
            return addressing.get();
        }
        boolean late = record.flatMap(VmRecord::launch)
                .map(l -> Duration.between(l.startedAt(), now).compareTo(timeout) > 0)
                .orElse(false);
        if (unheard) {
            return new Verdict(
                    Status.False,
                    late ? Reason.ReadinessTimeout : Reason.AddressPending,
                    Addressing.unheard(String.valueOf(addresses().get(0).network()), late, timeout));
        }
        return late
                ? new Verdict(
                        Status.False,
                        Reason.ReadinessTimeout,
                        where + " did not answer within " + timeout.toSeconds()
                                + " s; look at the guest's serial console")
                : new Verdict(Status.False, Reason.PortClosed, where + " has not answered yet.");
    }

    private Verdict ready(Verdict running, Verdict reachable) {
        if (running.status() != Status.True || running.reason() == Reason.Stopping) {
            return new Verdict(
                    running.status() == Status.Unknown ? Status.Unknown : Status.False,
                    running.reason(),
                    running.message());
        }
        if (reachable.status() == Status.True || reachable.reason() == Reason.NoProbe) {
            return new Verdict(Status.True, reachable.reason(), reachable.message());
        }
        return reachable;
    }

    /** Whether what was changed since the guest started waits for its next start, and which fields. */
    private Verdict restart() {
        Optional<LaunchSpec> launched = record.flatMap(VmRecord::launch).map(VmRecord.Launch::spec);
        if (launched.isEmpty() || !(process() instanceof GuestProcess.Alive)) {
            return process() == null && !(seen.process() instanceof Seen.Missing)
                    ? Verdict.of(Status.Unknown, Reason.CannotLook)
                    : new Verdict(
                            Status.False, Reason.NotRunning, "No guest runs; the next start takes all of the spec.");
        }
        return switch (resolution) {
            case Resolution.Absent<DesiredVm> _ -> Verdict.of(Status.False, Reason.Deleting);
            case Resolution.Unresolved<DesiredVm>(Reason reason, String message) ->
                Long.valueOf(launched.get().generation())
                                .equals(vm.getMetadata().getGeneration())
                        ? upToDate()
                        : new Verdict(Status.Unknown, reason, message);
            case Resolution.Desired<DesiredVm>(DesiredVm desired) -> {
                List<String> changes = PendingChanges.of(desired, record.orElseThrow(), launched.get(), seen);
                yield changes.isEmpty()
                        ? upToDate()
                        : new Verdict(
                                Status.True,
                                Reason.ChangesWait,
                                PendingChanges.sentence(changes) + ". For an orderly restart: kubectl annotate vm "
                                        + desired.id().name() + " -n "
                                        + desired.id().namespace() + " " + VirtualMachine.RESTARTED_AT
                                        + "=$(date -u +%FT%TZ) --overwrite");
            }
        };
    }

    private static Verdict upToDate() {
        return new Verdict(Status.False, Reason.AsExpected, "The guest runs with all that its spec asks for.");
    }

    private List<VirtualMachineStatus.Address> addresses() {
        return record.map(VmRecord::nics).orElse(List.of()).stream()
                .map(nic -> new VirtualMachineStatus.Address(
                        nic.network().name(),
                        address(nic),
                        nic.mac().toString(),
                        nic.tap().value(),
                        Addressing.observed(nic, seen.nics().get(nic.network().uid()))
                                .map(Ipv4Address::toString)
                                .orElse(null),
                        PublishedNow.of(nic, seen.nics().get(nic.network().uid()), vm)))
                .toList();
    }

    /** A guest that gets its address from the LAN and says nothing now is where it was heard last. */
    private @Nullable String address(DesiredNic nic) {
        return Addressing.address(nic, seen.nics().get(nic.network().uid()))
                .map(Ipv4Address::toString)
                .or(() -> former().address(nic.network().name()))
                .orElse(null);
    }

    private FormerRun former() {
        return FormerRun.of(vm.getStatus(), process());
    }

    private VirtualMachineStatus.Vmm vmm(VmRecord.Launch launch) {
        String version =
                !launch.version().isEmpty() ? launch.version() : seen.guest().version();
        return new VirtualMachineStatus.Vmm(
                launch.spec().vmm().text(),
                version.isEmpty() ? null : version,
                process() instanceof GuestProcess.Alive alive ? alive.pid() : null);
    }

    private static String time(Instant instant) {
        return instant.truncatedTo(ChronoUnit.SECONDS).toString();
    }
}
