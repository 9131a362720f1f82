package dev.vmlet.host.files;

import com.fasterxml.jackson.databind.JsonNode;
import dev.vmlet.host.Records;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.NetworkRecord;
import dev.vmlet.model.Reservation;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmRecord;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Records as JSON files in the state directory, read once at construction. Readers take from memory and never wait;
 * writers take turns under one lock, and memory changes only after the disk has. A file that cannot be read stays as it
 * is and blocks its object until a person has looked at it.
 */
public final class FileRecords implements Records {
    private static final String FOLDER_MODE = "rwx------";
    /** A guest's VMM runs as a user of its own and passes through here to its disks. */
    private static final String PASSAGE_MODE = "rwx--x--x";

    private static final String FILE_MODE = "rw-------";

    private final HostPaths paths;
    private final ReentrantLock writing = new ReentrantLock();
    // Written under the lock, read without.
    private final Map<String, Seen<VmRecord>> vms = new ConcurrentHashMap<>();
    private final Map<String, Seen<NetworkRecord>> networks = new ConcurrentHashMap<>();
    private final Map<String, Claims> claims = new ConcurrentHashMap<>();
    /** Of VM records that could not be read when we started; read-only from then on. */
    private final Map<String, Reservation> reservations = new ConcurrentHashMap<>();

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
        try {
            if (holder) {
                prepare();
            }
            loadVms(holder);
            loadNetworks();
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

    private void loadVms(boolean holder) throws IOException {
        for (Path folder : list(Path.of(paths.vmsDir()))) {
            if (!Files.isDirectory(folder)) {
                continue;
            }
            if (holder) {
                DurableFiles.removeTemps(folder);
            }
            String uid = folder.getFileName().toString();
            Path file = Path.of(paths.vmRecord(uid));
            JsonNode tree = null;
            try {
                tree = RecordJson.tree(Files.readAllBytes(file));
                VmRecord record = RecordJson.read(tree, VmRecord.class);
                if (!record.id().uid().equals(uid)) {
                    throw new IOException(
                            "it is the record of uid " + record.id().uid());
                }
                if (record.userId() < 1) {
                    // What an absent number is read as; no guest of ours runs as root.
                    throw new IOException("it has no userId");
                }
                claims.put(uid, Claims.of(record));
                vms.put(uid, Seen.present(record));
            } catch (NoSuchFileException e) {
                // A folder without a record: the leftovers of a VM, which the door to disks shows.
            } catch (IOException e) {
                String trouble = unreadable(file, e);
                // What an unreadable record still tells is kept from others all the same.
                Reservation reservation = Claims.reservation(uid, file.toString(), trouble, tree);
                reservations.put(uid, reservation);
                claims.put(uid, Claims.of(reservation));
                vms.put(uid, Seen.unknown(trouble));
            }
        }
    }

    private void loadNetworks() throws IOException {
        for (Path file : list(Path.of(paths.networksDir()))) {
            String name = file.getFileName().toString();
            if (!name.endsWith(".json")) {
                continue;
            }
            String uid = name.substring(0, name.length() - ".json".length());
            try {
                NetworkRecord record = RecordJson.read(RecordJson.tree(Files.readAllBytes(file)), NetworkRecord.class);
                if (!record.id().uid().equals(uid)) {
                    throw new IOException(
                            "it is the record of uid " + record.id().uid());
                }
                networks.put(uid, Seen.present(record));
            } catch (IOException e) {
                networks.put(uid, Seen.unknown(unreadable(file, e)));
            }
        }
    }

    /** One line: a JSON error carries an excerpt of several. */
    private static String unreadable(Path file, IOException e) {
        String cause = DurableFiles.cause(e).lines().findFirst().orElse("");
        return "The record " + file + " cannot be read: " + cause
                + ". It is left as it is; move it away to have the object seen as unrecorded";
    }

    private static List<Path> list(Path folder) throws IOException {
        List<Path> entries = new ArrayList<>();
        try (DirectoryStream<Path> stream = Files.newDirectoryStream(folder)) {
            stream.forEach(entries::add);
        }
        entries.sort(Comparator.naturalOrder());
        return entries;
    }

    @Override
    public Seen<VmRecord> vm(String vmUid) {
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
        causes.sort(Comparator.naturalOrder());
        return List.copyOf(causes);
    }

    @Override
    public void write(VmRecord record) throws HostException {
        String uid = record.id().uid();
        Path file = Path.of(paths.vmRecord(uid));
        writing.lock();
        try {
            refuseUnreadable("write", vm(uid));
            Claims wanted = Claims.of(record);
            for (var other : claims.entrySet()) {
                if (!other.getKey().equals(uid)) {
                    String clash = wanted.clash(other.getValue());
                    if (!clash.isEmpty()) {
                        throw new HostException.Busy(
                                "write the record of VM " + record.id() + ": " + clash + " belongs to "
                                        + name(other.getKey()),
                                null);
                    }
                }
            }
            DurableFiles.createFolders(Path.of(paths.vmDir(uid)), PASSAGE_MODE);
            DurableFiles.write(file, RecordJson.write(record), FILE_MODE);
            vms.put(uid, Seen.present(record));
            claims.put(uid, wanted);
        } catch (IOException e) {
            throw DurableFiles.refusal("write " + file, e);
        } finally {
            writing.unlock();
        }
    }

    private String name(String vmUid) {
        return vm(vmUid) instanceof Seen.Present<VmRecord>(VmRecord other)
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
            refuseUnreadable("delete", vm(vm.uid()));
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
            refuseUnreadable("write", network(uid));
            DurableFiles.write(file, RecordJson.write(record), FILE_MODE);
            networks.put(uid, Seen.present(record));
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
            refuseUnreadable("delete", network(networkUid));
            if (networks.containsKey(networkUid)) {
                DurableFiles.delete(file);
                networks.remove(networkUid);
            }
        } catch (IOException e) {
            throw DurableFiles.refusal("delete " + file, e);
        } finally {
            writing.unlock();
        }
    }

