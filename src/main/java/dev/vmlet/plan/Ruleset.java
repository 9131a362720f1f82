package dev.vmlet.plan;

import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.InstallationId;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * The whole firewall of one installation as nft text: two tables, static chains over plain sets, so that a packet and
 * an update cost the same with one VM or a thousand.
 *
 * <p>Nothing here accepts what another table drops; an nft accept ends only the evaluation of its own hook's chain.
 *
 * <p>Why some rules are there:
 * <ul>
 *   <li>A bridge port hands frames to 01:80:c2:00:00:0x (LLDP and its kin) to the host as arrived on the tap itself,
 *       past the bridge and its table ({@code br_handle_frame} in net/bridge/br_input.c). A guest could reach every UDP
 *       service of the node so. No IP packet is ever rightly addressed to that group, on any interface.
 *   <li>Only a Network with egress has established flows to let through; one that loses it loses them at once.
 *   <li>A packet conntrack cannot place (invalid) would leave without masquerade.
 *   <li>The node's own packets from a gateway address to itself pass postrouting on lo.
 *   <li>nft reads {@code arp saddr} at the offsets of Ethernet and IPv4, so an ARP packet must say that it has them.
 *   <li>The kernel takes a VLAN tag off the frame, but {@code ether type} still sees it; tagged frames are dropped.
 * </ul>
 */
public record Ruleset(InstallationId installation, Set<FirewallElement> elements) {
    /** Raised whenever the text of chains or sets changes, so that a new agent replaces an old one's tables. */
    public static final int REVISION = 1;

    private static final Pattern SAFE = Pattern.compile("[A-Za-z0-9_.:/-]*");

    public Ruleset {
        elements = Set.copyOf(elements);
    }

    public String table() {
        return "vmlet_" + installation;
    }

    /** Comment of the counter {@code owner} in each table: table comments are not listed by older nft. */
    public String mark() {
        return "vmlet:" + installation + ":r" + REVISION;
    }

    /**
     * One transaction that replaces both tables whatever state they are in. {@code table} before {@code delete table}
     * makes the delete succeed where there is none.
     */
    public String text() {
        String t = table();
        return """
                table inet %1$s
                delete table inet %1$s
                table bridge %1$s
                delete table bridge %1$s
                table inet %1$s {
                  counter owner { comment "%2$s"
                  }
                  set bridges { type ifname
                  }
                  set same { type ifname . ifname
                  }
                  set egress { type ifname
                  }
                  set subnets { type ipv4_addr; flags interval
                  }
                  chain input {
                    type filter hook input priority -10; policy accept;
                    iifname @bridges goto to_node
                    ether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00 counter drop
                  }
                  chain to_node {
                    ct state established,related accept
                    icmp type echo-request accept
                    counter drop
                  }
                  chain forward {
                    type filter hook forward priority -10; policy accept;
                    iifname . oifname @same accept
                    iifname @bridges oifname @bridges counter drop
                    iifname @bridges goto from_guest
                    oifname @bridges goto to_guest
                  }
                  chain from_guest {
                    meta nfproto != ipv4 counter drop
                    ct state invalid counter drop
                    iifname @egress accept
                    counter drop
                  }
                  chain to_guest {
                    oifname @egress ct state established,related accept
                    counter drop
                  }
                  chain postrouting {
                    type nat hook postrouting priority 100; policy accept;
                    ip saddr @subnets oifname != @bridges oifname != "lo" masquerade
                  }
                }
                table bridge %1$s {
                  counter owner { comment "%2$s"
                  }
                  set taps { type ifname
                  }
                  set ok4 { type ifname . ether_addr . ipv4_addr
                  }
                  chain prerouting {
                    type filter hook prerouting priority -300; policy accept;
                    iifname @taps goto from_guest
                  }
                  chain from_guest {
                    ether type ip iifname . ether saddr . ip saddr @ok4 accept
                    ether type arp arp htype 1 arp ptype ip arp hlen 6 arp plen 4 goto arp_from_guest
                    counter drop
                  }
                  chain arp_from_guest {
                    iifname . ether saddr . arp saddr ip @ok4 iifname . arp saddr ether . arp saddr ip @ok4 accept
                    counter drop
                  }
                }
                """.formatted(t, mark()) + add(installation, elements);
    }

    /** One transaction that removes both tables, whether they are there or not. */
    public static String remove(InstallationId installation) {
        return """
                table inet vmlet_%1$s
                delete table inet vmlet_%1$s
                table bridge vmlet_%1$s
                delete table bridge vmlet_%1$s
                """.formatted(installation);
    }

    /** Text that adds the elements; adding one that is there is no error. */
    public static String add(InstallationId installation, Iterable<FirewallElement> elements) {
        return change("add", installation, elements, true);
    }

    /** Text that deletes the elements; deleting one that is not there fails the whole transaction. */
    public static String delete(InstallationId installation, Iterable<FirewallElement> elements) {
        return change("delete", installation, elements, false);
    }

    private static String change(
            String verb, InstallationId installation, Iterable<FirewallElement> elements, boolean comments) {
        List<FirewallElement> sorted = new ArrayList<>();
        elements.forEach(sorted::add);
        sorted.sort(Comparator.comparing(FirewallElement::set).thenComparing(FirewallElement::toString));
        sorted.forEach(e -> requireSafe(e, comments));
        return sorted.stream()
                .map(e -> verb + " element " + e.set().family() + " vmlet_" + installation + " "
                        + e.set().nftName() + " { " + key(e) + (comments ? " comment \"" + e.ownerUid() + "\"" : "")
                        + " }\n")
                .collect(Collectors.joining());
    }

    /** No quote, brace, space or line end can reach the text: a member must not become a command. */
    private static void requireSafe(FirewallElement element, boolean comments) {
        boolean safe = (!comments || SAFE.matcher(element.ownerUid()).matches())
                && element.key().stream().allMatch(part -> SAFE.matcher(part).matches());
        if (!safe) {
            throw new IllegalArgumentException("element that nft would misread: " + element);
        }
    }

    /** The element's key as nft reads it. */
    public static String key(FirewallElement element) {
        // Interface names are quoted: nft would read some of them as keywords or numbers.
        return switch (element.set()) {
            case TAPS, BRIDGES, EGRESS -> quote(element.key().get(0));
            case SAME ->
                quote(element.key().get(0)) + " . " + quote(element.key().get(1));
            case OK4 ->
                quote(element.key().get(0)) + " . " + element.key().get(1) + " . "
                        + element.key().get(2);
            case SUBNETS -> element.key().get(0);
        };
    }

    private static String quote(String name) {
        return "\"" + name + "\"";
    }
}
