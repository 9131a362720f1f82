package dev.vmlet.host.vmm;

import dev.vmlet.model.HostException;
import dev.vmlet.model.LaunchSpec;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalInt;

/**
 * Says before the start what an unprivileged VMM would say with a bare EPERM: what its user cannot open, and what to do
 * about it. A look, not a lock: the VMM's own error still counts.
 */
final class Preflight {
    private static final int READ_WRITE = 06;
    private static final int EXECUTE = 01;

    private final Path tun;
    private final Path kvm;

    private final HostEntry entry;

    Preflight(HostEntry entry) {
        this(Path.of("/dev/net/tun"), Path.of("/dev/kvm"), entry);
    }

    Preflight(Path tun, Path kvm) {
        this(tun, kvm, HostEntry.none());
    }

    private Preflight(Path tun, Path kvm, HostEntry entry) {
        this.tun = tun;
        this.kvm = kvm;
        this.entry = entry;
    }

    /**
     * The supplementary group the VMM needs: that of /dev/kvm where only the group may open it.
     *
     * @throws HostException.NotPermitted naming the file, its mode and the remedy
     */
    OptionalInt check(LaunchSpec launch, Vmm vmm) throws HostException {
        if (!Files.isExecutable(entry.seen(vmm.binary()))) {
            throw new HostException.Refused(
                    "start " + launch.vmm().text() + ": " + vmm.binary() + " is missing or not executable", null);
        }
        reachable(vmm.binary(), launch.userId());
        for (LaunchSpec.Drive drive : launch.drives()) {
            reachable(Path.of(drive.path()), launch.userId());
        }
        if (!launch.nics().isEmpty()) {
            Mode mode = Mode.of(entry.seen(tun));
            if (!mode.allows(READ_WRITE, launch.userId(), launch.userId())) {
                throw new HostException.NotPermitted(
                        "start the VMM of " + launch.id() + ": user " + launch.userId() + " may not open " + tun
                                + ", which is " + mode + "; distributions ship it 0666: chmod 0666 " + tun
                                + " (a tap still admits only its own user)",
                        null);
            }
        }
        return vmm.needsKvm() ? kvmGroup(launch) : OptionalInt.empty();
    }

    private OptionalInt kvmGroup(LaunchSpec launch) throws HostException {
        Mode mode = Mode.of(entry.seen(kvm));
        if (mode.allows(READ_WRITE, launch.userId(), launch.userId())) {
            return OptionalInt.empty();
        }
        // Never root's group: it may open much more than this one device.
        if (mode.gid != 0 && mode.allows(READ_WRITE, launch.userId(), mode.gid)) {
            return OptionalInt.of(mode.gid);
        }
        throw new HostException.NotPermitted(
                "start the VMM of " + launch.id() + ": no group but root's may open " + kvm + ", which is " + mode
                        + "; give it to a group of its own: groupadd -r kvm; chgrp kvm " + kvm + "; chmod 0660 " + kvm,
                null);
    }

    private void reachable(Path file, int userId) throws HostException {
        Path path = file.toAbsolutePath();
        for (Path dir = path.getParent(); dir != null; dir = dir.getParent()) {
            Mode mode = Mode.of(entry.seen(dir));
            if (!mode.allows(EXECUTE, userId, userId)) {
                throw new HostException.NotPermitted(
                        "open " + path + " as user " + userId + ": the way leads through " + dir + ", which is " + mode
                                + "; chmod o+x " + dir,
                        null);
            }
        }
    }

    /** Permission bits and owners of a file, links followed. */
    private record Mode(int bits, int uid, int gid) {
        static Mode of(Path file) throws HostException {
            try {
                Map<String, Object> attributes = Files.readAttributes(file, "unix:mode,uid,gid");
                return new Mode(
                        number(attributes, "mode") & 07777, number(attributes, "uid"), number(attributes, "gid"));
            } catch (IOException e) {
                throw new HostException.Refused("look at " + file, e);
            }
        }

        private static int number(Map<String, Object> attributes, String name) {
            return attributes.get(name) instanceof Integer value ? value : 0;
        }

        boolean allows(int wanted, int user, int group) {
            int shift = user == uid ? 6 : group == gid ? 3 : 0;
            return (bits >> shift & wanted) == wanted;
        }

        @Override
        public String toString() {
            return String.format(Locale.ROOT, "mode %04o of user %d, group %d", bits, uid, gid);
        }
    }
}
