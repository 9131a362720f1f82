package dev.vmlet.resolve;

import dev.vmlet.api.Disk;
import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSlice;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineSpec;
import dev.vmlet.model.DesiredDisk;
import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.DesiredVm;
import dev.vmlet.model.HostFacts;
import dev.vmlet.model.Mebibytes;
import dev.vmlet.model.PowerWish;
import dev.vmlet.model.Readiness;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Reservation;
import dev.vmlet.model.Resolution;
import dev.vmlet.model.RunStrategy;
import dev.vmlet.model.Seed;
import dev.vmlet.model.UserData;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmRecord;
import dev.vmlet.model.VmmKind;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** What a VirtualMachine asks of this node, with every default, name and address chosen, or why it cannot be followed. */
public final class VmResolver {
    private static final Duration GRACE = Duration.ofSeconds(30);
    private static final Duration READINESS_TIMEOUT = Duration.ofMinutes(5);
    private static final int SSH = 22;

    private VmResolver() {}

    public static VmId idOf(VirtualMachine vm) {
        return new VmId(
                vm.getMetadata().getNamespace(),
                vm.getMetadata().getName(),
                vm.getMetadata().getUid());
    }

    /**
     * @param networks those of the VM's namespace
     * @param slices this node's, of the VM's namespace
     */
    public static Resolution<DesiredVm> resolve(
            VirtualMachine vm, List<Network> networks, List<NetworkSlice> slices, UserData userData, HostFacts host) {
        try {
            return new Resolution.Desired<>(desired(vm, networks, slices, userData, host));
        } catch (Refusal refusal) {
            return new Resolution.Unresolved<>(refusal.reason(), refusal.getMessage());
        } catch (IllegalArgumentException e) {
            // A border post of the model: what the schema of an older CRD let through.
            return new Resolution.Unresolved<>(
                    Reason.InvalidSpec, Objects.requireNonNullElse(e.getMessage(), e.toString()));
        }
    }

    /** What the object says about running, whether the rest of it can be followed or not; empty when it says nothing. */
    public static Optional<PowerWish> power(VirtualMachine vm) {
        VirtualMachineSpec spec = vm.getSpec();
        if (spec == null) {
            return Optional.empty();
        }
        try {
            return Optional.of(new PowerWish(runStrategy(spec.runStrategy()), restartToken(vm), grace(spec)));
        } catch (Refusal newerThanThisAgent) {
            return Optional.empty();
        }
    }

    /** Names of the disks that outlive the object, as its spec says now. */
    public static List<String> retained(VirtualMachine vm) {
        if (vm.getSpec() == null || vm.getSpec().disks() == null) {
            return List.of();
        }
        return vm.getSpec().disks().stream()
                .filter(disk -> disk.reclaimPolicy() == Disk.ReclaimPolicy.Retain && disk.name() != null)
                .map(disk -> Objects.requireNonNull(disk.name()))
                .toList();
    }

    /** The VM's disks and boot files as far as its spec tells them, also where the VM cannot be followed otherwise. */
    public static List<DesiredDisk> disks(VirtualMachine vm, HostFacts host) {
        VmmKind vmm = host.vmms().containsKey(VmmKind.CLOUD_HYPERVISOR) ? VmmKind.CLOUD_HYPERVISOR : VmmKind.QEMU;
        return vm.getSpec() == null ? List.of() : DiskResolver.readable(vm.getSpec(), vmm, host);
    }

    private static DesiredVm desired(
            VirtualMachine vm, List<Network> networks, List<NetworkSlice> slices, UserData userData, HostFacts host)
            throws Refusal {
        VmId id = idOf(vm);
        VirtualMachineSpec spec = vm.getSpec();
        if (spec == null) {
            throw new Refusal(Reason.InvalidSpec, "spec is missing");
        }
        RunStrategy runStrategy = runStrategy(spec.runStrategy());
        Mebibytes memory = memory(spec, host);
        int cores = cores(spec);
        VmmKind vmm = vmm(host);
        Optional<VmRecord> record = host.records().stream()
                .filter(r -> r.id().uid().equals(id.uid()))
                .findFirst();
        List<DesiredDisk> disks = DiskResolver.disks(spec, vmm, host);
        List<NicResolver.Nic> nics = NicResolver.nics(vm, spec, record, networks, slices, host);
        List<DesiredNic> desiredNics =
                nics.stream().map(NicResolver.Nic::desired).toList();
        Seed seed = SeedText.seed(id, spec, nics, userData);
        return new DesiredVm(
                id,
                Objects.requireNonNullElse(vm.getMetadata().getGeneration(), 0L),
                runStrategy,
                restartToken(vm),
                vmm,
                cores,
                memory,
                disks,
                DiskResolver.cmdline(spec),
                seed,
                desiredNics,
                userId(id, record, host),
                readiness(spec),
                grace(spec));
    }

