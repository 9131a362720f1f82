package dev.vmlet.model;

/** The sets of our two tables. Chains are static; members of sets are all that changes with VMs and Networks. */
public enum FirewallSet {
    /** Taps of guests: what enters by one of them must be in {@link #OK4}. Key: tap. */
    TAPS("bridge", "taps"),
    /** What a guest may send from. Key: tap, MAC, IPv4 address. */
    OK4("bridge", "ok4"),
    /** What a guest without an address of its own may send from, at whatever address. Key: tap, MAC. */
    FREE4("bridge", "free4"),
    /** Addresses that guests have: who else on their segment says to have one is remembered. Key: IPv4 address. */
    HELD("bridge", "held"),
    /** Bridges of Networks. Key: bridge. */
    BRIDGES("inet", "bridges"),
    /**
     * Each bridge with itself, for hosts where br_netfilter shows bridged packets to the forward hook, and with those of
     * its peers. Key: bridge it comes from, bridge it goes to.
     */
    SAME("inet", "same"),
    /** Ports of the node that guests reach. Key: bridge, protocol, port. */
    HOST_ACCESS("inet", "host_access"),
    /** Where guests may go whose Network has a list for it. Key: bridge, prefix. */
    EGRESS_TO("inet", "egress_to"),
    /** The same for single ports. Key: bridge, prefix, protocol, port. */
    EGRESS_PORTS("inet", "egress_ports"),
    /** Bridges whose guests may leave the node. Key: bridge. */
    EGRESS("inet", "egress"),
    /**
     * Ports of the node that lead to a guest; a map. Key: protocol, port of the node; then where it leads to: address, port
     * of the guest.
     */
    PUBLISHED("inet", "published"),
    /** Ports of guests that the node's lead to. Key: address, protocol, port. */
    PUBLISHED_TO("inet", "published_to"),
    /**
     * Where clients on this node ask for a Service that leads to a guest of it; a map. Key: a place of {@link
     * Frontend#SLOTS}, or of as many behind those for clients that stay, address, protocol, port of the Service; then where
     * it leads to: address, port of the guest.
     */
    SERVED("inet", "served"),
    /** The same for the node's own addresses, whatever they are. Key: place, protocol, port of the node. */
    SERVED_PORTS("inet", "served_ports"),
    /** Subnets whose packets are masqueraded when they leave the node. Key: prefix. */
    SUBNETS("inet", "subnets");

    private final String family;
    private final String nftName;

    FirewallSet(String family, String nftName) {
        this.family = family;
        this.nftName = nftName;
    }

    /** nft family of the table that holds the set: {@code inet} or {@code bridge}. */
    public String family() {
        return family;
    }

    /** How many parts of a member are its key; the others are what a map leads to. */
    public int keyParts(int all) {
        return switch (this) {
            case PUBLISHED -> 2;
            case SERVED_PORTS -> 3;
            case SERVED -> 4;
            default -> all;
        };
    }

    /** Whether its members lead somewhere. */
    public boolean isMap() {
        return this == PUBLISHED || isOfServices();
    }

    /** Whether it leads clients of Services. */
    public boolean isOfServices() {
        return this == SERVED || this == SERVED_PORTS;
    }

    /** Whether prefixes are among its members: the kernel answers for one with the interval around it. */
    public boolean hasIntervals() {
        return this == SUBNETS || this == EGRESS_TO || this == EGRESS_PORTS;
    }

    public String nftName() {
        return nftName;
    }
}
