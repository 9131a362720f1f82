package dev.vmlet.controller;

import dev.vmlet.api.Network;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VmNode;
import dev.vmlet.health.Check;
import dev.vmlet.host.Applier;
import dev.vmlet.host.Host;
import dev.vmlet.host.Observer;
import dev.vmlet.host.Reaper;
import dev.vmlet.host.Wishes;
import dev.vmlet.metrics.AgentMetrics;
import dev.vmlet.model.HostFacts;
import dev.vmlet.model.HostNames;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.InstallationId;
import dev.vmlet.plan.NetworkPlanner;
import dev.vmlet.plan.StartQueue;
import dev.vmlet.plan.VmPlanner;
import dev.vmlet.status.NodeStatus;
import dev.vmlet.status.Tombstones;
import dev.vmlet.status.VmStatus;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.javaoperatorsdk.operator.Operator;
import io.javaoperatorsdk.operator.api.config.ControllerConfiguration;
import io.javaoperatorsdk.operator.api.config.ControllerConfigurationOverrider;
import java.time.Clock;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Supplier;

/** The node's role: its three reconcilers on one operator. Constructed stopped. */
public final class Agent implements AutoCloseable {
    private final Operator operator;
    private final KubernetesClient client;
    private final String nodeName;
    private final EventRecorder events;
    private final Reaper reaper;
    private final NodeLease lease;
    private final Warmth warmth;
    private final Wakes wakes;
    private final Downtimes downtimes;
    private final Pulse pulse = new Pulse();
    private final Interlude interlude;

    /** What an agent is made of. {@code wakes} is what the doors call when something happens on the host. */
    public record Parts(
            KubernetesClient client,
            String nodeName,
            InstallationId installation,
            HostPaths paths,
            String bootId,
            Host host,
            Wakes wakes,
            Downtimes downtimes,
            Supplier<HostFacts> facts,
            NodeStatus.Facts nodeFacts,
            AgentSettings settings,
            AgentMetrics metrics,
            Wishes wishes,
            Clock clock) {
        /** Of which nobody asks for figures, and that starts with an API server or not at all. */
        public Parts(
                KubernetesClient client,
                String nodeName,
                InstallationId installation,
                HostPaths paths,
                String bootId,
                Host host,
                Wakes wakes,
                Downtimes downtimes,
                Supplier<HostFacts> facts,
                NodeStatus.Facts nodeFacts,
                AgentSettings settings,
                Clock clock) {
            this(
                    client,
                    nodeName,
                    installation,
                    paths,
                    bootId,
                    host,
                    wakes,
                    downtimes,
                    facts,
                    nodeFacts,
                    settings,
                    AgentMetrics.unheard(),
                    Wishes.none(),
                    clock);
        }
    }

    public Agent(Parts parts) {
        this(parts, Operators.create(parts.client));
    }

    Agent(Parts parts, Operator operator) {
        this.client = parts.client;
        this.nodeName = parts.nodeName;
        this.wakes = parts.wakes;
        this.events = new EventRecorder(parts.client, "agent", parts.nodeName, parts.clock);
        StoreWatch store = new StoreWatch(parts.host.records());
        this.lease = new NodeLease(parts.client, parts.nodeName, parts.settings.lease(), store, parts.clock);
        this.downtimes = parts.downtimes;
        this.operator = operator;
        HostNames names = new HostNames(parts.installation);
        Observer observer = new Observer(parts.host, names);
        this.reaper = new Reaper(parts.host.links(), names);
        Applier applier = new Applier(parts.host, parts.settings.hook(), reaper::wake, parts.metrics);
        VmPlanner vmPlanner = new VmPlanner(names, parts.paths, parts.bootId);
        NetworkPlanner networkPlanner = new NetworkPlanner(names);
        Reports reports = new Reports(events, parts.metrics);
        this.warmth = new Warmth(observer);
        StartTurns turns = turns(parts);
        this.interlude = new Interlude(
                parts.host.records(),
                observer,
                vmPlanner,
                parts.downtimes,
                parts.wishes,
                turns,
                applier,
                warmth,
                pulse,
                parts.clock);
        LocalServices services = new LocalServices(() -> parts.facts.get().reservedPorts());
        UserDataReader userData = new UserDataReader(parts.client, parts.clock, parts.wakes::wakeVm);

        var vms = new VirtualMachineReconciler(
                parts.nodeName,
                parts.facts,
                userData,
                observer,
                vmPlanner,
                parts.downtimes,
                turns,
                parts.wishes,
                applier,
                parts.wakes,
                services,
                reports,
                warmth,
                parts.metrics,
                parts.clock);
        operator.register(
                vms,
                new Selected<>(
                        configure(vms, "vmlet-agent-vm")
                                .withFinalizer(VirtualMachineReconciler.FINALIZER)
                                .withOnUpdateFilter(Agent::concernsUs)
                                .withGenerationAware(false)
                                .build(),
                        VirtualMachine.class,
                        "spec.nodeName",
                        parts.nodeName));

        var networks = new NetworkReconciler(
                parts.nodeName,
                parts.installation,
                parts.host,
                observer,
                networkPlanner,
                applier,
                parts.wakes,
                reports,
                events,
                warmth,
                parts.clock);
        ControllerConfiguration<Network> networkConfiguration = configure(networks, "vmlet-agent-network")
                // A Network being deleted still has a bridge with guests on it to look after.
                .withTriggerReconcilerOnAllEvents(true)
                // The CIDR that the controller chooses comes in status, which raises no generation.
                .withGenerationAware(false)
                .build();
        operator.register(networks, networkConfiguration);

        Sweeper sweeper = new Sweeper(
                observer,
                parts.host.records(),
                store,
                vmPlanner,
                networkPlanner,
                applier,
                parts.installation,
                parts.settings.orphanGrace(),
                parts.downtimes::now,
                parts.wishes,
                parts.clock,
                reaper::wake);
        var node = new VmNodeReconciler(
                parts.nodeName,
                parts.installation,
                parts.nodeFacts,
                parts.host,
                observer,
                applier,
                sweeper,
                new ImageKeeper(parts.host.disks(), applier, parts.facts, parts.clock, parts.metrics),
                parts.downtimes,
                parts.wakes,
                services,
                reports,
                events,
                warmth,
                pulse,
                parts.metrics,
                parts.clock);
        operator.register(
                node,
                new Selected<>(
                        configure(node, "vmlet-agent-node")
                                .withOnUpdateFilter(Agent::concernsNode)
                                .withGenerationAware(false)
                                .build(),
                        VmNode.class,
                        "metadata.name",
                        parts.nodeName));
    }

