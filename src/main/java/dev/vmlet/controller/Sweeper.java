package dev.vmlet.controller;

import dev.vmlet.api.VmNodeStatus.Finding;
import dev.vmlet.host.Applier;
import dev.vmlet.host.Inventory;
import dev.vmlet.host.Observer;
import dev.vmlet.host.Records;
import dev.vmlet.host.Wishes;
import dev.vmlet.model.Downtime;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.GuestProcess;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostNames;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.NetworkObservation;
import dev.vmlet.model.NetworkRecord;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Resolution;
import dev.vmlet.model.Seen;
import dev.vmlet.model.StoreStamp;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmObservation;
import dev.vmlet.model.VmRecord;
import dev.vmlet.plan.NetworkPlanner;
import dev.vmlet.plan.Orphans;
import dev.vmlet.plan.Orphans.Doubt;
import dev.vmlet.plan.Orphans.Held;
import dev.vmlet.plan.Outcome;
import dev.vmlet.plan.Plan;
import dev.vmlet.plan.PlannedStep;
import dev.vmlet.plan.Step;
import dev.vmlet.plan.VmPlanner;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Supplier;
import java.util.stream.Collectors;

/**
 * Takes away what has lost its owner: the same planners with nothing desired. Looks at the host first and asks for the
 * known owners afterwards, so that an object made meanwhile is never taken for an orphan.
 *
 * <p>Links, set elements and cgroups without a guest are inert and go at once: the list says that nobody asks for them,
 * and the host that nothing hangs on them. What holds a guest or a disk goes only as {@link Orphans} allows.
 */
public final class Sweeper {
    private static final Duration LOOK_AGAIN = Duration.ofSeconds(2);
    /** Direct reads of one sweep, of VMs that a store which went back in time may have lost. */
    private static final int ASKED_AT_ONCE = 16;
    /** What is done with an orphan that is held while the node's guests are to be down. */
    static final String STOPPED = "Stopped";

    private final Observer observer;
    private final Records records;
    private final StoreWatch store;
    private final Confirmations confirmations;
    private final VmPlanner vmPlanner;
    private final NetworkPlanner networkPlanner;
    private final Applier applier;
    private final InstallationId installation;
    private final Duration grace;
    private final int reapGroup;
    private final Supplier<Optional<Downtime>> downtime;
    private final Wishes wishes;
    private final Clock clock;
    private final Runnable tapsRetired;
    /** Since when a VM's owner has been missing. One thread sweeps. */
    private final Map<String, Instant> missingSince = new HashMap<>();

    /** Those of them that were missing together with another one. */
    private final Set<String> together = new HashSet<>();

    private Seen<Set<String>> remains = Seen.unknown("there was no sweep yet");

    /** Since when a Network has been held. */
    private final Map<String, Instant> networksSince = new HashMap<>();

    public Sweeper(
            Observer observer,
            Records records,
            StoreWatch store,
            VmPlanner vmPlanner,
            NetworkPlanner networkPlanner,
            Applier applier,
            InstallationId installation,
            Duration grace,
            Supplier<Optional<Downtime>> downtime,
            Wishes wishes,
            Clock clock,
            Runnable tapsRetired) {
        this.observer = observer;
        this.records = records;
        this.store = store;
        this.confirmations = new Confirmations(records);
        this.vmPlanner = vmPlanner;
        this.networkPlanner = networkPlanner;
        this.applier = applier;
        this.installation = installation;
        this.grace = grace;
        this.reapGroup = new HostNames(installation).reapGroup();
        this.downtime = downtime;
        this.wishes = wishes;
        this.clock = clock;
        this.tapsRetired = tapsRetired;
    }

    /**
     * What one sweep came to.
     *
     * @param underWay whether something is half taken down: a stop takes several rungs
     */
    public record Result(List<Finding> findings, List<Held> holds, List<String> failures, boolean underWay) {
        public Result {
            findings = List.copyOf(findings);
            holds = List.copyOf(holds);
            failures = List.copyOf(failures);
        }

        public Result(List<Finding> findings, List<Held> holds, List<String> failures) {
            this(findings, holds, failures, false);
        }
    }

