package dev.vmlet.host;

import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Reach;

/** The door to guests' readiness ports. Probing runs beside the caller and wakes the VM when the answer changes. */
public interface Probes {
    /** Begins to probe, unless this VM's address and port are probed already. Returns at once. */
    void watch(String vmUid, Ipv4Address address, int port);

    void forget(String vmUid);

    /** The guest has sent a frame after a silence: its port may open soon. Returns at once. */
    void heard(String vmUid);

    Reach state(String vmUid);
}
