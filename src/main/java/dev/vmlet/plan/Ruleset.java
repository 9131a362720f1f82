package dev.vmlet.plan;

import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.InstallationId;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

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
 *   <li>A router's word that a packet did not get through comes from anywhere, so it needs no place in a Network's list
 *       of destinations; without it, paths with a smaller MTU would swallow large packets.
 *   <li>Only a Network with egress has established flows to let through; one that loses it loses them at once.
 *   <li>What a guest began with the node is judged packet by packet: a port that {@code hostAccess} opens no more ends at once,
 *       as established flows would not.
 *   <li>A packet conntrack cannot place (invalid) would leave without masquerade.
 *   <li>The node's own packets from a gateway address to itself pass postrouting on lo.
 *   <li>Most packets are IPv4 of a guest that keeps to the rules, and each lookup costs them: so the set that nearly all of
 *       them are in is asked first, and one that tells little is not asked before it. Packets of other people's bridges
 *       leave by the name of their port, without any lookup; a tap's name is ours to choose.
 *   <li>nft reads {@code arp saddr} at the offsets of Ethernet and IPv4, so an ARP packet must say that it has them.
 *   <li>The kernel takes a VLAN tag off the frame, but {@code ether type} still sees it; tagged frames are dropped.
 *   <li>Metadata services of clouds give whoever asks from the node the node's own credentials. Most live at a link-local
 *       address, those of Alibaba (100.100.100.200), Azure (168.63.129.16) and Oracle (192.0.0.192) do not.
 *   <li>A packet that came by a published port is let through by what it was translated to and back, not by the
 *       translation alone: others translate too, and what is published no longer ends at once. Of guests, those may use
 *       the node's ports that may leave it; they come with the node's address, or the answer would take the short way.
 *   <li>A Service's clients on this node are led to its guests before kube-proxy is asked (its chains have priority -100):
 *       it would lead them to the node's address and the published port, and a connection is translated once, so that they
 *       would end with the node itself. Where no guest of the node is ready, nothing matches and kube-proxy leads them to
 *       other nodes. Guests are not led here: what they reach of the node's ports is told by {@code published}. Who stays
 *       with one guest has places of his own, chosen by his address. At random and not in turn: of two Services that are
 *       asked in turn each would see every other place.
 *   <li>A connection to 127.0.0.1 is not translated: the kernel lets no packet from there out on a bridge.
 *   <li>What a guest says of its own address is dropped where it is not true, so it is noted before: in a set that ARP alone
 *       fills, which needs no agent to be there and wakes none. A tap adds one address in ten seconds at most and each is
 *       forgotten two minutes after it was heard last, so that a guest that floods holds 13 places and takes nobody's.
 *       What others say of guests' addresses is noted likewise, by the port it came in by: there the bridge is not known by
 *       name but with a module of its own.
 *   <li>Whose address the LAN's DHCP chooses may send from any but those of other guests: who learnt it from the answers would
 *       cut off a guest that gets another while no agent is there. Its MAC address is bound, in ARP too.
 *   <li>Each drop has a counter of its own, by which a person tells what a guest tried: {@code nft list counters}.
 * </ul>
 */
