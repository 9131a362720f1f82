package dev.vmlet.plan;

/**
 * The third table, of family {@code ip}: how ports of the node lead to guests. As all of {@link Ruleset} static chains over
 * plain sets.
 *
 * <p>Whoever asks for such a port is translated by conntrack ({@code translate}), unless somebody has translated him before:
 * kube-proxy, which leads a Service's address or NodePort to a node's address and port. Conntrack translates a connection
 * once, so to it this one goes on ending at the node. Therefore its packets are led to the guest, and the answers brought
 * back, by rewriting each of them where conntrack does not look:
 *
 * <ol>
 *   <li>{@code lead}: after all translation and before routing, what was translated to a published port of the node gets the
 *       guest's address and port. It needs to know nothing of Services.
 *   <li>{@code note}: on its last step to the bridge, when the client has the address that the guest is going to answer, it is
 *       noted what conntrack expects as the sender of that answer.
 *   <li>{@code recall}: before conntrack looks, an answer gets that sender, and is known by it as the connection's.
 *   <li>{@code give_back}: after conntrack has looked, the answer is the guest's again, for routing and for our forward chain,
 *       which judge it as that of any published port. Last of all conntrack gives it the sender whom the client asked.
 * </ol>
 *
 * <p>Why some rules are there:
 * <ul>
 *   <li>Two maps each, for nft can set one field by one map; and nft 1.0.6 finds no room for a fifth part of a key in a rule
 *       that notes something, hence maps of their own for TCP and UDP. The second has the port that the first gave in its key.
 *   <li>A UDP packet without checksum stays without: nft would mend the one that is not there.
 *   <li>The same client port may speak to the guest once by way of a Service and once otherwise, for to the client these are
 *       two servers. The connection that begins last has the answers.
 *   <li>What is noted lives as long as the connection may be silent: TCP asks after two hours whether the other side is there.
 *       Of what is not established, or is ending, by conntrack's own clock, it goes after three minutes, and at once when the
 *       guest resets it; that of UDP goes with conntrack's. {@code ct expiration} means nothing before the first packet has
 *       passed.
 *   <li>Who fills the maps (with a flood of beginnings, three minutes each) keeps others from beginning such connections, and
 *       stops nothing else: what is noted already is refreshed, and the rest has no part in it.
 *   <li>A guest chooses nothing here: an answer is recalled from its own address alone (it has no other, see {@code ok4}), to
 *       clients that came, and goes on only as a part of their connection. One that conntrack knows no more would leave with
 *       the node's address, and is dropped ({@code no_connection}); so is one whose port is published no longer.
 *   <li>Nobody is led from 127.0.0.1, published or not: what listens there is not what is published. The kernel lets no packet
 *       to there out on a bridge.
 * </ul>
 */
final class PublishedTable {
    private PublishedTable() {}