    private static StartTurns turns(Parts parts) {
        StartQueue begun = StartQueue.of(
                parts.settings.startParallelism(), parts.host.records().vms(), parts.bootId);
        return new StartTurns(begun, parts.wakes::wakeVm, parts.clock);
    }

    private <P extends io.fabric8.kubernetes.api.model.HasMetadata> ControllerConfigurationOverrider<P> configure(
            io.javaoperatorsdk.operator.api.reconciler.Reconciler<P> reconciler, String name) {
        return Operators.configure(operator, reconciler, name);
    }

    /**
     * Spec, annotations (a restart may be asked for), deletion and finalizers; of status only that the controller took us
     * for lost.
     */
    private static boolean concernsUs(VirtualMachine now, VirtualMachine before) {
        return VmStatus.isLost(now) && !VmStatus.isLost(before)
                || !Objects.equals(
                        now.getMetadata().getGeneration(), before.getMetadata().getGeneration())
                || !Objects.equals(
                        now.getMetadata().getAnnotations(), before.getMetadata().getAnnotations())
                || !Objects.equals(
                        now.getMetadata().getFinalizers(), before.getMetadata().getFinalizers())
                || !Objects.equals(
                        now.getMetadata().getDeletionTimestamp(),
                        before.getMetadata().getDeletionTimestamp());
    }

    /** Not our own status. Spec and annotations: an evacuation may be asked for, or a removal confirmed. */
    private static boolean concernsNode(VmNode now, VmNode before) {
        return !Objects.equals(
                        now.getMetadata().getGeneration(), before.getMetadata().getGeneration())
                || !Objects.equals(
                        now.getMetadata().getAnnotations(), before.getMetadata().getAnnotations());
    }

    /**
     * Makes this node's VmNode object and starts reconciling; returns once the caches are complete. While the API server
     * is away it waits, and guests are looked after meanwhile.
     *
     * @throws KubernetesClientException when the API server lacks our kinds, or refuses us
     */
    public void start() {
        VmNode node = new VmNode();
        node.setMetadata(new ObjectMetaBuilder()
                .withName(nodeName)
                .withLabels(Map.of("kubernetes.io/hostname", nodeName))
                .build());
        // Known before the first reconcile: an evacuated node starts no guest.
        VmNode known = interlude.until(() -> introduce(node));
        boolean _ = downtimes.see(known);
        if (!Tombstones.of(known).isEmpty()) {
            warmth.waitForGraves();
        }
        operator.start();
        // All caches are complete now. What has come in so far was only looked at.
        warmth.synced();
        wakes.wakeAll();
        // Only an agent that reconciles says that it lives.
        lease.start();
    }

    private VmNode introduce(VmNode node) {
        try {
            return client.resource(node).create();
        } catch (KubernetesClientException e) {
            if (e.getCode() != 409) {
                throw e;
            }
            VmNode known = client.resource(node).get();
            return known == null ? node : known;
        }
    }

    /** Whether the loop makes progress. What the API server has to answer for does not belong here. */
    public List<Check> live() {
        return List.of(new Check(
                "loop",
                "the node was not looked at for " + Pulse.LONGEST.toMinutes() + " minutes; a look at the host hangs",
                pulse::isFelt));
    }

    /** Whether it knows what it has to know before it may act. */
    public List<Check> ready() {
        return List.of(
                new Check("caches", "not all objects of this node are known yet", () -> !warmth.isFilling()),
                new Check(
                        "inventory",
                        "this node has not been seen whole since the agent started; its VmNode says why",
                        () -> warmth.blindness().isEmpty()));
    }

    /** Stops reconciling; guests go on. */
    @Override
    public void close() {
        interlude.close();
        lease.close();
        operator.stop();
        reaper.close();
        events.close();
    }
}
