package dev.vmlet.host.files;

import dev.vmlet.model.HostException;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.Seen;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** What is kept of the host itself, a line a file: forwarding flags as they were, the boot they are of, the cluster. */
final class HostNotes {
    private static final String FILE_MODE = "rw-------";

    private final HostPaths paths;

    HostNotes(HostPaths paths) {
        this.paths = paths;
    }

    /** Without its original nobody can restore a flag: it stays as it is, and the next change takes that for the original. */
    void setFlagsAside() throws IOException {
        for (Path file : FileRecords.list(Path.of(paths.forwardingDir()))) {
            if (!DurableFiles.isTemp(file)
                    && !SetAside.is(file)
                    && keptForwarding(file.getFileName().toString()) instanceof Seen.Unknown) {
                Path _ = SetAside.tryMove(file);
            }
        }
    }

    List<String> lostFlags() {
        try {
            return SetAside.names(Path.of(paths.forwardingDir())).stream()
                    .map(link -> "The original forwarding flag of " + link + " was damaged and is set aside as "
                            + paths.forwardingDir() + "/" + link + ".damaged-…: the flag stays as it is when vmlet's"
                            + " last Network goes. Set it as you want it, and delete that file")
                    .toList();
        } catch (IOException e) {
            return List.of("The folder " + paths.forwardingDir() + " cannot be listed: " + DurableFiles.cause(e));
        }
    }

    /**
     * Forgets what another boot of the host knew: a reboot puts every forwarding flag where the host's own settings want
     * it, which the operator may have changed since. To be called before anything is recorded in this boot.
     */
    void enterBoot(String bootId) throws HostException {
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

    List<String> forwardingOriginals() throws HostException {
        List<String> links = new ArrayList<>();
        try {
            for (Path file : FileRecords.list(Path.of(paths.forwardingDir()))) {
                if (!DurableFiles.isTemp(file) && !SetAside.is(file)) {
                    links.add(file.getFileName().toString());
                }
            }
        } catch (IOException e) {
            throw DurableFiles.refusal("list " + paths.forwardingDir(), e);
        }
        return List.copyOf(links);
    }

    void keepForwarding(String link, boolean original) throws HostException {
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

    Seen<Boolean> keptForwarding(String link) {
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

    void forgetForwarding(String link) throws HostException {
        Path file = forwarding(link);
        try {
            DurableFiles.delete(file);
        } catch (IOException e) {
            throw DurableFiles.refusal("delete " + file, e);
        }
    }

    Seen<String> cluster() {
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

    void keepCluster(String kubeSystemUid) throws HostException {
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
