package dev.vmlet.apiserver.schema;

import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.Arrays;
import java.util.Optional;

/** An IP address by value, read as strictly as Kubernetes reads one: no zones, no leading zeros, no mapped IPv4. */
final class IpAddress {
    private final byte[] bytes;

    IpAddress(byte[] bytes) {
        this.bytes = bytes.clone();
    }

    /** Never resolves a name. Empty for anything but the text of an address. */
    static Optional<IpAddress> parse(String text) {
        if (text.indexOf(':') >= 0) return parse6(text);
        String[] parts = text.split("\\.", -1);
        if (parts.length != 4) return Optional.empty();
        byte[] bytes = new byte[4];
        for (int i = 0; i < 4; i++) {
            if (!parts[i].matches("0|[1-9][0-9]{0,2}")) return Optional.empty();
            int value = Integer.parseInt(parts[i]);
            if (value > 255) return Optional.empty();
            bytes[i] = (byte) value;
        }
        return Optional.of(new IpAddress(bytes));
    }

    private static Optional<IpAddress> parse6(String text) {
        if (!text.matches("[0-9a-fA-F:.]+")) return Optional.empty();
        int dot = text.indexOf('.');
        if (dot >= 0 && parse(text.substring(text.lastIndexOf(':') + 1)).isEmpty()) return Optional.empty();
        try {
            // A colon makes it a literal for sure: no name service is asked.
            byte[] bytes = InetAddress.getByName(text).getAddress();
            return bytes.length == 16 ? Optional.of(new IpAddress(bytes)) : Optional.empty();
        } catch (UnknownHostException _) {
            return Optional.empty();
        }
    }

    int family() {
        return bytes.length == 4 ? 4 : 6;
    }

    int bits() {
        return bytes.length * 8;
    }

    boolean isUnspecified() {
        return inet().isAnyLocalAddress();
    }

    boolean isLoopback() {
        return inet().isLoopbackAddress();
    }

    boolean isLinkLocalMulticast() {
        return bytes.length == 4
                ? (bytes[0] & 0xff) == 224 && bytes[1] == 0 && bytes[2] == 0
                : (bytes[0] & 0xff) == 0xff && (bytes[1] & 0x0f) == 2;
    }

    boolean isLinkLocalUnicast() {
        return inet().isLinkLocalAddress();
    }

    boolean isGlobalUnicast() {
        boolean broadcast = bytes.length == 4 && Arrays.equals(bytes, new byte[] {-1, -1, -1, -1});
        return !broadcast && !isUnspecified() && !isLoopback() && !inet().isMulticastAddress() && !isLinkLocalUnicast();
    }

    /** The address with all but its first bits cleared. */
    IpAddress masked(int prefixLength) {
        byte[] masked = bytes.clone();
        for (int bit = prefixLength; bit < bits(); bit++) masked[bit / 8] &= (byte) ~(0x80 >> (bit % 8));
        return new IpAddress(masked);
    }

    private InetAddress inet() {
        try {
            return InetAddress.getByAddress(bytes);
        } catch (UnknownHostException e) {
            throw new IllegalStateException("an address of " + bytes.length + " bytes", e);
        }
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof IpAddress that && Arrays.equals(bytes, that.bytes);
    }

    @Override
    public int hashCode() {
        return Arrays.hashCode(bytes);
    }

    /** Canonical: RFC 5952 for IPv6. */
    @Override
    public String toString() {
        if (bytes.length == 4) return inet().getHostAddress();
        int[] groups = new int[8];
        for (int i = 0; i < 8; i++) groups[i] = (bytes[2 * i] & 0xff) << 8 | (bytes[2 * i + 1] & 0xff);
        int start = -1;
        int length = 1;
        for (int i = 0; i < 8; i++) {
            int end = i;
            while (end < 8 && groups[end] == 0) end++;
            if (end - i > length) {
                start = i;
                length = end - i;
            }
        }
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < 8; i++) {
            if (i == start) {
                out.append("::");
                i += length - 1;
                continue;
            }
            if (!out.isEmpty() && out.charAt(out.length() - 1) != ':') out.append(':');
            out.append(Integer.toHexString(groups[i]));
        }
        return out.toString();
    }
}
