package dev.vmlet.model;

/** Name of a network interface: 1 to 15 bytes, no slash, no white space (dev_valid_name in net/core/dev.c). */
public record LinkName(String value) implements Comparable<LinkName> {
    public LinkName {
        if (value.isEmpty() || value.length() > 15 || value.equals(".") || value.equals("..")) {
            throw new IllegalArgumentException("link name: " + value);
        }
        for (int i = 0; i < value.length(); i++) {
            char c = value.charAt(i);
            if (c <= ' ' || c == '/' || c == ':' || c >= 127) {
                throw new IllegalArgumentException("link name: " + value);
            }
        }
    }

    @Override
    public int compareTo(LinkName other) {
        return value.compareTo(other.value);
    }

    @Override
    public String toString() {
        return value;
    }
}