    static String text(String table) {
        return """
                table ip %1$s {
                  counter no_connection { }
                  counter published_no_longer { }
                  counter no_room { }
                  map published { type inet_proto . inet_service : ipv4_addr
                  }
                  map published_port { type inet_proto . inet_service : inet_service
                  }
                  set led_to { type ipv4_addr . inet_proto . inet_service
                  }
                  map tcp_port { type ipv4_addr . inet_service . ipv4_addr . inet_service : inet_service; size 65536; flags dynamic,timeout; timeout 3h
                  }
                  map tcp_addr { type ipv4_addr . inet_service . ipv4_addr . inet_service : ipv4_addr; size 65536; flags dynamic,timeout; timeout 3h
                  }
                  map udp_port { type ipv4_addr . inet_service . ipv4_addr . inet_service : inet_service; size 65536; flags dynamic,timeout; timeout 2m
                  }
                  map udp_addr { type ipv4_addr . inet_service . ipv4_addr . inet_service : ipv4_addr; size 65536; flags dynamic,timeout; timeout 2m
                  }
                  chain recall {
                    type filter hook prerouting priority -300; policy accept;
                    iifname "vmb-*" ip saddr . meta l4proto . th sport @led_to goto recall_sender
                  }
                  chain recall_sender {
                    tcp sport set ip saddr . tcp sport . ip daddr . tcp dport map @tcp_port ip saddr set ip saddr . tcp dport . ip daddr . tcp sport map @tcp_addr accept
                    udp checksum 0 udp sport set ip saddr . udp sport . ip daddr . udp dport map @udp_port udp checksum set 0 ip saddr set ip saddr . udp dport . ip daddr . udp sport map @udp_addr accept
                    udp sport set ip saddr . udp sport . ip daddr . udp dport map @udp_port ip saddr set ip saddr . udp dport . ip daddr . udp sport map @udp_addr accept
                  }
                  chain give_back {
                    type filter hook prerouting priority -150; policy accept;
                    iifname != "vmb-*" accept
                    ct status dnat ct direction reply goto give_back_sender
                    ct state established,related accept
                    fib saddr type local counter name no_connection drop
                  }
                  chain give_back_sender {
                    ip saddr . meta l4proto . th sport @led_to accept
                    fib saddr type != local accept
                    ip saddr set meta l4proto . th sport map @published goto give_back_port
                    counter name published_no_longer drop
                  }
                  chain give_back_port {
                    tcp sport set meta l4proto . th sport map @published_port goto forget_reset
                    udp checksum 0 udp sport set meta l4proto . th sport map @published_port udp checksum set 0 accept
                    udp sport set meta l4proto . th sport map @published_port accept
                    counter name published_no_longer drop
                  }
                  chain forget_reset {
                    tcp flags & rst == rst delete @tcp_port { ip saddr . tcp sport . ip daddr . tcp dport : ct reply proto-src } delete @tcp_addr { ip saddr . tcp dport . ip daddr . ct reply proto-src : ct reply ip saddr }
                  }
                  chain translate {
                    type nat hook prerouting priority -100; policy accept;
                    fib daddr type local dnat to meta l4proto . th dport map @published : meta l4proto . th dport map @published_port
                  }
                  chain translate_own {
                    type nat hook output priority -100; policy accept;
                    ip daddr != 127.0.0.0/8 fib daddr type local dnat to meta l4proto . th dport map @published : meta l4proto . th dport map @published_port
                  }
                  chain lead {
                    type filter hook prerouting priority -90; policy accept;
                    ct status dnat ct direction original goto lead_to_guest
                  }
                  chain lead_own {
                    type route hook output priority -90; policy accept;
                    ct status dnat ct direction original goto lead_to_guest
                  }
                  chain lead_to_guest {
                    ip daddr != 127.0.0.0/8 fib daddr type local ip daddr set meta l4proto . th dport map @published goto lead_to_port
                  }
                  chain lead_to_port {
                    tcp dport set meta l4proto . th dport map @published_port accept
                    udp checksum 0 udp dport set meta l4proto . th dport map @published_port udp checksum set 0 accept
                    udp dport set meta l4proto . th dport map @published_port accept
                  }
                  chain note {
                    type filter hook postrouting priority 150; policy accept;
                    oifname "vmb-*" ct direction original ip daddr . meta l4proto . th dport @led_to goto note_way
                  }
                  chain note_way {
                    ct state new meta l4proto tcp delete @tcp_port { ip daddr . tcp dport . ip saddr . tcp sport : ct reply proto-src }
                    ct state new meta l4proto udp delete @udp_port { ip daddr . udp dport . ip saddr . udp sport : ct reply proto-src }
                    ct status dnat meta l4proto tcp ct reply ip saddr . meta l4proto . ct reply proto-src != @led_to goto note_tcp
                    ct status dnat meta l4proto udp ct reply ip saddr . meta l4proto . ct reply proto-src != @led_to goto note_udp
                  }
                  chain note_tcp {
                    ct state new delete @tcp_addr { ip daddr . tcp sport . ip saddr . ct reply proto-src : ct reply ip saddr }
                    ct state established ct expiration > 3m update @tcp_port { ip daddr . tcp dport . ip saddr . tcp sport timeout 3h : ct reply proto-src } update @tcp_addr { ip daddr . tcp sport . ip saddr . ct reply proto-src timeout 3h : ct reply ip saddr } accept
                    update @tcp_port { ip daddr . tcp dport . ip saddr . tcp sport timeout 3m : ct reply proto-src } update @tcp_addr { ip daddr . tcp sport . ip saddr . ct reply proto-src timeout 3m : ct reply ip saddr } accept
                    counter name no_room drop
                  }
                  chain note_udp {
                    ct state new delete @udp_addr { ip daddr . udp sport . ip saddr . ct reply proto-src : ct reply ip saddr }
                    ct status assured update @udp_port { ip daddr . udp dport . ip saddr . udp sport timeout 2m : ct reply proto-src } update @udp_addr { ip daddr . udp sport . ip saddr . ct reply proto-src timeout 2m : ct reply ip saddr } accept
                    update @udp_port { ip daddr . udp dport . ip saddr . udp sport timeout 30s : ct reply proto-src } update @udp_addr { ip daddr . udp sport . ip saddr . ct reply proto-src timeout 30s : ct reply ip saddr } accept
                    counter name no_room drop
                  }
                }
                """.formatted(table);
    }
}
