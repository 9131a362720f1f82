package dev.vmlet.controller;

import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSlice;
import dev.vmlet.api.NetworkSliceStatus;
import dev.vmlet.api.NetworkSpec;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.host.Applier;
import dev.vmlet.host.Host;
import dev.vmlet.host.Observer;
import dev.vmlet.model.DesiredNetwork;
import dev.vmlet.model.HostException;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.InterfaceAddress;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.Link;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.NetworkObservation;
import dev.vmlet.model.NetworkRecord;
import dev.vmlet.model.Owner;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Resolution;
import dev.vmlet.model.Route;
import dev.vmlet.model.Seen;
import dev.vmlet.plan.NetworkPlanner;
import dev.vmlet.plan.Outcome;
import dev.vmlet.plan.Plan;
import dev.vmlet.resolve.NetworkResolver;
import dev.vmlet.resolve.NetworkResolver.HostAddressing;
import dev.vmlet.resolve.PolicyResolver;
import dev.vmlet.status.NetworkStatuses;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import io.javaoperatorsdk.operator.api.config.informer.FieldSelectorBuilder;
import io.javaoperatorsdk.operator.api.config.informer.InformerEventSourceConfiguration;
import io.javaoperatorsdk.operator.api.reconciler.Context;
import io.javaoperatorsdk.operator.api.reconciler.ErrorStatusUpdateControl;
import io.javaoperatorsdk.operator.api.reconciler.EventSourceContext;
import io.javaoperatorsdk.operator.api.reconciler.Reconciler;
import io.javaoperatorsdk.operator.api.reconciler.UpdateControl;
import io.javaoperatorsdk.operator.processing.event.ResourceID;
import io.javaoperatorsdk.operator.processing.event.source.EventSource;
import io.javaoperatorsdk.operator.processing.event.source.informer.InformerEventSource;
import java.time.Clock;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** Keeps this node's slices of Networks. Writes the status of its own NetworkSlices and nothing else of the API. */
public final class NetworkReconciler implements Reconciler<Network> {
    /** Finalizer on a slice: its node has a bridge to take down first. */
    public static final String SLICE_FINALIZER = "vmlet.dev/node-agent";

    private static final Duration FULL_PASS = Duration.ofSeconds(30);
    private static final Duration SOON = Duration.ofMillis(50);
    private static final Duration COLD = Duration.ofSeconds(1);

    private final String nodeName;
    private final InstallationId installation;
    private final Host host;
    private final Observer observer;
    private final NetworkPlanner planner;
    private final Applier applier;
    private final Wakes wakes;
    private final Reports reports;
    private final EventRecorder events;
    private final Warmth warmth;
    private final Clock clock;
    private final SliceClaims claims;
    private final PassageNews passages;
    private final RepairPace repairs = new RepairPace();
    /** Generation at which each Network was last looked at, by uid. */
    private final Map<String, Long> generations = new ConcurrentHashMap<>();

    private @Nullable InformerEventSource<VirtualMachine, Network> vms;
    private @Nullable InformerEventSource<NetworkSlice, Network> slices;

    NetworkReconciler(
            String nodeName,
            InstallationId installation,
            Host host,
            Observer observer,
            NetworkPlanner planner,
            Applier applier,
            Wakes wakes,
            Reports reports,
            EventRecorder events,
            Warmth warmth,
            Clock clock) {
        this.nodeName = nodeName;
        this.installation = installation;
        this.host = host;
        this.observer = observer;
        this.planner = planner;
        this.applier = applier;
        this.wakes = wakes;
        this.reports = reports;
        this.events = events;
        this.warmth = warmth;
        this.clock = clock;
        this.claims = new SliceClaims(nodeName, SLICE_FINALIZER);
        this.passages = new PassageNews(events);
    }

    @Override
    public List<EventSource<?, Network>> prepareEventSources(EventSourceContext<Network> context) {
        var thisNode =
                new FieldSelectorBuilder().withField("spec.nodeName", nodeName).build();
        vms = new InformerEventSource<>(
                InformerEventSourceConfiguration.from(VirtualMachine.class, Network.class)
                        .withWatchAllNamespaces()
                        .withFieldSelector(thisNode)
                        .withOnUpdateFilter(NetworkReconciler::specChanged)
                        .withSecondaryToPrimaryMapper(NetworkReconciler::networksOf)
                        .withPrimaryToSecondaryMapper((Network n) -> Set.of())
                        .build(),
                context);
        slices = new InformerEventSource<>(
                InformerEventSourceConfiguration.from(NetworkSlice.class, Network.class)
                        .withWatchAllNamespaces()
                        .withFieldSelector(thisNode)
                        .withSecondaryToPrimaryMapper((NetworkSlice s) -> s.getSpec() == null
                                        || s.getSpec().network() == null
                                ? Set.of()
                                : Set.of(new ResourceID(
                                        s.getSpec().network(), s.getMetadata().getNamespace())))
                        .withPrimaryToSecondaryMapper((Network n) -> Set.of())
                        .build(),
                context);
        return List.of(vms, slices, wakes.networkSource());
    }

