package dev.vmlet.host.disk;

import dev.vmlet.model.HostPaths;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;

/**
 * What the operator decides about images.
 *
 * @param imageDir the only folder that images of the node come from; empty when there is none
 * @param urlAllow hosts, addresses and prefixes that may be fetched from although they are loopback, link-local, private
 *     or this node's own
 * @param urlDeny prefixes that are refused although they are public: the Service range, where it is
 * @param sha256Required refuse URLs without one
 * @param qemuImg path or name of qemu-img
 * @param unprivilegedUser user id that qemu-img runs as when the agent is root
 */
public record ImageSettings(
        HostPaths paths,
        Optional<Path> imageDir,
        List<String> urlAllow,
        List<String> urlDeny,
        boolean sha256Required,
        String qemuImg,
        int unprivilegedUser,
        Limits limits) {
    public ImageSettings {
        urlAllow = List.copyOf(urlAllow);
        urlDeny = List.copyOf(urlDeny);
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
