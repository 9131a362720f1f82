package dev.vmlet.host.disk;

import java.math.BigInteger;
import java.net.InetAddress;
import java.util.regex.Pattern;

/** An IPv4 or IPv6 prefix. {@code bits} holds its first {@code length} bits. */
record AddressRange(BigInteger bits, int length, int width) {
    /** Digits and colons only: nothing of this shape is looked up as a name. */
    private static final Pattern SHAPE = Pattern.compile("([0-9.]+|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*)(/[0-9]{1,3})?");

    static boolean looksLikeOne(String text) {
        return SHAPE.matcher(text).matches();
    }

    /** An address, or address/length. */
    static AddressRange parse(String text) {
        if (!looksLikeOne(text)) {
            throw new IllegalArgumentException("address or prefix expected, not: " + text);
        }
        int slash = text.indexOf('/');
        try {
            InetAddress address = InetAddress.ofLiteral(slash < 0 ? text : text.substring(0, slash));
            int width = address.getAddress().length * 8;
            int length = slash < 0 ? width : Integer.parseInt(text.substring(slash + 1));
            if (length > width) {
                throw new IllegalArgumentException("prefix length 0 to " + width + " expected: " + text);
            }
            return new AddressRange(top(address, length), length, width);
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException("address or prefix expected, not: " + text, e);
        }
    }

    private static BigInteger top(InetAddress address, int length) {
        byte[] bytes = address.getAddress();
        return new BigInteger(1, bytes).shiftRight(bytes.length * 8 - length);
    }

    boolean contains(InetAddress address) {
        return address.getAddress().length * 8 == width && top(address, length).equals(bits);
    }
}
