package dev.vmlet.controller;

import dev.vmlet.api.Network;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VmNode;
import dev.vmlet.api.VmNodeStatus;
import dev.vmlet.api.VmNodeStatus.Finding;
import dev.vmlet.host.Applier;
import dev.vmlet.host.Host;
import dev.vmlet.host.Observer;
import dev.vmlet.metrics.AgentMetrics;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.FirewallState;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostObservation;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Link;
import dev.vmlet.model.Owner;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Resolution;
import dev.vmlet.model.Seen;
import dev.vmlet.plan.HostPlanner;
import dev.vmlet.plan.Orphans.Held;
import dev.vmlet.plan.Outcome;
import dev.vmlet.plan.Plan;
import dev.vmlet.status.Holds;
import dev.vmlet.status.NodeStatus;
import dev.vmlet.status.Tombstones;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
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
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Keeps what belongs to this node as a whole: the firewall's tables, the uplink's forwarding flag, and the sweep. */
public final class VmNodeReconciler implements Reconciler<VmNode> {
    private static final Logger log = LoggerFactory.getLogger(VmNodeReconciler.class);
    private static final Duration FULL_PASS = Duration.ofSeconds(30);
    private static final Duration SOON = Duration.ofSeconds(1);

    private final String nodeName;
    private final InstallationId installation;
    private final NodeStatus.Facts facts;
    private final Host host;
    private final Observer observer;
    private final Applier applier;
    private final Sweeper sweeper;
    private final ImageKeeper images;
    private final Downtimes downtimes;
    private final Wakes wakes;
    private final LocalServices services;
    private final Reports reports;
    private final EventRecorder events;
    private final Clock clock;
    private final RepairPace repairs = new RepairPace();
    private final Warmth warmth;
    private final Pulse pulse;
    private final AgentMetrics metrics;
    private final HoldNews news;
    /** Of the last whole sweep. */
    private List<Held> held = List.of();

    private @Nullable InformerEventSource<VirtualMachine, VmNode> vms;
    private @Nullable InformerEventSource<Network, VmNode> networks;

    VmNodeReconciler(
            String nodeName,
            InstallationId installation,
            NodeStatus.Facts facts,
            Host host,
            Observer observer,
            Applier applier,
            Sweeper sweeper,
            ImageKeeper images,
            Downtimes downtimes,
            Wakes wakes,
            LocalServices services,
            Reports reports,
            EventRecorder events,
            Warmth warmth,
            Pulse pulse,
            AgentMetrics metrics,
            Clock clock) {
        this.nodeName = nodeName;
        this.installation = installation;
        this.facts = facts;
        this.host = host;
        this.observer = observer;
        this.applier = applier;
        this.sweeper = sweeper;
        this.images = images;
        this.downtimes = downtimes;
        this.wakes = wakes;
        this.services = services;
        this.reports = reports;
        this.events = events;
        this.warmth = warmth;
        this.pulse = pulse;
        this.metrics = metrics;
        this.news = new HoldNews(events);
        this.clock = clock;
    }

    @Override
    public List<EventSource<?, VmNode>> prepareEventSources(EventSourceContext<VmNode> context) {
        // Events of these do not wake the node; their caches say who is known, completely, once they are synced.
        vms = new InformerEventSource<>(
                InformerEventSourceConfiguration.from(VirtualMachine.class, VmNode.class)
                        .withWatchAllNamespaces()
                        .withFieldSelector(new FieldSelectorBuilder()
                                .withField("spec.nodeName", nodeName)
                                .build())
                        .withSecondaryToPrimaryMapper((VirtualMachine vm) -> Set.of())
                        .withPrimaryToSecondaryMapper((VmNode n) -> Set.<ResourceID>of())
                        .build(),
                context);
        networks = new InformerEventSource<>(
                InformerEventSourceConfiguration.from(Network.class, VmNode.class)
                        .withWatchAllNamespaces()
                        .withSecondaryToPrimaryMapper((Network n) -> Set.of())
                        .withPrimaryToSecondaryMapper((VmNode n) -> Set.<ResourceID>of())
                        .build(),
                context);
        return List.of(vms, networks, wakes.nodeSource());
    }

