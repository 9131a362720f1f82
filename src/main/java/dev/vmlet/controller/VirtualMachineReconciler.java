package dev.vmlet.controller;

import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSlice;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineStatus;
import dev.vmlet.host.Applier;
import dev.vmlet.host.Observer;
import dev.vmlet.host.Wishes;
import dev.vmlet.metrics.AgentMetrics;
import dev.vmlet.model.DesiredVm;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.FirewallSet;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostFacts;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.PowerWish;
import dev.vmlet.model.Reach;
import dev.vmlet.model.Readiness;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Resolution;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmObservation;
import dev.vmlet.model.VmRecord;
import dev.vmlet.plan.Outcome;
import dev.vmlet.plan.Plan;
import dev.vmlet.plan.PlannedStep;
import dev.vmlet.plan.Rebuild;
import dev.vmlet.plan.Step;
import dev.vmlet.plan.VmPlanner;
import dev.vmlet.resolve.Statuses;
import dev.vmlet.resolve.VmResolver;
import dev.vmlet.status.StatusNews;
import dev.vmlet.status.VmStatus;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.javaoperatorsdk.operator.api.config.informer.FieldSelectorBuilder;
import io.javaoperatorsdk.operator.api.config.informer.InformerEventSourceConfiguration;
import io.javaoperatorsdk.operator.api.reconciler.Cleaner;
import io.javaoperatorsdk.operator.api.reconciler.Context;
import io.javaoperatorsdk.operator.api.reconciler.DeleteControl;
import io.javaoperatorsdk.operator.api.reconciler.ErrorStatusUpdateControl;
import io.javaoperatorsdk.operator.api.reconciler.EventSourceContext;
import io.javaoperatorsdk.operator.api.reconciler.Reconciler;
import io.javaoperatorsdk.operator.api.reconciler.UpdateControl;
import io.javaoperatorsdk.operator.processing.event.ResourceID;
import io.javaoperatorsdk.operator.processing.event.source.EventSource;
import io.javaoperatorsdk.operator.processing.event.source.informer.InformerEventSource;
import java.net.http.HttpConnectTimeoutException;
import java.net.http.HttpTimeoutException;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** Keeps this node's VMs: resolve, observe, plan, apply, observe, report. */
public final class VirtualMachineReconciler implements Reconciler<VirtualMachine>, Cleaner<VirtualMachine> {
    /** Finalizer: this node's agent has host objects to take down first. */
    public static final String FINALIZER = "vmlet.dev/node-agent";

    /** What no event told is seen after this. */
    private static final Duration FULL_PASS = Duration.ofSeconds(30);

    /** All are woken when the caches are full; this is for the case that one is not. */
    private static final Duration FILLED = Duration.ofSeconds(1);

    /** A start takes three; more come back by way of the queue, behind the others. */
    private static final int ROUNDS_MAX = 4;

    /** As many VMs as start at once may be ahead of us. */
    private static final int RACES_MAX = 64;

    private final String nodeName;
    private final Supplier<HostFacts> facts;
    private final UserDataReader userData;
    private final Observer observer;
    private final VmPlanner planner;
    private final Downtimes downtimes;
    private final StartTurns turns;
    private final Wishes wishes;
    private final Rebuild rebuild;
    private final Applier applier;
    private final Wakes wakes;
    private final LocalServices services;
    private final Reports reports;
    private final Warmth warmth;
    private final AgentMetrics metrics;
    private final Clock clock;
    /** When this agent began: what was started before was adopted. */
    private final Instant born;

    private final StatusPace pace = new StatusPace();
    private final RebootNews reboots = new RebootNews();
    private final Resolutions resolutions = new Resolutions();
    private final RepairPace repairs = new RepairPace();
    private @Nullable InformerEventSource<Network, VirtualMachine> networks;
    private @Nullable InformerEventSource<NetworkSlice, VirtualMachine> slices;

