package dev.vmlet.model;

/** Where an image or a boot file comes from. {@code sha256} is 64 lower-case hex digits, empty where none is declared. */
public sealed interface ImageSource {
    ImageFormat format();

    String sha256();

    /** It becomes a file name in the image cache: anything but hex digits could name another tenant's disk. */
    private static void checkSha256(String sha256) {
        checkDigests(sha256, "");
    }

    static void checkDigests(String sha256, String sha512) {
        if (!sha256.isEmpty() && !sha256.matches("[0-9a-f]{64}")) {
            throw new IllegalArgumentException("sha256: 64 lower-case hex digits expected, not: " + sha256);
        }
        if (!sha512.isEmpty() && !sha512.matches("[0-9a-f]{128}")) {
            throw new IllegalArgumentException("sha512: 128 lower-case hex digits expected, not: " + sha512);
        }
    }

    /** Whether what is fetched can be told from a forgery. */
    default boolean isPinned() {
        return !sha256().isEmpty();
    }

    /** A file beneath the image directory; relative, without {@code ..}. */
    record File(String path, ImageFormat format, String sha256) implements ImageSource {
        public File {
            checkSha256(sha256);
        }

        @Override
        public String toString() {
            return path;
        }
    }

    /** An http or https URL. */
    record Url(String url, ImageFormat format, String sha256) implements ImageSource {
        public Url {
            checkSha256(sha256);
        }

        @Override
        public String toString() {
            return url;
        }
    }

    /**
     * An image of the catalog; the node may fetch it from a mirror.
     *
     * @param url where its publisher has it
     * @param sha256 empty where the publisher gives only {@code sha512}, and the other way round
     */
    record Catalog(String name, String url, ImageFormat format, String sha256, String sha512) implements ImageSource {
        public Catalog(String name, ImageCatalog.Pin pin) {
            this(name, pin.url(), pin.format(), pin.sha256(), pin.sha512());
        }

        public Catalog {
            checkDigests(sha256, sha512);
        }

        @Override
        public boolean isPinned() {
            return true;
        }

        @Override
        public String toString() {
            return name;
        }
    }

    /** A file of the node itself, named by the operator and not by a tenant: the default firmware. */
    record Host(String path, ImageFormat format, String sha256) implements ImageSource {
        public Host {
            checkSha256(sha256);
        }

        @Override
        public String toString() {
            return path;
        }
    }
}
