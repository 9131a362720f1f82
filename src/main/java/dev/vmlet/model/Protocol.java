package dev.vmlet.model;

import java.util.Locale;

/** A protocol that has ports. */
public enum Protocol {
    TCP,
    UDP;

    /** As nft writes it. */
    public String text() {
        return name().toLowerCase(Locale.ROOT);
    }

    /** Its number in an IP header (IANA). */
    public int number() {
        return this == TCP ? 6 : 17;
    }
}