    @Override
    public UpdateControl<VmNode> reconcile(VmNode node, Context<VmNode> context) throws ReconcileFailed {
        pulse.beat();
        if (downtimes.see(node)) {
            wakes.wakeVms();
        }
        if (warmth.isFilling()) {
            return UpdateControl.<VmNode>noUpdate().rescheduleAfter(SOON);
        }
        warmth.look();
        Optional<String> chill = warmth.blindness();
        if (chill.isEmpty()) {
            services.see(node, vms()).forEach(wakes::wakeVm);
        }
        keepCluster(context.getClient());
        HostObservation before = observer.observeHost();
        wakes.knowUplink(before.uplink());
        Plan wanted = chill.map(why -> Plan.waiting(Reason.CannotLook, why, SOON))
                .orElseGet(() -> services.withoutStrays(HostPlanner.plan(installation, before), before));
        Plan plan = repairs.paced(nodeName, wanted, clock.instant());
        Outcome outcome = applier.apply("node " + nodeName, plan);
        repairs.made(nodeName, outcome.done(), clock.instant());
        reports.tell(node, new Resolution.Absent<>(), plan, outcome);
        HostObservation after = plan.isEmpty() ? before : observer.observeHost();
        if (!plan.isEmpty()) {
            wakes.wakeNetworks();
            wakes.wakeVms();
        }
        wakeOwnersOfMissingElements(after);
        Sweeper.Result swept = chill.isPresent() ? notSwept(List.of()) : sweep(node, context.getClient());
        List<Finding> findings = new ArrayList<>(swept.findings());
        Optional<String> pressure = Optional.empty();
        if (chill.isEmpty()) {
            ImageKeeper.Result kept = images.pass(this::vms);
            reports.tell(node, new Resolution.Absent<>(), kept.plan(), kept.outcome());
            findings.addAll(kept.findings());
            pressure = kept.pressure();
        }
        VmNodeStatus status = NodeStatus.of(
                        node,
                        facts,
                        plan,
                        outcome,
                        after,
                        bridgePorts(node),
                        findings,
                        swept.holds(),
                        chill.map(List::of).orElse(swept.failures()),
                        pressure,
                        wakes.deafness(),
                        downtimes.now(),
                        clock.instant())
                .withBuried(buried(node))
                .withAddresses(addresses(node));
        if (status.bridgePorts() != null
                && status.bridgePorts().used() != null
                && status.bridgePorts().limit() != null) {
            metrics.bridgePorts(
                    status.bridgePorts().used(), status.bridgePorts().limit());
        }
        if (outcome.failed().isPresent()) {
            Outcome.Failure failure = outcome.failed().get();
            throw new ReconcileFailed(
                    "node " + nodeName + ": " + failure.step().step() + ": "
                            + failure.cause().getMessage(),
                    failure.cause(),
                    status);
        }
        UpdateControl<VmNode> control =
                status.equals(node.getStatus()) ? UpdateControl.noUpdate() : UpdateControl.patchStatus(bare(status));
        Duration next = plan.waitingFor()
                .map(Plan.Wait::lookAgain)
                // A stop takes several rungs; and what was swept may have freed the next thing.
                .orElse(findings.isEmpty() && !swept.underWay() ? FULL_PASS : SOON);
        return control.rescheduleAfter(next.compareTo(FULL_PASS) < 0 ? next : FULL_PASS);
    }

    /** Which cluster this is, remembered at first contact: another one must never be mistaken for an empty one. */
    private void keepCluster(KubernetesClient client) throws ReconcileFailed {
        if (host.records().cluster() instanceof Seen.Present) {
            return;
        }
        var kubeSystem = client.namespaces().withName("kube-system").get();
        if (kubeSystem == null) {
            return;
        }
        try {
            host.records().keepCluster(kubeSystem.getMetadata().getUid());
        } catch (HostException e) {
            throw new ReconcileFailed("identity of the cluster: " + e.getMessage(), e, "");
        }
    }

    /** The element's owner puts it back: one writer per host object. */
    private void wakeOwnersOfMissingElements(HostObservation seen) {
        if (seen.firewall() instanceof Seen.Present<FirewallState>(FirewallState state)) {
            Set<String> owners = new HashSet<>();
            for (FirewallElement element : HostPlanner.members(seen.networks(), seen.vms())) {
                if (!state.elements().contains(element)) {
                    owners.add(element.ownerUid());
                }
            }
            owners.addAll(services.disturbed(seen.vms(), state.elements()));
            owners.forEach(wakes::wakeOwner);
        }
    }

    private Sweeper.Result sweep(VmNode node, KubernetesClient client) {
        Set<String> confirmed = Holds.confirmed(node);
        Set<String> heldTogether = Holds.heldTogether(node);
        Sweeper.Result result;
        try {
            result = sweeper.sweep(
                    () -> known(confirmed, heldTogether, Graves.stones(node)), new DirectReads(client, nodeName));
        } catch (HostException e) {
            return notSwept(List.of("nothing was swept: " + e.getMessage()));
        }
        held = result.holds();
        metrics.swept(result.findings(), result.holds(), clock.instant());
        result.findings().forEach(f -> events.normal(node, Reason.Repaired, swept(f, confirmed, node)));
        if (warmth.obeyed()) {
            wakes.wakeNetworks();
            wakes.wakeVms();
        }
        if (!result.findings().isEmpty()) {
            // What was swept may have stood in a Network's way.
            wakes.wakeNetworks();
        }
        news.tell(node, result.holds());
        result.failures().forEach(f -> events.warning(node, Reason.HostRefused, f));
        return result;
    }

    /** The host was not seen whole: who was held is held. */
    private Sweeper.Result notSwept(List<String> failures) {
        return new Sweeper.Result(List.of(), held, failures, !failures.isEmpty());
    }

