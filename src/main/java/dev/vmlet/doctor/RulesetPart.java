package dev.vmlet.doctor;

/**
 * What the firewall's ruleset needs of nf_tables, each of which a kernel may be built, or installed, without. In the order
 * in which a person reads them.
 */
public enum RulesetPart {
    INET("tables of family inet", "nf_tables", "NF_TABLES_INET"),
    BRIDGE("tables of family bridge", "nf_tables", "NF_TABLES_BRIDGE"),
    CONNECTIONS("ct, which knows established connections", "nft_ct", "NFT_CT"),
    FIB("fib, which knows the node's own addresses", "nft_fib_inet", "NFT_FIB_INET"),
    NAT_CHAINS("chains of type nat", "nft_chain_nat", "NFT_NAT"),
    DNAT("dnat, which leads published ports to guests", "nft_nat", "NFT_NAT"),
    MASQUERADE("masquerade, which lets guests out", "nft_masq", "NFT_MASQ"),
    CHANCE("numgen, which deals clients of Services out to guests", "nft_numgen", "NFT_NUMGEN"),
    HASH("jhash, by which a client of a Service stays with its guest", "nft_hash", "NFT_HASH");

    private final String what;
    private final String module;
    private final String option;

    /** @param option of the kernel's configuration, without CONFIG_ */
    RulesetPart(String what, String module, String option) {
        this.what = what;
        this.module = module;
        this.option = option;
    }

    String what() {
        return what;
    }

    /** The module it comes with where it is not built in. */
    String module() {
        return module;
    }

    String option() {
        return "CONFIG_" + option;
    }
}
