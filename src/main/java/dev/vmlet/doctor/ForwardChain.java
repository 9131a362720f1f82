package dev.vmlet.doctor;

import dev.vmlet.model.Ipv4Prefix;
import java.util.List;
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
    public static final String LEGACY = "legacy";

    /** The prefix of the names of our bridges. */
    static final String OUR_BRIDGES = "vmb-";

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

    /** Who keeps such a table; {@link #remedy} speaks its language. */
    enum Keeper {
        DOCKER("Docker"),
        UFW("ufw"),
        FIREWALLD("firewalld"),
        IPTABLES("iptables"),
        IPTABLES_LEGACY("iptables-legacy"),
        NFTABLES("nftables");

        final String text;

        Keeper(String text) {
            this.text = text;
        }
    }

    Keeper keeper() {
        if (table.equals("firewalld")) {
            return Keeper.FIREWALLD;
        }
        if (siblings.contains("ufw-user-forward") || siblings.contains("ufw-before-forward")) {
            return Keeper.UFW;
        }
        if (siblings.contains("DOCKER-USER")) {
            return Keeper.DOCKER;
        }
        if (family.equals(LEGACY)) {
            return Keeper.IPTABLES_LEGACY;
        }
        return family.equals("ip") && table.equals("filter") && name.equals("FORWARD")
                ? Keeper.IPTABLES
                : Keeper.NFTABLES;
    }

    /** Whether rules were seen that let guests of the pool through. Which rules come before them is not judged. */
    boolean letsGuests(Ipv4Prefix pool) {
        boolean from = lets.stream().anyMatch(let -> let.side() == Side.FROM && covers(let.match(), pool));
        boolean to = lets.stream().anyMatch(let -> let.side() == Side.TO && covers(let.match(), pool));
        // A firewalld zone that is trusted lets replies to its members pass by itself.
        return from && (to || keeper() == Keeper.FIREWALLD);
    }

    private static boolean covers(String match, Ipv4Prefix pool) {
        if (match.endsWith("*")) {
            return OUR_BRIDGES.startsWith(match.substring(0, match.length() - 1));
        }
        try {
            return Ipv4Prefix.parse(match.contains("/") ? match : match + "/32").contains(pool);
        } catch (IllegalArgumentException e) {
            return false;
        }
    }

    /** Where it is, as its keeper would say. */
    String place() {
        return switch (keeper()) {
            case NFTABLES, FIREWALLD -> "chain " + name + " of nft table " + family + " " + table;
            case IPTABLES_LEGACY -> "iptables-legacy's FORWARD chain";
            case DOCKER, UFW, IPTABLES ->
                family.equals(LEGACY) ? "iptables-legacy's FORWARD chain" : "iptables' FORWARD chain";
        };
    }

    /** What makes it let guests through, in its keeper's own words. */
    String remedy(Ipv4Prefix pool) {
        String iptables = family.equals(LEGACY) ? "iptables-legacy" : "iptables";
        return switch (keeper()) {
            case DOCKER -> insert(iptables, "DOCKER-USER") + " (at each boot, after Docker)";
            case UFW -> "ufw route allow from " + pool + "; ufw route allow to " + pool;
            case FIREWALLD ->
                "firewall-cmd --permanent --zone=trusted --add-source=" + pool + "; firewall-cmd --reload";
            case IPTABLES, IPTABLES_LEGACY -> insert(iptables, "FORWARD") + " (and keep them for the next boot)";
            case NFTABLES -> {
                String insert = "nft insert rule " + family + " " + table + " " + name;
                yield insert + " iifname \"vmb-*\" accept; " + insert
                        + " oifname \"vmb-*\" accept (and keep them where that table is written)";
            }
        };
    }

    private static String insert(String iptables, String chain) {
        return iptables + " -I " + chain + " -i vmb-+ -j ACCEPT; " + iptables + " -I " + chain + " -o vmb-+ -j ACCEPT";
    }
}
