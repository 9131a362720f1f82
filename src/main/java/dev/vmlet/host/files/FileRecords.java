package dev.vmlet.host.files;

import com.fasterxml.jackson.databind.JsonNode;
import dev.vmlet.host.Records;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.NetworkRecord;
import dev.vmlet.model.Reservation;
import dev.vmlet.model.Seen;
import dev.vmlet.model.StoreStamp;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmRecord;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * Records as JSON files in the state directory, read at construction. Readers take from memory; writers take turns under
 * one lock, and memory changes only after the disk has. What could not be read is read again at each look at its object,
 * so that it heals without a restart:
 *
 * <pre>
 * the file …                          is                                       its object is
 * cannot be opened or read            left                                     Unknown, until it can
 * has a newer format                  left                                     Unknown, until that vmlet is back
 * of a VM is torn, rotten or edited   set aside, {@link SetAside}              Unknown, until rebuilt by write
 * of a Network likewise               set aside                                as if new here: all of it is asked anew
 * with a flag likewise                set aside                                as if never changed: nobody restores it
 * </pre>
 *
 * Addresses and user ids of a VM that is Unknown are given to nobody else.
 */
public final class FileRecords implements Records {
    private static final String FOLDER_MODE = "rwx------";
    /** A guest's VMM runs as a user of its own and passes through here to its disks. */
    private static final String PASSAGE_MODE = "rwx--x--x";

    private static final String FILE_MODE = "rw-------";
    private static final String SUFFIX = ".json";

    private final HostPaths paths;
    private final ReentrantLock writing = new ReentrantLock();
    // Written under the lock, read without.
    private final Map<String, Seen<VmRecord>> vms = new ConcurrentHashMap<>();
    private final Map<String, Seen<NetworkRecord>> networks = new ConcurrentHashMap<>();
    private final Map<String, Claims> claims = new ConcurrentHashMap<>();
    /** Of VM records that cannot be read. */
    private final Map<String, Reservation> reservations = new ConcurrentHashMap<>();
    /** Sentences about Networks' records that were set aside and not written again, by uid. */
    private final Map<String, String> lostNetworks = new ConcurrentHashMap<>();

    private final boolean holder;
    private final OriginalFlags flags;
    private final StoreNotes store;
    private final Reserve reserve;

    /** @throws HostException when the state directory cannot be listed or created */
    public FileRecords(HostPaths paths) throws HostException {
        this(paths, true);
    }

    /** What is on disk now, beside the agent that holds the directory: nothing is made or cleaned up. */
    public static FileRecords toLook(HostPaths paths) throws HostException {
        return new FileRecords(paths, false);
    }

    private FileRecords(HostPaths paths, boolean holder) throws HostException {
        this.paths = paths;
        this.holder = holder;
        this.store = new StoreNotes(paths);
        this.reserve = new Reserve(Path.of(paths.reserveFile()));
        this.flags =
                new OriginalFlags(Path.of(paths.forwardingDir()), new BootNote(Path.of(paths.bootFile()), reserve));
        try {
            StateFormat.check(Path.of(paths.formatFile()));
            if (holder) {
                prepare();
            }
            for (Path folder : DurableFiles.list(Path.of(paths.vmsDir()))) {
                if (Files.isDirectory(folder)) {
                    if (holder) {
                        DurableFiles.removeTemps(folder);
                        DurableFiles.deleteEmptyFolder(folder);
                    }
                    loadVm(folder.getFileName().toString());
                }
            }
            loadNetworks();
            if (holder) {
                flags.setAside();
                reserve.take();
            }
        } catch (IOException e) {
            throw DurableFiles.refusal("read records in " + paths.stateDir(), e);
        }
    }

    private void prepare() throws IOException {
        DurableFiles.createFolders(Path.of(paths.vmsDir()), PASSAGE_MODE);
        DurableFiles.createFolders(Path.of(paths.networksDir()), FOLDER_MODE);
        DurableFiles.createFolders(Path.of(paths.forwardingDir()), FOLDER_MODE);
        DurableFiles.removeTemps(Path.of(paths.networksDir()));
        DurableFiles.removeTemps(Path.of(paths.forwardingDir()));
    }

    private void loadVm(String uid) throws IOException {
        Path file = Path.of(paths.vmRecord(uid));
        JsonNode tree = null;
        try {
            byte[] content = Files.readAllBytes(file);
            tree = RecordJson.tree(content);
            remember(parse(uid, content, tree));
        } catch (NoSuchFileException e) {
            Optional<Path> aside = SetAside.last(file);
            if (aside.isPresent()) {
                keep(stillDamaged(uid, aside.get()));
            }
            // Else a folder without a record: the leftovers of a VM, which the door to disks shows.
        } catch (RecordJson.Newer e) {
            String trouble = "The record " + file + " cannot be used: " + e.getMessage();
            keep(Claims.reservation(uid, file.toString(), trouble, tree));
        } catch (RecordJson.Damaged e) {
            keep(damaged(uid, setAside(file), DurableFiles.cause(e), tree));
        } catch (IOException e) {
            // Blind for the moment, and nothing says that the file is bad.
            keep(Claims.reservation(uid, file.toString(), unreadable(file, e), null));
        }
    }

