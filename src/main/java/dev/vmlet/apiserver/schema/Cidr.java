package dev.vmlet.apiserver.schema;

import java.util.Optional;

/** An address with a prefix length. Bits of the host may be set. */
record Cidr(IpAddress ip, int prefixLength) {
    static Optional<Cidr> parse(String text) {
        int slash = text.indexOf('/');
        if (slash < 0 || !text.substring(slash + 1).matches("0|[1-9][0-9]{0,2}")) return Optional.empty();
        int length = Integer.parseInt(text.substring(slash + 1));
        return IpAddress.parse(text.substring(0, slash))
                .filter(ip -> length <= ip.bits())
                .map(ip -> new Cidr(ip, length));
    }

    Cidr masked() {
        return new Cidr(ip.masked(prefixLength), prefixLength);
    }

    boolean contains(IpAddress address) {
        return address.family() == ip.family() && address.masked(prefixLength).equals(ip.masked(prefixLength));
    }

    boolean contains(Cidr other) {
        return other.prefixLength >= prefixLength && contains(other.ip);
    }

    @Override
    public String toString() {
        return ip + "/" + prefixLength;
    }
}
