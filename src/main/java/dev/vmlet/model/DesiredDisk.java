package dev.vmlet.model;

import java.util.Optional;
import java.util.regex.Pattern;

/**
 * A file that the guest's VMM opens: a disk, or a boot file (kernel, initramfs, firmware).
 *
 * @param name unique within the VM; file name without suffix
 * @param image what it starts as; empty for a blank disk
 * @param sizeBytes what it is grown to; 0 means as large as the image
 * @param retain kept when the VirtualMachine object goes
 */
public record DesiredDisk(String name, Role role, Optional<ImageSource> image, long sizeBytes, boolean retain) {
    /** What the file is to the VMM. */
    public enum Role {
        DISK,
        KERNEL,
        INITRAMFS,
        FIRMWARE
    }

    /** It becomes a file name, and must not become a path or one of our temporary names; {@code boot.} is ours. */
    private static final Pattern NAME = Pattern.compile("(boot\\.)?[A-Za-z0-9][A-Za-z0-9_-]{0,62}");

    public DesiredDisk {
        if (!NAME.matcher(name).matches()) {
            throw new IllegalArgumentException("disk name: letters, digits, - and _ expected, not: " + name);
        }
        if (image.isEmpty() && sizeBytes <= 0) {
            throw new IllegalArgumentException("disk " + name + ": neither image nor size");
        }
        if (image.isEmpty() && role != Role.DISK) {
            throw new IllegalArgumentException("boot file " + name + ": no image");
        }
    }
}
