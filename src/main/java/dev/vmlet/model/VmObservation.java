package dev.vmlet.model;

import java.util.Collections;
import java.util.Map;
import java.util.TreeMap;

/**
 * One VM's host objects at one moment.
 *
 * @param nics by Network uid; those asked for and those recorded
 * @param strayTaps links that bear this VM's mark and belong to no NIC above; looked for only when nothing is desired
 * @param tampering what others changed about the living process; Missing where none lives
 * @param disks by disk name; those asked for
 * @param seed fingerprint of the seed image
 * @param leftovers whether files of the VM other than its record and retained disks exist
 */
public record VmObservation(
        Seen<VmRecord> record,
        Map<String, NicObservation> nics,
        Seen<Map<LinkName, Mark>> strayTaps,
        Map<String, DiskState> disks,
        Seen<String> seed,
        Seen<GuestProcess> process,
        Seen<Tampering> tampering,
        GuestState guest,
        Reach reach,
        Seen<Boolean> leftovers) {
    public VmObservation {
        // Sorted: the same values make the same plan in every JVM.
        nics = Collections.unmodifiableMap(new TreeMap<>(nics));
        disks = Collections.unmodifiableMap(new TreeMap<>(disks));
    }
}
