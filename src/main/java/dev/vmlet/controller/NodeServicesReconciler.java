package dev.vmlet.controller;

import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VmNode;
import dev.vmlet.api.VmNodeSpec;
import dev.vmlet.api.VmNodeSpec.ServedPort;
import dev.vmlet.resolve.NodeServices;
import dev.vmlet.resolve.ServiceEndpoints;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.api.model.Service;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import io.javaoperatorsdk.operator.api.config.informer.InformerEventSourceConfiguration;
import io.javaoperatorsdk.operator.api.reconciler.Context;
import io.javaoperatorsdk.operator.api.reconciler.ErrorStatusUpdateControl;
import io.javaoperatorsdk.operator.api.reconciler.EventSourceContext;
import io.javaoperatorsdk.operator.api.reconciler.Reconciler;
import io.javaoperatorsdk.operator.api.reconciler.UpdateControl;
import io.javaoperatorsdk.operator.processing.event.ResourceID;
import io.javaoperatorsdk.operator.processing.event.source.EventSource;
import io.javaoperatorsdk.operator.processing.event.source.IndexerResourceCache;
import io.javaoperatorsdk.operator.processing.event.source.informer.InformerEventSource;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Tells each node in its VmNode of the Services that have its VMs behind them, for agents may not read Services. Written
 * when that changes, and of one node once a second at most: many VMs may come to it at once. Where VMs are put behind no
 * Services, what an earlier controller told is taken back.
 */
final class NodeServicesReconciler implements Reconciler<VmNode> {
    private static final Logger log = LoggerFactory.getLogger(NodeServicesReconciler.class);

    /** Between two writes to one VmNode. */
    private static final Duration PAUSE = Duration.ofSeconds(1);

    /** Not that of the tombstones: what one manager leaves out of a later apply is removed. */
    private static final String MANAGER = "vmlet-controller-services";

    private static final int CONFLICT = 409;

    private final boolean serving;
    private final Clock clock;
    /** By VmNode. Each has one thread at a time. */
    private final Map<String, Instant> written = new ConcurrentHashMap<>();

    private final Map<String, Integer> beyond = new ConcurrentHashMap<>();

    private @Nullable InformerEventSource<VirtualMachine, VmNode> vms;
    private @Nullable InformerEventSource<Service, VmNode> services;

    /** @param serving whether VMs are put behind Services, so that these may be watched */
    NodeServicesReconciler(boolean serving, Clock clock) {
        this.serving = serving;
        this.clock = clock;
    }

    /** Of what the agent and others write nothing concerns this. */
    static boolean concerns(VmNode now, VmNode before) {
        return !NodeServices.told(now).equals(NodeServices.told(before));
    }

    @Override
    public List<EventSource<?, VmNode>> prepareEventSources(EventSourceContext<VmNode> context) {
        if (!serving) {
            return List.of();
        }
        IndexerResourceCache<VmNode> nodes = context.getPrimaryCache();
        vms = new InformerEventSource<>(
                InformerEventSourceConfiguration.from(VirtualMachine.class, VmNode.class)
                        .withWatchAllNamespaces()
                        .withOnUpdateFilter(NodeServicesReconciler::concerns)
                        .withSecondaryToPrimaryMapper((VirtualMachine vm) ->
                                node(vm).map(ResourceID::new).stream().collect(Collectors.toSet()))
                        .withPrimaryToSecondaryMapper((VmNode n) -> Set.<ResourceID>of())
                        .build(),
                context);
        services = new InformerEventSource<>(
                InformerEventSourceConfiguration.from(Service.class, VmNode.class)
                        .withWatchAllNamespaces()
                        .withOnUpdateFilter((now, before) -> ServiceEndpoints.isAsked(now)
                                || ServiceEndpoints.isAsked(before)
                                || !NodeServices.addresses(now).equals(NodeServices.addresses(before)))
                        .withSecondaryToPrimaryMapper((Service service) -> concerned(service, nodes))
                        .withPrimaryToSecondaryMapper((VmNode n) -> Set.<ResourceID>of())
                        .build(),
                context);
        return List.of(vms, services);
    }

    private static boolean concerns(VirtualMachine now, VirtualMachine before) {
        return !Objects.equals(
                        now.getMetadata().getGeneration(), before.getMetadata().getGeneration())
                || !Objects.equals(
                        now.getMetadata().getLabels(), before.getMetadata().getLabels());
    }

    private static Optional<String> node(VirtualMachine vm) {
        return Optional.ofNullable(vm.getSpec()).flatMap(spec -> Optional.ofNullable(spec.nodeName()));
    }

