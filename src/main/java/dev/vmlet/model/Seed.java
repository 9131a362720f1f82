package dev.vmlet.model;

/** The NoCloud seed: the three documents as text. */
public record Seed(String metaData, String userData, String networkConfig) {
    /** Changes when any document does. */
    public String fingerprint() {
        return HostNames.fingerprint(metaData + "\0" + userData + "\0" + networkConfig);
    }

    @Override
    public String toString() {
        // User data may carry secrets: a seed never prints itself.
        return "seed " + fingerprint().substring(0, 12);
    }
}
