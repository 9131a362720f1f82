package dev.vmlet.model;

import java.util.Optional;

/**
 * What somebody else's table did to a packet, as the kernel told it.
 *
 * @param family nft's word
 * @param chain where the packet ended
 * @param base the base chain by which it had entered the table; the same chain, or one that led to it
 * @param rule the rule as nft writes it, or {@code handle N} where it could not be read; empty for the chain's policy
 */
public record ForeignRule(FirewallKeeper keeper, String family, String table, String chain, String base, String rule) {
    /** As a part of a sentence: what dropped. */
    public String what() {
        String place = keeper.place(family, table, chain) + " (" + keeper.text() + ")";
        return rule.isEmpty() ? "the policy of " + place : "the rule \"" + rule + "\" in " + place;
    }

    /**
     * @param range guests' addresses
     * @param uplink by which they leave, where that is known
     */
    public String remedy(Ipv4Prefix range, Optional<LinkName> uplink) {
        return keeper.remedy(family, table, chain, base, range, uplink);
    }
}
