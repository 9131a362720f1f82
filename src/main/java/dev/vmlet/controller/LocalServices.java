package dev.vmlet.controller;

import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineStatus;
import dev.vmlet.api.VmNode;
import dev.vmlet.api.VmNodeSpec.ServedPort;
import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.FirewallState;
import dev.vmlet.model.Fitness;
import dev.vmlet.model.Frontend;
import dev.vmlet.model.HostObservation;
import dev.vmlet.model.ReservedPorts;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmObservation;
import dev.vmlet.model.VmRecord;
import dev.vmlet.plan.Plan;
import dev.vmlet.plan.ServiceShare;
import dev.vmlet.resolve.LocalFrontends;
import dev.vmlet.resolve.NodeServices;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.function.Supplier;
import java.util.stream.Collectors;

/**
 * Of which Services clients on this node are led to its own VMs: what the VmNode says of Services, and which VMs are fit
 * now. Until both are known what leads there stays as it is. Safe for use by several threads; one VM is planned for by one
 * thread at a time.
 */
public final class LocalServices {
    private static final Fitness UNFIT = new Fitness(false, Set.of());

    private final Supplier<ReservedPorts> reserved;
    private Optional<List<Frontend>> frontends = Optional.empty();
    private Read read = Read.NOTHING;
    private final Map<String, Fitness> fit = new HashMap<>();
    /** What each VM was last seen to have that it is to have. */
    private final Map<String, Set<FirewallElement>> inPlace = new HashMap<>();

    /** What of the VmNode the frontends follow from. */
    private record Read(List<ServedPort> told, List<String> addresses) {
        static final Read NOTHING = new Read(List.of(), List.of());

        static Read of(VmNode node) {
            return new Read(
                    NodeServices.told(node),
                    node.getStatus() == null
                            ? List.of()
                            : Objects.requireNonNullElse(node.getStatus().addresses(), List.of()));
        }
    }

    /** @param reserved ports that the node keeps to itself */
    public LocalServices(Supplier<ReservedPorts> reserved) {
        this.reserved = reserved;
    }

    /**
     * @param vms all of this node
     * @return uids of VMs that have something to do by it
     */
    public synchronized Set<String> see(VmNode node, Collection<VirtualMachine> vms) {
        fit.keySet().retainAll(vms.stream().map(vm -> vm.getMetadata().getUid()).collect(Collectors.toSet()));
        for (VirtualMachine vm : vms) {
            // What an agent before this one said of it, until it is looked at.
            if (vm.getMetadata().getDeletionTimestamp() == null) {
                fit.computeIfAbsent(vm.getMetadata().getUid(), _ -> LocalFrontends.fitness(vm.getStatus(), UNFIT));
            }
        }
        Read next = Read.of(node);
        if (frontends.isPresent() && read.equals(next)) {
            return Set.of();
        }
        read = next;
        List<Frontend> now = LocalFrontends.of(node, reserved.get());
        Set<String> concerned = new HashSet<>(backends(now));
        concerned.addAll(backends(frontends.orElse(List.of())));
        frontends = Optional.of(now);
        return concerned;
    }

    private static Set<String> backends(List<Frontend> frontends) {
        return frontends.stream().flatMap(f -> f.backends().keySet().stream()).collect(Collectors.toSet());
    }

    /**
     * @param status as it was seen just now
     * @return uids of VMs that have something to do by it
     */
    synchronized Set<String> know(String vmUid, VirtualMachineStatus status) {
        Fitness before = fit.getOrDefault(vmUid, UNFIT);
        Fitness now = LocalFrontends.fitness(status, before);
        fit.put(vmUid, now);
        return before.equals(now) ? Set.of() : beside(vmUid);
    }

    /** The VM is to go: it is behind no Service from now on. */
    synchronized Set<String> leaves(String vmUid) {
        return UNFIT.equals(fit.put(vmUid, UNFIT)) ? Set.of() : beside(vmUid);
    }

    /** The VM is gone. */
    synchronized void forget(String vmUid) {
        fit.remove(vmUid);
        inPlace.remove(vmUid);
    }

    /** Behind the same Services, itself included. */
    private Set<String> beside(String vmUid) {
        return backends(frontends.orElse(List.of()).stream()
                .filter(f -> f.backends().containsKey(vmUid))
                .toList());
    }

    /** The plan for the VM with its share of the Services in it. */
    public synchronized Plan in(Plan plan, VmId vm, VmObservation seen) {
        Optional<ServiceShare> share = share(vm.uid(), nics(seen));
        if (share.isEmpty()) {
            return plan;
        }
        boolean taken = share.get().wanted().equals(inPlace.get(vm.uid()));
        if (share.get().isInPlace(seen)) {
            inPlace.put(vm.uid(), share.get().wanted());
        } else if (!taken) {
            inPlace.remove(vm.uid());
        }
        return share.get().in(plan, vm, seen, taken);
    }

    private static List<DesiredNic> nics(VmObservation seen) {
        return seen.record() instanceof Seen.Present<VmRecord>(VmRecord record) ? record.nics() : List.of();
    }

    /** Empty while it is not known what is asked of this node, or how the VM is. */
    private Optional<ServiceShare> share(String vmUid, List<DesiredNic> nics) {
        return frontends.filter(_ -> fit.containsKey(vmUid)).map(known -> ServiceShare.of(vmUid, nics, known, fit));
    }

    /**
     * The node's plan, with the end of what leads where its VmNode knows of no Service, or not of that VM behind it. A VM
     * whose object is gone and whose guest is held has nobody else to plan for it, and the address may be another
     * Service's by now.
     */
    public synchronized Plan withoutStrays(Plan plan, HostObservation seen) {
        return frontends.isPresent()
                        && seen.firewall() instanceof Seen.Present<FirewallState>(FirewallState state)
                        && state.intact()
                ? ServiceShare.withoutStrays(plan, frontends.get(), state.elements())
                : plan;
    }

    /**
     * VMs whose members are not as they are to be.
     *
     * @param inForce all members of the firewall's sets
     */
    synchronized Set<String> disturbed(List<VmRecord> vms, Set<FirewallElement> inForce) {
        Map<String, Set<FirewallElement>> leading = inForce.stream()
                .filter(e -> e.set().isOfServices())
                .collect(Collectors.groupingBy(FirewallElement::ownerUid, Collectors.toSet()));
        Set<String> disturbed = new HashSet<>();
        for (VmRecord vm : vms) {
            Set<FirewallElement> has = leading.getOrDefault(vm.id().uid(), Set.of());
            share(vm.id().uid(), vm.nics())
                    .filter(share ->
                            !has.containsAll(share.wanted()) || !share.allowed().containsAll(has))
                    .ifPresent(_ -> disturbed.add(vm.id().uid()));
        }
        return disturbed;
    }
}
