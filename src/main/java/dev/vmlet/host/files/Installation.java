package dev.vmlet.host.files;

import dev.vmlet.model.HostException;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.InstallationId;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermission;
import java.security.SecureRandom;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The state directory, held by this agent alone until closed. Holds the installation id, made at the first start and the
 * same ever after, because every name and mark on the host is derived from it.
 */
public final class Installation implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(Installation.class);
    private static final String BASE32 = "abcdefghijklmnopqrstuvwxyz234567";
    private static final Pattern MARK = Pattern.compile("vmlet:([a-z2-7]{8}):");

    private final InstallationId id;
    private final FileChannel lockFile;

    private Installation(InstallationId id, FileChannel lockFile) {
        this.id = id;
        this.lockFile = lockFile;
    }

    /**
     * Creates the state directory and the id where missing.
     *
     * @throws HostException.Busy while another agent holds the state directory
     * @throws HostException.Refused when the id cannot be read and no record tells it, for it is never replaced by a new
     *     one; and when a newer vmlet has used the directory
     */
    public static Installation open(HostPaths paths) throws HostException {
        Path state = Path.of(paths.stateDir());
        FileChannel lockFile = null;
        try {
            // Guests run as users of their own and must reach their files, not list ours.
            DurableFiles.createFolders(state, "rwx--x--x");
            letGuestsPass(state);
            lockFile = FileChannel.open(state.resolve("lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
            if (!holds(lockFile)) {
                lockFile.close();
                throw new HostException.Busy(
                        "lock " + state + ": another vmlet uses this state directory; stop it, or give this one a"
                                + " directory of its own",
                        null);
            }
            StateFormat.check(Path.of(paths.formatFile()));
            InstallationId id = readOrCreate(paths);
            markFormat(Path.of(paths.formatFile()));
            return new Installation(id, lockFile);
        } catch (IOException e) {
            close(lockFile);
            throw DurableFiles.refusal("open state directory " + state, e);
        } catch (HostException e) {
            close(lockFile);
            throw e;
        }
    }

    /** A folder that somebody else has made may be closed to all but its owner. */
    private static void letGuestsPass(Path state) throws IOException {
        Set<PosixFilePermission> mode = Files.getPosixFilePermissions(state);
        if (mode.addAll(Set.of(PosixFilePermission.GROUP_EXECUTE, PosixFilePermission.OTHERS_EXECUTE))) {
            Files.setPosixFilePermissions(state, mode);
        }
    }

    /** The lock is fcntl's: it ends with the process, however that ends, and with the first close of the file. */
    private static boolean holds(FileChannel lockFile) throws IOException {
        try {
            FileLock lock = lockFile.tryLock();
            return lock != null;
        } catch (OverlappingFileLockException e) {
            return false;
        }
    }

    private static void close(@Nullable FileChannel lockFile) {
        try {
            if (lockFile != null) {
                lockFile.close();
            }
        } catch (IOException e) {
            // A lock file that does not close is let go when the process ends.
        }
    }

    /** A full disk keeps no agent from starting: each record tells its own format, and the next start writes this. */
    private static void markFormat(Path file) {
        try {
            StateFormat.mark(file);
        } catch (IOException e) {
            log.atWarn().addKeyValue("file", file).setCause(e).log("the state directory's format could not be noted");
        }
    }

    /** The id of the file; where that is lost, the one that all records agree on; a new one where there is no record. */
    private static InstallationId readOrCreate(HostPaths paths) throws IOException, HostException {
        Path file = Path.of(paths.installationFile());
        boolean damaged = false;
        HostException nonsense = null;
        try {
            return read(file);
        } catch (NoSuchFileException e) {
            // The first start, or the file was lost.
        } catch (HostException.Refused e) {
            damaged = true;
            nonsense = e;
        }
        Set<String> ids = idsInRecords(paths);
        if (ids.size() > 1) {
            throw new HostException.Refused(
                    "read " + file + ": it is lost, and the records beside it name several installation ids, " + ids
                            + "; write the one that follows \"vmlet:\" in `ip -d link` into it",
                    nonsense);
        }
        if (ids.isEmpty() && nonsense != null) {
            throw nonsense;
        }
        if (damaged) {
            Path aside = SetAside.move(file);
            log.atError().addKeyValue("file", file).addKeyValue("now", aside).log("a damaged file was set aside");
        }
        String id = ids.isEmpty() ? random() : ids.iterator().next();
        if (!ids.isEmpty()) {
            log.atError().addKeyValue("file", file).addKeyValue("id", id).log("rebuilt from the marks in the records");
        }
        DurableFiles.writeNew(file, (id + "\n").getBytes(StandardCharsets.US_ASCII), "rw-r--r--");
        return read(file);
    }

    /** Every record names the marks of its host objects, and each mark names the installation. */
    private static Set<String> idsInRecords(HostPaths paths) throws IOException {
        Set<String> ids = new TreeSet<>();
        for (String folder : List.of(paths.vmsDir(), paths.networksDir())) {
            if (!Files.isDirectory(Path.of(folder))) {
                continue;
            }
            try (Stream<Path> files = Files.walk(Path.of(folder), 2)) {
                for (Path file : files.filter(f -> f.getFileName().toString().contains(".json"))
                        .filter(Files::isRegularFile)
                        .toList()) {
                    Matcher mark = MARK.matcher(new String(Files.readAllBytes(file), StandardCharsets.ISO_8859_1));
                    while (mark.find()) {
                        ids.add(mark.group(1));
                    }
                }
            }
        }
        return ids;
    }

    private static InstallationId read(Path file) throws IOException, HostException {
        String text = new String(Files.readAllBytes(file), StandardCharsets.ISO_8859_1).strip();
        try {
            return new InstallationId(text);
        } catch (IllegalArgumentException e) {
            throw new HostException.Refused(
                    "read " + file + ": it does not hold an installation id (eight of a-z2-7). Every bridge, tap and"
                            + " guest of this host is named after it: write the eight characters that follow \"vmlet:\""
                            + " in `ip -d link`, or delete the file if nothing of vmlet is left on this host",
                    e);
        }
    }

    private static String random() {
        var random = new SecureRandom();
        StringBuilder id = new StringBuilder(8);
        for (int i = 0; i < 8; i++) {
            id.append(BASE32.charAt(random.nextInt(32)));
        }
        return id.toString();
    }

    /**
     * The id of a state directory, without holding it: for commands that only look.
     *
     * @throws HostException.Refused when no agent has ever run with this state directory, or a newer one has
     */
    public static InstallationId read(HostPaths paths) throws HostException {
        StateFormat.check(Path.of(paths.formatFile()));
        Path file = Path.of(paths.installationFile());
        try {
            return read(file);
        } catch (NoSuchFileException e) {
            throw new HostException.Refused(
                    "read " + file + ": there is none, so no agent has run with this state directory; give --state-dir",
                    e);
        } catch (IOException e) {
            throw DurableFiles.refusal("read " + file, e);
        }
    }

    public InstallationId id() {
        return id;
    }

    @Override
    public void close() {
        close(lockFile);
    }
}
