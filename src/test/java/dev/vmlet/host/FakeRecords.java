package dev.vmlet.host;

import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.HostException;
import dev.vmlet.model.NetworkRecord;
import dev.vmlet.model.Reservation;
import dev.vmlet.model.Seen;
import dev.vmlet.model.StoreStamp;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmRecord;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;

/**
 * Records in memory, as strict as the files: no address, MAC or user id is given twice, and what cannot be read is
 * neither replaced nor removed. Nothing of it is lost when the agent dies.
 */
public final class FakeRecords implements Records {
    private final Map<String, VmRecord> vms = new TreeMap<>();
    private final Map<String, NetworkRecord> networks = new TreeMap<>();
    private final Map<String, Boolean> forwarding = new TreeMap<>();
    private final Set<String> unreadable = new TreeSet<>();
    private final Set<String> illegible = new TreeSet<>();
    private final Set<String> lost = new TreeSet<>();
    private Seen<String> cluster = Seen.missing();

    /** Somebody damages the file of this VM or Network. */
    public void damage(String uid) {
        unreadable.add(uid);
    }

    /** Somebody damages the file so that nothing at all can be made out in it. */
    public void garble(String uid) {
        unreadable.add(uid);
        illegible.add(uid);
    }

    /** The file of this VM is torn for good, and set aside: only what owns its disks is left to tell its user id. */
    public void destroy(String uid) {
        unreadable.add(uid);
        illegible.add(uid);
        lost.add(uid);
    }

    /** Somebody puts it right again. */
    public void mend(String uid) {
        lost.remove(uid);
        unreadable.remove(uid);
        illegible.remove(uid);
    }

    /** Every VM's record by uid, readable or not. */
    public Map<String, VmRecord> all() {
        return vms;
    }

    /** Every Network's record by uid, readable or not. */
    public Map<String, NetworkRecord> allNetworks() {
        return networks;
    }

    @Override
    public Seen<VmRecord> vm(String vmUid) {
        return seen(vmUid, vms);
    }

    @Override
    public List<VmRecord> vms() {
        return readable(vms);
    }

    @Override
    public List<Reservation> reservations() {
        return vms.values().stream()
                .filter(r -> unreadable.contains(r.id().uid()))
                .map(r -> {
                    String uid = r.id().uid();
                    String file = uid + "/record.json";
                    if (lost.contains(uid)) {
                        return new Reservation(
                                uid, file, sentence(uid), OptionalInt.of(r.userId()), List.of(), false, true);
                    }
                    return illegible.contains(uid)
                            ? new Reservation(uid, file, sentence(uid), OptionalInt.empty(), List.of(), false)
                            : new Reservation(
                                    uid,
                                    file,
                                    sentence(uid),
                                    OptionalInt.of(r.userId()),
                                    r.nics().stream()
                                            .map(n -> new Reservation.Nic(
                                                    n.network().uid(),
                                                    n.ip().toString(),
                                                    n.mac().value()))
                                            .toList(),
                                    true);
                })
                .toList();
    }

    @Override
    public Seen<NetworkRecord> network(String networkUid) {
        return seen(networkUid, networks);
    }

    @Override
    public List<NetworkRecord> networks() {
        return readable(networks);
    }

    private <T> Seen<T> seen(String uid, Map<String, T> all) {
        if (!all.containsKey(uid)) {
            return Seen.missing();
        }
        return unreadable.contains(uid) ? Seen.unknown(sentence(uid)) : Seen.present(all.get(uid));
    }

    private <T> List<T> readable(Map<String, T> all) {
        return all.entrySet().stream()
                .filter(e -> !unreadable.contains(e.getKey()))
                .map(Map.Entry::getValue)
                .toList();
    }

    @Override
    public List<String> unreadable() {
        return unreadable.stream()
                .filter(uid -> vms.containsKey(uid) || networks.containsKey(uid))
                .map(FakeRecords::sentence)
                .toList();
    }