    /** What the VmNode says of tombstones; a sweep that did not see all leaves it as it was. */
    private List<String> buried(VmNode node) {
        if (!(sweeper.remains() instanceof Seen.Present<Set<String>>(Set<String> remains))) {
            return Tombstones.buried(node);
        }
        List<String> buried = Tombstones.buried(node, remains);
        Graves.news(node, buried).forEach(words -> events.normal(node, Reason.Buried, words));
        return buried;
    }

    private static String swept(Finding finding, Set<String> confirmed, VmNode node) {
        Optional<String> epitaph = Graves.epitaph(node, finding.owner());
        if (epitaph.isPresent()) {
            return "swept " + finding.name() + ", " + epitaph.get() + ": " + finding.reason();
        }
        boolean byAPerson = finding.owner() != null
                && confirmed.stream().anyMatch(uid -> finding.owner().equals("uid " + uid));
        if (Sweeper.STOPPED.equals(finding.action())) {
            return "stopping " + finding.name() + ", which is held and stays: " + finding.reason();
        }
        return "swept " + finding.name() + (byAPerson ? ", as confirmed on this VmNode" : "") + ": " + finding.reason();
    }

    /**
     * From the caches, which are complete before the first reconcile. Networks that their own reconciler has seen count
     * too: its cache may be ahead of ours.
     */
    private Sweeper.Known known(
            Set<String> confirmed, Set<String> heldTogether, Map<String, Sweeper.Stone> tombstones) {
        if (vms == null || networks == null) {
            throw new IllegalStateException("a sweep before the caches exist would take everything for an orphan");
        }
        Set<String> networkUids = new HashSet<>(uids(networks.list(n -> true).toList()));
        networkUids.addAll(wakes.networkUids());
        return new Sweeper.Known(uids(vms.list(v -> true).toList()), networkUids, confirmed, heldTogether, tombstones);
    }

    private List<VirtualMachine> vms() {
        if (vms == null) {
            throw new IllegalStateException("before the caches exist the node would seem to have no VM");
        }
        return vms.list(v -> true).toList();
    }

    private static Set<String> uids(List<? extends io.fabric8.kubernetes.api.model.HasMetadata> objects) {
        return objects.stream().map(o -> o.getMetadata().getUid()).collect(Collectors.toSet());
    }

    /**
     * Ports of the fullest bridge that guests of ours are on, without a probe's, which is gone in a moment. Where the look
     * fails, as many as were seen last.
     */
    private int bridgePorts(VmNode node) {
        try {
            List<Link> links = host.links().list();
            Map<Integer, Long> byMaster = links.stream()
                    .filter(l -> l.masterIndex() != 0 && !l.mark().isProbe())
                    .collect(Collectors.groupingBy(Link::masterIndex, Collectors.counting()));
            Set<Integer> withGuests = links.stream()
                    .filter(l -> l.mark().owner(installation) instanceof Owner.OfVm)
                    .map(Link::masterIndex)
                    .collect(Collectors.toSet());
            Map<Integer, Link> byIndex = links.stream().collect(Collectors.toMap(Link::index, Function.identity()));
            return byMaster.entrySet().stream()
                    .filter(e -> byIndex.containsKey(e.getKey())
                            && (byIndex.get(e.getKey()).mark().owner(installation) instanceof Owner.OfNetwork
                                    || withGuests.contains(e.getKey())))
                    .mapToInt(e -> e.getValue().intValue())
                    .max()
                    .orElse(0);
        } catch (HostException e) {
            log.atWarn().addKeyValue("node", nodeName).setCause(e).log("ports of bridges were not counted");
            VmNodeStatus last = node.getStatus();
            return last == null
                            || last.bridgePorts() == null
                            || last.bridgePorts().used() == null
                    ? 0
                    : last.bridgePorts().used();
        }
    }

    /** Where the look fails, those that were seen last: whoever is led there by them must not lose his way. */
    private List<String> addresses(VmNode node) {
        return switch (host.links().ownAddress()) {
            case Seen.Present<Ipv4Address>(Ipv4Address own) -> List.of(own.toString());
            case Seen.Missing<Ipv4Address> _ -> List.of();
            case Seen.Unknown<Ipv4Address>(String cause) -> {
                log.atWarn()
                        .addKeyValue("node", nodeName)
                        .addKeyValue("cause", cause)
                        .log("own address not seen");
                VmNodeStatus last = node.getStatus();
                yield last == null || last.addresses() == null ? List.of() : last.addresses();
            }
        };
    }

    private VmNode bare(VmNodeStatus status) {
        VmNode bare = new VmNode();
        bare.setMetadata(new ObjectMetaBuilder().withName(nodeName).build());
        bare.setStatus(status);
        return bare;
    }

    @Override
    public ErrorStatusUpdateControl<VmNode> updateErrorStatus(VmNode node, Context<VmNode> context, Exception e) {
        if (e instanceof ReconcileFailed failed
                && failed.status() instanceof VmNodeStatus status
                && !status.equals(node.getStatus())) {
            return ErrorStatusUpdateControl.patchStatus(bare(status));
        }
        reports.unexpected(node, Reason.HostRefused, e);
        return ErrorStatusUpdateControl.noStatusUpdate();
    }
}
