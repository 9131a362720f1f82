package dev.vmlet.model;

/** A port that something listens on, 1 to 65535. */
public record ServicePort(Protocol protocol, int port) {
    public ServicePort {
        if (port < 1 || port > 65_535) {
            throw new IllegalArgumentException("port: 1 to 65535 expected, not " + port);
        }
    }

    @Override
    public String toString() {
        return protocol.text() + "/" + port;
    }
}
