package dev.vmlet.host;

import dev.vmlet.model.HostException;
import dev.vmlet.model.NetworkRecord;
import dev.vmlet.model.Reservation;
import dev.vmlet.model.Seen;
import dev.vmlet.model.StoreStamp;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmRecord;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/** The door to what is kept on disk. Every write is durable (fsync of file and folder) when the call returns. */
public interface Records {
    /** Unknown when the file exists and cannot be read. */
    Seen<VmRecord> vm(String vmUid);

    /** Every readable record; {@link #unreadable} lists the others. */
    List<VmRecord> vms();

    /** What the unreadable records of VMs still keep from others, sorted by VM uid. */
    List<Reservation> reservations();

    Seen<NetworkRecord> network(String networkUid);

    List<NetworkRecord> networks();

    /** Sentences about records that could not be read, or are damaged and not rebuilt yet. */
    List<String> unreadable();

    /**
     * Uids of the VMs and Networks whose records {@link #unreadable} tells of: they may still have links and guests, and
     * nothing says which.
     */
    Set<String> unread();

    /** Sentences about original forwarding flags that are lost; they stand in nobody's way. */
    default List<String> lostFlags() {
        return List.of();
    }

    /**
     * Writes the record. A damaged one is replaced by it: the caller has rebuilt it from what else is seen. This is where addresses and user ids are given out: under one lock, so that none is given twice.
     *
     * @throws HostException.Busy when another VM's record holds one of its addresses or its user id
     */
    void write(VmRecord record) throws HostException;

    void delete(VmId vm) throws HostException;

    void write(NetworkRecord record) throws HostException;

    void deleteNetwork(String networkUid) throws HostException;

    /** Names of interfaces whose original forwarding flag is recorded. */
    List<String> forwardingOriginals() throws HostException;

    /** Records the original value unless one is recorded already: the first writer wins. */
    void keepForwarding(String link, boolean original) throws HostException;

    Seen<Boolean> keptForwarding(String link);

    void forgetForwarding(String link) throws HostException;

    /** Uid of the {@code kube-system} namespace of the cluster this node belongs to; Missing before first contact. */
    Seen<String> cluster();

    /** Records the cluster's identity unless one is recorded already: the first writer wins. */
    void keepCluster(String kubeSystemUid) throws HostException;

    /** This node's last word in the API server's object store; empty before the first, and where it was lost. */
    Optional<StoreStamp> storeStamp();

    /** Replaces it; not durable at once. */
    void keepStoreStamp(StoreStamp stamp) throws HostException;

    /** Uids of VMs whose objects the store has not shown since it went back in time. */
    Set<String> unseen();

    void keepUnseen(Set<String> vmUids) throws HostException;

    /** Uids that a person confirmed, of what is gone since. */
    Set<String> spentConfirmations();

    void keepSpentConfirmations(Set<String> uids) throws HostException;
}