    /** A VM's status says nothing new about its Networks. */
    static boolean specChanged(VirtualMachine now, VirtualMachine before) {
        return !Objects.equals(
                        now.getMetadata().getGeneration(), before.getMetadata().getGeneration())
                || !Objects.equals(
                        now.getMetadata().getDeletionTimestamp(),
                        before.getMetadata().getDeletionTimestamp());
    }

    static Set<ResourceID> networksOf(VirtualMachine vm) {
        if (vm.getSpec() == null || vm.getSpec().networks() == null) {
            return Set.of();
        }
        return vm.getSpec().networks().stream()
                .filter(n -> n.name() != null)
                .map(n -> new ResourceID(n.name(), vm.getMetadata().getNamespace()))
                .collect(Collectors.toSet());
    }

    @Override
    public UpdateControl<Network> reconcile(Network network, Context<Network> context) throws ReconcileFailed {
        if (context.isPrimaryResourceDeleted()) {
            wakes.forgetNetwork(network.getMetadata().getUid());
            generations.remove(network.getMetadata().getUid());
            passages.forget(network.getMetadata().getUid());
            wakePeers(network, context);
            wakes.wakeNode();
            return UpdateControl.noUpdate();
        }
        wakes.knowNetwork(network);
        if (warmth.isFilling() || warmth.chill().isPresent()) {
            // All are woken when the caches are full; the VmNode says what else is missing.
            return UpdateControl.<Network>noUpdate().rescheduleAfter(COLD);
        }
        String uid = network.getMetadata().getUid();
        String namespace = network.getMetadata().getNamespace();
        Long generation = Objects.requireNonNullElse(network.getMetadata().getGeneration(), 0L);
        if (!generation.equals(generations.put(uid, generation))) {
            wakePeers(network, context);
        }
        List<NetworkSlice> ours =
                slices == null ? List.of() : slices.list(namespace, s -> true).toList();
        Optional<NetworkSlice> slice = NetworkResolver.sliceOf(network, ours, nodeName);
        boolean used = isUsed(network);
        boolean letGo = slice.isPresent() && slice.get().getMetadata().getDeletionTimestamp() != null && !used;
        if (slice.isEmpty() && wantsSlice(network, used)) {
            takeSlice(network, context.getClient());
            // The new slice comes back as an event.
            return UpdateControl.<Network>noUpdate().rescheduleAfter(FULL_PASS);
        }
        NetworkObservation look = observer.observeNetwork(uid, Optional.empty());
        Resolution<DesiredNetwork> resolution = letGo
                ? new Resolution.Absent<>()
                : NetworkResolver.resolve(
                        network,
                        context.getPrimaryCache().list(namespace).toList(),
                        ours,
                        nodeName,
                        used,
                        realised(look),
                        addressing(uid),
                        installation);
        Optional<DesiredNetwork> desired = resolution instanceof Resolution.Desired<DesiredNetwork>(DesiredNetwork d)
                ? Optional.of(d)
                : Optional.empty();
        NetworkObservation before = observer.observeNetwork(uid, desired);
        Plan plan = repairs.paced(uid, planner.plan(uid, resolution, before), clock.instant());
        Outcome outcome = applier.apply(NetworkResolver.idOf(network).toString(), plan);
        repairs.made(uid, outcome.done(), clock.instant());
        NetworkObservation after = plan.isEmpty() ? before : observer.observeNetwork(uid, desired);
        reports.tell(network, resolution, plan, outcome);
        passages.tell(network, host.passages().of(uid));
        if (!plan.isEmpty()) {
            wakes.wakeVms();
            // The uplink's flag follows the first Network and the last; and whoever makes a bridge looks at the flag
            // after.
            wakes.wakeNode();
        }
        if (slice.isPresent()) {
            NetworkSlice told = slice.get();
            report(
                    told,
                    NetworkResolver.existingBridge(network)
                            .map(bridge ->
                                    NetworkStatuses.ofLan(told, bridge, observer.observeLan(bridge), clock.instant()))
                            .orElseGet(() ->
                                    NetworkStatuses.ofSlice(told, resolution, plan, outcome, after, clock.instant())),
                    context.getClient());
            if (letGo && plan.isEmpty() && isGone(after)) {
                release(slice.get(), context.getClient());
            }
        }
        if (outcome.failed().isPresent()) {
            Outcome.Failure failure = outcome.failed().get();
            throw new ReconcileFailed(
                    "Network " + namespace + "/" + network.getMetadata().getName() + ": "
                            + failure.step().step() + ": " + failure.cause().getMessage(),
                    failure.cause(),
                    "");
        }
        return UpdateControl.<Network>noUpdate().rescheduleAfter(next(plan));
    }

