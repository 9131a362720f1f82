package dev.vmlet.model;

import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;

/** Whose program keeps a table of firewall rules; {@link #remedy} speaks its language. */
public enum FirewallKeeper {
    DOCKER("Docker"),
    UFW("ufw"),
    FIREWALLD("firewalld"),
    CALICO("Calico"),
    IPTABLES("iptables"),
    IPTABLES_LEGACY("iptables-legacy"),
    NFTABLES("nftables");

    /** What stands for nft's family where a table is one of iptables-legacy, which nft does not see. */
    public static final String LEGACY = "legacy";

    private static final String FIREWALLD_TABLE = "firewalld";

    /** Beside the other while firewalld is in panic, at the hooks of raw, and while it reloads, at those of filter. */
    private static final String FIREWALLD_DROPS_ALL = "firewalld_policy_drop";

    /** What firewalld calls its chain of zones where it writes by iptables, from 0.9 on and before. */
    private static final Set<String> FIREWALLD_ZONES = Set.of("FORWARD_ZONES", "FORWARD_IN_ZONES");

    /** Of ufw's chains those whose rules its own commands write. */
    private static final String UFW_WRITTEN = "ufw-user-";

    /** Felix, Calico's agent, has a table of its own where it writes by nft, and elsewhere its chains in those of iptables. */
    private static final String CALICO_TABLE = "calico";

    private static final String CALICO_CHAIN = "cali-";

    /**
     * Felix's chains where a packet is at the endpoint that it came in by: those of host endpoints and of policies; and
     * those to a pod, to which it comes in there. By all others it goes out.
     */
    private static final Pattern CALICO_INGRESS =
            Pattern.compile("^(\\w+-)?cali-(fh|fhfw|from-host-endpoint|from-hep-forward|pi|pri|gi|tw)\\b");

    private static final Pattern CALICO_POLICY = Pattern.compile("^(\\w+-)?cali-(pi|po|gi|go)\\b");
    private static final Pattern CALICO_POD = Pattern.compile("^(\\w+-)?cali-tw\\b");

    private static final Set<String> IPTABLES_TABLES = Set.of("filter", "nat", "mangle", "raw", "security");

    private final String text;

    FirewallKeeper(String text) {
        this.text = text;
    }

    public String text() {
        return text;
    }

    /**
     * @param family nft's word, or {@link #LEGACY}
     * @param chain the one that is asked about: several keepers have theirs in the tables of iptables
     * @param base a base chain of the table; that one, or one that leads there
     * @param chains names of all chains of the table
     */
    public static FirewallKeeper of(String family, String table, String chain, String base, Set<String> chains) {
        if (table.equals(CALICO_TABLE) || chain.startsWith(CALICO_CHAIN)) {
            return CALICO;
        }
        if (table.equals(FIREWALLD_TABLE) || table.equals(FIREWALLD_DROPS_ALL)) {
            return FIREWALLD;
        }
        if (chains.contains("ufw-user-forward") || chains.contains("ufw-before-forward")) {
            return UFW;
        }
        if (chains.contains("DOCKER-USER")) {
            return DOCKER;
        }
        if (chains.stream().anyMatch(FIREWALLD_ZONES::contains)) {
            return FIREWALLD;
        }
        if (family.equals(LEGACY)) {
            return IPTABLES_LEGACY;
        }
        // As iptables-nft names them; a table of nft's own may have such a name, but not such a chain.
        return family.equals("ip") && IPTABLES_TABLES.contains(table) && base.equals(base.toUpperCase(Locale.ROOT))
                ? IPTABLES
                : NFTABLES;
    }

    /** Where a chain is, as its keeper would say. */
    public String place(String family, String table, String chain) {
        boolean ofNft = this == NFTABLES || (this == FIREWALLD || this == CALICO) && !IPTABLES_TABLES.contains(table);
        if (ofNft) {
            return "chain " + chain + " of nft table " + family + " " + table;
        }
        return (family.equals(LEGACY) ? "iptables-legacy's " : "iptables' ") + chain + " chain";
    }

