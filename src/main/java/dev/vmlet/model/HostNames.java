package dev.vmlet.model;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Locale;

/**
 * The one mapping from API identity to host names, used for create, teardown and sweep alike: ten characters of
 * lower-case base32 of SHA-256(installation id, object uid, network name for a NIC).
 */
public record HostNames(InstallationId installation) {
    /** What the names of Networks' bridges begin with, of every installation. */
    public static final String BRIDGE = "vmb-";

    private static final String BASE32 = "abcdefghijklmnopqrstuvwxyz234567";

    public LinkName bridge(String networkUid) {
        return new LinkName(BRIDGE + id(networkUid));
    }

    public LinkName tap(String vmUid, String networkName) {
        return new LinkName("vmt-" + id(vmUid, networkName));
    }

    /** Name of both firewall tables, {@code inet} and {@code bridge}. */
    public String table() {
        return "vmlet_" + installation;
    }

    /** Parent of all guests' cgroups. */
    public String cgroup() {
        return "vmlet-" + installation;
    }

    /**
     * Link group (IFLA_GROUP) of this installation's taps that wait to be deleted: at least 2^30, where no group that
     * people number by hand lies, and below {@link Link#DELETION_GROUP_FIRST}.
     */
    public int reapGroup() {
        return ByteBuffer.wrap(sha256("reap", installation.value())).getInt() & 0x1fff_ffff | 0x4000_0000;
    }

    /** Fixed, so that the bridge's address does not follow its ports. */
    public MacAddress bridgeMac(String networkUid) {
        return mac("bridge", installation.value(), networkUid);
    }

    /** From VM uid and network name alone: the same wherever the VM runs. */
    public static MacAddress nicMac(String vmUid, String networkName) {
        return mac("nic", vmUid, networkName);
    }

    private static MacAddress mac(String... parts) {
        byte[] hash = sha256(parts);
        // 0x52 has the local bit set and the multicast bit clear; 40 bits of hash keep a thousand VMs on one
        // Network apart (24 bits would collide once in thirty such Networks).
        return new MacAddress(String.format(
                Locale.ROOT,
                "52:%02x:%02x:%02x:%02x:%02x",
                hash[0] & 0xff,
                hash[1] & 0xff,
                hash[2] & 0xff,
                hash[3] & 0xff,
                hash[4] & 0xff));
    }

    private String id(String... parts) {
        String[] all = new String[parts.length + 1];
        all[0] = installation.value();
        System.arraycopy(parts, 0, all, 1, parts.length);
        byte[] hash = sha256(all);
        StringBuilder id = new StringBuilder(10);
        for (int i = 0; i < 10; i++) {
            int bit = i * 5;
            int window = (hash[bit / 8] & 0xff) << 8 | hash[bit / 8 + 1] & 0xff;
            id.append(BASE32.charAt(window >> 11 - bit % 8 & 31));
        }
        return id.toString();
    }

    /** Hex of the SHA-256 of the text, for fingerprints of rendered files. */
    public static String fingerprint(String text) {
        return HexFormat.of().formatHex(sha256(text));
    }

    private static byte[] sha256(String... parts) {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            for (String part : parts) {
                digest.update(part.getBytes(StandardCharsets.UTF_8));
                // A separator that no part contains: ("ab","c") and ("a","bc") must differ.
                digest.update((byte) 0);
            }
            return digest.digest();
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has SHA-256", e);
        }
    }
}
