package dev.vmlet.model;

/** An address on an interface with the length of its prefix, host bits kept: {@code 10.77.4.1/24}. */
public record InterfaceAddress(Ipv4Address address, int length) {
    public InterfaceAddress {
        if (length < 0 || length > 32) {
            throw new IllegalArgumentException("prefix length: 0 to 32 expected, not " + length);
        }
    }

    public Ipv4Prefix prefix() {
        return Ipv4Prefix.around(address, length);
    }

    @Override
    public String toString() {
        return address + "/" + length;
    }
}