    /**
     * Nodes that have VMs of its namespace, and those that were told of it, or of another at an address of its: whose that
     * is may have changed.
     */
    private Set<ResourceID> concerned(Service service, IndexerResourceCache<VmNode> nodes) {
        String namespace = service.getMetadata().getNamespace();
        String name = namespace + "/" + service.getMetadata().getName();
        Set<ResourceID> concerned = new HashSet<>();
        if (ServiceEndpoints.isAsked(service) && vms != null) {
            vms.list(namespace, vm -> true).forEach(vm -> node(vm).ifPresent(n -> concerned.add(new ResourceID(n))));
        }
        List<String> addresses = NodeServices.addresses(service);
        nodes.list(n -> NodeServices.told(n).stream()
                        .anyMatch(p -> name.equals(p.service())
                                || p.addresses() != null && !Collections.disjoint(p.addresses(), addresses)))
                .forEach(n -> concerned.add(ResourceID.fromResource(n)));
        return concerned;
    }

    @Override
    public UpdateControl<VmNode> reconcile(VmNode node, Context<VmNode> context) {
        String name = node.getMetadata().getName();
        NodeServices.Told wanted = wanted(node);
        tell(name, wanted.beyond());
        if (wanted.ports().equals(NodeServices.told(node))) {
            return UpdateControl.noUpdate();
        }
        Duration since = Duration.between(written.getOrDefault(name, Instant.EPOCH), clock.instant());
        if (!since.isNegative() && since.compareTo(PAUSE) < 0) {
            return UpdateControl.<VmNode>noUpdate().rescheduleAfter(PAUSE.minus(since));
        }
        written.put(name, clock.instant());
        return write(node, wanted.ports(), context.getClient())
                ? UpdateControl.noUpdate()
                : UpdateControl.<VmNode>noUpdate().rescheduleAfter(PAUSE);
    }

    private NodeServices.Told wanted(VmNode node) {
        if (vms == null || services == null) {
            return new NodeServices.Told(List.of(), 0);
        }
        InformerEventSource<VirtualMachine, VmNode> cache = vms;
        String name = node.getMetadata().getName();
        return NodeServices.of(
                node,
                services.list(s -> true).toList(),
                namespace -> cache.list(namespace, vm -> node(vm).equals(Optional.of(name)))
                        .toList());
    }

    private void tell(String node, int more) {
        Integer before = beyond.put(node, more);
        if (more > 0 && !Objects.equals(before, more)) {
            log.atWarn()
                    .addKeyValue("node", node)
                    .addKeyValue("ports", more)
                    .log("there is no room in the VmNode for these ports of Services: they are led by kube-proxy alone,"
                            + " and refuse clients on that node whom it sends to the node's own VMs");
        }
    }

    /**
     * By server-side apply: the list is ours alone. Over what was read just now: a VmNode that is gone meanwhile would be
     * made anew.
     *
     * @return false when somebody else wrote at the same time, and it is to be tried again
     */
    static boolean write(VmNode node, List<ServedPort> ports, KubernetesClient client) {
        VmNode there = client.resources(VmNode.class)
                .withName(node.getMetadata().getName())
                .get();
        if (there == null
                || !there.getMetadata().getUid().equals(node.getMetadata().getUid())) {
            // Of that one the cache hears in a moment.
            return true;
        }
        VmNode bare = new VmNode();
        bare.setMetadata(new ObjectMetaBuilder()
                .withName(node.getMetadata().getName())
                .withResourceVersion(there.getMetadata().getResourceVersion())
                .build());
        bare.setSpec(new VmNodeSpec(null, ports));
        try {
            client.resource(bare)
                    .patch(
                            new PatchContext.Builder()
                                    .withPatchType(PatchType.SERVER_SIDE_APPLY)
                                    .withFieldManager(MANAGER)
                                    .withForce(true)
                                    .build(),
                            bare);
        } catch (KubernetesClientException e) {
            if (e.getCode() != CONFLICT) {
                throw e;
            }
            return false;
        }
        log.atInfo()
                .addKeyValue("node", node.getMetadata().getName())
                .addKeyValue("ports", ports.size())
                .log("node told of the Services that have its VMs behind them");
        return true;
    }

    @Override
    public ErrorStatusUpdateControl<VmNode> updateErrorStatus(VmNode node, Context<VmNode> context, Exception e) {
        log.atWarn()
                .addKeyValue("node", node.getMetadata().getName())
                .setCause(e)
                .log("node not told of Services; it is tried again");
        return ErrorStatusUpdateControl.noStatusUpdate();
    }
}
