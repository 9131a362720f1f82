package dev.vmlet.doctor;

import dev.vmlet.model.Seen;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/** Judges where the agent keeps things. */
final class Places {
    private static final long MIB = 1 << 20;
    private static final long GIB = 1 << 30;

    /** A catalog image and a small disk; less is no place for guests. */
    private static final long SPACE_WANTED = 8 * GIB;

    private static final long SPACE_NEEDED = GIB / 2;

    /** sun_path without its closing zero (unix(7)). */
    private static final int SOCKET_PATH_MAX = 107;

    private static final Set<String> IN_MEMORY = Set.of("tmpfs", "ramfs");
    private static final Set<String> REMOTE = Set.of("nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs");

    private Places() {}

    static List<Finding> of(Facts facts) {
        List<Finding> findings = new ArrayList<>();
        state(facts.state(), findings);
        run(facts.run(), findings);
        return findings;
    }

    private static void state(Facts.StateDirectory state, List<Finding> findings) {
        String check = "state-dir";
        String place = "state directory " + state.path();
        if (!state.writeProblem().isEmpty()) {
            findings.add(Finding.fail(
                    check,
                    place + " cannot be written: " + state.writeProblem(),
                    state.mountOptions().contains("ro")
                            ? "mount it writable, or choose another --state-dir"
                            : "run as root, or choose another --state-dir"));
        } else {
            findings.add(Finding.ok(
                    check,
                    place + (state.there() ? "" : " will be made; it") + " is on " + state.fileSystem() + ", "
                            + size(state.freeBytes()) + " free, " + reflink(state.reflink())));
        }
        if (state.mountOptions().contains("noexec")) {
            findings.add(Finding.fail(
                    check,
                    place + " is mounted noexec, and the VMM and its launcher are started from there",
                    "mount it with exec, or choose another --state-dir"));
        }
        if (IN_MEMORY.contains(state.fileSystem())) {
            findings.add(Finding.warn(
                    check, place + " is in memory: a reboot takes every disk", "choose a --state-dir on a disk"));
        } else if (state.fileSystem().equals("overlay")) {
            findings.add(Finding.warn(
                    check,
                    place + " is on an overlay: the container's end takes every disk",
                    "mount a directory of the host there"));
        } else if (REMOTE.contains(state.fileSystem())) {
            findings.add(Finding.warn(
                    check,
                    place + " is on a network file system: locks and fsync may not hold what they promise",
                    "choose a --state-dir on a disk of this host"));
        }
        space(state, place, findings);
        state.closed()
                .forEach(dir -> findings.add(Finding.fail(
                        check, "guests' users cannot pass through " + dir + " to their disks", "chmod o+x " + dir)));
        state.unreadable()
                .forEach(sentence -> findings.add(Finding.warn(
                        check, sentence, "run the vmlet that wrote it, or restore it; nothing is overwritten")));
    }

    private static void space(Facts.StateDirectory state, String place, List<Finding> findings) {
        if (!state.writeProblem().isEmpty()) {
            return;
        }
        if (state.freeBytes() < SPACE_NEEDED) {
            findings.add(Finding.fail(
                    "space", place + " has only " + size(state.freeBytes()) + " free", "free some, or move it"));
        } else if (state.freeBytes() < SPACE_WANTED) {
            findings.add(Finding.warn(
                    "space",
                    place + " has only " + size(state.freeBytes()) + " free, room for few images and disks",
                    "free some, or move it"));
        }
    }

    private static String size(long bytes) {
        return bytes >= GIB ? bytes / GIB + " GiB" : bytes / MIB + " MiB";
    }

    private static String reflink(Seen<Boolean> reflink) {
        return switch (reflink) {
            case Seen.Present<Boolean>(Boolean can) when can -> "clones share blocks (reflink)";
            case Seen.Present<Boolean> _, Seen.Missing<Boolean> _ ->
                "no reflink: each clone of an image is a sparse copy";
            case Seen.Unknown<Boolean>(String cause) -> "reflink unknown: " + cause;
        };
    }

    private static void run(Facts.RunDirectory run, List<Finding> findings) {
        String place = "run directory " + run.path();
        if (run.longestSocket() > SOCKET_PATH_MAX) {
            findings.add(Finding.fail(
                    "run-dir",
                    place + " makes socket paths of " + run.longestSocket() + " bytes, and the kernel takes "
                            + SOCKET_PATH_MAX,
                    "choose a shorter --run-dir"));
        } else if (!IN_MEMORY.contains(run.fileSystem())) {
            findings.add(Finding.warn(
                    "run-dir",
                    place + " is on " + run.fileSystem() + ": what lies there survives a reboot and is looked through"
                            + " after it",
                    "choose a --run-dir on a tmpfs, such as one below /run"));
        } else {
            findings.add(Finding.ok("run-dir", place + " is on " + run.fileSystem()));
        }
    }
}
