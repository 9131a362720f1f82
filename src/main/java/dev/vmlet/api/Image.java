package dev.vmlet.api;

import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Size;
import io.fabric8.generator.annotation.ValidationRule;
import org.jspecify.annotations.Nullable;

/** A disk image: from the catalog, from the web, or from the node. */
@ApiObject
@ValidationRule(
        value = "[has(self.name), has(self.url), has(self.path)].filter(given, given).size() == 1",
        message = "an image has exactly one of name, url and path")
public record Image(
        @JsonPropertyDescription(
                "Name of an image in vmlet's catalog, for example debian-13. The catalog pins its URL, format"
                        + " and checksum. One of name, url and path.")
        @Size(min = 1, max = 63)
        @ValidationRule(
                value = "self.matches(r'^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",
                message = "image.name must be a name of the catalog such as debian-13: lower-case letters, digits, '-'"
                        + " and '.'; for a file use url or path")
        @Nullable
        String name,

        @JsonPropertyDescription(
                "Where to download the image from, by http or https. It must be reachable from the node and,"
                        + " unless the operator allows it, not on a private address. One of name, url and path.")
        @Size(min = 1, max = 2048)
        @ValidationRule(value = FileSource.URL_RULE, message = "image.url " + FileSource.URL_MESSAGE)
        @Nullable
        String url,

        @JsonPropertyDescription("The image's file on the node, relative to the directory that the operator gave with"
                + " --image-dir. One of name, url and path.")
        @Size(min = 1, max = 1024)
        @ValidationRule(value = FileSource.PATH_RULE, message = "image.path " + FileSource.PATH_MESSAGE)
        @Nullable
        String path,

        @JsonPropertyDescription(
                "Format of the image, raw or qcow2. Default: the catalog's with name, else qcow2 where url or"
                        + " path ends in .qcow2, else raw. It is never guessed from the content, which"
                        + " a guest could forge.")
        @Nullable
        Format format,

        @JsonPropertyDescription(
                "SHA-256 of the image file as 64 lower-case hexadecimal digits. Required with url unless the"
                        + " operator lifted that; the catalog brings its own. A file that differs is not used.")
        @Size(min = 64, max = 64)
        @ValidationRule(value = FileSource.SHA256_RULE, message = "image.sha256 " + FileSource.SHA256_MESSAGE)
        @Nullable
        String sha256) {

    /** How an image file holds its bytes. */
    public enum Format {
        raw,
        qcow2
    }
}