    /**
     * What the API knows, asked after the host was looked at.
     *
     * @param vmUids of the VirtualMachines of this node
     * @param networkUids of the Networks
     * @param confirmed uids that a person has confirmed to be removed
     * @param heldTogether uids that were held because several had lost their objects at once, also by an earlier agent
     * @param tombstones VMs that were deleted by force while this node was lost, by uid
     */
    public record Known(
            Set<String> vmUids,
            Set<String> networkUids,
            Set<String> confirmed,
            Set<String> heldTogether,
            Map<String, Stone> tombstones) {
        public Known(Set<String> vmUids, Set<String> networkUids) {
            this(vmUids, networkUids, Set.of(), Set.of());
        }

        public Known(Set<String> vmUids, Set<String> networkUids, Set<String> confirmed, Set<String> heldTogether) {
            this(vmUids, networkUids, confirmed, heldTogether, Map.of());
        }
    }

    /**
     * A VM that was deleted by force.
     *
     * @param vm its name is known even where its record here is lost
     * @param retained disks that outlive it
     */
    public record Stone(VmId vm, List<String> retained) {}

    /** What the sweep asks the API server itself, past every cache, before it takes down what holds a guest or disk. */
    public interface Authority {
        /** Uid of the {@code kube-system} namespace; Missing where there is none. */
        Seen<String> cluster();

        /** Uid of the VirtualMachine object of that namespace and name; Missing when the answer was NotFound. */
        Seen<String> uidOf(VmId vm);

        /** This node's Lease; Missing where there is none. */
        Seen<StoreStamp> store();
    }

    /** One sweep: what it knows and what it gathers. */
    private final class Pass {
        final Inventory inventory;
        final Known known;
        final Authority authority;
        final List<Finding> findings = new ArrayList<>();
        final List<Held> holds = new ArrayList<>();
        final List<String> failures;
        /** Of what the annotation names, what counts. */
        final Set<String> confirmed;
        /** What has no object, whatever becomes of it. */
        final Set<String> orphans = new HashSet<>();

        boolean underWay;

        Pass(Inventory inventory, Known known, Authority authority) {
            this.inventory = inventory;
            this.known = known;
            this.confirmed = confirmations.counting(known.confirmed);
            this.authority = authority;
            this.failures = new ArrayList<>(inventory.unreadable());
        }

        /** @return whether nothing is left to do */
        boolean run(String kind, String name, String owner, Plan plan) {
            return run(kind, name, owner, "Removed", plan);
        }

        /** @param action what is done with it, as a finding says it */
        boolean run(String kind, String name, String owner, String action, Plan plan) {
            Outcome outcome = applier.apply("sweep " + name, plan);
            outcome.failed()
                    .ifPresent(
                            f -> failures.add(f.step().step() + ": " + f.cause().getMessage()));
            underWay |=
                    plan.waitingFor().filter(w -> w.reason() == Reason.Stopping).isPresent();
            if (!outcome.done().isEmpty()) {
                findings.add(new Finding(
                        kind,
                        name,
                        owner,
                        outcome.failed().isPresent() ? "Failed" : action,
                        Reports.words(outcome.done())));
            }
            return outcome.failed().isEmpty() && plan.waitingFor().isEmpty();
        }

        Result result() {
            findings.sort(Comparator.comparing(Finding::kind, Comparator.nullsFirst(Comparator.naturalOrder()))
                    .thenComparing(Finding::name, Comparator.nullsFirst(Comparator.naturalOrder())));
            return new Result(findings, holds, failures, underWay);
        }
    }

    /** @throws HostException when the host could not be seen whole; then nothing was touched */
    public Result sweep(Supplier<Known> owners, Authority authority) throws HostException {
        remains = Seen.unknown("the host was not seen whole");
        Inventory inventory = observer.inventory();
        remains = remains(inventory);
        if (inventory.links().stream().anyMatch(link -> link.isRetired(reapGroup))) {
            // An agent that died may have left them: the reaper goes on where it was.
            tapsRetired.run();
        }
        Pass pass = new Pass(inventory, owners.get(), authority);
        pass.known.tombstones.keySet().stream()
                .filter(uid -> !pass.known.vmUids.contains(uid))
                .forEach(wishes::forget);
        Set<String> spared = sweepVms(pass);
        spared.addAll(sweepNetworks(pass));
        sweepElements(pass, spared);
        confirmations.settle(pass.known.confirmed, pass.orphans);
        return pass.result();
    }