    private static VmRecord parse(String uid, byte[] content, JsonNode tree) throws IOException {
        VmRecord record = RecordJson.read(content, tree, VmRecord.class);
        check(uid, record.id().uid());
        if (record.userId() < 1) {
            // What an absent number is read as; no guest of ours runs as root.
            throw new RecordJson.Damaged("it has no userId", null);
        }
        return record;
    }

    /** Of one that an earlier agent set aside, or this one at an earlier look. */
    private Reservation stillDamaged(String uid, Path aside) throws IOException {
        JsonNode tree = null;
        String why = "";
        try {
            byte[] content = Files.readAllBytes(aside);
            tree = RecordJson.tree(content);
            VmRecord _ = parse(uid, content, tree);
        } catch (RecordJson.Damaged | RecordJson.Newer e) {
            why = DurableFiles.cause(e);
        }
        return damaged(uid, aside, why, tree);
    }

    private static void check(String uid, String found) throws RecordJson.Damaged {
        if (!found.equals(uid)) {
            throw new RecordJson.Damaged("it is the record of uid " + found, null);
        }
    }

    private void remember(VmRecord record) {
        String uid = record.id().uid();
        claims.put(uid, Claims.of(record));
        reservations.remove(uid);
        vms.put(uid, Seen.present(record));
    }

    /** What an unreadable record still tells is kept from others all the same. */
    private void keep(Reservation reservation) {
        String uid = reservation.vmUid();
        reservations.put(uid, reservation);
        claims.put(uid, Claims.of(reservation));
        vms.put(uid, Seen.unknown(reservation.trouble()));
    }

    private Reservation damaged(String uid, Path file, String why, @Nullable JsonNode tree) {
        String trouble = "The record of VM uid " + uid + " was damaged" + (why.isEmpty() ? "" : " (" + why + ")")
                + (SetAside.is(file) ? " and is set aside as " : " and cannot be set aside: ") + file;
        return Claims.ofDamaged(uid, file.toString(), trouble, tree, GivenTo.of(paths, uid));
    }

    private Path setAside(Path file) {
        return holder ? SetAside.moveOrLeave(file) : file;
    }

    private void loadNetworks() throws IOException {
        for (Path file : DurableFiles.list(Path.of(paths.networksDir()))) {
            String name = file.getFileName().toString();
            if (name.endsWith(SUFFIX)) {
                loadNetwork(name.substring(0, name.length() - SUFFIX.length()));
            }
        }
        for (String name : SetAside.names(Path.of(paths.networksDir()))) {
            String uid = name.substring(0, name.length() - SUFFIX.length());
            if (!networks.containsKey(uid)) {
                lostNetworks.computeIfAbsent(uid, _ -> lostNetwork(uid, ""));
            }
        }
    }

    private void loadNetwork(String uid) {
        Path file = Path.of(paths.networkRecord(uid));
        try {
            byte[] content = Files.readAllBytes(file);
            NetworkRecord record = RecordJson.read(content, RecordJson.tree(content), NetworkRecord.class);
            check(uid, record.id().uid());
            networks.put(uid, Seen.present(record));
        } catch (NoSuchFileException e) {
            networks.remove(uid);
        } catch (RecordJson.Newer e) {
            networks.put(uid, Seen.unknown("The record " + file + " cannot be used: " + e.getMessage()));
        } catch (RecordJson.Damaged e) {
            if (SetAside.is(setAside(file))) {
                // Its bridge bears its mark and its object says the rest: it is planned as if it were new here.
                networks.remove(uid);
                lostNetworks.put(uid, lostNetwork(uid, DurableFiles.cause(e)));
            } else {
                networks.put(uid, Seen.unknown(unreadable(file, e)));
            }
        } catch (IOException e) {
            networks.put(uid, Seen.unknown(unreadable(file, e)));
        }
    }

    private String lostNetwork(String uid, String why) {
        return "The record of Network uid " + uid + " was damaged" + (why.isEmpty() ? "" : " (" + why + ")")
                + " and is set aside as " + paths.networkRecord(uid)
                + ".damaged-*; it is written anew when a VM of this"
                + " node uses the Network. Delete that file when nobody does";
    }

    private static String unreadable(Path file, IOException e) {
        return "The record " + file + " cannot be read: " + DurableFiles.cause(e)
                + ". It is left as it is, and read again at every look";
    }

