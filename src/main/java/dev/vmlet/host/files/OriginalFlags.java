package dev.vmlet.host.files;

import dev.vmlet.model.HostException;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.Seen;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * What the forwarding flags of interfaces were that are not ours and that we changed: a file for each, named as its
 * interface, with 0 or 1 in it. Read from disk at each question. Safe for use by several threads.
 */
final class OriginalFlags {
    private static final String FILE_MODE = "rw-------";

    private final Path folder;
    private final BootNote boot;

    OriginalFlags(Path folder, BootNote boot) {
        this.folder = folder;
        this.boot = boot;
    }

    /** Without its original nobody can restore a flag: it stays as it is, and the next change takes that for the original. */
    void setAside() throws IOException {
        for (Path file : DurableFiles.list(folder)) {
            // One that cannot be read at all, for the moment, may be as good as ever.
            if (!DurableFiles.isTemp(file)
                    && !SetAside.is(file)
                    && DurableFiles.canBeRead(file)
                    && kept(file.getFileName().toString()) instanceof Seen.Unknown) {
                Path _ = SetAside.moveOrLeave(file);
            }
        }
    }

    /** Sentences about those that were set aside. */
    List<String> lost() {
        try {
            return SetAside.names(folder).stream()
                    .map(link -> "The original forwarding flag of " + link + " was damaged and is set aside as "
                            + folder + "/" + link + ".damaged-*: the flag stays as it is when vmlet's"
                            + " last Network goes. Set it as you want it, and delete that file")
                    .toList();
        } catch (IOException e) {
            return List.of("The folder " + folder + " cannot be listed: " + DurableFiles.cause(e));
        }
    }

    /**
     * Forgets what another boot of the host knew: a reboot puts every forwarding flag where the host's own settings want
     * it, which the operator may have changed since. To be called before anything is recorded in this boot.
     */
    void enterBoot(String bootId) throws HostException {
        boot.enter(bootId, () -> {
            for (String link : links()) {
                forget(link);
            }
        });
    }

    /** Names of the interfaces. */
    List<String> links() throws HostException {
        List<String> links = new ArrayList<>();
        try {
            for (Path file : DurableFiles.list(folder)) {
                if (!DurableFiles.isTemp(file) && !SetAside.is(file)) {
                    links.add(file.getFileName().toString());
                }
            }
        } catch (IOException e) {
            throw DurableFiles.refusal("list " + folder, e);
        }
        return List.copyOf(links);
    }

    /** The first writer wins. */
    void keep(String link, boolean original) throws HostException {
        Path file = file(link);
        try {
            boot.beforeFlag();
            byte[] content = (original ? "1\n" : "0\n").getBytes(StandardCharsets.US_ASCII);
            if (!DurableFiles.writeNew(file, content, FILE_MODE)
                    && kept(link) instanceof Seen.Unknown<Boolean>(String cause)) {
                // The caller changes the flag next; without a readable original nobody could ever restore it.
                throw new HostException.Refused("record the forwarding flag of " + link + ": " + cause, null);
            }
        } catch (IOException e) {
            throw DurableFiles.refusal("write " + file, e);
        }
    }

    Seen<Boolean> kept(String link) {
        Path file = file(link);
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

    void forget(String link) throws HostException {
        Path file = file(link);
        try {
            DurableFiles.delete(file);
        } catch (IOException e) {
            throw DurableFiles.refusal("delete " + file, e);
        }
    }

    /** A link name becomes a file name: its shape is checked here, at the border. */
    private Path file(String link) {
        return folder.resolve(new LinkName(link).value());
    }
}