    /** Uids of VMs of which something was here when the last sweep began; Unknown where not all could be seen. */
    public Seen<Set<String>> remains() {
        return remains;
    }

    /** Where a record cannot be read, nobody can say what it still claims. */
    private Seen<Set<String>> remains(Inventory inventory) {
        if (!inventory.unreadable().isEmpty()) {
            return Seen.unknown(inventory.unreadable().getFirst());
        }
        Set<String> uids = new HashSet<>(inventory.vmIds(installation).keySet());
        inventory.elements().forEach(e -> uids.add(e.ownerUid()));
        return Seen.present(uids);
    }

    /** @return uids of those whose elements stay */
    private Set<String> sweepVms(Pass pass) {
        List<VmId> weighty = new ArrayList<>();
        Set<String> spared = new HashSet<>(pass.known.vmUids);
        for (VmId found : pass.inventory.vmIds(installation).values()) {
            if (pass.known.vmUids.contains(found.uid())) {
                continue;
            }
            Stone stone = pass.known.tombstones.get(found.uid());
            VmId vm = stone == null ? found : stone.vm();
            VmObservation seen = observer.observeVm(vm, Optional.empty());
            if (isInert(seen)) {
                if (!pass.run("VirtualMachine", vm.toString(), "uid " + vm.uid(), absent(vm, seen, pass.known))) {
                    spared.add(vm.uid());
                }
            } else {
                weighty.add(vm);
                spared.add(vm.uid());
            }
        }
        remember(weighty, pass.known.heldTogether);
        Optional<String> silent = askAboutTheNew(weighty, pass.authority);
        weighty.forEach(vm -> pass.orphans.add(vm.uid()));
        silent = silent.or(() -> askAboutTheStore(weighty, pass));
        // Of those that were deleted by force nothing is wondered at.
        Set<String> lost = new HashSet<>(missingSince.keySet());
        lost.removeAll(pass.known.tombstones.keySet());
        if (lost.size() > 1) {
            together.addAll(lost);
        }
        int howMany = (int) weighty.stream()
                .filter(vm -> !pass.known.tombstones.containsKey(vm.uid()))
                .count();
        Seen<String> cluster =
                weighty.isEmpty() || silent.isPresent() ? Seen.unknown(silent.orElse("")) : pass.authority.cluster();
        for (VmId vm : weighty) {
            Optional<Doubt> doubt = doubt(vm, howMany, cluster, silent, pass);
            Plan plan = doubt.isPresent() ? Plan.nothing() : takeDown(vm, pass.known);
            if (doubt.isPresent() && missingSince.containsKey(vm.uid())) {
                // Who was not missed for certain may have its reconciler, which stops it.
                rest(vm, pass);
            }
            doubt.or(() -> Orphans.blind(plan))
                    .ifPresentOrElse(
                            d -> pass.holds.add(new Held(
                                    "VirtualMachine",
                                    vm.toString(),
                                    vm.uid(),
                                    d,
                                    missingSince.getOrDefault(vm.uid(), clock.instant()))),
                            () -> pass.run("VirtualMachine", vm.toString(), "uid " + vm.uid(), plan));
        }
        return spared;
    }

