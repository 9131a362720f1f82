package dev.vmlet.plan;

import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Link;
import dev.vmlet.model.NicObservation;
import dev.vmlet.model.Owner;
import dev.vmlet.model.Seen;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Plans what the node knows for good of its guests: who has which address on a bridge of ours. It chose both, so it need
 * not ask; and a packet to a guest that is about to come up does not wait for the next question, a second later. Such an
 * entry bears no mark. It is ours by its place, a bridge of ours, and by its address, which a VM's record holds; no other
 * is looked at.
 */
final class NeighbourPlanner {
    private NeighbourPlanner() {}

    /** @param because of an entry that is not there; one that is wrong says so itself */
    static List<PlannedStep> ensure(DesiredNic nic, NicObservation seen, String because) {
        List<PlannedStep> steps = new ArrayList<>();
        if (!(seen.neighbours() instanceof Seen.Present)) {
            return steps;
        }
        Map<Ipv4Address, String> known = known(seen);
        known.forEach((address, mac) -> {
            if (!address.equals(nic.ip())) {
                steps.add(new PlannedStep(
                        new Step.DeleteNeighbour(nic.bridge(), address, mac),
                        "the guest's address is " + nic.ip() + " now"));
            }
        });
        String mac = known.getOrDefault(nic.ip(), "");
        if (!mac.equals(nic.mac().value())) {
            steps.add(new PlannedStep(
                    new Step.PutNeighbour(nic.bridge(), nic.ip(), nic.mac()),
                    mac.isEmpty() ? because : "the node takes " + mac + " for " + nic.ip()));
        }
        return steps;
    }

    /** Steps after which the node knows none of the addresses that these NICs have or were to have. */
    static List<PlannedStep> remove(Collection<NicObservation> nics, InstallationId installation, String because) {
        List<PlannedStep> steps = new ArrayList<>();
        for (NicObservation nic : nics) {
            if (nic.bridge() instanceof Seen.Present<Link>(Link bridge)
                    && bridge.mark().owner(installation) instanceof Owner.OfNetwork) {
                known(nic)
                        .forEach((address, mac) -> steps.add(
                                new PlannedStep(new Step.DeleteNeighbour(bridge.name(), address, mac), because)));
            }
        }
        return steps;
    }

    /** Sorted: the same values make the same plan. */
    private static Map<Ipv4Address, String> known(NicObservation seen) {
        return seen.neighbours() instanceof Seen.Present<Map<Ipv4Address, String>>(Map<Ipv4Address, String> known)
                ? new TreeMap<>(known)
                : Map.of();
    }
}
