package dev.vmlet.model;

/** Where an image or a boot file comes from. {@code sha256} is 64 lower-case hex digits, empty where none is declared. */
public sealed interface ImageSource {
    ImageFormat format();

    String sha256();

    /** It becomes a file name in the image cache: anything but hex digits could name another tenant's disk. */
    private static void checkSha256(String sha256) {
        if (!sha256.isEmpty() && !sha256.matches("[0-9a-f]{64}")) {
            throw new IllegalArgumentException("sha256: 64 lower-case hex digits expected, not: " + sha256);
        }
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