    /** Whether they are peers is for both to say: what one says changes what the other lets through. */
    private void wakePeers(Network network, Context<Network> context) {
        context.getPrimaryCache()
                .list(network.getMetadata().getNamespace())
                .filter(other -> PolicyResolver.names(other, network))
                .forEach(other -> wakes.wakeNetwork(other.getMetadata().getUid()));
    }

    private static Duration next(Plan plan) {
        if (!plan.isEmpty()) {
            return SOON;
        }
        Duration asked = plan.waitingFor().map(Plan.Wait::lookAgain).orElse(FULL_PASS);
        return asked.compareTo(FULL_PASS) < 0 ? asked : FULL_PASS;
    }

    /** A VM of this node names the Network, or has host objects on it that are not taken down yet. */
    private boolean isUsed(Network network) {
        String name = network.getMetadata().getName();
        String uid = network.getMetadata().getUid();
        boolean named = vms != null
                && vms.list(network.getMetadata().getNamespace(), vm -> true)
                        .anyMatch(vm -> networksOf(vm).stream()
                                .anyMatch(id -> id.getName().equals(name)));
        return named
                || host.records().vms().stream()
                        .anyMatch(r -> r.nics().stream()
                                .anyMatch(n -> n.network().uid().equals(uid)));
    }

    private static boolean wantsSlice(Network network, boolean used) {
        boolean always = network.getSpec() != null && network.getSpec().realize() == NetworkSpec.Realize.Always;
        return (used || always)
                && network.getMetadata().getDeletionTimestamp() == null
                && (NetworkResolver.existingBridge(network).isPresent()
                        || network.getStatus() != null && network.getStatus().cidr() != null);
    }

    private void takeSlice(Network network, KubernetesClient client) {
        Optional<Ipv4Prefix> had =
                realised(observer.observeNetwork(network.getMetadata().getUid(), Optional.empty()));
        claims.take(network, had, client)
                .ifPresent(exhausted -> events.warning(network, Reason.SlicesExhausted, exhausted));
    }

    private static Optional<Ipv4Prefix> realised(NetworkObservation look) {
        return look.record() instanceof Seen.Present<NetworkRecord>(NetworkRecord record)
                ? Optional.of(record.realised().subnet())
                : Optional.empty();
    }

    /**
     * The host's addressing without the Network's own bridge. A failed look leaves all open and shows in the observation.
     */
    private HostAddressing addressing(String networkUid) throws ReconcileFailed {
        try {
            Set<LinkName> own = new HashSet<>();
            for (Link link : host.links().list()) {
                if (link.mark().owner(installation).equals(new Owner.OfNetwork(networkUid))) {
                    own.add(link.name());
                }
            }
            Map<LinkName, Set<InterfaceAddress>> addresses =
                    new HashMap<>(host.links().allAddresses());
            addresses.keySet().removeAll(own);
            List<Route> routes = host.links().routes().stream()
                    .filter(r -> !own.contains(r.device()))
                    .toList();
            return new HostAddressing(addresses, routes, host.records().networks());
        } catch (HostException e) {
            throw new ReconcileFailed("host addresses: " + e.getMessage(), e, "");
        }
    }

    private void report(NetworkSlice slice, NetworkSliceStatus status, KubernetesClient client) {
        if (status.equals(slice.getStatus())) {
            return;
        }
        NetworkSlice bare = new NetworkSlice();
        bare.setMetadata(new ObjectMetaBuilder()
                .withName(slice.getMetadata().getName())
                .withNamespace(slice.getMetadata().getNamespace())
                .build());
        bare.setStatus(status);
        try {
            client.resource(bare)
                    .subresource("status")
                    .patch(
                            new PatchContext.Builder()
                                    .withPatchType(PatchType.SERVER_SIDE_APPLY)
                                    .withFieldManager("vmlet-agent")
                                    .withForce(true)
                                    .build(),
                            bare);
        } catch (KubernetesClientException e) {
            if (e.getCode() != 404) {
                throw e;
            }
            // Released and gone; the cache has not heard of it yet.
        }
        wakes.wakeVms();
    }

    private static boolean isGone(NetworkObservation seen) {
        return seen.record() instanceof Seen.Missing && !(seen.bridge() instanceof Seen.Unknown);
    }

    private static void release(NetworkSlice slice, KubernetesClient client) {
        try {
            // Read anew: our own status was written since the cache saw the slice.
            client.resources(NetworkSlice.class)
                    .inNamespace(slice.getMetadata().getNamespace())
                    .withName(slice.getMetadata().getName())
                    .edit(s -> {
                        s.getMetadata().getFinalizers().remove(SLICE_FINALIZER);
                        return s;
                    });
        } catch (KubernetesClientException e) {
            if (e.getCode() != 404) {
                throw e;
            }
            // Released already; the cache has not heard of it yet.
        }
    }

    @Override
    public ErrorStatusUpdateControl<Network> updateErrorStatus(Network network, Context<Network> context, Exception e) {
        reports.unexpected(network, Reason.HostRefused, e);
        return ErrorStatusUpdateControl.noStatusUpdate();
    }
}
