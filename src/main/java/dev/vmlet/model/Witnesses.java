package dev.vmlet.model;

import java.util.List;
import java.util.Optional;

/**
 * What is left to tell of a VM whose record was damaged.
 *
 * @param remains of the record's file
 * @param process Missing when nothing in this boot tells of one
 * @param taps links that bear the VM's mark, with their places in the firewall
 * @param files whether the VM has disks or other files
 */
public record Witnesses(Reservation remains, Seen<Testimony> process, Seen<List<Tap>> taps, Seen<Boolean> files) {
    /**
     * @param userId that may open it, -1 where nobody is named
     * @param mac as the firewall lets it send, empty where the firewall does not know the tap
     * @param ip likewise
     */
    public record Tap(LinkName name, String networkUid, long userId, Optional<String> mac, Optional<String> ip) {}
}
