package dev.vmlet.api;

import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Default;
import io.fabric8.generator.annotation.Required;
import io.fabric8.generator.annotation.Size;
import io.fabric8.generator.annotation.ValidationRule;
import org.jspecify.annotations.Nullable;

/** A disk of a guest: a copy of an image, or blank. */
@ApiObject
@ValidationRule(
        value = "has(self.image) || has(self.size)",
        message = "a disk needs an image, or a size for a blank disk, or both")
@ValidationRule(
        value = "has(self.image) == has(oldSelf.image) && (!has(self.image) || self.image == oldSelf.image)",
        message = "a disk's image cannot change, for the guest has written to its copy: add a disk with another"
                + " name at the end, or delete this VirtualMachine and create it anew",
        fieldPath = ".image")
@ValidationRule(
        value = "!has(oldSelf.size) || !isQuantity(oldSelf.size) || (has(self.size) && isQuantity(self.size)"
                + " && quantity(self.size).compareTo(quantity(oldSelf.size)) >= 0)",
        message = "a disk's size may grow but not shrink: the guest's data may lie in the part that would go",
        fieldPath = ".size")
public record Disk(
        @JsonPropertyDescription(
                "Name of the disk, unique in this machine, at most 20 characters. The guest sees it as the"
                        + " disk's serial number: /dev/disk/by-id/virtio-<name>. Fixed once set.")
        @Required
        @Size(min = 1, max = 20)
        @ValidationRule(
                value = "self.matches(r'^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
                message = "disks[].name must consist of lower-case letters, digits and '-', with a letter or digit at"
                        + " both ends")
        @Nullable
        String name,

        @JsonPropertyDescription(
                "Size of the disk in bytes, as a quantity such as 20Gi; 1Mi to 64Ti. Required without an"
                        + " image; with one it must be at least the image's own size, which is the default."
                        + " May grow, which takes effect at the next start, but not shrink.")
        @Size(min = 1, max = 20)
        @ValidationRule(
                value = "self.matches(r'^[0-9]{1,15}(\\.[0-9]{1,3})?(k|M|G|T|Ki|Mi|Gi|Ti)?$')"
                        + " && quantity(self).compareTo(quantity('1Mi')) >= 0"
                        + " && quantity(self).compareTo(quantity('64Ti')) <= 0",
                message = "disks[].size must be a quantity of bytes from 1Mi to 64Ti, for example 20Gi")
        @Nullable
        String size,

        @JsonPropertyDescription(
                "What the disk starts with: a copy of this image, made before the first start. Default:"
                        + " blank. Fixed once set.")
        @Nullable
        Image image,

        @JsonPropertyDescription(
                "What becomes of the disk when the VirtualMachine is deleted. Delete: removed with it. Retain:"
                        + " its file stays on the node for you to keep or remove. Default Delete. A change"
                        + " takes effect at once.")
        @Default("Delete")
        @Nullable
        ReclaimPolicy reclaimPolicy) {

    /** The fate of a disk whose machine is deleted. */
    public enum ReclaimPolicy {
        Delete,
        Retain
    }
}
