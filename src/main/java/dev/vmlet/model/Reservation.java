package dev.vmlet.model;

import java.util.List;
import java.util.OptionalInt;

/**
 * What a VM's record that cannot be read still keeps from all others.
 *
 * @param trouble which file it is, what is wrong with it and what a person can do, a sentence
 * @param userId empty when it cannot be made out
 * @param nics those that can be made out
 * @param complete whether nothing else can be in it: else nobody can tell which addresses and user ids are free
 * @param damaged whether its content is lost for good, so that it may be rebuilt from what else is seen; else it can be
 *     read again one day
 */
public record Reservation(
        String vmUid,
        String file,
        String trouble,
        OptionalInt userId,
        List<Nic> nics,
        boolean complete,
        boolean damaged) {
    /** Of a record that is whole, but not to be read now. */
    public Reservation(
            String vmUid, String file, String trouble, OptionalInt userId, List<Nic> nics, boolean complete) {
        this(vmUid, file, trouble, userId, nics, complete, false);
    }

    /** Addresses, and ports of the node such as {@code tcp/80}, as the record writes them; nothing vouches for their shape. */
    public record Nic(String networkUid, String ip, String mac, List<String> hostPorts) {
        public Nic {
            hostPorts = List.copyOf(hostPorts);
        }

        public Nic(String networkUid, String ip, String mac) {
            this(networkUid, ip, mac, List.of());
        }
    }

    public Reservation {
        nics = List.copyOf(nics);
    }
}