    @Override
    public Set<String> unread() {
        return unreadable.stream()
                .filter(uid -> vms.containsKey(uid) || networks.containsKey(uid))
                .collect(Collectors.toSet());
    }

    private static String sentence(String uid) {
        return "The record of " + uid + " cannot be read";
    }

    @Override
    public void write(VmRecord record) throws HostException {
        String uid = record.id().uid();
        if (!lost.contains(uid)) {
            refuseUnreadable("write", uid);
        }
        Set<String> wanted = claims(record);
        for (VmRecord other : vms.values()) {
            if (!other.id().uid().equals(uid) && !illegible.contains(other.id().uid())) {
                for (String claim : claims(other)) {
                    if (wanted.contains(claim)) {
                        throw new HostException.Busy(
                                "write the record of VM " + record.id() + ": " + claim + " belongs to VM " + other.id(),
                                null);
                    }
                }
            }
        }
        vms.put(uid, record);
        if (lost.contains(uid)) {
            mend(uid);
        }
    }

    private static Set<String> claims(VmRecord record) {
        Set<String> claims = new HashSet<>();
        claims.add("user id " + record.userId());
        for (DesiredNic nic : record.nics()) {
            nic.ports().forEach(port -> claims.add("host port " + port.host()));
            if (!nic.usesDhcp()) {
                claims.add("address " + nic.ip() + " of "
                        + (nic.isOnExistingBridge()
                                ? "the LANs of this node"
                                : "Network uid " + nic.network().uid()));
            }
            claims.add("MAC address " + nic.mac() + " of Network uid "
                    + nic.network().uid());
        }
        return claims;
    }

    private void refuseUnreadable(String operation, String uid) throws HostException {
        if (unreadable.contains(uid)) {
            throw new HostException.Refused(operation + " record: " + sentence(uid), null);
        }
    }

    @Override
    public void delete(VmId vm) throws HostException {
        refuseUnreadable("delete", vm.uid());
        vms.remove(vm.uid());
    }

    @Override
    public void write(NetworkRecord record) throws HostException {
        refuseUnreadable("write", record.id().uid());
        networks.put(record.id().uid(), record);
    }

    @Override
    public void deleteNetwork(String networkUid) throws HostException {
        refuseUnreadable("delete", networkUid);
        networks.remove(networkUid);
    }

    /** The host was rebooted: its forwarding flags are where its own settings want them. */
    public void enterBoot() {
        forwarding.clear();
    }

    @Override
    public List<String> forwardingOriginals() {
        return new ArrayList<>(forwarding.keySet());
    }

    @Override
    public void keepForwarding(String link, boolean original) {
        forwarding.putIfAbsent(link, original);
    }

    @Override
    public Seen<Boolean> keptForwarding(String link) {
        if (!forwarding.containsKey(link)) {
            return Seen.missing();
        }
        return unreadable.contains(link) ? Seen.unknown(sentence(link)) : Seen.present(forwarding.get(link));
    }

    @Override
    public void forgetForwarding(String link) {
        forwarding.remove(link);
    }

    @Override
    public Seen<String> cluster() {
        return cluster;
    }

    @Override
    public void keepCluster(String kubeSystemUid) {
        if (cluster instanceof Seen.Missing) {
            cluster = Seen.present(kubeSystemUid);
        }
    }

    private Optional<StoreStamp> stamp = Optional.empty();
    private Set<String> unseen = Set.of();
    private Set<String> spent = Set.of();

    @Override
    public Optional<StoreStamp> storeStamp() {
        return stamp;
    }

    @Override
    public void keepStoreStamp(StoreStamp now) {
        stamp = Optional.of(now);
    }

    @Override
    public Set<String> unseen() {
        return unseen;
    }

    @Override
    public void keepUnseen(Set<String> vmUids) {
        unseen = Set.copyOf(vmUids);
    }

    @Override
    public Set<String> spentConfirmations() {
        return spent;
    }

    @Override
    public void keepSpentConfirmations(Set<String> uids) {
        spent = Set.copyOf(uids);
    }
}
