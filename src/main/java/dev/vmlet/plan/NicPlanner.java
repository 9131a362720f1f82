package dev.vmlet.plan;

import dev.vmlet.model.BridgePort;
import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.DesiredVm;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.FirewallSet;
import dev.vmlet.model.HostNames;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.Link;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.MacAddress;
import dev.vmlet.model.Mark;
import dev.vmlet.model.NicObservation;
import dev.vmlet.model.Owner;
import dev.vmlet.model.PublishedPort;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Seen;
import dev.vmlet.model.ServicePort;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmObservation;
import dev.vmlet.model.VmRecord;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Plans the taps of one VM and its members of the firewall's sets. */
final class NicPlanner {
    private static final Duration SOON = Duration.ofSeconds(2);
    private static final Duration LATER = Duration.ofSeconds(30);
    /** About as long as retired taps wait to be deleted together. */
    private static final Duration AT_ONCE = Duration.ofMillis(100);

    private NicPlanner() {}

    /** Steps that give the VM this NIC, or what they wait for. Guards come before the port is up. */
    static Plan ensure(VmId vm, int userId, DesiredNic nic, NicObservation seen, InstallationId installation) {
        if (seen.tap() instanceof Seen.Present<Link>(Link tap) && isRetired(tap, vm, installation)) {
            return Plan.waiting(
                    Reason.NetworkNotReady, "tap " + nic.tap() + " of its last run is still being deleted", AT_ONCE);
        }
        if (seen.tap() instanceof Seen.Present<Link>(Link tap) && !isOurs(tap, nic, userId)) {
            String evidence =
                    tap.mark().owner(installation) instanceof Owner.Foreign(String e) ? e : "marked " + tap.mark();
            return Plan.waiting(
                    Reason.ForeignObject,
                    "link " + nic.tap() + " exists and is not ours (" + evidence
                            + "); it is left alone. Rename or delete it to let VM " + vm
                            + " go on, or give it its mark back if it is the VM's: ip link set dev " + nic.tap()
                            + " alias " + nic.mark(),
                    LATER);
        }
        if (!(seen.bridge() instanceof Seen.Present<Link>(Link bridge)) || !nic.belongsOn(bridge)) {
            return nic.isOnExistingBridge()
                    ? missing(nic)
                    : Plan.waiting(
                            Reason.NetworkNotReady,
                            "Network " + nic.network() + " has no bridge on this node yet",
                            SOON);
        }
        if (!(seen.elements() instanceof Seen.Present<Set<FirewallElement>>(Set<FirewallElement> inForce))) {
            return Plan.waiting(Reason.FirewallNotReady, Reason.FirewallNotReady.sentence(), SOON);
        }
        List<PlannedStep> steps = new ArrayList<>();
        Set<FirewallElement> wanted = new HashSet<>(nic.elements(vm.uid()));
        List<PublishedPort> withheld = withheld(vm, nic, inForce, seen);
        withheld.forEach(port -> wanted.remove(nic.published(port, vm.uid())));
        Optional<Plan.Wait> waiting = withheld.stream().findFirst().map(port -> withheld(nic, port, seen));
        List<FirewallElement> surplus = inForce.stream()
                // What leads Services here has a planner of its own.
                .filter(e -> !wanted.contains(e) && !e.set().isOfServices())
                .sorted(Looks.ELEMENTS)
                .toList();
        if (!surplus.isEmpty()) {
            steps.add(new PlannedStep(
                    new Step.DeleteElements(surplus),
                    areGuards(surplus)
                            ? "VM " + vm + " may send from its present address only"
                            : isOfServices(seen)
                                    ? "the addresses of the cluster's Services are this node's"
                                    : "VM " + vm + " asks for it no longer"));
        }
        List<FirewallElement> missing = wanted.stream()
                .filter(e -> !inForce.contains(e))
                .sorted(Looks.ELEMENTS)
                .toList();
        if (!missing.isEmpty()) {
            steps.add(new PlannedStep(
                    new Step.AddElements(missing),
                    areGuards(missing)
                            ? "VM " + vm + " may send from " + nic.mac() + (nic.usesDhcp() ? "" : " " + nic.ip())
                                    + " only"
                            : "VM " + vm + " publishes ports of " + nic.ip()));
        }
        if (!(seen.tap() instanceof Seen.Present<Link>(Link tap))
                || tap.mark().text().isEmpty()) {
            String because = "VM " + vm + " has a NIC on Network " + nic.network();
            steps.add(new PlannedStep(new Step.CreateTap(nic.tap(), userId, nic.mtu(), nic.mark()), because));
            keepMac(nic, "", steps);
            steps.add(new PlannedStep(new Step.AttachLink(nic.tap(), nic.bridge()), because));
            isolate(nic, because, steps);
            steps.addAll(NeighbourPlanner.ensure(nic, seen, because));
            steps.add(new PlannedStep(new Step.SetLinkUp(nic.tap()), because));
            return new Plan(steps, waiting);
        }
        if (tap.mtu() != nic.mtu()) {
            steps.add(new PlannedStep(
                    new Step.SetMtu(nic.tap(), nic.mtu()), "its MTU is " + tap.mtu() + ", asked is " + nic.mtu()));
        }
        if (tap.mac().equals(nic.mac().value())) {
            steps.add(new PlannedStep(
                    new Step.SetMac(nic.tap(), nic.mac().hostSide()),
                    "the tap bears its guest's MAC address, so that the host takes what is the guest's"));
        }
        if (tap.masterIndex() != bridge.index()) {
            keepMac(nic, tap.mac(), steps);
            steps.add(new PlannedStep(
                    new Step.AttachLink(nic.tap(), nic.bridge()),
                    tap.masterIndex() == 0 ? "the tap is in no bridge" : "the tap is in another bridge"));
            isolate(nic, "isolation of Network " + nic.network() + " is Members", steps);
        } else {
            portSteps(nic, tap, seen.behind(), steps);
        }
        if (!tap.up()) {
            steps.add(new PlannedStep(new Step.SetLinkUp(nic.tap()), "the tap is down"));
        }
        steps.addAll(NeighbourPlanner.ensure(nic, seen, "the node does not know for good who has " + nic.ip()));
        return new Plan(steps, waiting);
    }

