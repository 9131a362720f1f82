package dev.vmlet.api;

import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Size;
import io.fabric8.generator.annotation.ValidationRule;
import org.jspecify.annotations.Nullable;

/** How a guest boots. */
@ApiObject
@ValidationRule(
        value = "!(has(self.firmware) && has(self.kernel))",
        message = "boot has either firmware or kernel: firmware boots from the first disk, kernel starts without it")
public record Boot(
        @JsonPropertyDescription(
                "Firmware that boots the first disk. Default: the one that vmlet brings. Not together with"
                        + " kernel.")
        @Nullable
        FileSource firmware,

        @JsonPropertyDescription(
                "Kernel that starts directly, without firmware and boot loader. Not together with firmware.")
        @Nullable
        Kernel kernel) {

    /** A kernel that starts without firmware. */
    @ApiObject
    @ValidationRule(value = FileSource.ONE_OF_RULE, message = FileSource.ONE_OF_MESSAGE)
    public record Kernel(
            @JsonPropertyDescription(FileSource.URL_TEXT)
            @Size(min = 1, max = 2048)
            @ValidationRule(value = FileSource.URL_RULE, message = "url " + FileSource.URL_MESSAGE)
            @Nullable
            String url,

            @JsonPropertyDescription(FileSource.PATH_TEXT)
            @Size(min = 1, max = 1024)
            @ValidationRule(value = FileSource.PATH_RULE, message = "path " + FileSource.PATH_MESSAGE)
            @Nullable
            String path,

            @JsonPropertyDescription(FileSource.SHA256_TEXT)
            @Size(min = 64, max = 64)
            @ValidationRule(value = FileSource.SHA256_RULE, message = "sha256 " + FileSource.SHA256_MESSAGE)
            @Nullable
            String sha256,

            @JsonPropertyDescription("Initial file system that the kernel unpacks into memory. Default: none.")
            @Nullable
            FileSource initramfs,

            @JsonPropertyDescription(
                    "The kernel's command line, one line of printable ASCII, at most 2047 characters, for"
                            + " example: console=ttyS0 root=/dev/vda1. Default: empty.")
            @Size(max = 2047)
            @ValidationRule(
                    value = "self.matches(r'^[ -~]*$')",
                    message = "boot.kernel.cmdline must be one line of printable ASCII characters")
            @Nullable
            String cmdline) {}
}