    VirtualMachineReconciler(
            String nodeName,
            Supplier<HostFacts> facts,
            UserDataReader userData,
            Observer observer,
            VmPlanner planner,
            Downtimes downtimes,
            StartTurns turns,
            Wishes wishes,
            Applier applier,
            Wakes wakes,
            LocalServices services,
            Reports reports,
            Warmth warmth,
            AgentMetrics metrics,
            Clock clock) {
        this.nodeName = nodeName;
        this.facts = facts;
        this.userData = userData;
        this.observer = observer;
        this.planner = planner;
        this.downtimes = downtimes;
        this.turns = turns;
        this.wishes = wishes;
        this.rebuild = new Rebuild(planner);
        this.applier = applier;
        this.wakes = wakes;
        this.services = services;
        this.reports = reports;
        this.warmth = warmth;
        this.metrics = metrics;
        this.clock = clock;
        this.born = clock.instant();
    }

    @Override
    public List<EventSource<?, VirtualMachine>> prepareEventSources(EventSourceContext<VirtualMachine> context) {
        context.getPrimaryCache().addIndexer("network", VirtualMachineReconciler::networkKeys);
        networks = new InformerEventSource<>(
                InformerEventSourceConfiguration.from(Network.class, VirtualMachine.class)
                        .withWatchAllNamespaces()
                        .withSecondaryToPrimaryMapper((Network n) -> users(
                                context,
                                n.getMetadata().getNamespace(),
                                n.getMetadata().getName()))
                        .withPrimaryToSecondaryMapper((VirtualMachine vm) -> networkIds(vm))
                        .build(),
                context);
        slices = new InformerEventSource<>(
                InformerEventSourceConfiguration.from(NetworkSlice.class, VirtualMachine.class)
                        .withWatchAllNamespaces()
                        .withFieldSelector(new FieldSelectorBuilder()
                                .withField("spec.nodeName", nodeName)
                                .build())
                        .withSecondaryToPrimaryMapper((NetworkSlice s) ->
                                s.getSpec() == null || s.getSpec().network() == null
                                        ? Set.of()
                                        : users(
                                                context,
                                                s.getMetadata().getNamespace(),
                                                s.getSpec().network()))
                        .withPrimaryToSecondaryMapper((VirtualMachine vm) -> Set.of())
                        .build(),
                context);
        return List.of(networks, slices, wakes.vmSource());
    }

    private static Set<ResourceID> users(
            EventSourceContext<VirtualMachine> context, String namespace, @Nullable String network) {
        return context.getPrimaryCache().byIndex("network", namespace + "/" + network).stream()
                .map(ResourceID::fromResource)
                .collect(Collectors.toSet());
    }

    private static List<String> networkKeys(VirtualMachine vm) {
        return networkIds(vm).stream()
                .map(id -> id.getNamespace().orElse("") + "/" + id.getName())
                .toList();
    }

    private static Set<ResourceID> networkIds(VirtualMachine vm) {
        if (vm.getSpec() == null || vm.getSpec().networks() == null) {
            return Set.of();
        }
        return vm.getSpec().networks().stream()
                .filter(n -> n.name() != null)
                .map(n -> new ResourceID(n.name(), vm.getMetadata().getNamespace()))
                .collect(Collectors.toSet());
    }

