package dev.vmlet.host.vmm;

import dev.vmlet.host.files.DurableFiles;
import dev.vmlet.model.HostException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;

/**
 * How the agent reaches the host that its guests run on. Outside a container there is nothing to enter. In one, a guest
 * must not hang on it: what starts a guest goes through nsenter(1) into the namespaces of the host's process 1, and runs
 * what lies on the host.
 *
 * <p>State and run directory, and the cgroups, bear the same paths on both sides; so each path that is handed over is
 * true there.
 *
 * @param words before a command that is to run on the host; none where this is the host
 * @param root where the host's root directory is seen from here
 */
public record HostEntry(List<String> words, Path root) {
    /** Not pid: a guest is watched by its number, so both sides must share that one, and nsenter would fork for it. */
    private static final Map<String, String> ENTERED = Map.of(
            "mnt", "--mount",
            "cgroup", "--cgroup",
            "ipc", "--ipc",
            "net", "--net",
            "uts", "--uts");

    private static final String PROGRAM_MODE = "rwxr-xr-x";

    public HostEntry {
        words = List.copyOf(words);
    }

    /** This is the host. */
    public static HostEntry none() {
        return new HostEntry(List.of(), Path.of("/"));
    }

    /**
     * From a container that shares the host's process ids.
     *
     * @throws HostException.Refused when process 1 is not the host's, as far as can be told
     * @throws HostException.NotPermitted when its namespaces are not ours to look at
     */
    public static HostEntry throughInit() throws HostException {
        return throughInit(Path.of("/proc"));
    }

    static HostEntry throughInit(Path proc) throws HostException {
        Path init = proc.resolve("1/ns");
        Path own = proc.resolve("self/ns");
        List<String> options = new ArrayList<>();
        for (String kind : ENTERED.keySet().stream().sorted().toList()) {
            if (!namespace(init, kind).equals(namespace(own, kind))) {
                options.add(ENTERED.get(kind));
            }
        }
        if (!options.contains("--mount")) {
            throw new HostException.Refused(
                    "enter the host: process 1 lives in the agent's own mount namespace, so it is no host's: give the pod"
                            + " hostPID: true; outside a container leave --enter-host away",
                    null);
        }
        if (options.contains("--net")) {
            throw new HostException.Refused(
                    "enter the host: the agent has a network namespace of its own, and bridges belong into the host's:"
                            + " give the pod hostNetwork: true",
                    null);
        }
        List<String> words = new ArrayList<>(List.of("nsenter", "--target", "1"));
        words.addAll(options);
        words.add("--");
        return new HostEntry(words, proc.resolve("1/root"));
    }

    private static String namespace(Path of, String kind) throws HostException {
        Path file = of.resolve(kind);
        try {
            return Files.readSymbolicLink(file).toString();
        } catch (IOException e) {
            throw new HostException.NotPermitted("read " + file + ", which needs the capability SYS_PTRACE", e);
        }
    }

    /** Whether there is a way between here and the host. */
    public boolean enters() {
        return !words.isEmpty();
    }

    /** Where a path of the host is seen from here. */
    public Path seen(Path onHost) {
        return enters() ? root.resolve(Path.of("/").relativize(onHost.toAbsolutePath())) : onHost;
    }

    /**
     * A file of the agent's container that the host is to run or read: below {@code binDir}, named after its content, so
     * that a running guest's own never changes. Where this is the host, the file itself.
     *
     * @param stateDir what lies below it is on the host already
     */
    public Path carry(Path file, Path stateDir, Path binDir) throws HostException {
        Path here = file.toAbsolutePath().normalize();
        if (!enters() || here.startsWith(stateDir)) {
            return file;
        }
        try {
            Path there = binDir.resolve(here.getFileName() + "-" + digest(here).substring(0, 12));
            if (!Files.exists(there)) {
                DurableFiles.createFolders(binDir, PROGRAM_MODE);
                Path fresh = there.resolveSibling(there.getFileName() + ".new");
                Files.copy(here, fresh, StandardCopyOption.REPLACE_EXISTING);
                Files.setPosixFilePermissions(fresh, PosixFilePermissions.fromString(PROGRAM_MODE));
                DurableFiles.publish(fresh, there);
            }
            return there;
        } catch (IOException e) {
            throw new HostException.Refused("copy " + file + " from the agent's container into " + binDir, e);
        }
    }

    private static String digest(Path file) throws IOException {
        try (InputStream in = new DigestInputStream(Files.newInputStream(file), MessageDigest.getInstance("SHA-256"))) {
            long _ = in.transferTo(java.io.OutputStream.nullOutputStream());
            return HexFormat.of()
                    .formatHex(((DigestInputStream) in).getMessageDigest().digest());
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has SHA-256", e);
        }
    }
}
