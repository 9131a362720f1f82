package dev.vmlet.status;

import dev.vmlet.api.Condition.Status;
import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSlice;
import dev.vmlet.api.NetworkSliceStatus;
import dev.vmlet.api.NetworkStatus;
import dev.vmlet.model.CidrChoice;
import dev.vmlet.model.DesiredNetwork;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.InterfaceAddress;
import dev.vmlet.model.LanBridge;
import dev.vmlet.model.Link;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.NetworkObservation;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Resolution;
import dev.vmlet.model.Seen;
import dev.vmlet.plan.Outcome;
import dev.vmlet.plan.Plan;
import java.time.Instant;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;

/** What is said of Networks: by the controller of the Network, by each agent of its slice. */
public final class NetworkStatuses {
    private NetworkStatuses() {}

    /**
     * The controller's word. The CIDR, once chosen, never changes.
     *
     * @param oneSided peers of the Network that do not name it, or do not exist
     */
    public static NetworkStatus ofNetwork(
            Network network, CidrChoice choice, int vmsLeft, List<String> oneSided, Instant now) {
        NetworkStatus before = network.getStatus();
        Conditions conditions = new Conditions(
                before == null ? null : before.conditions(),
                network.getMetadata().getGeneration(),
                now);
        String cidr = before == null ? null : before.cidr();
        if (network.getMetadata().getDeletionTimestamp() != null) {
            conditions.add(
                    "Ready",
                    Status.False,
                    Reason.NetworkBeingDeleted,
                    vmsLeft == 0
                            ? Reason.Deleting.sentence()
                            : "The Network is kept until "
                                    + (vmsLeft == 1
                                            ? "the VM that uses it is"
                                            : "the " + vmsLeft + " VMs that use it are")
                                    + " gone.");
        } else if (cidr != null && !(choice instanceof CidrChoice.Lan)) {
            conditions.add("Ready", Status.True, Reason.AsExpected, "The Network has the addresses " + cidr + ".");
        } else {
            switch (choice) {
                case CidrChoice.Chosen(var chosen) -> {
                    cidr = chosen.toString();
                    conditions.add(
                            "Ready", Status.True, Reason.AsExpected, "The Network has the addresses " + cidr + ".");
                }
                case CidrChoice.Lan(String bridge) -> {
                    cidr = network.getSpec() == null ? null : network.getSpec().cidr();
                    conditions.add(
                            "Ready",
                            Status.True,
                            Reason.AsExpected,
                            "Guests are on the operator's bridge " + bridge
                                    + " of their node, with addresses of its LAN.");
                }
                case CidrChoice.Refused(Reason reason, String message) ->
                    conditions.add("Ready", Status.False, reason, message);
            }
        }
        if (!oneSided.isEmpty()) {
            conditions.add(
                    "Peered",
                    Status.False,
                    Reason.PeerNotMutual,
                    "Nothing passes to or from " + String.join(", ", oneSided)
                            + ": add " + network.getMetadata().getName() + " to spec.peers there, or take "
                            + (oneSided.size() == 1 ? "it" : "them") + " out here.");
        } else if (network.getMetadata().getDeletionTimestamp() == null
                && network.getSpec() != null
                && network.getSpec().peers() != null
                && !network.getSpec().peers().isEmpty()) {
            conditions.add("Peered", Status.True, Reason.AsExpected, "All peers of the Network name it too.");
        }
        return new NetworkStatus(cidr, network.getMetadata().getGeneration(), conditions.list());
    }