    /**
     * Forgets what another boot of the host knew: a reboot puts every forwarding flag where the host's own settings want
     * it, which the operator may have changed since. To be called before anything is recorded in this boot.
     */
    public void enterBoot(String bootId) throws HostException {
        Path file = Path.of(paths.bootFile());
        try {
            if (Files.exists(file)) {
                if (Files.readString(file, StandardCharsets.ISO_8859_1).strip().equals(bootId)) {
                    return;
                }
                for (String link : forwardingOriginals()) {
                    forgetForwarding(link);
                }
            }
            // Without the file the flags are a former version's, of a boot nobody knows: they are kept as they are.
            DurableFiles.write(file, (bootId + "\n").getBytes(StandardCharsets.US_ASCII), FILE_MODE);
        } catch (IOException e) {
            throw DurableFiles.refusal("write " + file, e);
        }
    }

    @Override
    public List<String> forwardingOriginals() throws HostException {
        List<String> links = new ArrayList<>();
        try {
            for (Path file : list(Path.of(paths.forwardingDir()))) {
                if (!DurableFiles.isTemp(file)) {
                    links.add(file.getFileName().toString());
                }
            }
        } catch (IOException e) {
            throw DurableFiles.refusal("list " + paths.forwardingDir(), e);
        }
        return List.copyOf(links);
    }

    @Override
    public void keepForwarding(String link, boolean original) throws HostException {
        Path file = forwarding(link);
        try {
            byte[] content = (original ? "1\n" : "0\n").getBytes(StandardCharsets.US_ASCII);
            if (!DurableFiles.writeNew(file, content, FILE_MODE)
                    && keptForwarding(link) instanceof Seen.Unknown<Boolean>(String cause)) {
                // The caller changes the flag next; without a readable original nobody could ever restore it.
                throw new HostException.Refused("record the forwarding flag of " + link + ": " + cause, null);
            }
        } catch (IOException e) {
            throw DurableFiles.refusal("write " + file, e);
        }
    }

    @Override
    public Seen<Boolean> keptForwarding(String link) {
        Path file = forwarding(link);
        try {
            String text = new String(Files.readAllBytes(file), StandardCharsets.ISO_8859_1).strip();
            return switch (text) {
                case "1" -> Seen.present(true);
                case "0" -> Seen.present(false);
                default ->
                    Seen.unknown("The original forwarding flag of " + link + " in " + file
                            + " is neither 0 nor 1; write the right one, or delete the file to keep the flag as it is");
            };
        } catch (NoSuchFileException e) {
            return Seen.missing();
        } catch (IOException e) {
            return Seen.unknown(
                    "The original forwarding flag in " + file + " cannot be read: " + DurableFiles.cause(e));
        }
    }

    @Override
    public void forgetForwarding(String link) throws HostException {
        Path file = forwarding(link);
        try {
            DurableFiles.delete(file);
        } catch (IOException e) {
            throw DurableFiles.refusal("delete " + file, e);
        }
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

    /** A link name becomes a file name: its shape is checked here, at the border. */
    private Path forwarding(String link) {
        return Path.of(paths.forwardingDir(), new LinkName(link).value());
    }
}
