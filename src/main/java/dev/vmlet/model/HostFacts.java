package dev.vmlet.model;

import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * What resolving needs to know of this node.
 *
 * @param architecture the processor's, as {@link Architecture} names it
 * @param catalog the images that VMs may ask for by name
 * @param vmms the usable VMMs and their paths
 * @param vmmReason {@link Reason#NoVirtualization} or {@link Reason#VmmUnavailable} when no VMM is usable
 * @param vmmProblem why no VMM is usable, with the remedy; why the preferred one is not where another is used
 * @param defaultFirmware path of the firmware that boots guests without a kernel of their own
 * @param userIdFirst first of the user ids for guests
 * @param records of every VM of ours on this host that can be read
 * @param reservations what the others still keep
 * @param reservedPorts of the node, which no VM publishes
 */
public record HostFacts(
        String nodeName,
        InstallationId installation,
        String bootId,
        int cores,
        Mebibytes memory,
        String architecture,
        ImageCatalog catalog,
        Map<VmmKind, String> vmms,
        Reason vmmReason,
        String vmmProblem,
        Optional<ImageSource.Host> defaultFirmware,
        int userIdFirst,
        int userIdCount,
        boolean sha256Required,
        List<VmRecord> records,
        List<Reservation> reservations,
        ReservedPorts reservedPorts) {
    public HostFacts {
        vmms = Map.copyOf(vmms);
        records = List.copyOf(records);
        reservations = List.copyOf(reservations);
    }
}