    @Override
    public UpdateControl<VirtualMachine> reconcile(VirtualMachine vm, Context<VirtualMachine> context)
            throws ReconcileFailed {
        wakes.knowVm(vm);
        if (warmth.isFilling()) {
            return UpdateControl.<VirtualMachine>noUpdate().rescheduleAfter(FILLED);
        }
        VmResolver.power(vm).ifPresent(wish -> wishes.keep(vm.getMetadata().getUid(), wish));
        Round round = rounds(vm);
        VirtualMachineStatus status = status(vm, round);
        measure(vm, status);
        services.know(vm.getMetadata().getUid(), status).forEach(wakes::wakeVm);
        if (round.outcome.failed().isPresent()) {
            throw failed(vm, round.outcome.failed().get(), status);
        }
        String uid = vm.getMetadata().getUid();
        Duration next = next(round.plan);
        if (!status.equals(vm.getStatus())) {
            Duration left = pace.left(uid, round.plan, change(vm, round, status), clock.instant());
            if (left.isPositive()) {
                return UpdateControl.<VirtualMachine>noUpdate().rescheduleAfter(next.compareTo(left) < 0 ? next : left);
            }
            pace.sent(uid);
            reports.addressing(vm, status);
            return UpdateControl.patchStatus(bare(vm, status)).rescheduleAfter(next);
        }
        pace.written(uid);
        return UpdateControl.<VirtualMachine>noUpdate().rescheduleAfter(next);
    }

    private StatusPace.Change change(VirtualMachine vm, Round round, VirtualMachineStatus status) {
        if (StatusNews.isOnlyWhatWaits(status, vm.getStatus())) {
            return StatusPace.Change.WHAT_WAITS;
        }
        if (StatusNews.isAStepFurther(status, vm.getStatus())) {
            return StatusPace.Change.A_STEP_FURTHER;
        }
        boolean adopted = record(round.after)
                .flatMap(VmRecord::launch)
                .map(launch -> launch.startedAt().isBefore(born))
                .orElse(false);
        boolean isAsked = round.resolution instanceof Resolution.Desired<DesiredVm>(DesiredVm desired)
                && desired.readiness() instanceof Readiness.TcpPort;
        return adopted && isAsked && round.after.reach() == Reach.NOT_PROBED
                ? StatusPace.Change.BEFORE_A_KNOCK
                : StatusPace.Change.NEWS;
    }

    private VirtualMachineStatus status(VirtualMachine vm, Round round) {
        Optional<Ipv4Address> node = record(round.after)
                .filter(record ->
                        record.nics().stream().anyMatch(nic -> !nic.ports().isEmpty()))
                .flatMap(_ -> observer.ownAddress());
        return VmStatus.of(vm, round.resolution, round.plan, round.outcome, round.after, node, clock.instant());
    }

    /** Until nothing is left to do or something is to be waited for: what a plan led to often allows the next at once. */
    private Round rounds(VirtualMachine vm) {
        Round round = round(vm, resolve(vm));
        for (int more = 0; more < ROUNDS_MAX && goesOn(round); more++) {
            report(vm, round);
            round = round(vm, resolve(vm));
        }
        for (int race = 0; race < RACES_MAX && lostRace(round.outcome); race++) {
            // Another VM took the address or user id since we looked; look again and choose the next.
            round = round(vm, resolve(vm));
        }
        report(vm, round);
        return round;
    }

    private static boolean goesOn(Round round) {
        return round.outcome.failed().isEmpty()
                && !round.plan.isEmpty()
                && round.plan.waitingFor().isEmpty();
    }

    private void report(VirtualMachine vm, Round round) {
        reports.tell(vm, round.resolution, round.plan, round.outcome);
        reports.exit(vm, record(round.before), record(round.after));
        reboots.of(vm.getMetadata().getUid(), round.after).ifPresent(news -> reports.rebooted(vm, news));
    }

