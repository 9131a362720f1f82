package dev.vmlet.apiserver.schema;

import java.net.URI;
import java.net.URISyntaxException;
import java.util.Optional;

/** URLs as Go's net/url.ParseRequestURI takes them: absolute, or a path that begins with a slash. */
final class Urls {
    private Urls() {}

    static Optional<URI> parse(String text) {
        try {
            URI uri = new URI(text);
            boolean request = text.startsWith("/") || (uri.isAbsolute() && !uri.isOpaque());
            return request && uri.getRawFragment() == null ? Optional.of(uri) : Optional.empty();
        } catch (URISyntaxException _) {
            return Optional.empty();
        }
    }

    static boolean isRequestUri(String text) {
        return parse(text).isPresent();
    }
}
