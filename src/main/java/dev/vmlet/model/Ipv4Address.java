package dev.vmlet.model;

import java.util.regex.Pattern;

/** An IPv4 address; {@code bits} in network order, ordered as an unsigned number. */
public record Ipv4Address(int bits) implements Comparable<Ipv4Address> {
    /** 0.0.0.0: none, or one that somebody else has yet to choose. */
    public static final Ipv4Address UNSPECIFIED = new Ipv4Address(0);

    /** Of 169.254.0.0/16: what a machine takes by itself that found no DHCP. */
    public boolean isLinkLocal() {
        return bits >>> 16 == 0xa9fe;
    }

    private static final Pattern SHAPE = Pattern.compile("(0|[1-9][0-9]{0,2})(\\.(0|[1-9][0-9]{0,2})){3}");

    /** @throws IllegalArgumentException when the text is no dotted quad; octal spellings (010.…) are refused */
    public static Ipv4Address parse(String text) {
        if (!SHAPE.matcher(text).matches()) {
            throw new IllegalArgumentException("IPv4 address: four numbers with dots expected, not: " + text);
        }
        int bits = 0;
        for (String part : text.split("\\.")) {
            int value = Integer.parseInt(part);
            if (value > 255) {
                throw new IllegalArgumentException("IPv4 address: 0 to 255 expected in each place, not: " + text);
            }
            bits = bits << 8 | value;
        }
        return new Ipv4Address(bits);
    }

    public static Ipv4Address of(byte[] bytes) {
        return new Ipv4Address(
                (bytes[0] & 0xff) << 24 | (bytes[1] & 0xff) << 16 | (bytes[2] & 0xff) << 8 | (bytes[3] & 0xff));
    }

    public byte[] bytes() {
        return new byte[] {(byte) (bits >>> 24), (byte) (bits >>> 16), (byte) (bits >>> 8), (byte) bits};
    }

    public Ipv4Address plus(int offset) {
        return new Ipv4Address(bits + offset);
    }

    @Override
    public int compareTo(Ipv4Address other) {
        return Integer.compareUnsigned(bits, other.bits);
    }

    @Override
    public String toString() {
        return (bits >>> 24) + "." + (bits >>> 16 & 0xff) + "." + (bits >>> 8 & 0xff) + "." + (bits & 0xff);
    }
}