    @Override
    public Seen<VmRecord> vm(String vmUid) {
        if (reservations.containsKey(vmUid)) {
            writing.lock();
            try {
                if (reservations.containsKey(vmUid)) {
                    loadVm(vmUid);
                }
            } catch (IOException e) {
                return Seen.unknown(unreadable(Path.of(paths.vmDir(vmUid)), e));
            } finally {
                writing.unlock();
            }
        }
        return vms.getOrDefault(vmUid, Seen.missing());
    }

    @Override
    public List<VmRecord> vms() {
        return present(vms.values(), Comparator.comparing(record -> record.id().uid()));
    }

    @Override
    public List<Reservation> reservations() {
        return reservations.values().stream()
                .sorted(Comparator.comparing(Reservation::vmUid))
                .toList();
    }

    @Override
    public Seen<NetworkRecord> network(String networkUid) {
        if (networks.get(networkUid) instanceof Seen.Unknown) {
            writing.lock();
            try {
                if (networks.get(networkUid) instanceof Seen.Unknown) {
                    loadNetwork(networkUid);
                }
            } finally {
                writing.unlock();
            }
        }
        return networks.getOrDefault(networkUid, Seen.missing());
    }

    @Override
    public List<NetworkRecord> networks() {
        return present(
                networks.values(), Comparator.comparing(record -> record.id().uid()));
    }

    private static <T> List<T> present(Collection<Seen<T>> all, Comparator<T> order) {
        List<T> result = new ArrayList<>();
        for (Seen<T> seen : all) {
            if (seen instanceof Seen.Present<T>(T record)) {
                result.add(record);
            }
        }
        result.sort(order);
        return List.copyOf(result);
    }

    @Override
    public List<String> unreadable() {
        List<String> causes = new ArrayList<>();
        for (Seen<?> seen : vms.values()) {
            if (seen instanceof Seen.Unknown<?>(String cause)) {
                causes.add(cause);
            }
        }
        for (Seen<?> seen : networks.values()) {
            if (seen instanceof Seen.Unknown<?>(String cause)) {
                causes.add(cause);
            }
        }
        lostNetworks.keySet().removeIf(uid -> !isSetAside(Path.of(paths.networkRecord(uid))));
        causes.addAll(lostNetworks.values());
        causes.sort(Comparator.naturalOrder());
        return List.copyOf(causes);
    }

    @Override
    public Set<String> unread() {
        Set<String> uids = new HashSet<>(reservations.keySet());
        networks.forEach((uid, seen) -> {
            if (seen instanceof Seen.Unknown) {
                uids.add(uid);
            }
        });
        uids.addAll(lostNetworks.keySet());
        return Set.copyOf(uids);
    }

    private static boolean isSetAside(Path file) {
        try {
            return SetAside.last(file).isPresent();
        } catch (IOException e) {
            return true;
        }
    }

    @Override
    public void write(VmRecord record) throws HostException {
        String uid = record.id().uid();
        Path file = Path.of(paths.vmRecord(uid));
        writing.lock();
        try {
            Reservation kept = reservations.get(uid);
            if (kept == null || !kept.damaged()) {
                refuseUnreadable("write", vms.getOrDefault(uid, Seen.missing()));
            } else if (Files.exists(file)) {
                // Damaged, and it could not be set aside before.
                Path _ = SetAside.move(file);
            }
            Claims wanted = Claims.of(record);
            // What it holds already is its own, whatever a damaged record of another says.
            Claims fresh = kept == null ? wanted.without(claims.getOrDefault(uid, Claims.NONE)) : wanted;
            for (var other : claims.entrySet()) {
                if (!other.getKey().equals(uid)) {
                    String clash = fresh.clash(other.getValue());
                    if (!clash.isEmpty()) {
                        throw new HostException.Busy(
                                "write the record of VM " + record.id() + ": " + clash + " belongs to "
                                        + name(other.getKey()),
                                null);
                    }
                }
            }
            // A VM that is here can be stopped on a full file system too; a new one may not come, and what is only
            // good to know of one that runs must not use up what its stop needs.
            if (!claims.containsKey(uid)) {
                Reserve.writeNew(file, RecordJson.write(record), PASSAGE_MODE);
            } else if (record.launch().isEmpty() || record.stop().isPresent()) {
                reserve.write(file, RecordJson.write(record));
            } else {
                DurableFiles.write(file, RecordJson.write(record), FILE_MODE);
            }
            remember(record);
            reserve.take();
        } catch (IOException e) {
            throw DurableFiles.refusal("write " + file, e);
        } finally {
            writing.unlock();
        }
    }

    private String name(String vmUid) {
        return vms.get(vmUid) instanceof Seen.Present<VmRecord>(VmRecord other)
                ? "VM " + other.id()
                : "the VM of the unreadable record " + paths.vmRecord(vmUid);
    }

