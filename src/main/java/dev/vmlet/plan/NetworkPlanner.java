package dev.vmlet.plan;

import dev.vmlet.model.DesiredNetwork;
import dev.vmlet.model.Egress;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.HostNames;
import dev.vmlet.model.InterfaceAddress;
import dev.vmlet.model.Link;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.MacAddress;
import dev.vmlet.model.NetworkObservation;
import dev.vmlet.model.NetworkRecord;
import dev.vmlet.model.Owner;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Resolution;
import dev.vmlet.model.Seen;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/** Plans one Network's bridge, gateway address, forwarding flag and members of the firewall's sets. */
public final class NetworkPlanner {
    private static final Duration SOON = Duration.ofSeconds(2);
    private static final Duration LATER = Duration.ofSeconds(30);

    private final HostNames names;

    public NetworkPlanner(HostNames names) {
        this.names = names;
    }

    public Plan plan(String networkUid, Resolution<DesiredNetwork> resolution, NetworkObservation seen) {
        Optional<String> blind = Looks.firstUnknown(
                seen.record(), seen.bridge(), seen.addresses(), seen.forwarding(), seen.elements(), seen.ports());
        if (blind.isPresent()) {
            return Plan.waiting(Reason.CannotLook, blind.get(), SOON);
        }
        return switch (resolution) {
            case Resolution.Unresolved<DesiredNetwork>(Reason reason, String message) ->
                Plan.waiting(reason, message, LATER);
            case Resolution.Desired<DesiredNetwork>(DesiredNetwork desired) -> realise(desired, seen);
            case Resolution.Absent<DesiredNetwork> _ -> remove(networkUid, seen);
        };
    }

    private Plan realise(DesiredNetwork desired, NetworkObservation seen) {
        if (seen.bridge() instanceof Seen.Present<Link>(Link bridge)
                && (!bridge.mark().equals(desired.mark()) || !bridge.kind().equals("bridge"))
                && !isTraceOfACrash(bridge, desired.bridgeMac(), seen)) {
            return Plan.waiting(
                    Reason.ForeignObject,
                    "link " + desired.bridge() + " exists and is not ours ("
                            + (bridge.mark().owner(names.installation()) instanceof Owner.Foreign(String evidence)
                                    ? evidence
                                    : "marked " + bridge.mark() + ", kind " + bridge.kind())
                            + "); it is left alone. Rename or delete it to let Network " + desired.id()
                            + " go on, or give it its mark back if it is the Network's: ip link set dev "
                            + desired.bridge() + " alias " + desired.mark(),
                    LATER);
        }
        if (!(seen.elements() instanceof Seen.Present<Set<FirewallElement>>(Set<FirewallElement> inForce))) {
            return Plan.waiting(Reason.FirewallNotReady, Reason.FirewallNotReady.sentence(), SOON);
        }
        List<PlannedStep> steps = new ArrayList<>();
        String need = "Network " + desired.id() + " is used on this node";
        boolean recorded = seen.record().equals(Seen.present(new NetworkRecord(desired.id(), desired)));
        // What an earlier wish left goes while the record still tells of it; nft refuses overlapping subnets besides.
        List<FirewallElement> surplus = inForce.stream()
                .filter(e -> !desired.elements().contains(e))
                .sorted(Looks.ELEMENTS)
                .toList();
        if (!surplus.isEmpty()) {
            steps.add(new PlannedStep(
                    new Step.DeleteElements(surplus),
                    "Network " + desired.id() + " is " + desired.subnet() + " with egress "
                            + (desired.egress() == Egress.NONE ? "None" : "Masquerade")));
        }
        if (seen.record() instanceof Seen.Present<NetworkRecord>(NetworkRecord before)
                && !before.realised().gatewayAddress().equals(desired.gatewayAddress())
                && seen.addresses() instanceof Seen.Present<Set<InterfaceAddress>>(Set<InterfaceAddress> addresses)
                && addresses.contains(before.realised().gatewayAddress())) {
            steps.add(new PlannedStep(
                    new Step.DeleteAddress(desired.bridge(), before.realised().gatewayAddress()),
                    "this node's slice is " + desired.subnet() + " now"));
        }
        if (!recorded) {
            steps.add(new PlannedStep(new Step.WriteNetworkRecord(new NetworkRecord(desired.id(), desired)), need));
        }
        // Sets before links: no packet ever crosses a bridge the firewall does not know.
        List<FirewallElement> missing =
                desired.elements().stream().filter(e -> !inForce.contains(e)).toList();
        if (!missing.isEmpty()) {
            steps.add(new PlannedStep(
                    new Step.AddElements(missing),
                    recorded && seen.bridge() instanceof Seen.Present
                            ? "the firewall lost members of " + desired.id()
                            : need));
        }
        bridgeSteps(desired, seen, need, steps);
        // What was wished was made before: whatever differs from it now, somebody has changed.
        return new Plan(
                PlannedStep.with(recorded ? PlannedStep.Cause.DRIFT : PlannedStep.Cause.ASKED, steps),
                Optional.empty());
    }

