package dev.vmlet.controller;

import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSlice;
import dev.vmlet.api.NetworkStatus;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.model.CidrChoice;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.Reason;
import dev.vmlet.resolve.CidrChooser;
import dev.vmlet.resolve.PolicyResolver;
import dev.vmlet.status.NetworkStatuses;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.javaoperatorsdk.operator.api.config.informer.InformerEventSourceConfiguration;
import io.javaoperatorsdk.operator.api.reconciler.Cleaner;
import io.javaoperatorsdk.operator.api.reconciler.Context;
import io.javaoperatorsdk.operator.api.reconciler.DeleteControl;
import io.javaoperatorsdk.operator.api.reconciler.ErrorStatusUpdateControl;
import io.javaoperatorsdk.operator.api.reconciler.EventSourceContext;
import io.javaoperatorsdk.operator.api.reconciler.Reconciler;
import io.javaoperatorsdk.operator.api.reconciler.UpdateControl;
import io.javaoperatorsdk.operator.processing.event.source.EventSource;
import io.javaoperatorsdk.operator.processing.event.source.informer.InformerEventSource;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The controller's part of Networks: chooses each CIDR once, and keeps a deleted Network until its last VM is gone.
 * Only one process of a cluster runs it.
 */
public final class CidrReconciler implements Reconciler<Network>, Cleaner<Network> {
    public static final String FINALIZER = "vmlet.dev/controller";

    private static final Logger log = LoggerFactory.getLogger(CidrReconciler.class);
    private static final Duration AGAIN = Duration.ofMinutes(1);
    private static final Duration SOON = Duration.ofSeconds(1);

    private final Ipv4Prefix pool;
    private final List<Ipv4Prefix> clusterRanges;
    private final EventRecorder events;
    private final ScrappedNodes scrapped;
    private final Clock clock;
    /** Two Networks must not be given one prefix: choosing and writing the choice is one act. */
    private final Object choosing = new Object();

    private @Nullable InformerEventSource<VirtualMachine, Network> vms;

    public CidrReconciler(Ipv4Prefix pool, List<Ipv4Prefix> clusterRanges, EventRecorder events, Clock clock) {
        this.pool = pool;
        this.clusterRanges = List.copyOf(clusterRanges);
        this.events = events;
        this.scrapped = new ScrappedNodes(clock);
        this.clock = clock;
    }

    @Override
    public List<EventSource<?, Network>> prepareEventSources(EventSourceContext<Network> context) {
        vms = new InformerEventSource<>(
                InformerEventSourceConfiguration.from(VirtualMachine.class, Network.class)
                        .withWatchAllNamespaces()
                        .withOnUpdateFilter(NetworkReconciler::specChanged)
                        .withSecondaryToPrimaryMapper(NetworkReconciler::networksOf)
                        .withPrimaryToSecondaryMapper((Network n) -> Set.of())
                        .build(),
                context);
        return List.of(vms);
    }

    @Override
    public UpdateControl<Network> reconcile(Network network, Context<Network> context) {
        if (isSettled(network)) {
            return UpdateControl.<Network>noUpdate().rescheduleAfter(AGAIN);
        }
        synchronized (choosing) {
            KubernetesClient client = context.getClient();
            // Read from the API server, not from the cache: a choice must see the one made a moment ago.
            List<Network> all =
                    client.resources(Network.class).inAnyNamespace().list().getItems();
            String uid = network.getMetadata().getUid();
            Network fresh = all.stream()
                    .filter(n -> n.getMetadata().getUid().equals(uid))
                    .findFirst()
                    .orElse(network);
            List<Network> others = all.stream()
                    .filter(n -> !n.getMetadata().getUid().equals(uid))
                    .toList();
            CidrChoice choice = CidrChooser.choose(fresh, others, clusterRanges, pool);
            NetworkStatus status =
                    NetworkStatuses.ofNetwork(fresh, choice, 0, PolicyResolver.oneSided(fresh, all), clock.instant());
            boolean had = fresh.getStatus() != null && fresh.getStatus().cidr() != null;
            if (!had && choice instanceof CidrChoice.Refused(Reason reason, String message)) {
                events.warning(network, reason, message);
            }
            if (status.equals(fresh.getStatus())) {
                return UpdateControl.<Network>noUpdate().rescheduleAfter(AGAIN);
            }
            if (!had && choice instanceof CidrChoice.Chosen(Ipv4Prefix cidr)) {
                log.atInfo()
                        .addKeyValue(
                                "network",
                                network.getMetadata().getNamespace() + "/"
                                        + network.getMetadata().getName())
                        .addKeyValue("cidr", cidr)
                        .log("chosen");
            }
            context.resourceOperations().serverSideApplyPrimaryStatus(bare(network, status));
            return UpdateControl.<Network>noUpdate().rescheduleAfter(AGAIN);
        }
    }

