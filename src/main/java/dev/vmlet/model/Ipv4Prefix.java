package dev.vmlet.model;

/** An IPv4 prefix: a network address without host bits and a length from 0 to 32. */
public record Ipv4Prefix(Ipv4Address network, int length) implements Comparable<Ipv4Prefix> {
    public Ipv4Prefix {
        if (length < 0 || length > 32) {
            throw new IllegalArgumentException("prefix length: 0 to 32 expected, not " + length);
        }
        if ((network.bits() & ~mask(length)) != 0) {
            throw new IllegalArgumentException("prefix " + network + "/" + length + " has host bits set; write "
                    + new Ipv4Address(network.bits() & mask(length)) + "/" + length);
        }
    }

    /** @throws IllegalArgumentException when the text is not address/length or has host bits set */
    public static Ipv4Prefix parse(String text) {
        int slash = text.indexOf('/');
        if (slash < 0 || slash == text.length() - 1 || text.length() - slash > 3) {
            throw new IllegalArgumentException("prefix: address/length expected, not: " + text);
        }
        int length;
        try {
            length = Integer.parseInt(text.substring(slash + 1));
        } catch (NumberFormatException e) {
            throw new IllegalArgumentException("prefix: address/length expected, not: " + text, e);
        }
        return new Ipv4Prefix(Ipv4Address.parse(text.substring(0, slash)), length);
    }

    /** The prefix of this length that holds the address. */
    public static Ipv4Prefix around(Ipv4Address address, int length) {
        return new Ipv4Prefix(new Ipv4Address(address.bits() & mask(length)), length);
    }

    static int mask(int length) {
        return length == 0 ? 0 : -1 << 32 - length;
    }

    public boolean contains(Ipv4Address address) {
        return (address.bits() & mask(length)) == network.bits();
    }

    public boolean contains(Ipv4Prefix other) {
        return other.length >= length && contains(other.network);
    }

    public boolean overlaps(Ipv4Prefix other) {
        return contains(other.network) || other.contains(network);
    }

    /** Number of addresses, network and broadcast included. */
    public long size() {
        return 1L << 32 - length;
    }

    public Ipv4Address last() {
        return new Ipv4Address(network.bits() | ~mask(length));
    }

    /** Number of prefixes of the given length inside this one; 0 when that length is shorter than ours. */
    public long count(int subLength) {
        return subLength < length ? 0 : 1L << subLength - length;
    }

    /** The {@code index}-th prefix of length {@code subLength} inside this one. */
    public Ipv4Prefix slice(int subLength, long index) {
        if (index < 0 || index >= count(subLength)) {
            throw new IllegalArgumentException("no slice " + index + " of /" + subLength + " in " + this);
        }
        return new Ipv4Prefix(new Ipv4Address((int) (network.bits() + (index << 32 - subLength))), subLength);
    }

    @Override
    public int compareTo(Ipv4Prefix other) {
        int byNetwork = network.compareTo(other.network);
        return byNetwork != 0 ? byNetwork : Integer.compare(length, other.length);
    }

    @Override
    public String toString() {
        return network + "/" + length;
    }
}