    private static Plan missing(DesiredNic nic) {
        return Plan.waiting(
                Reason.BridgeMissing,
                "Network " + nic.network() + " is on bridge " + nic.bridge()
                        + " of the operator's, and this node has no"
                        + " such bridge; make it, and the VM goes on by itself",
                SOON);
    }

    /** A bridge whose address nobody has set takes the lowest of its ports': a tap's must be higher than any. */
    private static void keepMac(DesiredNic nic, String mac, List<PlannedStep> steps) {
        MacAddress high = nic.mac().hostSide();
        if (nic.isOnExistingBridge() && !mac.equals(high.value())) {
            steps.add(new PlannedStep(
                    new Step.SetMac(nic.tap(), high), "bridge " + nic.bridge() + " is to keep its MAC address"));
        }
    }

    private static boolean areGuards(List<FirewallElement> elements) {
        return elements.stream()
                .anyMatch(e -> e.set() == FirewallSet.OK4
                        || e.set() == FirewallSet.TAPS
                        || e.set() == FirewallSet.FREE4
                        || e.set() == FirewallSet.HELD);
    }

    /**
     * What is published already stays for all that listens: its clients would be cut off for a process that came later. No
     * port is published where Services have addresses of the node: the guest would get what is sent to any of them.
     */
    private static List<PublishedPort> withheld(
            VmId vm, DesiredNic nic, Set<FirewallElement> inForce, NicObservation seen) {
        if (isOfServices(seen)) {
            return nic.ports();
        }
        return seen.listeners() instanceof Seen.Present<Set<ServicePort>>(Set<ServicePort> heard)
                ? nic.ports().stream()
                        .filter(port -> heard.contains(port.host()) && !inForce.contains(nic.published(port, vm.uid())))
                        .toList()
                : List.of();
    }

