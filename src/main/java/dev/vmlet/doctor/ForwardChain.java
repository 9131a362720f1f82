package dev.vmlet.doctor;

import dev.vmlet.model.FirewallKeeper;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.LinkName;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * A base chain of somebody else's that sees what this host forwards.
 *
 * @param family nft's word, or {@code legacy} for iptables-legacy
 * @param drops whether a packet that none of its rules knows is dropped: by policy, or by a rule without a condition
 * @param siblings names of all chains of its table, which tell whose it is
 * @param lets rules in its table that let packets of a range or an interface pass
 */
public record ForwardChain(
        String family, String table, String name, boolean drops, Set<String> siblings, List<Let> lets) {
    public static final String LEGACY = FirewallKeeper.LEGACY;

    private static final String OUR_BRIDGES = "vmb-";
    private static final String OUR_TAPS = "vmt-";

    public ForwardChain {
        siblings = Set.copyOf(siblings);
        lets = List.copyOf(lets);
    }

    /**
     * One rule that lets pass.
     *
     * @param match an IPv4 prefix or address, or the name of an interface, with a final {@code *} for any rest
     */
    public record Let(Side side, String match) {}

    /** Where packets come from, or go to. */
    public enum Side {
        FROM,
        TO
    }

    FirewallKeeper keeper() {
        return FirewallKeeper.of(family, table, name, name, siblings);
    }

    /** Whether rules were seen that let guests of the pool through. Which rules come before them is not judged. */
    boolean letsGuests(Ipv4Prefix pool) {
        boolean from = lets.stream().anyMatch(let -> let.side() == Side.FROM && covers(let.match(), pool));
        boolean to = lets.stream().anyMatch(let -> let.side() == Side.TO && covers(let.match(), pool));
        // A firewalld zone that is trusted lets replies to its members pass by itself.
        return from && (to || keeper() == FirewallKeeper.FIREWALLD);
    }

    /** Whether it sees what passes between the ports of a bridge, and not what leaves it. */
    boolean isOfBridges() {
        return family.equals("bridge");
    }

    private boolean covers(String match, Ipv4Prefix pool) {
        if (match.endsWith("*")) {
            return (isOfBridges() ? OUR_TAPS : OUR_BRIDGES).startsWith(match.substring(0, match.length() - 1));
        }
        try {
            return Ipv4Prefix.parse(match.contains("/") ? match : match + "/32").contains(pool);
        } catch (IllegalArgumentException e) {
            return false;
        }
    }

    /** Where it is, as its keeper would say. */
    String place() {
        return keeper().place(family, table, name);
    }

    /** What makes it let guests through, in its keeper's own words. */
    String remedy(Ipv4Prefix pool, Optional<LinkName> uplink) {
        return keeper().remedy(family, table, name, name, pool, uplink);
    }
}
