package dev.vmlet.host.vmm.cloudhypervisor;

import dev.vmlet.host.vmm.VmFiles;
import dev.vmlet.model.DesiredDisk;
import dev.vmlet.model.HostException;
import dev.vmlet.model.LaunchSpec;
import dev.vmlet.model.Mebibytes;
import dev.vmlet.model.Testimony;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * cloud-hypervisor v53's command line. Same values in, same list out. By the command line and not by {@code vm.create}:
 * the same checks run before the process does anything, and the main thread is confined as well.
 */
final class CommandLine {
    private static final Pattern UUID =
            Pattern.compile("[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}");
    /** What its option parser takes for syntax (option_parser/src/lib.rs, split_commas). */
    private static final Pattern SYNTAX = Pattern.compile("[,\"\\[\\]]|^\\s|\\s$");
    /** VIRTIO_BLK_ID_BYTES; longer ones are refused. */
    private static final int SERIAL_MAX = 20;

    private static final Pattern CORES = Pattern.compile("boot=([0-9]+)(,.*)?");
    private static final Pattern BYTES = Pattern.compile("size=([0-9]+)");

    private CommandLine() {}

    static List<String> of(Path binary, boolean confined, LaunchSpec launch, VmFiles files)
            throws HostException.Refused {
        List<String> args = new ArrayList<>(List.of(binary.toString()));
        args.addAll(List.of("--api-socket", "path=" + plain(files.control())));
        args.addAll(List.of("--event-monitor", "path=" + plain(files.events())));
        // A guest that powers itself off leaves the process in state Created: the proof that it did so itself.
        args.add("--no-shutdown");
        boot(args, launch);
        args.addAll(List.of("--cpus", "boot=" + launch.cores() + ",nested=off"));
        args.addAll(List.of("--memory", "size=" + launch.memory().bytes()));
        if (UUID.matcher(launch.id().uid()).matches()) {
            args.addAll(List.of("--platform", "system_uuid=" + launch.id().uid()));
        }
        disks(args, launch);
        nics(args, launch);
        args.addAll(List.of("--rng", "src=/dev/urandom"));
        // A socket, not a file: a file is cut at every guest reboot, and with it the last words of a panic.
        args.addAll(List.of("--serial", "socket=" + plain(files.serial()), "--console", "off", "--pvpanic"));
        args.addAll(List.of("--seccomp", "true"));
        if (confined) {
            confine(args, launch, files);
        }
        return List.copyOf(args);
    }

    /** Cores and memory again, of a command line that was made here. */
    static Optional<Testimony.Size> size(List<String> words) {
        Matcher cores = CORES.matcher(after("--cpus", words));
        Matcher memory = BYTES.matcher(after("--memory", words));
        try {
            return cores.matches() && memory.matches()
                    ? Optional.of(new Testimony.Size(
                            Integer.parseInt(cores.group(1)), new Mebibytes(Long.parseLong(memory.group(1)) >> 20)))
                    : Optional.empty();
        } catch (IllegalArgumentException e) {
            // Numbers that are none of ours.
            return Optional.empty();
        }
    }

    private static String after(String option, List<String> words) {
        int at = words.indexOf(option);
        return at < 0 || at + 1 == words.size() ? "" : words.get(at + 1);
    }

    private static void boot(List<String> args, LaunchSpec launch) throws HostException.Refused {
        boolean payload = false;
        for (LaunchSpec.Drive drive : launch.drives()) {
            switch (drive.role()) {
                case KERNEL -> {
                    args.addAll(List.of("--kernel", drive.path()));
                    if (!launch.cmdline().isEmpty()) {
                        args.addAll(List.of("--cmdline", launch.cmdline()));
                    }
                    payload = true;
                }
                case INITRAMFS -> args.addAll(List.of("--initramfs", drive.path()));
                case FIRMWARE -> {
                    args.addAll(List.of("--firmware", drive.path()));
                    payload = true;
                }
                case DISK -> {}
            }
        }
        if (!payload) {
            throw new HostException.Refused(
                    "start cloud-hypervisor for " + launch.id() + ": it boots a kernel or a firmware, and has neither",
                    null);
        }
    }

    private static void disks(List<String> args, LaunchSpec launch) throws HostException.Refused {
        List<String> disks = new ArrayList<>();
        for (LaunchSpec.Drive drive : launch.drives()) {
            if (drive.role() == DesiredDisk.Role.DISK) {
                String serial = drive.name()
                        .substring(0, Math.min(SERIAL_MAX, drive.name().length()));
                // image_type always: an autodetected raw disk refuses writes to its first sector.
                disks.add("path=" + plain(drive.path()) + ",image_type=raw" + (drive.readOnly() ? ",readonly=on" : "")
                        + ",id=disk-" + drive.name() + ",serial=" + serial);
            }
        }
        if (!disks.isEmpty()) {
            args.add("--disk");
            args.addAll(disks);
        }
    }

    private static void nics(List<String> args, LaunchSpec launch) {
        if (launch.nics().isEmpty()) {
            return;
        }
        args.add("--net");
        for (LaunchSpec.Nic nic : launch.nics()) {
            // Never mtu, ip, mask, host_mac: each needs CAP_NET_ADMIN.
            args.add("tap=" + nic.tap() + ",mac=" + nic.mac() + ",id=net-" + nic.network());
        }
    }

    private static void confine(List<String> args, LaunchSpec launch, VmFiles files) throws HostException.Refused {
        args.addAll(List.of("--landlock", "--landlock-rules"));
        // A guest reboot unlinks and binds the serial socket again, which needs its directory.
        args.add("path=" + plain(files.sockets()) + ",access=rw");
        for (LaunchSpec.Nic nic : launch.nics()) {
            // Read at every opening of the tap, and in none of cloud-hypervisor's own rules.
            args.add("path=/sys/devices/virtual/net/" + nic.tap() + "/tun_flags,access=r");
        }
    }

    private static String plain(Object path) throws HostException.Refused {
        if (SYNTAX.matcher(path.toString()).find()) {
            throw new HostException.Refused(
                    "start cloud-hypervisor with " + path + ": a path may hold no comma, quote or bracket", null);
        }
        return path.toString();
    }
}
