package dev.vmlet.host.disk;

import dev.vmlet.model.HostPaths;
import dev.vmlet.model.ImageCache;
import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * What the operator decides about images.
 *
 * @param imageDir the only folder that images of the node come from; empty when there is none
 * @param urlAllow hosts, addresses and prefixes that may be fetched from although they are loopback, link-local, private
 *     or this node's own
 * @param urlDeny prefixes that are refused although they are public: the Service range, where it is
 * @param mirror replaces scheme, host and port of the catalog's URLs; allowed even where it is an address inside
 * @param sha256Required refuse URLs without one
 * @param qemuImg path or name of qemu-img
 * @param unprivilegedUser user id that qemu-img runs as when the agent is root
 * @param thresholds between which unused images are removed
 */
public record ImageSettings(
        HostPaths paths,
        Optional<Path> imageDir,
        List<String> urlAllow,
        List<String> urlDeny,
        Optional<Mirror> mirror,
        boolean sha256Required,
        String qemuImg,
        int unprivilegedUser,
        ImageCache.Thresholds thresholds,
        Limits limits) {
    public ImageSettings {
        urlAllow = List.copyOf(urlAllow);
        urlDeny = List.copyOf(urlDeny);
    }

    /** @throws IllegalArgumentException where one looks like an address or prefix and is none */
    public static void checkAllowed(List<String> urlAllow) {
        UrlPolicy _ = new UrlPolicy(urlAllow, List.of());
    }

    /** @throws IllegalArgumentException where one is neither address nor prefix */
    public static void checkDenied(List<String> urlDeny) {
        UrlPolicy _ = new UrlPolicy(List.of(), urlDeny);
    }

    /** A server that has the catalog's images under the paths of their publishers, perhaps beneath one of its own. */
    public record Mirror(URI prefix) {
        /** @throws IllegalArgumentException unless it is an http or https URL of scheme, host and path */
        public Mirror {
            String scheme = String.valueOf(prefix.getScheme()).toLowerCase(Locale.ROOT);
            if (!scheme.equals("http") && !scheme.equals("https")
                    || prefix.getHost() == null
                    || prefix.getRawUserInfo() != null
                    || prefix.getRawQuery() != null
                    || prefix.getRawFragment() != null) {
                throw new IllegalArgumentException(
                        "a mirror is http:// or https://, a host and perhaps a path, and no more: " + prefix);
            }
        }

        public static Mirror of(String text) {
            return new Mirror(URI.create(text));
        }

        /** Where the mirror has what its publisher has there. */
        String urlOf(String published) {
            URI from = URI.create(published);
            String query = from.getRawQuery() == null ? "" : "?" + from.getRawQuery();
            return prefix.toString().replaceAll("/+$", "") + from.getRawPath() + query;
        }
    }

    /**
     * @param downloadBytes largest file that is fetched
     * @param virtualBytes largest disk that an image may unfold to
     * @param connect limit of one connection attempt
     * @param silence a server that sends nothing for so long is given up
     * @param download limit of one download with all its attempts
     * @param attempts connections per download; the first pause between two is {@code pause}, then it doubles
     * @param convert limit of one conversion
     */
    public record Limits(
            long downloadBytes,
            long virtualBytes,
            Duration connect,
            Duration silence,
            Duration download,
            int attempts,
            Duration pause,
            Duration convert) {
        public static final Limits DEFAULT = new Limits(
                64L << 30,
                2L << 40,
                Duration.ofSeconds(10),
                Duration.ofSeconds(30),
                Duration.ofHours(2),
                5,
                Duration.ofSeconds(1),
                Duration.ofMinutes(20));
    }
}
