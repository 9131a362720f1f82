package dev.vmlet.model;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * What belongs to the host as a whole, at one moment.
 *
 * @param uplink the interface of the default route
 * @param keptForwarding original flags of interfaces that are not ours and that we changed
 * @param othersForward who else on this host relies on forwarding; looked for only when a flag may have to be restored
 * @param unreadable sentences about records that the two lists lack because they could not be read
 * @param unread uids of VMs and Networks that have a record which cannot be read now, or was damaged and not written again
 * @param marked whose the links are that bear our mark, but for taps that only wait to be deleted; looked for only when the
 *     tables have to be installed or a record cannot be read
 * @param docker what Docker's chain has of ours; Missing where there is none, or nobody asks
 */
public record HostObservation(
        Seen<FirewallState> firewall,
        Optional<LinkName> uplink,
        Seen<Boolean> uplinkForwarding,
        Map<LinkName, Boolean> keptForwarding,
        Seen<List<String>> othersForward,
        List<NetworkRecord> networks,
        List<VmRecord> vms,
        List<String> unreadable,
        Set<String> unread,
        Seen<Map<LinkName, Owner>> marked,
        Seen<DockerUser> docker) {
    public HostObservation {
        keptForwarding = Map.copyOf(keptForwarding);
        networks = List.copyOf(networks);
        vms = List.copyOf(vms);
        unreadable = List.copyOf(unreadable);
        unread = Set.copyOf(unread);
    }

    /** On which nobody asks for anything of Docker. */
    public HostObservation(
            Seen<FirewallState> firewall,
            Optional<LinkName> uplink,
            Seen<Boolean> uplinkForwarding,
            Map<LinkName, Boolean> keptForwarding,
            Seen<List<String>> othersForward,
            List<NetworkRecord> networks,
            List<VmRecord> vms,
            List<String> unreadable,
            Set<String> unread,
            Seen<Map<LinkName, Owner>> marked) {
        this(
                firewall,
                uplink,
                uplinkForwarding,
                keptForwarding,
                othersForward,
                networks,
                vms,
                unreadable,
                unread,
                marked,
                Seen.missing());
    }
}