    private void remember(List<VmId> weighty, Set<String> heldTogether) {
        Set<String> uids = weighty.stream().map(VmId::uid).collect(Collectors.toSet());
        missingSince.keySet().retainAll(uids);
        together.addAll(heldTogether);
        together.retainAll(uids);
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
            switch (vm.isNameless() ? Seen.<String>missing() : authority.uidOf(vm)) {
                case Seen.Unknown<String>(String cause) -> silent = Optional.of(cause);
                case Seen.Present<String>(String uid) when uid.equals(vm.uid()) -> present.add(uid);
                case Seen.Present<String> _, Seen.Missing<String> _ -> {
                    missingSince.put(vm.uid(), clock.instant());
                    // An agent that starts without an API server must not run again what is held or taken down. An
                    // object that comes back has its wish kept by its reconciler.
                    wishes.forget(vm.uid());
                }
            }
        }
        weighty.removeIf(vm -> present.contains(vm.uid()));
        return silent;
    }

    /**
     * Whether the store is as old as ever, before anything is taken down; and which of those it lost once it has shown
     * since.
     *
     * @return why the API server did not answer
     */
    private Optional<String> askAboutTheStore(List<VmId> weighty, Pass pass) {
        Map<String, VmId> here = pass.inventory.vmIds(installation);
        Optional<String> silent = Optional.empty();
        if (!weighty.isEmpty()) {
            Seen<StoreStamp> found = store.look(pass.authority::store);
            silent = found instanceof Seen.Unknown<StoreStamp>(String cause) ? Optional.of(cause) : silent;
        }
        store.keepOnly(here.keySet());
        List<String> shown = new ArrayList<>();
        store.unseen().stream()
                .filter(pass.known.vmUids::contains)
                .sorted()
                .limit(ASKED_AT_ONCE)
                .forEach(uid -> {
                    VmId vm = here.get(uid);
                    // The list may be of the time before: the store itself has to show it.
                    if (vm != null
                            && !vm.isNameless()
                            && pass.authority.uidOf(vm).equals(Seen.present(uid))) {
                        shown.add(uid);
                    }
                });
        store.seen(shown);
        return silent;
    }

    private Optional<Doubt> doubt(VmId vm, int howMany, Seen<String> cluster, Optional<String> silent, Pass pass) {
        Optional<Doubt> doubt = firstDoubt(vm, howMany, cluster, silent, pass);
        boolean namedBefore = pass.known.confirmed.contains(vm.uid()) && !pass.confirmed.contains(vm.uid());
        return doubt.map(d -> namedBefore && d.waitsForAPerson() ? Orphans.again(d) : d);
    }

    private Optional<Doubt> firstDoubt(VmId vm, int howMany, Seen<String> cluster, Optional<String> silent, Pass pass) {
        Instant since = missingSince.get(vm.uid());
        if (since == null) {
            return Optional.of(Orphans.silent(silent.orElse("")));
        }
        Orphans.Orphan orphan = new Orphans.Orphan(
                vm,
                pass.confirmed.contains(vm.uid()) || pass.known.tombstones.containsKey(vm.uid()),
                store.unseen().contains(vm.uid()),
                // Of those that were lost together the last is no lone one.
                Math.max(howMany, together.contains(vm.uid()) ? 2 : 1),
                Duration.between(since, clock.instant()),
                grace);
        return Orphans.beforeAsking(orphan)
                .or(() -> Orphans.afterAsking(
                        orphan,
                        new Orphans.Answers(
                                records.cluster(),
                                cluster,
                                vm.isNameless() ? Seen.missing() : pass.authority.uidOf(vm))));
    }

    /** Without a guest and without a file, and nothing about it unknown. */
    private static boolean isInert(VmObservation seen) {
        return seen.record() instanceof Seen.Missing
                && (seen.process() instanceof Seen.Missing
                        || seen.process() instanceof Seen.Present<GuestProcess>(GuestProcess.Ended _))
                && seen.leftovers().equals(Seen.present(false));
    }

    /** Held, and yet not to run while the node's guests are to be down: else it would hold up who waits for that. */
    private void rest(VmId vm, Pass pass) {
        Plan plan = vmPlanner.planRest(downtime.get(), observer.observeVm(vm, Optional.empty()), clock.instant());
        boolean _ = pass.run("VirtualMachine", vm.toString(), "uid " + vm.uid(), STOPPED, plan);
    }

    /**
     * Where neither record nor tombstone tells which disks are to outlive their VM, all of them do: a person who confirms
     * that a guest goes may not know that its data was to stay.
     */
    private Plan takeDown(VmId vm, Known known) {
        VmObservation seen = observer.observeVm(vm, Optional.empty());
        Stone stone = known.tombstones.get(vm.uid());
        if (seen.record() instanceof Seen.Present) {
            return absent(vm, seen, known);
        }
        if (stone != null) {
            return takeDown(vm, stone.retained(), seen);
        }
        return switch (observer.disks(vm)) {
            case Seen.Unknown<List<String>>(String cause) -> Plan.waiting(Reason.CannotLook, cause, LOOK_AGAIN);
            case Seen.Missing<List<String>> _ -> takeDown(vm, List.of(), seen);
            case Seen.Present<List<String>>(List<String> disks) -> takeDown(vm, disks, seen);
        };
    }

    private Plan takeDown(VmId vm, List<String> disks, VmObservation seen) {
        return observer.survivors(vm)
                .map(left -> vmPlanner.planFarewell(vm, disks, Optional.empty(), left, clock.instant()))
                .orElseGet(() -> vmPlanner.planRemoval(vm, disks, seen, clock.instant()));
    }

    private Plan absent(VmId vm, VmObservation seen, Known known) {
        Stone stone = known.tombstones.get(vm.uid());
        if (stone == null) {
            return vmPlanner.plan(vm, new Resolution.Absent<>(), seen, clock.instant());
        }
        Set<String> kept = new TreeSet<>(stone.retained());
        if (seen.record() instanceof Seen.Present<VmRecord>(VmRecord record)) {
            kept.addAll(record.retained());
        }
        return vmPlanner.planRemoval(vm, List.copyOf(kept), seen, clock.instant());
    }

    /**
     * A bridge that no VM's record names, of a Network that is not in the list; on the cluster of this node only.
     *
     * @return uids of those that have lost their object and stay: as long as the bridge is there, so are its elements,
     *     without which its guests would reach everything
     */
    private Set<String> sweepNetworks(Pass pass) {
        if (!pass.inventory.unreadable().isEmpty()) {
            // Who uses a Network is not known as long as a record cannot be read.
            pass.orphans.addAll(pass.inventory.networkUids(installation));
            return Set.copyOf(pass.inventory.networkUids(installation));
        }
        Set<String> spared = new HashSet<>();
        List<String> leftOver = pass.inventory.networkUids(installation).stream()
                .filter(uid -> !pass.known.networkUids.contains(uid)
                        && records.vms().stream()
                                .noneMatch(r -> r.nics().stream()
                                        .anyMatch(n -> n.network().uid().equals(uid))))
                .toList();
        pass.orphans.addAll(leftOver);
        if (leftOver.isEmpty()) {
            return spared;
        }
        Seen<String> cluster = pass.authority.cluster();
        for (String uid : leftOver) {
            Optional<Doubt> doubt = pass.confirmed.contains(uid)
                    ? Optional.empty()
                    : Orphans.elsewhere(new Orphans.Answers(records.cluster(), cluster, Seen.missing()));
            if (doubt.isPresent()) {
                spared.add(uid);
                pass.holds.add(new Held(
                        "Network",
                        nameOfNetwork(uid),
                        uid,
                        doubt.get(),
                        networksSince.computeIfAbsent(uid, _ -> clock.instant())));
            } else {
                NetworkObservation seen = observer.observeNetwork(uid, Optional.empty());
                boolean gone = pass.run(
                        "Network",
                        "uid " + uid,
                        "uid " + uid,
                        networkPlanner.plan(uid, new Resolution.Absent<>(), seen));
                if (!gone) {
                    spared.add(uid);
                }
            }
        }
        networksSince.keySet().retainAll(leftOver);
        return spared;
    }

    private String nameOfNetwork(String uid) {
        return records.network(uid) instanceof Seen.Present<NetworkRecord>(NetworkRecord record)
                ? record.id().toString()
                : "uid-" + uid;
    }

    private void sweepElements(Pass pass, Set<String> spared) {
        Set<String> owned = new HashSet<>(spared);
        owned.addAll(pass.known.networkUids);
        records.vms().forEach(r -> owned.add(r.id().uid()));
        records.networks().forEach(r -> owned.add(r.id().uid()));
        List<FirewallElement> stale = pass.inventory.elements().stream()
                .filter(e -> !owned.contains(e.ownerUid()) && !isUnreadable(e.ownerUid()))
                .sorted(Comparator.comparing(FirewallElement::toString))
                .toList();
        if (!stale.isEmpty()) {
            Plan plan = new Plan(
                    List.of(new PlannedStep(new Step.DeleteElements(stale), "their owners are gone")),
                    Optional.empty());
            pass.run("FirewallElement", stale.size() + " elements", "", plan);
        }
    }

    /** What a record that cannot be read may still claim. */
    private boolean isUnreadable(String uid) {
        return records.vm(uid) instanceof Seen.Unknown || records.network(uid) instanceof Seen.Unknown;
    }
}