    /** The same line with nothing desired; the finalizer goes when nothing of the VM is left to be seen. */
    @Override
    public DeleteControl cleanup(VirtualMachine vm, Context<VirtualMachine> context) throws ReconcileFailed {
        wakes.knowVm(vm);
        if (warmth.isFilling()) {
            return DeleteControl.noFinalizerRemoval().rescheduleAfter(FILLED.toMillis());
        }
        reports.notLost(vm);
        wishes.forget(vm.getMetadata().getUid());
        services.leaves(vm.getMetadata().getUid()).forEach(wakes::wakeVm);
        Round round = round(vm, new Resolution.Absent<>());
        report(vm, round);
        VirtualMachineStatus status = status(vm, round);
        measure(vm, status);
        if (round.outcome.failed().isPresent()) {
            throw failed(vm, round.outcome.failed().get(), status);
        }
        if (isGone(round.after) && warmth.chill().isEmpty()) {
            wakes.forgetVm(vm);
            services.forget(vm.getMetadata().getUid());
            metrics.gone(vm.getMetadata().getUid());
            resolutions.forget(vm.getMetadata().getUid());
            pace.forget(vm.getMetadata().getUid());
            wakes.wakeNetworks();
            wakes.wakeNode();
            return DeleteControl.defaultDelete();
        }
        if (!status.equals(vm.getStatus())) {
            context.resourceOperations().serverSideApplyPrimaryStatus(bare(vm, status));
        }
        return DeleteControl.noFinalizerRemoval()
                .rescheduleAfter(next(round.plan).toMillis());
    }

    private void measure(VirtualMachine vm, VirtualMachineStatus status) {
        Instant now = clock.instant();
        String created = vm.getMetadata().getCreationTimestamp();
        if (status.phase() != null) {
            metrics.phase(
                    vm.getMetadata().getUid(), status.phase(), created == null ? now : Instant.parse(created), now);
        }
    }

    private static boolean lostRace(Outcome outcome) {
        return outcome.failed()
                .map(f -> f.cause() instanceof HostException.Busy && f.step().step() instanceof Step.WriteVmRecord)
                .orElse(false);
    }

    private static boolean isGone(VmObservation seen) {
        return seen.record() instanceof Seen.Missing
                && seen.process() instanceof Seen.Missing
                && seen.leftovers().equals(Seen.present(false))
                && seen.strayTaps() instanceof Seen.Present(var stray)
                && stray.isEmpty();
    }

    private record Round(
            Resolution<DesiredVm> resolution, VmObservation before, Plan plan, Outcome outcome, VmObservation after) {}

    private static Optional<VmRecord> record(VmObservation seen) {
        return seen.record() instanceof Seen.Present<VmRecord>(VmRecord record)
                ? Optional.of(record)
                : Optional.empty();
    }

    private Resolution<DesiredVm> resolve(VirtualMachine vm) {
        String namespace = vm.getMetadata().getNamespace();
        List<Network> known = networks == null
                ? List.of()
                : networks.list(namespace, n -> true).toList();
        List<NetworkSlice> ours =
                slices == null ? List.of() : slices.list(namespace, s -> true).toList();
        return resolutions.of(vm, known, ours, userData.of(vm), facts.get());
    }

    private Round round(VirtualMachine vm, Resolution<DesiredVm> resolution) {
        VmId id = VmResolver.idOf(vm);
        Optional<DesiredVm> desired =
                resolution instanceof Resolution.Desired<DesiredVm>(DesiredVm d) ? Optional.of(d) : Optional.empty();
        VmObservation before = observer.observeVm(id, desired);
        Plan wanted = warmth.chill()
                .map(why -> Plan.waiting(Reason.CannotLook, why, FILLED))
                .or(() -> before.record() instanceof Seen.Present ? Optional.empty() : rebuilt(vm, id, resolution))
                .orElseGet(() -> services.in(plan(vm, id, resolution, before), id, before));
        Plan plan = repairs.paced(id.uid(), wanted, clock.instant());
        Outcome outcome = applier.apply(id.toString(), plan);
        repairs.made(id.uid(), outcome.done(), clock.instant());
        if (outcome.done().stream().anyMatch(VirtualMachineReconciler::publishes)) {
            // The uplink's flag follows what is published.
            wakes.wakeNode();
        }
        VmObservation after = plan.isEmpty() ? before : observer.observeVm(id, desired);
        turns.settle(id.uid(), plan, after);
        return new Round(resolution, before, plan, outcome, after);
    }

