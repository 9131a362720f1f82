package dev.vmlet.host.disk;

import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/** Of one file, in lower-case hex digits; {@code sha512} is empty where nobody asked for it. */
record Digests(String sha256, String sha512) {
    static MessageDigest newSha256() {
        return digest("SHA-256");
    }

    static MessageDigest newSha512() {
        return digest("SHA-512");
    }

    private static MessageDigest digest(String name) {
        try {
            return MessageDigest.getInstance(name);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has " + name, e);
        }
    }

    /** Ends the digest. */
    static String text(MessageDigest digest) {
        return HexFormat.of().formatHex(digest.digest());
    }

    /** It becomes a file name. */
    static boolean isSha256(String text) {
        return text.matches("[0-9a-f]{64}");
    }
}
