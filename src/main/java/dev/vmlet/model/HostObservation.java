package dev.vmlet.model;

import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * What belongs to the host as a whole, at one moment.
 *
 * @param uplink the interface of the default route
 * @param keptForwarding original flags of interfaces that are not ours and that we changed
 * @param unreadable sentences about records that the two lists lack because they could not be read
 */
public record HostObservation(
        Seen<FirewallState> firewall,
        Optional<LinkName> uplink,
        Seen<Boolean> uplinkForwarding,
        Map<LinkName, Boolean> keptForwarding,
        List<NetworkRecord> networks,
        List<VmRecord> vms,
        List<String> unreadable) {
    public HostObservation {
        keptForwarding = Map.copyOf(keptForwarding);
        networks = List.copyOf(networks);
        vms = List.copyOf(vms);
        unreadable = List.copyOf(unreadable);
    }
}
