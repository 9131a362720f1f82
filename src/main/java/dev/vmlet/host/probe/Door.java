package dev.vmlet.host.probe;

import dev.vmlet.model.Ipv4Address;
import java.time.Duration;

/** Where {@link TcpProbes} knocks. */
interface Door {
    enum Answer {
        OPEN,
        /** By the guest's own kernel, or by a firewall on the way. */
        REFUSED,
        /** Nothing came in time, or there is no way. */
        SILENT
    }

    /** Waits for the answer, at most so long. */
    Answer knock(Ipv4Address address, int port, Duration patience);
}