    /** The file is the only trace of what the object holds on the host; it is neither replaced nor removed unread. */
    private static void refuseUnreadable(String operation, Seen<?> seen) throws HostException {
        if (seen instanceof Seen.Unknown<?>(String cause)) {
            throw new HostException.Refused(operation + " record: " + cause, null);
        }
    }

    @Override
    public void delete(VmId vm) throws HostException {
        Path file = Path.of(paths.vmRecord(vm.uid()));
        writing.lock();
        try {
            refuseUnreadable("delete", vms.getOrDefault(vm.uid(), Seen.missing()));
            // Before the record: one that was set aside and has no successor is taken for a VM's last trace.
            SetAside.forget(file);
            DurableFiles.delete(file);
            vms.remove(vm.uid());
            claims.remove(vm.uid());
            DurableFiles.delete(Path.of(paths.vmDir(vm.uid())));
        } catch (DirectoryNotEmptyException e) {
            // Files of the VM are left; the folder shows them until the door to disks has deleted them.
        } catch (IOException e) {
            throw DurableFiles.refusal("delete " + file, e);
        } finally {
            writing.unlock();
        }
    }

    @Override
    public void write(NetworkRecord record) throws HostException {
        String uid = record.id().uid();
        Path file = Path.of(paths.networkRecord(uid));
        writing.lock();
        try {
            refuseUnreadable("write", networks.getOrDefault(uid, Seen.missing()));
            DurableFiles.write(file, RecordJson.write(record), FILE_MODE);
            networks.put(uid, Seen.present(record));
            lostNetworks.remove(uid);
        } catch (IOException e) {
            throw DurableFiles.refusal("write " + file, e);
        } finally {
            writing.unlock();
        }
    }

    @Override
    public void deleteNetwork(String networkUid) throws HostException {
        Path file = Path.of(paths.networkRecord(networkUid));
        writing.lock();
        try {
            refuseUnreadable("delete", networks.getOrDefault(networkUid, Seen.missing()));
            if (networks.containsKey(networkUid)) {
                DurableFiles.delete(file);
                // Else the next agent would take the damaged file of long ago for a record that was lost.
                SetAside.forget(file);
                networks.remove(networkUid);
            }
        } catch (IOException e) {
            throw DurableFiles.refusal("delete " + file, e);
        } finally {
            writing.unlock();
        }
    }

    /**
     * Forgets what another boot of the host knew, see {@link OriginalFlags#enterBoot}.
     */
    public void enterBoot(String bootId) throws HostException {
        flags.enterBoot(bootId);
    }

    @Override
    public List<String> lostFlags() {
        return flags.lost();
    }

    @Override
    public List<String> forwardingOriginals() throws HostException {
        return flags.links();
    }

    @Override
    public void keepForwarding(String link, boolean original) throws HostException {
        flags.keep(link, original);
    }

    @Override
    public Seen<Boolean> keptForwarding(String link) {
        return flags.kept(link);
    }

    @Override
    public void forgetForwarding(String link) throws HostException {
        flags.forget(link);
    }

    @Override
    public Seen<String> cluster() {
        Path file = Path.of(paths.clusterFile());
        try {
            String uid = Files.readString(file, StandardCharsets.US_ASCII).strip();
            return uid.isEmpty()
                    ? Seen.unknown("The cluster's identity in " + file + " is empty; delete the file to take the"
                            + " present cluster for this node's own")
                    : Seen.present(uid);
        } catch (NoSuchFileException e) {
            return Seen.missing();
        } catch (IOException e) {
            return Seen.unknown("The cluster's identity in " + file + " cannot be read: " + DurableFiles.cause(e));
        }
    }

    @Override
    public void keepCluster(String kubeSystemUid) throws HostException {
        Path file = Path.of(paths.clusterFile());
        try {
            boolean _ =
                    DurableFiles.writeNew(file, (kubeSystemUid + "\n").getBytes(StandardCharsets.US_ASCII), FILE_MODE);
        } catch (IOException e) {
            throw DurableFiles.refusal("write " + file, e);
        }
    }

    @Override
    public Optional<StoreStamp> storeStamp() {
        return store.stamp();
    }

    @Override
    public void keepStoreStamp(StoreStamp stamp) throws HostException {
        store.keep(stamp);
    }

    @Override
    public Set<String> unseen() {
        return store.unseen();
    }

    @Override
    public void keepUnseen(Set<String> vmUids) throws HostException {
        store.keepUnseen(vmUids);
    }

    @Override
    public Set<String> spentConfirmations() {
        return store.spent();
    }

    @Override
    public void keepSpentConfirmations(Set<String> uids) throws HostException {
        store.keepSpent(uids);
    }
}
