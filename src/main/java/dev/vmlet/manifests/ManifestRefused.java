package dev.vmlet.manifests;

/** The API server did not take a manifest. The message is its reason. */
public final class ManifestRefused extends Exception {
    public ManifestRefused(String reason) {
        super(reason);
    }

    public ManifestRefused(String reason, Throwable cause) {
        super(reason, cause);
    }
}
