package dev.vmlet.host.disk;

import dev.vmlet.model.DesiredDisk;
import dev.vmlet.model.ImageFormat;
import dev.vmlet.model.ImageSource;
import dev.vmlet.model.Reason;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;

/**
 * The first bytes of an image. They never choose its format, which is as declared (a raw disk that a guest may write
 * could otherwise turn itself into a qcow2 that names files of the host); they only show that the declaration is wrong.
 */
final class ImageHead {
    static final int LENGTH = 512;

    /** Of version 3, the longer one; every qcow2 file is at least a cluster long. */
    private static final int QCOW2_HEADER = 104;

    private static final String QCOW2 = "514649fb";

    /** {@code bytes} in hex. */
    private record Magic(String name, String bytes) {}

    private static final List<Magic> OTHERS = List.of(
            new Magic("gzip-compressed", "1f8b08"),
            new Magic("xz-compressed", "fd377a585a00"),
            new Magic("zstd-compressed", "28b52ffd"),
            new Magic("bzip2-compressed", "425a68"),
            new Magic("a zip archive", "504b0304"),
            new Magic("a VMDK image", "4b444d56"),
            new Magic("a VHDX image", "7668647866696c65"));

    private ImageHead() {}

    /** @throws DiskFailure ImageFormatMismatch */
    static void checkRaw(byte[] head, ImageSource source, DesiredDisk.Role role) throws DiskFailure {
        if (head.length == 0) {
            throw DiskFailure.last(Reason.ImageFormatMismatch, "image " + source + ": the file is empty");
        }
        refuseHtml(head, source);
        if (startsWith(head, QCOW2)) {
            throw DiskFailure.last(
                    Reason.ImageFormatMismatch,
                    "image " + source + ": declared raw, but it is a qcow2 file; declare format qcow2");
        }
        if (role != DesiredDisk.Role.DISK) {
            // Initial ram disks, and kernels of some machines, are compressed as they are.
            return;
        }
        for (Magic magic : OTHERS) {
            if (startsWith(head, magic.bytes())) {
                throw DiskFailure.last(
                        Reason.ImageFormatMismatch,
                        "image " + source + ": declared raw, but it is " + magic.name() + "; offer the disk itself");
            }
        }
    }

    /**
     * Looks at the header ourselves before any program opens the file: versions of qemu-img opened the external data
     * file that an image named, just to print it (CVE-2024-4467). Offsets are those of qemu's docs/interop/qcow2.txt.
     *
     * @throws DiskFailure ImageFormatMismatch, ImageRefused
     */
    static void checkQcow2(byte[] head, ImageSource source) throws DiskFailure {
        refuseHtml(head, source);
        if (!startsWith(head, QCOW2) || head.length < QCOW2_HEADER) {
            throw DiskFailure.last(
                    Reason.ImageFormatMismatch,
                    "image " + source + ": declared qcow2, but it does not begin like one; declare the right format");
        }
        ByteBuffer header = ByteBuffer.wrap(head);
        if (header.getLong(8) != 0) {
            throw DiskFailure.last(
                    Reason.ImageFormatMismatch,
                    "image " + source + ": it builds on another file (backing file); flatten it with qemu-img convert");
        }
        if (header.getInt(32) != 0) {
            throw DiskFailure.last(Reason.ImageRefused, "image " + source + ": it is encrypted");
        }
        // From version 3 on: bit 2 of the incompatible features.
        if (header.getInt(4) >= 3 && (header.getLong(72) & 4) != 0) {
            throw DiskFailure.last(
                    Reason.ImageFormatMismatch,
                    "image " + source + ": its data is in another file; flatten it with qemu-img convert");
        }
    }

    static void refuseHtml(byte[] head, ImageSource source) throws DiskFailure {
        String text =
                new String(head, StandardCharsets.ISO_8859_1).stripLeading().toLowerCase(Locale.ROOT);
        if (text.startsWith("<!doctype html") || text.startsWith("<html")) {
            throw DiskFailure.last(
                    Reason.ImageFormatMismatch,
                    "image " + source + ": it is an HTML page and no image; take the address of the file itself, not of"
                            + " the page about it");
        }
    }

    private static boolean startsWith(byte[] head, String magic) {
        return HexFormat.of().formatHex(head).startsWith(magic);
    }

    /** The last part of path or URL, for progress; a query stays out, it may carry a token. */
    static String shortName(ImageSource source) {
        String text = source.toString();
        int query = text.indexOf('?');
        String plain = query < 0 ? text : text.substring(0, query);
        String name = plain.substring(plain.lastIndexOf('/') + 1);
        return name.isEmpty() ? plain : name;
    }

    static String suffix(ImageFormat format) {
        // A converted image and a raw file of the same digest are never taken for each other.
        return switch (format) {
            case RAW -> ".raw";
            case QCOW2 -> ".qcow2.raw";
        };
    }
}