    /** Nothing can be planned by a record that is lost: first it is written anew, as far as that goes. */
    private Optional<Plan> rebuilt(VirtualMachine vm, VmId id, Resolution<DesiredVm> resolution) {
        return resolution instanceof Resolution.Absent
                ? observer.survivors(id)
                        .map(left -> rebuild.planRemoval(
                                id,
                                resolve(vm),
                                VmResolver.retained(vm),
                                VmResolver.power(vm).map(PowerWish::grace),
                                Statuses.told(vm),
                                left,
                                clock.instant()))
                : observer.witnesses(id)
                        .map(left -> rebuild.plan(resolution, Statuses.told(vm), left, clock.instant()));
    }

    private static boolean publishes(PlannedStep made) {
        return made.step() instanceof Step.AddElements(List<FirewallElement> elements)
                && elements.stream().anyMatch(e -> e.set() == FirewallSet.PUBLISHED);
    }

    private Plan plan(VirtualMachine vm, VmId id, Resolution<DesiredVm> resolution, VmObservation seen) {
        return resolution instanceof Resolution.Absent
                ? planner.planRemoval(id, VmResolver.retained(vm), seen, clock.instant())
                : turns.admit(
                        id.uid(),
                        planner.plan(id, resolution, VmResolver.power(vm), downtimes.now(), seen, clock.instant()));
    }

    /** A plan that changed something is followed by a look at once: what it led to may allow the next step. */
    private static Duration next(Plan plan) {
        if (!plan.isEmpty()) {
            return plan.waitingFor()
                    .map(Plan.Wait::lookAgain)
                    .filter(d -> d.compareTo(Duration.ofMillis(50)) > 0 && d.compareTo(Duration.ofSeconds(1)) < 0)
                    .orElse(Duration.ofMillis(50));
        }
        Duration asked = plan.waitingFor().map(Plan.Wait::lookAgain).orElse(FULL_PASS);
        return asked.compareTo(FULL_PASS) < 0 ? asked : FULL_PASS;
    }

    private static ReconcileFailed failed(VirtualMachine vm, Outcome.Failure failure, VirtualMachineStatus status) {
        return new ReconcileFailed(
                "VM " + vm.getMetadata().getNamespace() + "/" + vm.getMetadata().getName() + ": "
                        + failure.step().step() + ": " + failure.cause().getMessage(),
                failure.cause(),
                status);
    }

    @Override
    public ErrorStatusUpdateControl<VirtualMachine> updateErrorStatus(
            VirtualMachine vm, Context<VirtualMachine> context, Exception e) {
        if (e instanceof ReconcileFailed failed
                && failed.status() instanceof VirtualMachineStatus status
                && !status.equals(vm.getStatus())) {
            // Told when it is written first, and that is now.
            reports.addressing(vm, status);
            return ErrorStatusUpdateControl.patchStatus(bare(vm, status));
        }
        if (e instanceof KubernetesClientException refusal && isOverwhelmed(refusal)) {
            pace.refused(vm.getMetadata().getUid(), clock.instant());
        }
        reports.unexpected(vm, Reason.HostRefused, e);
        return ErrorStatusUpdateControl.noStatusUpdate();
    }

    /** One that is away is not: whatever waited may come at once when it is back. */
    private static boolean isOverwhelmed(KubernetesClientException refusal) {
        return Set.of(429, 503, 504).contains(refusal.getCode())
                || Stream.<Throwable>iterate(refusal, Objects::nonNull, Throwable::getCause)
                        .anyMatch(cause -> cause instanceof HttpTimeoutException
                                && !(cause instanceof HttpConnectTimeoutException));
    }

    /** Server-side apply wants name, namespace and what we own, and nothing else. */
    private static VirtualMachine bare(VirtualMachine vm, VirtualMachineStatus status) {
        VirtualMachine bare = new VirtualMachine();
        bare.setMetadata(new ObjectMetaBuilder()
                .withName(vm.getMetadata().getName())
                .withNamespace(vm.getMetadata().getNamespace())
                .build());
        bare.setStatus(status);
        return bare;
    }
}