    private static RunStrategy runStrategy(dev.vmlet.api.@Nullable RunStrategy asked) throws Refusal {
        if (asked == null) {
            throw new Refusal(
                    Reason.InvalidSpec,
                    "spec.runStrategy is missing or newer than this agent; use Always, RerunOnFailure, Once or Halted");
        }
        return switch (asked) {
            case Always -> RunStrategy.ALWAYS;
            case RerunOnFailure -> RunStrategy.RERUN_ON_FAILURE;
            case Once -> RunStrategy.ONCE;
            case Halted -> RunStrategy.HALTED;
        };
    }

    private static Mebibytes memory(VirtualMachineSpec spec, HostFacts host) throws Refusal {
        if (spec.memory() == null || spec.memory().size() == null) {
            throw new Refusal(Reason.InvalidSpec, "spec.memory.size is missing; write a quantity such as 2Gi");
        }
        long bytes = DiskResolver.bytes("spec.memory.size", spec.memory().size());
        // Rounded up: a guest never gets less than was asked for.
        Mebibytes memory = new Mebibytes((bytes - 1 >> 20) + 1);
        if (memory.compareTo(host.memory()) > 0) {
            throw new Refusal(
                    Reason.NotEnoughMemory,
                    "spec.memory.size asks for " + memory + ", node " + host.nodeName() + " has " + host.memory()
                            + "; ask for less or choose a larger node");
        }
        return memory;
    }

    private static int cores(VirtualMachineSpec spec) throws Refusal {
        int cores = spec.cpu() == null || spec.cpu().cores() == null
                ? 1
                : spec.cpu().cores();
        if (cores < 1 || cores > 255) {
            throw new Refusal(Reason.InvalidSpec, "spec.cpu.cores is " + cores + "; use 1 to 255");
        }
        return cores;
    }

    private static VmmKind vmm(HostFacts host) throws Refusal {
        if (host.vmms().containsKey(VmmKind.CLOUD_HYPERVISOR)) {
            return VmmKind.CLOUD_HYPERVISOR;
        }
        if (host.vmms().containsKey(VmmKind.QEMU)) {
            return VmmKind.QEMU;
        }
        throw new Refusal(host.vmmReason(), host.vmmProblem());
    }

    private static String restartToken(VirtualMachine vm) {
        return vm.getMetadata().getAnnotations() == null
                ? ""
                : vm.getMetadata().getAnnotations().getOrDefault(VirtualMachine.RESTARTED_AT, "");
    }

    private static Readiness readiness(VirtualMachineSpec spec) {
        dev.vmlet.api.Readiness asked = spec.readiness();
        if (asked == null) {
            return new Readiness.TcpPort(SSH, READINESS_TIMEOUT);
        }
        if (asked.none() != null) {
            return new Readiness.None();
        }
        return new Readiness.TcpPort(
                asked.tcpPort() == null ? SSH : asked.tcpPort(),
                asked.timeoutSeconds() == null ? READINESS_TIMEOUT : Duration.ofSeconds(asked.timeoutSeconds()));
    }

    private static Duration grace(VirtualMachineSpec spec) {
        return spec.terminationGracePeriodSeconds() == null
                ? GRACE
                : Duration.ofSeconds(spec.terminationGracePeriodSeconds());
    }

    private static int userId(VmId id, Optional<VmRecord> record, HostFacts host) throws Refusal {
        if (record.isPresent()) {
            return record.get().userId();
        }
        Optional<Reservation> own = damaged(id, host);
        if (own.isPresent() && own.get().userId().isPresent()) {
            return own.get().userId().getAsInt();
        }
        refuseWhileUnknown("user id", id, host);
        Set<Integer> taken = host.records().stream().map(VmRecord::userId).collect(Collectors.toSet());
        host.reservations().forEach(kept -> kept.userId().ifPresent(taken::add));
        for (int i = 0; i < host.userIdCount(); i++) {
            if (!taken.contains(host.userIdFirst() + i)) {
                return host.userIdFirst() + i;
            }
        }
        throw new Refusal(
                Reason.UserIdsExhausted,
                "all " + host.userIdCount() + " user ids from " + host.userIdFirst()
                        + " are in use; give the agent a larger --vm-user-ids range");
    }

    /** What is left of the VM's own record, where that was damaged. */
    static Optional<Reservation> damaged(VmId id, HostFacts host) {
        return host.reservations().stream()
                .filter(kept -> kept.damaged() && kept.vmUid().equals(id.uid()))
                .findFirst();
    }

    /**
     * A record that tells nothing may hold any address and user id, of a guest that runs with them: none is given out
     * until a person has looked. A VM's own record blocks its plan anyway.
     */
    static void refuseWhileUnknown(String what, VmId id, HostFacts host) throws Refusal {
        for (Reservation kept : host.reservations()) {
            if (!kept.complete() && !kept.vmUid().equals(id.uid())) {
                throw new Refusal(
                        Reason.RecordUnreadable,
                        "no new " + what + " is given out on node " + host.nodeName() + " while nobody can tell which"
                                + " ones VM uid " + kept.vmUid() + " holds. " + kept.trouble());
            }
        }
    }
}