    /**
     * What makes a table let guests through, in its keeper's own words.
     *
     * @param chain where their packets end
     * @param base the base chain through which their packets enter the table
     * @param range guests' addresses
     * @param uplink by which they leave, where that is known
     */
    public String remedy(
            String family, String table, String chain, String base, Ipv4Prefix range, Optional<LinkName> uplink) {
        String iptables = family.equals(LEGACY) ? "iptables-legacy" : "iptables";
        return switch (this) {
            case DOCKER ->
                docker(iptables + " -I DOCKER-USER", uplink.map(LinkName::value).orElse("<uplink>"))
                        + " (after Docker, at each boot and each reload of firewalld; or give the agent"
                        + " --manage-docker-user)";
            case UFW -> {
                // It adds a rule behind those that are there: behind the one that drops.
                String allow = chain.startsWith(UFW_WRITTEN) ? "ufw route prepend allow" : "ufw route allow";
                yield allow + " from " + range + "; " + allow + " to " + range;
            }
            case FIREWALLD -> firewalld(table, base, range);
            case CALICO -> calico(chain, base, range);
            case IPTABLES, IPTABLES_LEGACY ->
                insert(iptables + (table.equals("filter") ? "" : " -t " + table), base)
                        + " (and keep them for the next boot)";
            case NFTABLES -> {
                String insert = "nft insert rule " + family + " " + table + " " + base;
                // In the family bridge the interface that a packet came by is the guest's tap.
                String links = family.equals("bridge") ? "vmt-*" : "vmb-*";
                yield insert + " iifname \"" + links + "\" accept; " + insert + " oifname \"" + links
                        + "\" accept (and keep them where that table is written)";
            }
        };
    }

    private static String firewalld(String table, String base, Ipv4Prefix range) {
        if (table.equals(FIREWALLD_DROPS_ALL)) {
            return base.startsWith("raw_")
                    ? "firewall-cmd --panic-off"
                    : "firewall-cmd --reload (nothing is left to do where that was just running)";
        }
        return "firewall-cmd --permanent --zone=trusted --add-source=" + range + "; firewall-cmd --reload";
    }

    /**
     * A policy of the type that drops and of no other: to an endpoint that has a policy of a type, nothing else of that type
     * is allowed any more. Both directions, for with an endpoint of all interfaces guests' packets meet each type twice.
     */
    private static String calico(String chain, String base, Ipv4Prefix range) {
        String type = CALICO_INGRESS.matcher(chain).find() ? "Ingress" : "Egress";
        if (base.endsWith("PREROUTING")) {
            // What is allowed there goes untracked, or past all policies to come; and only a rule that says so denies.
            return "add \"source: {notNets: [" + range + "]}\" to each Deny in Calico's policies with preDNAT or"
                    + " doNotTrack for this node's HostEndpoint";
        }
        String selector = CALICO_POLICY.matcher(chain).find()
                ? "<as of that policy>"
                : CALICO_POD.matcher(chain).find() ? "<of those pods>" : "<of this node's HostEndpoint>";
        String allow = "{action: Allow, %s: {nets: [" + range + "]}}";
        return "calicoctl apply -f - <<< \"{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {name:"
                + " vmlet-" + lower(type) + "-" + range.toString().replaceAll("[./]", "-")
                + "}, spec: {order: 0, selector: "
                + selector + ", applyOnForward: true, types: [" + type + "], " + lower(type) + ": ["
                + allow.formatted("source") + ", " + allow.formatted("destination") + "]}}\" (its order, and its tier"
                + " where there are several, must come before those of what drops; published ports may need the same for "
                + (type.equals("Egress") ? "Ingress" : "Egress")
                + "; what is written into Calico's chains by hand Felix takes away)";
    }

    private static String lower(String type) {
        return type.toLowerCase(Locale.ROOT);
    }

    /** An accept there is Docker's last word too: one that named no uplink would open all containers to guests. */
    private static String docker(String insert, String uplink) {
        return insert + " -i vmb-+ -o " + uplink + " -j ACCEPT; " + insert + " -i " + uplink + " -o vmb-+ -j ACCEPT; "
                + insert + " -i vmb-+ -o vmb-+ -j ACCEPT";
    }

    private static String insert(String iptables, String chain) {
        String insert = iptables + " -I " + chain;
        // The first chain does not know yet where a packet goes, and the last not any more where it came from.
        return switch (chain) {
            case "PREROUTING" -> insert + " -i vmb-+ -j ACCEPT";
            case "POSTROUTING" -> insert + " -o vmb-+ -j ACCEPT";
            default -> insert + " -i vmb-+ -j ACCEPT; " + insert + " -o vmb-+ -j ACCEPT";
        };
    }
}
