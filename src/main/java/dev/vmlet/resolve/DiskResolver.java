package dev.vmlet.resolve;

import dev.vmlet.api.Boot;
import dev.vmlet.api.Disk;
import dev.vmlet.api.Image;
import dev.vmlet.api.VirtualMachineSpec;
import dev.vmlet.model.DesiredDisk;
import dev.vmlet.model.DesiredDisk.Role;
import dev.vmlet.model.HostFacts;
import dev.vmlet.model.ImageCatalog;
import dev.vmlet.model.ImageFormat;
import dev.vmlet.model.ImageSource;
import dev.vmlet.model.Reason;
import dev.vmlet.model.VmmKind;
import io.fabric8.kubernetes.api.model.Quantity;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Disks and boot files of a VM, complete. */
final class DiskResolver {
    /** Default kernel command line: serial console, and the first partition of the first disk as root. */
    private static final String CMDLINE = "console=ttyS0 root=/dev/vda1 rw";

    /** A dot keeps boot files apart from disks: no disk name may hold one. */
    private static final String KERNEL = "boot.kernel";

    private static final String INITRAMFS = "boot.initramfs";
    private static final String FIRMWARE = "boot.firmware";

    private DiskResolver() {}

    static List<DesiredDisk> disks(VirtualMachineSpec spec, VmmKind vmm, HostFacts host) throws Refusal {
        List<DesiredDisk> disks = new ArrayList<>();
        List<Disk> asked = spec.disks() == null ? List.of() : spec.disks();
        Set<String> names = new HashSet<>();
        for (Disk disk : asked) {
            DesiredDisk complete = disk(disk, host);
            if (!names.add(complete.name())) {
                throw new Refusal(
                        Reason.InvalidSpec, "spec.disks names " + complete.name() + " twice; give each its own name");
            }
            disks.add(complete);
        }
        disks.addAll(bootFiles(spec.boot(), vmm, host));
        if (disks.stream().noneMatch(d -> d.role() == Role.DISK || d.role() == Role.KERNEL)) {
            throw new Refusal(Reason.InvalidSpec, "nothing to boot from: give at least one disk, or boot.kernel");
        }
        return disks;
    }

    private static List<DesiredDisk> bootFiles(@Nullable Boot boot, VmmKind vmm, HostFacts host) throws Refusal {
        List<DesiredDisk> files = new ArrayList<>();
        if (boot != null && boot.kernel() != null) {
            Boot.Kernel kernel = boot.kernel();
            files.add(bootFile(KERNEL, Role.KERNEL, kernel.url(), kernel.path(), kernel.sha256(), "boot.kernel", host));
            if (kernel.initramfs() != null) {
                files.add(bootFile(
                        INITRAMFS,
                        Role.INITRAMFS,
                        kernel.initramfs().url(),
                        kernel.initramfs().path(),
                        kernel.initramfs().sha256(),
                        "boot.kernel.initramfs",
                        host));
            }
        } else if (boot != null && boot.firmware() != null) {
            files.add(bootFile(
                    FIRMWARE,
                    Role.FIRMWARE,
                    boot.firmware().url(),
                    boot.firmware().path(),
                    boot.firmware().sha256(),
                    "boot.firmware",
                    host));
        } else if (vmm == VmmKind.CLOUD_HYPERVISOR) {
            // QEMU brings a firmware of its own.
            if (host.defaultFirmware().isEmpty()) {
                throw new Refusal(
                        Reason.VmmUnavailable,
                        "node " + host.nodeName()
                                + " has no firmware to boot from; give the agent --firmware, or the VM"
                                + " boot.kernel");
            }
            files.add(new DesiredDisk(
                    FIRMWARE, Role.FIRMWARE, Optional.of(host.defaultFirmware().get()), 0, false));
        }
        return files;
    }

    /** Those that can be told, whatever is wrong with the others and with the rest of the object. */
    static List<DesiredDisk> readable(VirtualMachineSpec spec, VmmKind vmm, HostFacts host) {
        List<DesiredDisk> disks = new ArrayList<>();
        for (Disk disk : spec.disks() == null ? List.<Disk>of() : spec.disks()) {
            try {
                disks.add(disk(disk, host));
            } catch (Refusal | IllegalArgumentException e) {
                // It has no image that could be made into a disk.
            }
        }
        try {
            disks.addAll(bootFiles(spec.boot(), vmm, host));
        } catch (Refusal | IllegalArgumentException e) {
            // Likewise.
        }
        return disks;
    }

    static String cmdline(VirtualMachineSpec spec) {
        Boot boot = spec.boot();
        if (boot == null || boot.kernel() == null) {
            return "";
        }
        return boot.kernel().cmdline() == null ? CMDLINE : boot.kernel().cmdline();
    }

