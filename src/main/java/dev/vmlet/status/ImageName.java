package dev.vmlet.status;

import dev.vmlet.api.Image;
import dev.vmlet.api.VirtualMachineSpec;
import org.jspecify.annotations.Nullable;

/** How a column of {@code kubectl get vm -o wide} names what a VM boots from. */
final class ImageName {
    private static final int LENGTH_MAX = 253;

    private ImageName() {}

    /** The catalog's name, or the last part of URL or path; none without an image. */
    static @Nullable String of(@Nullable VirtualMachineSpec spec) {
        if (spec == null || spec.disks() == null || spec.disks().isEmpty()) {
            return null;
        }
        Image image = spec.disks().get(0).image();
        if (image == null) {
            return null;
        }
        String full = image.name() != null ? image.name() : image.url() != null ? image.url() : image.path();
        if (full == null) {
            return null;
        }
        int query = full.indexOf('?');
        String path = query < 0 ? full : full.substring(0, query);
        String last = path.substring(path.lastIndexOf('/') + 1);
        return last.length() <= LENGTH_MAX ? last : last.substring(0, LENGTH_MAX);
    }
}