    /** It has its CIDR, which is for good, and says so; nobody need be asked, unless what it says hangs on its peers. */
    private boolean isSettled(Network network) {
        NetworkStatus status = network.getStatus();
        boolean peers = network.getSpec() != null
                && network.getSpec().peers() != null
                && !network.getSpec().peers().isEmpty();
        if (network.getSpec() != null && network.getSpec().existingBridge() != null) {
            CidrChoice lan =
                    new CidrChoice.Lan(Objects.requireNonNull(network.getSpec().existingBridge()));
            return NetworkStatuses.ofNetwork(network, lan, 0, List.of(), clock.instant())
                    .equals(status);
        }
        if (status == null || status.cidr() == null || peers) {
            return false;
        }
        CidrChoice kept = new CidrChoice.Chosen(Ipv4Prefix.parse(status.cidr()));
        return status.equals(NetworkStatuses.ofNetwork(network, kept, 0, List.of(), clock.instant()));
    }

    @Override
    public DeleteControl cleanup(Network network, Context<Network> context) {
        String namespace = network.getMetadata().getNamespace();
        String name = network.getMetadata().getName();
        KubernetesClient client = context.getClient();
        // From the API server: an informer's cache that is behind must not free a Network in use.
        int users = (int) client.resources(VirtualMachine.class).inNamespace(namespace).list().getItems().stream()
                .filter(vm -> NetworkReconciler.networksOf(vm).stream()
                        .anyMatch(id -> id.getName().equals(name)))
                .count();
        NetworkStatus status = NetworkStatuses.ofNetwork(
                network, new CidrChoice.Refused(Reason.NetworkBeingDeleted, ""), users, List.of(), clock.instant());
        if (!status.equals(network.getStatus())) {
            context.resourceOperations().serverSideApplyPrimaryStatus(bare(network, status));
        }
        if (users > 0) {
            events.warning(
                    network,
                    Reason.NetworkBeingDeleted,
                    // Without their number, which the condition has: one Event, however many leave one by one.
                    "kept until the VMs that name it are gone; delete them to let it go");
            return DeleteControl.noFinalizerRemoval().rescheduleAfter(SOON.toMillis() * 5);
        }
        List<NetworkSlice> slices =
                client.resources(NetworkSlice.class).inNamespace(namespace).list().getItems().stream()
                        .filter(s -> s.getMetadata().getOwnerReferences() != null
                                && s.getMetadata().getOwnerReferences().stream()
                                        .anyMatch(o ->
                                                network.getMetadata().getUid().equals(o.getUid())))
                        .toList();
        if (slices.isEmpty()) {
            return DeleteControl.defaultDelete();
        }
        slices.stream()
                .filter(s -> s.getMetadata().getDeletionTimestamp() == null)
                .forEach(s -> client.resource(s).delete());
        slices.stream()
                .filter(s -> s.getMetadata().getDeletionTimestamp() != null && isHeldByItsNode(s))
                .forEach(s -> release(s, network, client));
        return DeleteControl.noFinalizerRemoval().rescheduleAfter(SOON.toMillis());
    }

    private static boolean isHeldByItsNode(NetworkSlice slice) {
        return slice.getMetadata().getFinalizers() != null
                && slice.getMetadata().getFinalizers().contains(NetworkReconciler.SLICE_FINALIZER);
    }

    /** Of a node that is no more nobody else would take the finalizer off. */
    private void release(NetworkSlice slice, Network network, KubernetesClient client) {
        String node = slice.getSpec() == null ? null : slice.getSpec().nodeName();
        Optional<Instant> since = node == null ? Optional.empty() : scrapped.goneSince(node, client);
        if (since.isEmpty()) {
            return;
        }
        try {
            client.resource(slice).edit(s -> {
                s.getMetadata().getFinalizers().remove(NetworkReconciler.SLICE_FINALIZER);
                return s;
            });
        } catch (KubernetesClientException e) {
            if (e.getCode() != 404) {
                throw e;
            }
            // Gone meanwhile.
            return;
        }
        String name = slice.getMetadata().getName();
        log.atWarn()
                .addKeyValue("slice", slice.getMetadata().getNamespace() + "/" + name)
                .addKeyValue("node", node)
                .log("slice of a scrapped node let go");
        events.warning(
                network,
                Reason.SliceReleased,
                "slice " + name + " of node " + node
                        + " was let go without its agent: VmNode and Lease of that node are"
                        + " gone since " + since.get().truncatedTo(ChronoUnit.SECONDS)
                        + ", and no VM names it; should it come back, its agent takes down what is left of the Network"
                        + " there");
    }

    private static Network bare(Network network, NetworkStatus status) {
        Network bare = new Network();
        bare.setMetadata(new ObjectMetaBuilder()
                .withName(network.getMetadata().getName())
                .withNamespace(network.getMetadata().getNamespace())
                .build());
        bare.setStatus(status);
        return bare;
    }

    @Override
    public ErrorStatusUpdateControl<Network> updateErrorStatus(Network network, Context<Network> context, Exception e) {
        log.atWarn()
                .addKeyValue(
                        "network",
                        network.getMetadata().getNamespace() + "/"
                                + network.getMetadata().getName())
                .setCause(e)
                .log("not reconciled; it is tried again");
        return ErrorStatusUpdateControl.noStatusUpdate();
    }
}