    /** Steps that publish what the record names and new tables left out, and nothing else of the NIC. */
    static List<PlannedStep> publishAgain(VmId vm, DesiredNic nic, NicObservation seen) {
        if (!(seen.elements() instanceof Seen.Present<Set<FirewallElement>>(Set<FirewallElement> inForce))) {
            return List.of();
        }
        List<PublishedPort> withheld = withheld(vm, nic, inForce, seen);
        List<FirewallElement> missing = nic.ports().stream()
                .filter(port -> !withheld.contains(port))
                .map(port -> nic.published(port, vm.uid()))
                .filter(e -> !inForce.contains(e))
                .sorted(Looks.ELEMENTS)
                .toList();
        return missing.isEmpty()
                ? List.of()
                : List.of(new PlannedStep(
                        new Step.AddElements(missing),
                        "VM " + vm + " publishes ports of " + nic.ip(),
                        PlannedStep.Cause.DRIFT));
    }

    private static boolean isOfServices(NicObservation seen) {
        return seen.clusterIps() instanceof Seen.Present;
    }

    private static Plan.Wait withheld(DesiredNic nic, PublishedPort port, NicObservation seen) {
        String field = "spec.networks[" + nic.network().name() + "].ports: ";
        return new Plan.Wait(
                Reason.HostPortTaken,
                isOfServices(seen)
                        ? field
                                + "kube-proxy serves this node in IPVS mode, so that every ClusterIP is an address of the"
                                + " node, and " + port.host()
                                + " of each would lead to the guest; take the ports out, or"
                                + " give kube-proxy another mode and delete its link " + NicObservation.CLUSTER_IPS
                        : field + "a process of the node listens on " + port.host()
                                + "; choose another hostPort, or end that process",
                LATER);
    }

    /** The record's NICs with what the object asks for now, as far as it applies to a running guest. */
    static List<DesiredNic> live(VmRecord record, DesiredVm desired) {
        return record.nics().stream()
                .map(nic -> nic.withLivePartOf(desired.nics().stream()
                        .filter(asked ->
                                asked.network().uid().equals(nic.network().uid()))
                        .findFirst()))
                .toList();
    }

    /** After the port has joined, before it is up: it is born with the flags of every port. */
    private static void isolate(DesiredNic nic, String because, List<PlannedStep> steps) {
        if (nic.isolated()) {
            steps.add(new PlannedStep(new Step.SetBridgePort(nic.tap(), BridgePort.ISOLATED), because));
            steps.add(new PlannedStep(new Step.PutBehind(nic.tap(), nic.mac()), because));
        }
    }

    /** Flags of a port that is not isolated are left as somebody chose them. */
    private static void portSteps(DesiredNic nic, Link tap, Seen<Boolean> behind, List<PlannedStep> steps) {
        if (nic.isolated() && behind.equals(Seen.present(false))) {
            // Before the bridge stops learning, so that no answer is lost.
            steps.add(new PlannedStep(
                    new Step.PutBehind(nic.tap(), nic.mac()),
                    "isolation of Network " + nic.network() + " is Members, and its bridge does not know for good where"
                            + " the guest is"));
        }
        if (nic.isolated()
                ? !tap.port().equals(BridgePort.ISOLATED)
                : tap.port().isolated()) {
            steps.add(new PlannedStep(
                    new Step.SetBridgePort(nic.tap(), nic.bridgePort()),
                    "isolation of Network " + nic.network() + " is " + (nic.isolated() ? "Members" : "None")));
        }
    }

    /**
     * Ours by its mark, or the trace of a crash between making and marking it: of our derived name and user, down and
     * in no bridge, so that nothing can be lost by taking it.
     */
    private static boolean isOurs(Link tap, DesiredNic nic, int userId) {
        return tap.kind().equals("tun") && tap.mark().equals(nic.mark()) || isTraceOfACrash(tap, userId);
    }

    private static boolean isTraceOfACrash(Link tap, int userId) {
        return tap.kind().equals("tun")
                && tap.mark().text().isEmpty()
                && tap.tapUid() == userId
                && !tap.up()
                && tap.masterIndex() == 0;
    }

    private static boolean isOfVm(Link tap, VmId vm, InstallationId installation) {
        return tap.mark().owner(installation) instanceof Owner.OfVm(String uid, var _) && uid.equals(vm.uid());
    }

