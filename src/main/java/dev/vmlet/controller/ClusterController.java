package dev.vmlet.controller;

import dev.vmlet.api.VirtualMachine;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.status.Tombstones;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.javaoperatorsdk.operator.Operator;
import java.time.Clock;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The cluster's role: decisions that belong to no node. Touches no host. Constructed stopped. */
public final class ClusterController implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(ClusterController.class);

    private final KubernetesClient client;
    private final boolean services;
    private final Operator operator;
    private final EventRecorder events;
    private final Clock clock;

    public ClusterController(KubernetesClient client, Ipv4Prefix pool, List<Ipv4Prefix> clusterRanges, Clock clock) {
        this(client, pool, clusterRanges, true, clock);
    }

    /** @param services whether Services may have VMs behind them: that takes rights to every EndpointSlice */
    public ClusterController(
            KubernetesClient client, Ipv4Prefix pool, List<Ipv4Prefix> clusterRanges, boolean services, Clock clock) {
        this.client = client;
        this.services = services;
        this.clock = clock;
        this.events = new EventRecorder(client, "controller", "", clock);
        this.operator = Operators.create(client);
        var cidrs = new CidrReconciler(pool, clusterRanges, events, clock);
        operator.register(
                cidrs,
                Operators.configure(operator, cidrs, "vmlet-controller-network")
                        .withFieldManager("vmlet-controller")
                        .withFinalizer(CidrReconciler.FINALIZER)
                        .build());
        var burials = new Burials(events, clock);
        var graves = new TombstoneReconciler(burials);
        operator.register(
                graves,
                Operators.configure(operator, graves, "vmlet-controller-tombstones")
                        .withFieldManager("vmlet-controller")
                        .withOnUpdateFilter(
                                (now, before) -> !Tombstones.buried(now).isEmpty())
                        .withGenerationAware(false)
                        .build());
        var losses = new NodeLossReconciler(events, burials, clock);
        operator.register(
                losses,
                Operators.configure(operator, losses, "vmlet-controller-node-lease")
                        .withFieldManager("vmlet-controller")
                        .settingNamespace(NodeLease.NAMESPACE)
                        .withLabelSelector("vmlet.dev/lease=agent")
                        .withGenerationAware(false)
                        .build());
        var unassigned = new UnassignedReconciler(clock);
        operator.register(
                unassigned,
                new Selected<>(
                        Operators.configure(operator, unassigned, "vmlet-controller-unassigned")
                                .withFieldManager("vmlet-controller")
                                .build(),
                        VirtualMachine.class,
                        "spec.nodeName",
                        ""));
    }

    public void start() {
        boolean possible = services && ServiceReconciler.isPossible(client);
        var told = new NodeServicesReconciler(possible, clock);
        operator.register(
                told,
                Operators.configure(operator, told, "vmlet-controller-node-services")
                        .withFieldManager("vmlet-controller")
                        .withOnUpdateFilter(NodeServicesReconciler::concerns)
                        .withGenerationAware(false)
                        .build());
        if (!services) {
            log.atInfo().log("no VM is put behind a Service: --services is false");
        } else if (possible) {
            var slices = new ServiceReconciler(events);
            operator.register(
                    slices,
                    Operators.configure(operator, slices, "vmlet-controller-services")
                            .withGenerationAware(false)
                            .build());
        } else {
            log.atInfo().log("the API server has no Services and EndpointSlices; the controller does without");
        }
        operator.start();
    }

    @Override
    public void close() {
        operator.stop();
        events.close();
    }
}
