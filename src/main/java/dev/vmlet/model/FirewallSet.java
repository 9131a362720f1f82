package dev.vmlet.model;

/** The sets of our two tables. Chains are static; members of sets are all that changes with VMs and Networks. */
public enum FirewallSet {
    /** Taps of guests: what enters by one of them must be in {@link #OK4}. Key: tap. */
    TAPS("bridge", "taps"),
    /** What a guest may send from. Key: tap, MAC, IPv4 address. */
    OK4("bridge", "ok4"),
    /** Bridges of Networks. Key: bridge. */
    BRIDGES("inet", "bridges"),
    /** Each bridge with itself, for hosts where br_netfilter shows bridged packets to the forward hook. */
    SAME("inet", "same"),
    /** Bridges whose guests may leave the node. Key: bridge. */
    EGRESS("inet", "egress"),
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

    public String nftName() {
        return nftName;
    }
}
