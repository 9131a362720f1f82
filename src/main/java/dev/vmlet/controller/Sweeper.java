package dev.vmlet.controller;

import dev.vmlet.api.VmNodeStatus.Finding;
import dev.vmlet.api.VmNodeStatus.Hold;
import dev.vmlet.host.Applier;
import dev.vmlet.host.Inventory;
import dev.vmlet.host.Observer;
import dev.vmlet.host.Records;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.GuestProcess;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostNames;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.NetworkObservation;
import dev.vmlet.model.Resolution;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmObservation;
import dev.vmlet.plan.NetworkPlanner;
import dev.vmlet.plan.Outcome;
import dev.vmlet.plan.Plan;
import dev.vmlet.plan.PlannedStep;
import dev.vmlet.plan.Step;
import dev.vmlet.plan.VmPlanner;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Supplier;

/**
 * Takes away what has lost its owner: the same planners with nothing desired. Looks at the host first and asks for the
 * known owners afterwards, so that an object made meanwhile is never taken for an orphan.
 *
 * <p>Links, set elements and cgroups without a guest are inert and go at once. What holds a guest or a disk goes only
 * when a direct read says NotFound, the API server is the one we know, the grace period is over and it is alone; two or
 * more at once look like a lost object store and wait for a person.
 */
public final class Sweeper {
    private final Observer observer;
    private final Records records;
    private final VmPlanner vmPlanner;
    private final NetworkPlanner networkPlanner;
    private final Applier applier;
    private final InstallationId installation;
    private final Duration grace;
    private final int reapGroup;
    private final Clock clock;
    private final Runnable tapsRetired;
    /** Since when a VM's owner has been missing. One thread sweeps. */
    private final Map<String, Instant> missingSince = new HashMap<>();

    public Sweeper(
            Observer observer,
            Records records,
            VmPlanner vmPlanner,
            NetworkPlanner networkPlanner,
            Applier applier,
            InstallationId installation,
            Duration grace,
            Clock clock,
            Runnable tapsRetired) {
        this.observer = observer;
        this.records = records;
        this.vmPlanner = vmPlanner;
        this.networkPlanner = networkPlanner;
        this.applier = applier;
        this.installation = installation;
        this.grace = grace;
        this.reapGroup = new HostNames(installation).reapGroup();
        this.clock = clock;
        this.tapsRetired = tapsRetired;
    }

    /** What one sweep came to. */
    public record Result(List<Finding> findings, List<Hold> holds, List<String> failures) {
        public Result {
            findings = List.copyOf(findings);
            holds = List.copyOf(holds);
            failures = List.copyOf(failures);
        }
    }

    /** Who is known to the API, by uid; asked after the host was looked at. */
    public record Known(Set<String> vmUids, Set<String> networkUids) {}

    /** What the sweep asks the API server itself, past every cache, before it takes down what holds a guest or disk. */
    public interface Authority {
        /** Uid of the {@code kube-system} namespace; Missing where there is none. */
        Seen<String> cluster();

        /** Uid of the VirtualMachine object of that namespace and name; Missing when the answer was NotFound. */
        Seen<String> uidOf(VmId vm);
    }

    public Result sweep(Supplier<Known> owners, Authority authority) throws HostException {
        Inventory inventory = observer.inventory();
        if (inventory.links().stream().anyMatch(link -> link.isRetired(reapGroup))) {
            // An agent that died may have left them: the reaper goes on where it was.
            tapsRetired.run();
        }
        Known known = owners.get();
        List<Finding> findings = new ArrayList<>();
        List<Hold> holds = new ArrayList<>();
        List<String> failures = new ArrayList<>(inventory.unreadable());

        List<VmId> weighty = new ArrayList<>();
        Set<String> spared = new HashSet<>(known.vmUids);
        for (VmId vm : inventory.vmIds(installation).values()) {
            if (known.vmUids.contains(vm.uid())) {
                continue;
            }
            VmObservation seen = observer.observeVm(vm, Optional.empty());
            if (isInert(seen)) {
                sweepVm(vm, seen, findings, failures);
            } else {
                weighty.add(vm);
                spared.add(vm.uid());
            }
        }
        missingSince.keySet().retainAll(weighty.stream().map(VmId::uid).toList());
        Optional<String> silent = askAboutTheNew(weighty, authority);
        for (VmId vm : weighty) {
            Instant since = missingSince.get(vm.uid());
            if (since == null) {
                holds.add(hold(
                        vm,
                        "its VirtualMachine object is not in the list, and the API server could not be asked for it: "
                                + silent.orElse(""),
                        clock.instant()));
                continue;
            }
            Optional<String> hold = reasonToHold(vm, since, weighty.size(), authority);
            if (hold.isPresent()) {
                holds.add(hold(vm, hold.get(), since));
            } else {
                sweepVm(vm, observer.observeVm(vm, Optional.empty()), findings, failures);
            }
        }
        for (String uid : inventory.networkUids(installation)) {
            boolean used = records.vms().stream()
                    .anyMatch(r ->
                            r.nics().stream().anyMatch(n -> n.network().uid().equals(uid)));
            if (!known.networkUids.contains(uid) && !used) {
                sweepNetwork(uid, findings, failures);
            }
        }
        sweepElements(inventory, known, spared, findings, failures);
        findings.sort(Comparator.comparing(Finding::kind, Comparator.nullsFirst(Comparator.naturalOrder()))
                .thenComparing(Finding::name, Comparator.nullsFirst(Comparator.naturalOrder())));
        return new Result(findings, holds, failures);
    }