    private static void bridgeSteps(
            DesiredNetwork desired, NetworkObservation seen, String need, List<PlannedStep> steps) {
        LinkName name = desired.bridge();
        boolean recorded = seen.record() instanceof Seen.Present;
        if (!(seen.bridge() instanceof Seen.Present<Link>(Link bridge))
                || bridge.mark().text().isEmpty()) {
            String because = recorded ? "the bridge of Network " + desired.id() + " is gone" : need;
            steps.add(new PlannedStep(
                    new Step.CreateBridge(name, desired.bridgeMac(), desired.mtu(), desired.mark()), because));
            steps.add(new PlannedStep(new Step.AddAddress(name, desired.gatewayAddress()), because));
            steps.add(new PlannedStep(new Step.EnableForwarding(name, true), because));
            steps.add(new PlannedStep(new Step.SetLinkUp(name), because));
            return;
        }
        if (bridge.mtu() != desired.mtu()) {
            steps.add(new PlannedStep(
                    new Step.SetMtu(name, desired.mtu()),
                    "its MTU is " + bridge.mtu() + ", asked is " + desired.mtu()));
        }
        if (!bridge.mac().equals(desired.bridgeMac().value())) {
            steps.add(new PlannedStep(
                    new Step.SetMac(name, desired.bridgeMac()),
                    "its MAC address is " + bridge.mac() + ", and guests know their gateway by another"));
        }
        // An address that somebody added to the bridge is not ours to take: what guests reach of the node, the firewall
        // says, whatever the address.
        if (!(seen.addresses() instanceof Seen.Present<Set<InterfaceAddress>>(Set<InterfaceAddress> addresses))
                || !addresses.contains(desired.gatewayAddress())) {
            steps.add(new PlannedStep(
                    new Step.AddAddress(name, desired.gatewayAddress()), "the gateway address is not on the bridge"));
        }
        if (!seen.forwarding().equals(Seen.present(true))) {
            steps.add(new PlannedStep(new Step.EnableForwarding(name, true), "guests' packets enter by this bridge"));
        }
        if (!bridge.up()) {
            steps.add(new PlannedStep(new Step.SetLinkUp(name), "the bridge is down"));
        }
    }

    /**
     * The trace of a crash between making and marking it: of our derived name and MAC, down and without ports, so that
     * nothing can be lost by taking it.
     */
    private static boolean isTraceOfACrash(Link bridge, MacAddress mac, NetworkObservation seen) {
        return bridge.kind().equals("bridge")
                && bridge.mark().text().isEmpty()
                && bridge.mac().equals(mac.value())
                && !bridge.up()
                && seen.ports().equals(Seen.present(Set.of()));
    }

    private Plan remove(String networkUid, NetworkObservation seen) {
        boolean ours = seen.bridge() instanceof Seen.Present<Link>(Link bridge)
                && (bridge.mark().owner(names.installation()).equals(new Owner.OfNetwork(networkUid))
                        || isTraceOfACrash(bridge, names.bridgeMac(networkUid), seen));
        if (ours && seen.ports() instanceof Seen.Present<Set<LinkName>>(Set<LinkName> ports) && !ports.isEmpty()) {
            return Plan.waiting(
                    Reason.InUse,
                    "bridge " + names.bridge(networkUid) + " still has ports: "
                            + String.join(
                                    ", ",
                                    ports.stream().sorted().map(LinkName::value).toList()),
                    SOON);
        }
        String because = "no VM of this node uses Network " + who(networkUid, seen) + " any more";
        List<PlannedStep> steps = new ArrayList<>();
        if (ours && seen.bridge() instanceof Seen.Present<Link>(Link bridge)) {
            steps.add(new PlannedStep(new Step.DeleteLink(bridge.name(), bridge.mark()), because));
        }
        // Links before sets: while the bridge lives, the firewall knows it.
        if (seen.elements() instanceof Seen.Present<Set<FirewallElement>>(Set<FirewallElement> inForce)
                && !inForce.isEmpty()) {
            steps.add(new PlannedStep(
                    new Step.DeleteElements(
                            inForce.stream().sorted(Looks.ELEMENTS).toList()),
                    because));
        }
        if (seen.record() instanceof Seen.Present) {
            steps.add(new PlannedStep(new Step.DeleteNetworkRecord(networkUid), because));
        }
        return new Plan(steps, Optional.empty());
    }

    private static String who(String networkUid, NetworkObservation seen) {
        return seen.record() instanceof Seen.Present<NetworkRecord>(NetworkRecord record)
                ? record.id().toString()
                : "uid " + networkUid;
    }
}