    /** One node's word of a bridge of the operator's. */
    public static NetworkSliceStatus ofLan(NetworkSlice slice, LinkName name, Seen<LanBridge> seen, Instant now) {
        NetworkSliceStatus before = slice.getStatus();
        Conditions conditions = new Conditions(
                before == null ? null : before.conditions(), slice.getMetadata().getGeneration(), now);
        Optional<LanBridge> there = Optional.empty();
        Status status = Status.False;
        Reason reason = Reason.BridgeMissing;
        String message;
        switch (seen) {
            case Seen.Unknown<LanBridge>(String cause) -> {
                status = Status.Unknown;
                reason = Reason.CannotLook;
                message = cause;
            }
            case Seen.Missing<LanBridge> _ ->
                message = "This node has no bridge " + name
                        + ". Make it, with a port to the LAN, or use a Network that names"
                        + " another; VMs go on by themselves when it is there";
            case Seen.Present<LanBridge>(LanBridge bridge)
            when !bridge.link().kind().equals("bridge") ->
                message =
                        "Link " + name + " of this node is no bridge. Put it into one as a port, and use a Network that"
                                + " names the bridge";
            case Seen.Present<LanBridge>(LanBridge bridge)
            when bridge.link().mark().isVmlets() -> {
                reason = Reason.InvalidSpec;
                message = "Bridge " + name + " is vmlet's own, of another Network: let VMs name that Network";
            }
            case Seen.Present<LanBridge>(LanBridge bridge)
            when !bridge.link().up() -> {
                there = Optional.of(bridge);
                reason = Reason.NetworkNotReady;
                message =
                        "Bridge " + name + " is down, and it is the operator's to set up: ip link set " + name + " up";
            }
            case Seen.Present<LanBridge>(LanBridge bridge) -> {
                there = Optional.of(bridge);
                status = Status.True;
                reason = Reason.AsExpected;
                message = "Bridge " + name + " is there; it is the operator's, and nothing of it is changed.";
            }
        }
        conditions.add("Ready", status, reason, message);
        return new NetworkSliceStatus(
                there.map(bridge -> name.value()).orElse(null),
                there.map(LanBridge::mtu).orElse(null),
                null,
                status == Status.True,
                reason.name(),
                message,
                slice.getMetadata().getGeneration(),
                conditions.list());
    }

    /** One node's word of its slice. */
    public static NetworkSliceStatus ofSlice(
            NetworkSlice slice,
            Resolution<DesiredNetwork> resolution,
            Plan plan,
            Outcome outcome,
            NetworkObservation seen,
            Instant now) {
        NetworkSliceStatus before = slice.getStatus();
        Conditions conditions = new Conditions(
                before == null ? null : before.conditions(), slice.getMetadata().getGeneration(), now);
        Status status;
        Reason reason;
        String message;
        if (outcome.failed().isPresent()) {
            var failure = outcome.failed().get();
            status = Status.False;
            reason = Reason.HostRefused;
            message = failure.step().step() + ": " + failure.cause().getMessage();
        } else if (resolution instanceof Resolution.Unresolved<DesiredNetwork>(Reason why, String text)) {
            status = Status.False;
            reason = why;
            message = text;
        } else if (plan.waitingFor().isPresent()) {
            Plan.Wait wait = plan.waitingFor().get();
            status = wait.reason() == Reason.CannotLook ? Status.Unknown : Status.False;
            reason = wait.reason();
            message = wait.message();
        } else if (resolution instanceof Resolution.Absent) {
            status = Status.False;
            reason = Reason.NotRunning;
            message = "No VM of this node is on the Network now, so it has no bridge here.";
        } else if (isRealised(resolution, seen)) {
            status = Status.True;
            reason = Reason.AsExpected;
            message = "Bridge, gateway and firewall are in place.";
        } else {
            status = Status.False;
            reason = Reason.NetworkNotReady;
            message = Reason.NetworkNotReady.sentence();
        }
        conditions.add("Ready", status, reason, message);
        boolean present = resolution instanceof Resolution.Desired
                && seen.bridge() instanceof Seen.Present<Link>
                && reason != Reason.ForeignObject;
        DesiredNetwork desired = resolution instanceof Resolution.Desired<DesiredNetwork>(DesiredNetwork d) ? d : null;
        return new NetworkSliceStatus(
                present && desired != null ? desired.bridge().value() : null,
                null,
                present && desired != null ? desired.gateway().toString() : null,
                status == Status.True,
                reason.name(),
                Objects.requireNonNull(message),
                slice.getMetadata().getGeneration(),
                conditions.list());
    }

    private static boolean isRealised(Resolution<DesiredNetwork> resolution, NetworkObservation seen) {
        return resolution instanceof Resolution.Desired<DesiredNetwork>(DesiredNetwork desired)
                && seen.bridge() instanceof Seen.Present<Link>(Link bridge)
                && bridge.up()
                && bridge.mark().equals(desired.mark())
                && seen.addresses() instanceof Seen.Present<Set<InterfaceAddress>>(Set<InterfaceAddress> addresses)
                && addresses.contains(desired.gatewayAddress())
                && seen.forwarding().equals(Seen.present(true))
                && seen.elements() instanceof Seen.Present<Set<FirewallElement>>(Set<FirewallElement> elements)
                && elements.containsAll(desired.elements());
    }
}