    private static Hold hold(VmId vm, String why, Instant since) {
        return new Hold(
                "VirtualMachine",
                vm.toString(),
                "uid " + vm.uid(),
                why,
                since.truncatedTo(ChronoUnit.SECONDS).toString());
    }

    /**
     * The list comes from a cache of ours that may be behind the one its reconciler works from: who is missed for the
     * first time is asked for directly, and is no orphan when it is there. Takes those out of the list; remembers the
     * others as missing. One question without an answer ends the asking, for the others would wait as long.
     *
     * @return why the API server did not answer
     */
    private Optional<String> askAboutTheNew(List<VmId> weighty, Authority authority) {
        Set<String> present = new HashSet<>();
        Optional<String> silent = Optional.empty();
        for (VmId vm : weighty) {
            // Where the record is lost there is no name to ask by.
            if (silent.isPresent() || missingSince.containsKey(vm.uid())) {
                continue;
            }
            switch (vm.namespace().equals("?") ? Seen.<String>missing() : authority.uidOf(vm)) {
                case Seen.Unknown<String>(String cause) -> silent = Optional.of(cause);
                case Seen.Present<String>(String uid) when uid.equals(vm.uid()) -> present.add(uid);
                case Seen.Present<String> _, Seen.Missing<String> _ -> missingSince.put(vm.uid(), clock.instant());
            }
        }
        weighty.removeIf(vm -> present.contains(vm.uid()));
        return silent;
    }

    /** Without a guest and without a file, and nothing about it unknown. */
    private static boolean isInert(VmObservation seen) {
        return seen.record() instanceof Seen.Missing
                && (seen.process() instanceof Seen.Missing
                        || seen.process() instanceof Seen.Present<GuestProcess>(GuestProcess.Ended _))
                && seen.leftovers().equals(Seen.present(false));
    }

    private Optional<String> reasonToHold(VmId vm, Instant since, int howMany, Authority authority) {
        if (howMany > 1) {
            return Optional.of(howMany + " VMs of this node have no object at the same time, which looks like a lost or"
                    + " restored object store; nothing is touched until a person looks");
        }
        Duration missing = Duration.between(since, clock.instant());
        if (missing.compareTo(grace) < 0) {
            return Optional.of(
                    "its VirtualMachine object is gone without our release; it is taken down when that lasts "
                            + grace.toSeconds() + " s");
        }
        if (vm.namespace().equals("?")) {
            return Optional.of("its record is lost, so nobody can be asked whether its object exists");
        }
        Seen<String> cluster = authority.cluster();
        if (cluster instanceof Seen.Unknown<String>(String cause)) {
            return Optional.of("the API server could not be asked: " + cause);
        }
        if (!(cluster instanceof Seen.Present) || !records.cluster().equals(cluster)) {
            return Optional.of("the API server is not the one this node belongs to (uid of kube-system differs)");
        }
        return switch (authority.uidOf(vm)) {
            case Seen.Unknown<String>(String cause) -> Optional.of("the API server could not be asked: " + cause);
            case Seen.Present<String>(String uid)
            when uid.equals(vm.uid()) -> Optional.of("a direct read found its object, though the list did not");
            // Of the same name, but another object.
            case Seen.Present<String> _, Seen.Missing<String> _ -> Optional.empty();
        };
    }

    private void sweepVm(VmId vm, VmObservation seen, List<Finding> findings, List<String> failures) {
        Plan plan = vmPlanner.plan(vm, new Resolution.Absent<>(), seen, clock.instant());
        run("VirtualMachine", vm.toString(), "uid " + vm.uid(), plan, findings, failures);
    }

    private void sweepNetwork(String uid, List<Finding> findings, List<String> failures) {
        NetworkObservation seen = observer.observeNetwork(uid, Optional.empty());
        Plan plan = networkPlanner.plan(uid, new Resolution.Absent<>(), seen);
        run("Network", "uid " + uid, "uid " + uid, plan, findings, failures);
    }

    private void sweepElements(
            Inventory inventory, Known known, Set<String> spared, List<Finding> findings, List<String> failures) {
        Set<String> owned = new HashSet<>(spared);
        owned.addAll(known.networkUids);
        records.vms().forEach(r -> owned.add(r.id().uid()));
        records.networks().forEach(r -> owned.add(r.id().uid()));
        List<FirewallElement> stale = inventory.elements().stream()
                .filter(e -> !owned.contains(e.ownerUid()) && !isUnreadable(e.ownerUid()))
                .sorted(Comparator.comparing(FirewallElement::toString))
                .toList();
        if (!stale.isEmpty()) {
            Plan plan = new Plan(
                    List.of(new PlannedStep(new Step.DeleteElements(stale), "their owners are gone")),
                    Optional.empty());
            run("FirewallElement", stale.size() + " elements", "", plan, findings, failures);
        }
    }

    /** What a record that cannot be read may still claim. */
    private boolean isUnreadable(String uid) {
        return records.vm(uid) instanceof Seen.Unknown || records.network(uid) instanceof Seen.Unknown;
    }

    private void run(String kind, String name, String owner, Plan plan, List<Finding> findings, List<String> failures) {
        Outcome outcome = applier.apply("sweep " + name, plan);
        outcome.failed()
                .ifPresent(f -> failures.add(f.step().step() + ": " + f.cause().getMessage()));
        if (!outcome.done().isEmpty()) {
            findings.add(new Finding(
                    kind,
                    name,
                    owner,
                    outcome.failed().isPresent() ? "Failed" : "Removed",
                    Reports.words(outcome.done())));
        }
    }
}