    /** Let go of already; nobody plans for it again. */
    private static boolean isRetired(Link tap, VmId vm, InstallationId installation) {
        return isOfVm(tap, vm, installation) && tap.isRetired(new HostNames(installation).reapGroup());
    }

    /** Steps that take every link and set member of the VM away; traffic ends with the first. */
    static List<PlannedStep> remove(VmId vm, VmObservation seen, InstallationId installation, String because) {
        Map<LinkName, Mark> links = new TreeMap<>();
        if (seen.strayTaps() instanceof Seen.Present<Map<LinkName, Mark>>(Map<LinkName, Mark> stray)) {
            links.putAll(stray);
        }
        for (NicObservation nic : seen.nics().values()) {
            if (nic.tap() instanceof Seen.Present<Link>(Link tap)
                    && !isRetired(tap, vm, installation)
                    && (isOfVm(tap, vm, installation)
                            || seen.record() instanceof Seen.Present<VmRecord>(VmRecord record)
                                    && isTraceOfACrash(tap, record.userId()))) {
                links.put(tap.name(), tap.mark());
            }
        }
        return remove(seen.nics().values(), links, installation, because);
    }

    /**
     * Steps that take away the recorded NICs that are not asked for any more: of a Network that the VM has left, or of
     * an earlier one of the same name, whose tap bears the name that the new one is to have.
     */
    static List<PlannedStep> removeLeft(
            VmRecord record, List<DesiredNic> asked, VmObservation seen, InstallationId installation, String because) {
        Set<String> stay = asked.stream().map(nic -> nic.network().uid()).collect(Collectors.toSet());
        Map<LinkName, Mark> links = new TreeMap<>();
        List<NicObservation> left = new ArrayList<>();
        for (DesiredNic nic : record.nics()) {
            NicObservation nicSeen = seen.nics().get(nic.network().uid());
            if (nicSeen == null || stay.contains(nic.network().uid())) {
                continue;
            }
            left.add(nicSeen);
            if (nicSeen.tap() instanceof Seen.Present<Link>(Link tap)
                    && !isRetired(tap, record.id(), installation)
                    && (isOfVm(tap, record.id(), installation) || isTraceOfACrash(tap, record.userId()))) {
                links.put(tap.name(), tap.mark());
            }
        }
        return remove(left, links, installation, because);
    }

    private static List<FirewallElement> inForce(Collection<NicObservation> nics) {
        return nics.stream()
                .flatMap(nic -> nic.elements() instanceof Seen.Present<Set<FirewallElement>>(Set<FirewallElement> e)
                        ? e.stream()
                        : Stream.<FirewallElement>empty())
                .sorted(Looks.ELEMENTS)
                .distinct()
                .toList();
    }

    private static List<PlannedStep> remove(
            Collection<NicObservation> nics, Map<LinkName, Mark> links, InstallationId installation, String because) {
        List<FirewallElement> inForce = inForce(nics);
        List<PlannedStep> steps = new ArrayList<>();
        // These first: with its tap still known and nothing allowed, every packet of the guest is dropped from here on.
        List<FirewallElement> allowed = inForce.stream()
                .filter(e -> e.set() == FirewallSet.OK4 || e.set() == FirewallSet.FREE4)
                .toList();
        if (!allowed.isEmpty()) {
            steps.add(new PlannedStep(new Step.DeleteElements(allowed), because));
        }
        int group = new HostNames(installation).reapGroup();
        links.forEach((name, mark) -> {
            if (mark.text().isEmpty()) {
                // The trace of a crash: nothing on it would tell the reaper whose it is.
                steps.add(new PlannedStep(new Step.DeleteLink(name, mark), because));
            } else {
                steps.add(new PlannedStep(new Step.RetireTap(name, mark, group), because));
            }
        });
        List<FirewallElement> rest =
                inForce.stream().filter(e -> !allowed.contains(e)).toList();
        if (!rest.isEmpty()) {
            steps.add(new PlannedStep(new Step.DeleteElements(rest), because));
        }
        steps.addAll(NeighbourPlanner.remove(nics, installation, because));
        return steps;
    }
}