public record Ruleset(InstallationId installation, Set<FirewallElement> elements) {
    /** Raised whenever the text of chains or sets changes, so that a new agent replaces an old one's tables. */
    public static final int REVISION = 5;

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
                  counter to_node_closed { }
                  counter reserved_group { }
                  counter between_networks { }
                  counter not_ipv4 { }
                  counter invalid_state { }
                  counter metadata { }
                  counter without_egress { }
                  counter unsolicited { }
                  set bridges { type ifname
                  }
                  set same { type ifname . ifname
                  }
                  set egress { type ifname
                  }
                  set host_access { type ifname . inet_proto . inet_service
                  }
                  set egress_to { type ifname . ipv4_addr; flags interval
                  }
                  set egress_ports { type ifname . ipv4_addr . inet_proto . inet_service; flags interval
                  }
                  map published { type inet_proto . inet_service : ipv4_addr . inet_service
                  }
                  set published_to { type ipv4_addr . inet_proto . inet_service
                  }
                  map served { typeof numgen random mod 16 . ip daddr . meta l4proto . th dport : ip daddr . th dport
                  }
                  map served_ports { typeof numgen random mod 16 . meta l4proto . th dport : ip daddr . th dport
                  }
                  set subnets { type ipv4_addr; flags interval
                  }
                  chain input {
                    type filter hook input priority -10; policy accept;
                    iifname @bridges goto to_node
                    ether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00 counter name reserved_group drop
                  }
                  chain to_node {
                    meta nfproto != ipv4 counter name not_ipv4 drop
                    ct state established ct direction reply accept
                    ct state related icmp type { destination-unreachable, time-exceeded, parameter-problem } accept
                    icmp type echo-request accept
                    iifname . meta l4proto . th dport @host_access accept
                    counter name to_node_closed drop
                  }
                  chain forward {
                    type filter hook forward priority -10; policy accept;
                    iifname . oifname @same accept
                    oifname @bridges ct status dnat ct direction original goto to_published
                    iifname @bridges ct status dnat ct direction reply goto from_published
                    iifname @bridges oifname @bridges counter name between_networks drop
                    iifname @bridges goto from_guest
                    oifname @bridges goto to_guest
                  }
                  chain to_published {
                    ct state related icmp type { destination-unreachable, time-exceeded, parameter-problem } accept
                    iifname @bridges iifname != @egress counter name between_networks drop
                    ip daddr . meta l4proto . th dport @published_to accept
                    counter name unsolicited drop
                  }
                  chain from_published {
                    ct state related icmp type { destination-unreachable, time-exceeded, parameter-problem } accept
                    ip saddr . meta l4proto . th sport @published_to accept
                    counter name without_egress drop
                  }
                  chain from_guest {
                    meta nfproto != ipv4 counter name not_ipv4 drop
                    ct state invalid counter name invalid_state drop
                    ip daddr { 100.100.100.200, 168.63.129.16, 169.254.0.0/16, 192.0.0.192 } counter name metadata drop
                    iifname @egress accept
                    iifname . ip daddr @egress_to accept
                    iifname . ip daddr . meta l4proto . th dport @egress_ports accept
                    counter name without_egress drop
                  }
                  chain to_guest {
                    oifname @egress ct state established,related accept
                    ct state related icmp type { destination-unreachable, time-exceeded, parameter-problem } accept
                    oifname . ip saddr @egress_to ct state established,related accept
                    oifname . ip saddr . meta l4proto . th sport @egress_ports ct state established,related accept
                    counter name unsolicited drop
                  }
                  chain services {
                    type nat hook prerouting priority -110; policy accept;
                    iifname != @bridges goto to_service
                  }
                  chain services_for_node {
                    type nat hook output priority -110; policy accept;
                    ip daddr != 127.0.0.0/8 goto to_service
                  }
                  chain to_service {
                    fib daddr type local goto to_node_port
                    dnat ip to numgen random mod 16 . ip daddr . meta l4proto . th dport map @served
                    dnat ip to jhash ip saddr mod 16 seed 0x766d6c65 offset 16 . ip daddr . meta l4proto . th dport map @served
                  }
                  chain to_node_port {
                    dnat ip to numgen random mod 16 . meta l4proto . th dport map @served_ports
                    dnat ip to jhash ip saddr mod 16 seed 0x766d6c65 offset 16 . meta l4proto . th dport map @served_ports
                  }
                  chain prerouting {
                    type nat hook prerouting priority -100; policy accept;
                    fib daddr type local dnat ip to meta l4proto . th dport map @published
                  }
                  chain output {
                    type nat hook output priority -100; policy accept;
                    ip daddr != 127.0.0.0/8 fib daddr type local dnat ip to meta l4proto . th dport map @published
                  }
                  chain postrouting {
                    type nat hook postrouting priority 100; policy accept;
                    ct status dnat iifname @bridges oifname @bridges masquerade
                    ip saddr @subnets oifname != @bridges oifname != "lo" masquerade
                  }
                }
                table bridge %1$s {
                  counter owner { comment "%2$s"
                  }
                  counter spoofed { }
                  counter spoofed_arp { }
                  counter dhcp_server { }
                  counter router_advert { }
                  counter ipv6 { }
                  counter tagged { }
                  counter other_protocol { }
                  set taps { type ifname
                  }
                  set ok4 { type ifname . ether_addr . ipv4_addr
                  }
                  set free4 { type ifname . ether_addr
                  }
                  set held { type ipv4_addr
                  }
                  set spoke { type ifname . ether_addr . ipv4_addr; size 65536; flags dynamic,timeout; timeout 2m
                  }
                  set spoke_lately { type ifname; size 65536; flags dynamic,timeout; timeout 10s
                  }
                  set claimed { type iface_index . ipv4_addr . ether_addr; size 65536; flags dynamic,timeout; timeout 2m
                  }
                  set claimed_lately { type iface_index . ipv4_addr; size 65536; flags dynamic,timeout; timeout 10s
                  }
                  chain prerouting {
                    type filter hook prerouting priority -300; policy accept;
                    iifname != "vmt-*" goto from_others
                    ether type ip iifname . ether saddr . ip saddr @ok4 goto honest
                    iifname @taps goto from_guest
                    goto from_others
                  }
                  chain from_others {
                    ether type arp arp htype 1 arp ptype ip arp hlen 6 arp plen 4 arp saddr ip @held goto claim
                  }
                  chain claim {
                    iif . arp saddr ip . arp saddr ether @claimed update @claimed { iif . arp saddr ip . arp saddr ether } accept
                    iif . arp saddr ip @claimed_lately accept
                    add @claimed_lately { iif . arp saddr ip } add @claimed { iif . arp saddr ip . arp saddr ether }
                  }
                  chain honest {
                    udp sport 67 counter name dhcp_server drop
                    accept
                  }
                  chain from_guest {
                    ether type ip goto ip_from_guest
                    ether type arp arp htype 1 arp ptype ip arp hlen 6 arp plen 4 goto arp_from_guest
                    ether type arp counter name spoofed_arp drop
                    ether type ip6 icmpv6 type nd-router-advert counter name router_advert drop
                    ether type ip6 counter name ipv6 drop
                    ether type { 8021q, 8021ad } counter name tagged drop
                    counter name other_protocol drop
                  }
                  chain ip_from_guest {
                    udp sport 67 counter name dhcp_server drop
                    iifname . ether saddr @free4 ip saddr != @held accept
                    counter name spoofed drop
                  }
                  chain arp_from_guest {
                    iifname . ether saddr . arp saddr ip @ok4 iifname . arp saddr ether . arp saddr ip @ok4 accept
                    jump speech
                    iifname . ether saddr @free4 iifname . arp saddr ether @free4 arp saddr ip != @held accept
                    counter name spoofed_arp drop
                  }
                  chain speech {
                    arp saddr ip 0.0.0.0 return
                    iifname . ether saddr . arp saddr ip @spoke update @spoke { iifname . ether saddr . arp saddr ip } return
                    iifname @spoke_lately return
                    add @spoke_lately { iifname } add @spoke { iifname . ether saddr . arp saddr ip }
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
                        + data(e) + " }\n")
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
            case SAME ->
                quote(element.key().get(0)) + " . " + quote(element.key().get(1));
            case SUBNETS, HELD -> element.key().get(0);
            case PUBLISHED, PUBLISHED_TO, SERVED, SERVED_PORTS ->
                String.join(
                        " . ",
                        element.key()
                                .subList(0, element.set().keyParts(element.key().size())));
            case TAPS, BRIDGES, EGRESS, OK4, FREE4, HOST_ACCESS, EGRESS_TO, EGRESS_PORTS ->
                Stream.concat(
                                Stream.of(quote(element.key().get(0))),
                                element.key().stream().skip(1))
                        .collect(Collectors.joining(" . "));
        };
    }

    /** Where a map's key leads to, behind its comment. */
    private static String data(FirewallElement element) {
        List<String> parts = element.key();
        int keyParts = element.set().keyParts(parts.size());
        return keyParts == parts.size() ? "" : " : " + String.join(" . ", parts.subList(keyParts, parts.size()));
    }

    private static String quote(String name) {
        return "\"" + name + "\"";
    }
}
