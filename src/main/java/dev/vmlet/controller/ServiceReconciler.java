package dev.vmlet.controller;

import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineStatus;
import dev.vmlet.api.VmNode;
import dev.vmlet.model.Reason;
import dev.vmlet.resolve.ServiceEndpoints;
import dev.vmlet.resolve.ServiceEndpoints.Problem;
import io.fabric8.kubernetes.api.model.Service;
import io.fabric8.kubernetes.api.model.discovery.v1.EndpointSlice;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
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
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Keeps the EndpointSlices of Services that name VMs. They belong to their Service, with which the cluster's garbage
 * collector takes them. Slices without our label are never written.
 */
final class ServiceReconciler implements Reconciler<Service> {
    private static final Logger log = LoggerFactory.getLogger(ServiceReconciler.class);

    /** After a name that is another's: nobody tells us when it is free. */
    private static final Duration AGAIN = Duration.ofMinutes(1);

    /** So many Events of one pass; whoever mends these sees the rest. */
    private static final int TOLD_MAX = 16;

    private final EventRecorder events;
    /** What was told of a Service and still is so, by its uid. Each Service has one thread at a time. */
    private final Map<String, Set<Problem>> told = new ConcurrentHashMap<>();

    private @Nullable InformerEventSource<VirtualMachine, Service> vms;
    private @Nullable InformerEventSource<VmNode, Service> nodes;
    private @Nullable InformerEventSource<EndpointSlice, Service> slices;

    ServiceReconciler(EventRecorder events) {
        this.events = events;
    }

    /** Whether the API server has what this is about: the one that vmlet embeds has not. */
    static boolean isPossible(KubernetesClient client) {
        return client.supports("v1", "Service") && client.supports("discovery.k8s.io/v1", "EndpointSlice");
    }

    @Override
    public List<EventSource<?, Service>> prepareEventSources(EventSourceContext<Service> context) {
        IndexerResourceCache<Service> services = context.getPrimaryCache();
        vms = new InformerEventSource<>(
                InformerEventSourceConfiguration.from(VirtualMachine.class, Service.class)
                        .withWatchAllNamespaces()
                        .withOnUpdateFilter((now, before) -> !Facts.of(now).equals(Facts.of(before)))
                        .withSecondaryToPrimaryMapper((VirtualMachine vm) ->
                                ids(services.list(vm.getMetadata().getNamespace(), ServiceEndpoints::isAsked)))
                        .withPrimaryToSecondaryMapper((Service s) -> Set.<ResourceID>of())
                        .build(),
                context);
        nodes = new InformerEventSource<>(
                InformerEventSourceConfiguration.from(VmNode.class, Service.class)
                        .withOnUpdateFilter((now, before) -> !address(now).equals(address(before)))
                        .withSecondaryToPrimaryMapper((VmNode n) -> ids(services.list(ServiceEndpoints::isAsked)))
                        .withPrimaryToSecondaryMapper((Service s) -> Set.<ResourceID>of())
                        .build(),
                context);
        slices = new InformerEventSource<>(
                InformerEventSourceConfiguration.from(EndpointSlice.class, Service.class)
                        .withWatchAllNamespaces()
                        .withLabelSelector(ServiceEndpoints.MANAGED_BY + "=" + ServiceEndpoints.MANAGER)
                        .withSecondaryToPrimaryMapper((EndpointSlice slice) ->
                                serviceOf(slice).stream().collect(Collectors.toSet()))
                        .withPrimaryToSecondaryMapper((Service s) -> Set.<ResourceID>of())
                        .build(),
                context);
        return List.of(vms, nodes, slices);
    }

    /** What of a VM its slices follow from. */
    private record Facts(
            @Nullable Map<String, String> labels,
            @Nullable Long generation,
            @Nullable String deleted,
            List<String> published,
            boolean ready) {
        static Facts of(VirtualMachine vm) {
            VirtualMachineStatus status = vm.getStatus();
            List<String> published = new ArrayList<>();
            if (status != null && status.addresses() != null) {
                status.addresses()
                        .forEach(a -> published.addAll(Objects.requireNonNullElse(a.publishedPorts(), List.of())));
            }
            return new Facts(
                    vm.getMetadata().getLabels(),
                    vm.getMetadata().getGeneration(),
                    vm.getMetadata().getDeletionTimestamp(),
                    published,
                    ServiceEndpoints.isReady(vm));
        }
    }

    private static Set<ResourceID> ids(Stream<Service> services) {
        return services.map(ResourceID::fromResource).collect(Collectors.toSet());
    }

    private static Optional<ResourceID> serviceOf(EndpointSlice slice) {
        return Optional.ofNullable(slice.getMetadata().getLabels())
                .flatMap(labels -> Optional.ofNullable(labels.get(ServiceEndpoints.SERVICE_NAME)))
                .map(name -> new ResourceID(name, slice.getMetadata().getNamespace()));
    }

