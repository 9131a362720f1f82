package dev.vmlet.model;

import java.util.Locale;
import java.util.regex.Pattern;

/** A unicast Ethernet address in lower-case colon form. */
public record MacAddress(String value) {
    private static final Pattern SHAPE = Pattern.compile("[0-9a-f]{2}(:[0-9a-f]{2}){5}");

    public MacAddress {
        value = value.toLowerCase(Locale.ROOT);
        if (!SHAPE.matcher(value).matches()) {
            throw new IllegalArgumentException(
                    "MAC address: six pairs of hex digits with colons expected, not: " + value);
        }
        if ((Integer.parseInt(value.substring(0, 2), 16) & 1) != 0) {
            throw new IllegalArgumentException("MAC address: unicast expected (first byte even), not: " + value);
        }
        if (value.equals("00:00:00:00:00:00")) {
            throw new IllegalArgumentException("MAC address: all zero");
        }
    }

    public byte[] bytes() {
        byte[] bytes = new byte[6];
        for (int i = 0; i < 6; i++) {
            bytes[i] = (byte) Integer.parseInt(value.substring(3 * i, 3 * i + 2), 16);
        }
        return bytes;
    }

    public static MacAddress of(byte[] bytes) {
        if (bytes.length != 6) {
            throw new IllegalArgumentException("MAC address: six bytes expected, not " + bytes.length);
        }
        return new MacAddress(String.format(
                Locale.ROOT,
                "%02x:%02x:%02x:%02x:%02x:%02x",
                bytes[0] & 0xff,
                bytes[1] & 0xff,
                bytes[2] & 0xff,
                bytes[3] & 0xff,
                bytes[4] & 0xff,
                bytes[5] & 0xff));
    }

    /**
     * What the host's end of the guest's cable may be called: another address, as a link that bears the guest's own takes
     * the guest's frames for itself.
     */
    public MacAddress hostSide() {
        return new MacAddress((value.startsWith("fe") ? "fa" : "fe") + value.substring(2));
    }

    @Override
    public String toString() {
        return value;
    }
}