    private static DesiredDisk disk(Disk disk, HostFacts host) throws Refusal {
        if (disk.name() == null) {
            throw new Refusal(Reason.InvalidSpec, "a disk in spec.disks has no name");
        }
        String field = "spec.disks[" + disk.name() + "]";
        long size = disk.size() == null ? 0 : bytes(field + ".size", disk.size());
        Optional<ImageSource> image =
                disk.image() == null ? Optional.empty() : Optional.of(image(disk.image(), field + ".image", host));
        if (image.isEmpty() && size <= 0) {
            throw new Refusal(Reason.InvalidSpec, field + " needs an image, or a size for a blank disk");
        }
        return new DesiredDisk(disk.name(), Role.DISK, image, size, disk.reclaimPolicy() == Disk.ReclaimPolicy.Retain);
    }

    private static ImageSource image(Image image, String field, HostFacts host) throws Refusal {
        if (image.name() != null) {
            return named(image.name(), image, field, host);
        }
        return source(image.url(), image.path(), image.sha256(), format(image), field, host);
    }

    private static ImageSource named(String name, Image image, String field, HostFacts host) throws Refusal {
        Map<String, ImageCatalog.Pin> pins = host.catalog().pins(name);
        if (pins.isEmpty()) {
            throw new Refusal(
                    Reason.ImageNotFound,
                    field + ".name " + name + " is not in the image catalog of node " + host.nodeName() + ", which has "
                            + (host.catalog().images().isEmpty()
                                    ? "no image"
                                    : String.join(", ", host.catalog().images().keySet()))
                            + "; choose one of these, give url or path, or have the operator add it by --image-catalog");
        }
        ImageCatalog.Pin pin = pins.get(host.architecture());
        if (pin == null) {
            throw new Refusal(
                    Reason.ImageNotFound,
                    field + ".name " + name + ": the image catalog has it for " + String.join(", ", pins.keySet())
                            + " and not for " + host.architecture() + ", which node " + host.nodeName()
                            + " is; choose another node or image, or have the operator add it by --image-catalog");
        }
        if (image.format() != null && format(image) != pin.format()) {
            throw new Refusal(
                    Reason.InvalidSpec,
                    field + ".format is " + image.format() + " and the catalog's " + name + " is not; leave it out");
        }
        if (image.sha256() != null && !image.sha256().equals(pin.sha256())) {
            throw new Refusal(
                    Reason.ImageChecksumMismatch,
                    field + ".sha256 is " + image.sha256() + ", and the catalog pins " + name + " by "
                            + (pin.sha256().isEmpty() ? "sha512 " + pin.sha512() : "sha256 " + pin.sha256())
                            + "; leave it out, or give the url of the file that you mean");
        }
        return new ImageSource.Catalog(name, pin);
    }

    private static ImageFormat format(Image image) {
        if (image.format() != null) {
            return image.format() == Image.Format.qcow2 ? ImageFormat.QCOW2 : ImageFormat.RAW;
        }
        String file = image.url() != null ? image.url() : image.path() != null ? image.path() : "";
        return file.endsWith(".qcow2") ? ImageFormat.QCOW2 : ImageFormat.RAW;
    }

    private static DesiredDisk bootFile(
            String name,
            Role role,
            @Nullable String url,
            @Nullable String path,
            @Nullable String sha256,
            String field,
            HostFacts host)
            throws Refusal {
        return new DesiredDisk(
                name, role, Optional.of(source(url, path, sha256, ImageFormat.RAW, "spec." + field, host)), 0, false);
    }

    private static ImageSource source(
            @Nullable String url,
            @Nullable String path,
            @Nullable String sha256,
            ImageFormat format,
            String field,
            HostFacts host)
            throws Refusal {
        String digest = sha256 == null ? "" : sha256;
        if (url != null) {
            if (digest.isEmpty() && host.sha256Required()) {
                throw new Refusal(
                        Reason.ImageRefused,
                        field + ".sha256 is missing: an image from a URL is used only with its checksum");
            }
            return new ImageSource.Url(url, format, digest);
        }
        if (path != null) {
            return new ImageSource.File(path, format, digest);
        }
        throw new Refusal(Reason.InvalidSpec, field + " has neither url nor path");
    }

    /** Bytes of a quantity, rounded up. */
    static long bytes(String field, String quantity) throws Refusal {
        try {
            BigDecimal bytes = Quantity.getAmountInBytes(new Quantity(quantity));
            long value = bytes.setScale(0, java.math.RoundingMode.CEILING).longValueExact();
            if (value <= 0) {
                throw new Refusal(Reason.InvalidSpec, field + " must be positive, not " + quantity);
            }
            return value;
        } catch (ArithmeticException | IllegalArgumentException e) {
            throw new Refusal(Reason.InvalidSpec, field + " must be a quantity of bytes such as 20Gi, not " + quantity);
        }
    }
}
