package dev.vmlet.model;

/**
 * A guest's port that its node offers as its own.
 *
 * @param host the node's port
 * @param guest the guest's, of the same protocol
 */
public record PublishedPort(ServicePort host, int guest) {
    public PublishedPort {
        if (guest < 1 || guest > 65_535) {
            throw new IllegalArgumentException("port: 1 to 65535 expected, not " + guest);
        }
    }
}