    private static Optional<String> address(VmNode node) {
        return node.getStatus() == null || node.getStatus().addresses() == null
                ? Optional.empty()
                : node.getStatus().addresses().stream().findFirst();
    }

    @Override
    public UpdateControl<Service> reconcile(Service service, Context<Service> context) {
        String namespace = service.getMetadata().getNamespace();
        Predicate<EndpointSlice> ours = slice -> serviceOf(slice).equals(Optional.of(ResourceID.fromResource(service)));
        List<EndpointSlice> there = cache(slices).list(namespace, ours).toList();
        if (service.getMetadata().getDeletionTimestamp() != null) {
            return UpdateControl.noUpdate();
        }
        ServiceEndpoints.Answer answer = ServiceEndpoints.of(
                service,
                ServiceEndpoints.isAsked(service)
                        ? cache(vms).list(namespace, vm -> true).toList()
                        : List.of(),
                there,
                node -> cache(nodes).get(new ResourceID(node)).flatMap(ServiceReconciler::address));
        List<Problem> problems = new ArrayList<>(answer.problems());
        answer.slices().ifPresent(wanted -> problems.addAll(write(wanted, there, context.getClient())));
        tell(service, problems);
        boolean taken = problems.size() > answer.problems().size();
        return taken ? UpdateControl.<Service>noUpdate().rescheduleAfter(AGAIN) : UpdateControl.noUpdate();
    }

    private static <T> T cache(@Nullable T source) {
        return Objects.requireNonNull(source, "asked before the event sources exist");
    }

    /** @return names that are another's */
    private static List<Problem> write(List<EndpointSlice> wanted, List<EndpointSlice> there, KubernetesClient client) {
        Map<String, EndpointSlice> left = new HashMap<>();
        there.forEach(slice -> left.put(slice.getMetadata().getName(), slice));
        List<Problem> taken = new ArrayList<>();
        for (EndpointSlice slice : wanted) {
            EndpointSlice before = left.remove(slice.getMetadata().getName());
            if (before == null) {
                if (!create(slice, client)) {
                    taken.add(taken(slice));
                }
            } else if (!before.equals(slice)) {
                // With the version that was read: one that is no longer as it was seen is not written over.
                client.resource(slice).update();
                log("endpoint slice updated", slice);
            }
        }
        for (EndpointSlice slice : left.values()) {
            client.resource(slice).delete();
            log("endpoint slice deleted", slice);
        }
        return taken;
    }

    private static void log(String what, EndpointSlice slice) {
        log.atInfo()
                .addKeyValue(
                        "slice",
                        slice.getMetadata().getNamespace() + "/"
                                + slice.getMetadata().getName())
                .log(what);
    }

    /** Whether it is there and ours. */
    private static boolean create(EndpointSlice slice, KubernetesClient client) {
        try {
            client.resource(slice).create();
            log("endpoint slice created", slice);
            return true;
        } catch (KubernetesClientException e) {
            if (e.getCode() != 409) {
                throw e;
            }
            // Another's, or ours that the cache has not seen yet: the client sends a request again whose answer was
            // lost.
            EndpointSlice is = client.resource(slice).get();
            return is == null
                    || ServiceEndpoints.MANAGER.equals(
                            Objects.requireNonNullElse(is.getMetadata().getLabels(), Map.<String, String>of())
                                    .get(ServiceEndpoints.MANAGED_BY));
        }
    }

    private static Problem taken(EndpointSlice slice) {
        return new Problem(
                Reason.ServiceRefused,
                "",
                "EndpointSlice " + slice.getMetadata().getName()
                        + " is there and not vmlet's, so it is left alone and the VM is not behind the Service; delete or"
                        + " rename it");
    }

    /** Each once, for as long as it is so. */
    private void tell(Service service, List<Problem> problems) {
        Set<Problem> before = told.getOrDefault(service.getMetadata().getUid(), Set.of());
        problems.stream()
                .filter(p -> !before.contains(p))
                .limit(TOLD_MAX)
                .forEach(p -> events.warning(service, p.reason(), p.message()));
        if (problems.isEmpty()) {
            told.remove(service.getMetadata().getUid());
        } else {
            told.put(service.getMetadata().getUid(), new HashSet<>(problems));
        }
    }

    @Override
    public ErrorStatusUpdateControl<Service> updateErrorStatus(Service service, Context<Service> context, Exception e) {
        log.atWarn()
                .addKeyValue(
                        "service",
                        service.getMetadata().getNamespace() + "/"
                                + service.getMetadata().getName())
                .setCause(e)
                .log("not reconciled; it is tried again");
        return ErrorStatusUpdateControl.noStatusUpdate();
    }
}
