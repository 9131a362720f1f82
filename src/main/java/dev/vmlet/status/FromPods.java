package dev.vmlet.status;

import dev.vmlet.api.Condition.Status;
import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.NicObservation;
import dev.vmlet.model.PublishedPort;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Seen;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * What pods reach of a guest, on its own node as on others: to a Network they are like anybody outside. Told from what was
 * seen in the firewall, for what a VM asks for may be another's.
 */
final class FromPods {
    private FromPods() {}

    /**
     * @param nics as the guest was started with them
     * @param node the address that leads others to the node; empty where it has no way out, or nobody could look
     */
    static Verdict of(
            Verdict running,
            String vmUid,
            List<DesiredNic> nics,
            Map<String, NicObservation> looks,
            Optional<Ipv4Address> node) {
        if (running.status() != Status.True) {
            return new Verdict(
                    running.status() == Status.Unknown ? Status.Unknown : Status.False,
                    Reason.NotRunning,
                    Reason.NotRunning.sentence());
        }
        List<String> ways = new ArrayList<>();
        List<String> withheld = new ArrayList<>();
        for (DesiredNic nic : nics) {
            NicObservation look = looks.get(nic.network().uid());
            if (look == null || nic.isOnExistingBridge()) {
                continue;
            }
            if (!nic.ports().isEmpty() && look.elements() instanceof Seen.Unknown<?>(String cause)) {
                return new Verdict(Status.Unknown, Reason.CannotLook, cause);
            }
            Set<FirewallElement> there =
                    look.elements() instanceof Seen.Present<Set<FirewallElement>>(var members) ? members : Set.of();
            for (PublishedPort port : nic.ports()) {
                if (there.contains(nic.published(port, vmUid))) {
                    ways.add(port.host() + " (its port " + port.guest() + ")");
                } else {
                    withheld.add(port.host().toString());
                }
            }
        }
        String told = ways.isEmpty()
                ? ""
                : "Pods of this node and of others reach the guest at "
                        + node.map(Ipv4Address::toString).orElse("this node's address") + ", "
                        + String.join(", ", ways) + ", and nothing else of it; through a Service that"
                        + " selects it too.";
        if (!withheld.isEmpty()) {
            return new Verdict(
                    Status.False,
                    Reason.FirewallNotReady,
                    ("What comes to this node's " + String.join(", ", withheld)
                                    + " is not led to the guest; NetworkReady tells why. " + told)
                            .strip());
        }
        if (!ways.isEmpty()) {
            return new Verdict(Status.True, Reason.Published, told);
        }
        List<String> lans = nics.stream()
                .filter(DesiredNic::isOnExistingBridge)
                .map(nic -> nic.network().name())
                .toList();
        return lans.isEmpty()
                ? Verdict.of(Status.False, Reason.NothingPublished)
                : new Verdict(
                        Status.Unknown,
                        Reason.OperatorsLan,
                        "Network " + String.join(", ", lans)
                                + " is a LAN of the operator's: pods reach the guest at its"
                                + " own address where the node's routes lead there.");
    }
}
