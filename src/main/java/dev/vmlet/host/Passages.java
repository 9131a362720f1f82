package dev.vmlet.host;

import dev.vmlet.model.LinkName;
import dev.vmlet.model.NetworkRecord;
import dev.vmlet.model.Passage;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmRecord;
import java.util.List;
import java.util.Optional;

/**
 * The door to what firewalls of others do with packets of guests that leave the node. It is tried beside the caller, by a
 * packet for each Network, when something changed; whoever uses the Network is woken when the answer is another.
 */
public interface Passages {
    /**
     * What there is now; what is new in it is tried soon. Returns at once.
     *
     * @param uplink empty where nothing leaves the node, and nothing is tried
     * @param vms have the addresses that no probe is to come from
     */
    void follow(Optional<LinkName> uplink, List<NetworkRecord> networks, List<VmRecord> vms);

    /**
     * What the last try of the Network said. Missing where there was none, because nothing may leave the Network, it was not
     * its turn yet, or what it may reach first is on this node, which says nothing of the way out; Unknown when it could not
     * be made, which says nothing about the Network.
     */
    Seen<Passage> of(String networkUid);

    /** Nothing is tried. */
    static Passages none() {
        return new Passages() {
            @Override
            public void follow(Optional<LinkName> uplink, List<NetworkRecord> networks, List<VmRecord> vms) {}

            @Override
            public Seen<Passage> of(String networkUid) {
                return Seen.missing();
            }
        };
    }
}
