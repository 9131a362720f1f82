package dev.vmlet.model;

import java.util.regex.Pattern;

/** Eight characters of lower-case base32, random, made at first start: part of every host name and mark of ours. */
public record InstallationId(String value) {
    private static final Pattern SHAPE = Pattern.compile("[a-z2-7]{8}");

    public InstallationId {
        if (!SHAPE.matcher(value).matches()) {
            throw new IllegalArgumentException("installation id: eight of a-z2-7 expected, not: " + value);
        }
    }

    @Override
    public String toString() {
        return value;
    }
}
