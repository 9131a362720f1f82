package dev.vmlet.api;

import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Size;
import io.fabric8.generator.annotation.ValidationRule;
import org.jspecify.annotations.Nullable;

/** A file that a guest boots from: from the web or from the node. */
@ApiObject
@ValidationRule(value = FileSource.ONE_OF_RULE, message = FileSource.ONE_OF_MESSAGE)
public record FileSource(
        @JsonPropertyDescription(URL_TEXT)
        @Size(min = 1, max = 2048)
        @ValidationRule(value = URL_RULE, message = "url " + URL_MESSAGE)
        @Nullable
        String url,

        @JsonPropertyDescription(PATH_TEXT)
        @Size(min = 1, max = 1024)
        @ValidationRule(value = PATH_RULE, message = "path " + PATH_MESSAGE)
        @Nullable
        String path,

        @JsonPropertyDescription(SHA256_TEXT)
        @Size(min = 64, max = 64)
        @ValidationRule(value = SHA256_RULE, message = "sha256 " + SHA256_MESSAGE)
        @Nullable
        String sha256) {

    static final String ONE_OF_RULE = "has(self.url) != has(self.path)";
    static final String ONE_OF_MESSAGE = "give exactly one of url and path";

    static final String URL_TEXT =
            "Where to download the file from, by http or https. It must be reachable from the node and,"
                    + " unless the operator allows it, not on a private address. Either url or path.";
    static final String URL_RULE = "self.matches(r'^https?://[-A-Za-z0-9.:\\[\\]]+(/[!\"$-~]*)?$')";
    static final String URL_MESSAGE =
            "must start with http:// or https:// and name a host; it may hold neither a user name nor"
                    + " spaces nor '#'";

    static final String PATH_TEXT = "The file on the node, relative to the directory that the operator gave with"
            + " --image-dir. Either url or path.";
    // Components without '/' and control characters, none of them '.' or '..': the host opens it beneath one directory.
    static final String PATH_RULE =
            "self.matches(r'^[^/[:cntrl:]]+(/[^/[:cntrl:]]+)*$') && !self.matches(r'(^|/)\\.\\.?(/|$)')";
    static final String PATH_MESSAGE =
            "must be relative to the image directory: without a leading '/', empty parts, '.' and '..'";

    static final String SHA256_TEXT =
            "SHA-256 of the file as 64 lower-case hexadecimal digits. Required with url unless the"
                    + " operator lifted that. A file that differs is not used.";
    static final String SHA256_RULE = "self.matches(r'^[0-9a-f]{64}$')";
    static final String SHA256_MESSAGE = "must be 64 lower-case hexadecimal digits, as sha256sum prints them";
}
