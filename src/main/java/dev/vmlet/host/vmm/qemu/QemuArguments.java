package dev.vmlet.host.vmm.qemu;

import dev.vmlet.host.vmm.VmFiles;
import dev.vmlet.model.DesiredDisk;
import dev.vmlet.model.LaunchSpec;
import dev.vmlet.model.Mebibytes;
import dev.vmlet.model.Testimony;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** QEMU's command line for a guest in software emulation. Same values in, same list out. */
final class QemuArguments {
    private static final Pattern UUID =
            Pattern.compile("[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}");
    /** virtio-blk's serial number has 20 bytes. */
    private static final int SERIAL_MAX = 20;

    private static final Pattern CORES = Pattern.compile("([0-9]+)");
    private static final Pattern MEBIBYTES = Pattern.compile("([0-9]+)M");

    private QemuArguments() {}

    static List<String> of(Path binary, LaunchSpec launch, VmFiles files) {
        List<String> args = new ArrayList<>(
                List.of(binary.toString(), "-name", quote(launch.id().toString())));
        args.addAll(List.of("-no-user-config", "-nodefaults", "-display", "none", "-msg", "timestamp=on"));
        args.addAll(List.of("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"));
        // la57: five-level page tables cost emulated guests dearly. svm: no virtualization inside unless asked for.
        args.addAll(List.of("-machine", "q35,vmport=off", "-cpu", "max,la57=off,svm=off"));
        args.addAll(List.of("-accel", "tcg,thread=multi,tb-size=" + Qemu.TRANSLATION_BUFFER_MIB));
        args.addAll(List.of("-smp", Integer.toString(launch.cores())));
        args.addAll(List.of("-m", launch.memory().value() + "M"));
        if (UUID.matcher(launch.id().uid()).matches()) {
            args.addAll(List.of("-uuid", launch.id().uid()));
        }
        // A guest that powers itself off leaves the process in state "shutdown": the proof that it did so itself.
        args.addAll(List.of("-no-shutdown", "-boot", "strict=on", "-device", "pvpanic"));
        args.addAll(List.of("-object", "rng-random,id=rng,filename=/dev/urandom"));
        args.addAll(List.of("-device", "virtio-rng-pci,rng=rng"));
        // logfile: written whether anybody is connected or not; append, so that the agent may cut it.
        args.addAll(List.of(
                "-chardev",
                "socket,id=serial,path=" + quote(files.serial()) + ",server=on,wait=off,logfile="
                        + quote(files.serialLog()) + ",logappend=on"));
        args.addAll(List.of("-serial", "chardev:serial"));
        args.addAll(List.of("-chardev", "socket,id=qmp,path=" + quote(files.control()) + ",server=on,wait=off"));
        args.addAll(List.of("-mon", "chardev=qmp,mode=control"));
        args.addAll(List.of("-chardev", "socket,id=events,path=" + quote(files.eventSocket()) + ",server=on,wait=off"));
        args.addAll(List.of("-mon", "chardev=events,mode=control"));
        boot(args, launch);
        disks(args, launch);
        nics(args, launch);
        return List.copyOf(args);
    }

    /** Cores and memory again, of a command line that was made here. */
    static Optional<Testimony.Size> size(List<String> words) {
        Matcher cores = CORES.matcher(after("-smp", words));
        Matcher memory = MEBIBYTES.matcher(after("-m", words));
        try {
            return cores.matches() && memory.matches()
                    ? Optional.of(new Testimony.Size(
                            Integer.parseInt(cores.group(1)), new Mebibytes(Long.parseLong(memory.group(1)))))
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

    private static void boot(List<String> args, LaunchSpec launch) {
        for (LaunchSpec.Drive drive : launch.drives()) {
            switch (drive.role()) {
                case KERNEL -> {
                    args.addAll(List.of("-kernel", drive.path()));
                    if (!launch.cmdline().isEmpty()) {
                        args.addAll(List.of("-append", launch.cmdline()));
                    }
                }
                case INITRAMFS -> args.addAll(List.of("-initrd", drive.path()));
                // Without one: SeaBIOS, which boots whole-disk images.
                case FIRMWARE -> args.addAll(List.of("-bios", drive.path()));
                case DISK -> {}
            }
        }
    }

    private static void disks(List<String> args, LaunchSpec launch) {
        // From 1: with -kernel QEMU itself takes place 0.
        int index = 1;
        for (LaunchSpec.Drive drive : launch.drives()) {
            if (drive.role() != DesiredDisk.Role.DISK) {
                continue;
            }
            String serial =
                    drive.name().substring(0, Math.min(SERIAL_MAX, drive.name().length()));
            args.addAll(List.of(
                    "-drive",
                    "if=none,id=disk-" + drive.name() + ",file=" + quote(drive.path())
                            + ",format=raw,file.locking=on,discard=unmap,readonly="
                            + (drive.readOnly() ? "on" : "off")));
            args.addAll(List.of(
                    "-device",
                    "virtio-blk-pci,drive=disk-" + drive.name() + ",serial=" + serial + ",bootindex=" + index++));
        }
    }

    private static void nics(List<String> args, LaunchSpec launch) {
        for (LaunchSpec.Nic nic : launch.nics()) {
            args.addAll(List.of(
                    "-netdev", "tap,id=net-" + nic.network() + ",ifname=" + nic.tap() + ",script=no,downscript=no"));
            // An empty romfile: no network boot, and no package with option ROMs needed.
            args.addAll(List.of(
                    "-device", "virtio-net-pci,netdev=net-" + nic.network() + ",mac=" + nic.mac() + ",romfile="));
        }
    }

    /** A comma inside a value is written twice. */
    private static String quote(Object value) {
        return value.toString().replace(",", ",,");
    }
}
