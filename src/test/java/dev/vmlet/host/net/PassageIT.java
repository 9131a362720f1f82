package dev.vmlet.host.net;

import static dev.vmlet.host.net.Town.OUTSIDE;
import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.host.vmm.Hosts;
import dev.vmlet.model.DesiredNetwork;
import dev.vmlet.model.Destination;
import dev.vmlet.model.Egress;
import dev.vmlet.model.FirewallKeeper;
import dev.vmlet.model.ForeignRule;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.NetworkPolicy;
import dev.vmlet.model.Passage;
import dev.vmlet.model.Protocol;
import dev.vmlet.model.ServicePort;
import dev.vmlet.plan.ProbePacket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Who else has a firewall on the node, what the probe says of it, and that it lets guests through once its remedy was run as
 * it is printed. Whatever it says, it leaves nothing behind, and nobody outside and no guest hears of it.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class PassageIT {
    private static final Ipv4Prefix POOL = Ipv4Prefix.parse("10.208.0.0/12");
    private static final Ipv4Prefix SPARE = Ipv4Prefix.parse("10.223.255.252/30");
    private static final String DOCKER = "iptables -P FORWARD DROP; iptables -N DOCKER-USER;"
            + " iptables -A DOCKER-USER -j RETURN; iptables -A FORWARD -j DOCKER-USER;"
            + " iptables -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT";
    private static final String LEGACY = "; iptables-legacy is in use here, which nobody is told of: iptables-legacy -S"
            + " FORWARD shows its rules";
    /** As {@code RealFirewallsIT} sees it. */
    private static final String FIREWALLD = """
            table inet firewalld
            delete table inet firewalld
            table inet firewalld {
              chain filter_FORWARD {
                type filter hook forward priority filter + 10; policy accept;
                ct state { established, related } accept
                ct status dnat accept
                iifname "lo" accept
                ct state invalid drop
                jump filter_FORWARD_ZONES
                reject with icmpx admin-prohibited
              }
              chain filter_FORWARD_ZONES {
                %s
                goto filter_FWD_public
              }
              chain filter_FWD_trusted {
                accept
              }
              chain filter_FWD_public {
                reject with icmpx admin-prohibited
              }
            }
            """;

    private final SecureRandom chance = new SecureRandom();
    private final Nftables nft = new Nftables();
    private Path directory = Path.of("");
    private Town town;
    private PassageProbe probe;
    private Peer outside;
    private Peer guest;
    private DesiredNetwork open;
    private DesiredNetwork listed;
    private DesiredNetwork closed;
    private String linksBefore = "";
    private String tablesBefore = "";

    /** @param commands of somebody else, for sh */
    record Row(String sentence, String commands, Passage says, String remedy) {
        @Override
        public String toString() {
            return sentence;
        }
    }

    @BeforeAll
    void build(@TempDir Path temporary) throws Exception {
        directory = temporary;
        OwnNamespace.require();
        town = new Town("passagee", directory);
        probe = new PassageProbe(town.links, nft, "passagee");
        open = network("vmb-a", "52:00:00:00:aa:01", "10.77.0.0/24", Egress.MASQUERADE, List.of());
        listed = network(
                "vmb-b",
                "52:00:00:00:aa:02",
                "10.78.0.0/24",
                Egress.MASQUERADE,
                List.of(new Destination(
                        Ipv4Prefix.parse("203.0.113.0/25"), Optional.of(new ServicePort(Protocol.UDP, 53)))));
        closed = network("vmb-c", "52:00:00:00:aa:03", "10.79.0.0/24", Egress.NONE, List.of());
        for (DesiredNetwork network : List.of(open, listed, closed)) {
            town.build(network);
        }
        town.install();
        guest = town.plug(Town.nic(open, "52:00:00:00:00:11", "10.77.0.11"), open);
        outside = town.outside();
        outside.run("nft", """
                table inet seen {
                  counter any { }
                  chain in {
                    type filter hook prerouting priority -300;
                    ip protocol != igmp counter name any
                  }
                }
                """);
    }

    private DesiredNetwork network(String bridge, String mac, String subnet, Egress egress, List<Destination> allowed) {
        return town.network(bridge, mac, subnet, egress, new NetworkPolicy(false, List.of(), allowed, List.of()));
    }

    @BeforeEach
    void look() throws Exception {
        linksBefore = links();
        tablesBefore = OwnNamespace.output("nft", "list", "tables");
    }

    @AfterEach
    void nothingIsLeft() throws Exception {
        sh("for t in $(nft list tables | grep -v ' vmlet_' | sed 's/table //; s/ /,/'); do"
                + " nft delete table $(echo $t | tr , ' '); done;"
                + " XTABLES_LOCKFILE=/proc/self/fd/0 iptables-legacy -P FORWARD ACCEPT;"
                + " XTABLES_LOCKFILE=/proc/self/fd/0 iptables-legacy -F;"
                + " sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.ipv4.conf.all.rp_filter=0");
        probe.letGo();
        probe.forgetRules();
        assertThat(links()).isEqualTo(linksBefore);
        assertThat(OwnNamespace.output("nft", "list", "tables")).isEqualTo(tablesBefore);
        assertThat(outside.packets("seen", "any")).isZero();
    }

    @AfterAll
    void tearDown() {
        if (OwnNamespace.isPrivate() && town != null) {
            nft.close();
            town.close();
        }
    }

    private static String links() throws Exception {
        return OwnNamespace.output("ip", "-brief", "link").replaceAll("(?m) .*$", "");
    }

    private static void sh(String commands) throws Exception {
        OwnNamespace.run("sh", "-ec", commands);
    }

    private ProbePacket packet(DesiredNetwork network) {
        return ProbePacket.of(network, Set.of(Ipv4Address.parse("10.77.0.254")), chance.nextInt())
                .orElseThrow();
    }

    static Stream<Row> rows() {
        Passage open = new Passage.Open();
        Passage docker = dropped(FirewallKeeper.DOCKER, "ip", "filter", "FORWARD", "FORWARD", "");
        return Stream.of(
                new Row("Nobody has a firewall", "true", open, ""),
                new Row("Reverse paths are filtered strictly", "sysctl -qw net.ipv4.conf.all.rp_filter=1", open, ""),
                new Row("Docker drops what it does not know", DOCKER, docker, docker()),
                new Row(
                        "Docker does, and br_netfilter hands bridged packets to it",
                        "sysctl -qw net.bridge.bridge-nf-call-iptables=1; " + DOCKER,
                        docker,
                        docker()),
                new Row(
                        "A rule of iptables drops what is to leave the node's first hook",
                        "iptables -t raw -A PREROUTING -s 10.0.0.0/8 -j DROP",
                        dropped(
                                FirewallKeeper.IPTABLES,
                                "ip",
                                "raw",
                                "PREROUTING",
                                "PREROUTING",
                                "ip saddr 10.0.0.0/8 drop"),
                        "iptables -t raw -I PREROUTING -i vmb-+ -j ACCEPT (and keep them for the next boot)"),
                new Row(
                        "ufw drops by its policy",
                        "iptables -P FORWARD DROP; iptables -N ufw-before-forward; iptables -A FORWARD -j"
                                + " ufw-before-forward; iptables -N ufw-user-forward; iptables -A ufw-before-forward -j"
                                + " ufw-user-forward",
                        dropped(FirewallKeeper.UFW, "ip", "filter", "FORWARD", "FORWARD", ""),
                        ""),
                new Row(
                        "ufw drops by a rule that an operator gave it",
                        "iptables -N ufw-before-forward; iptables -A FORWARD -j ufw-before-forward; iptables -N"
                                + " ufw-user-forward; iptables -A ufw-before-forward -j ufw-user-forward; iptables -A"
                                + " ufw-user-forward -d 198.41.0.0/16 -j DROP",
                        dropped(
                                FirewallKeeper.UFW,
                                "ip",
                                "filter",
                                "ufw-user-forward",
                                "FORWARD",
                                "ip daddr 198.41.0.0/16 drop"),
                        ""),
                new Row(
                        "firewalld rejects what its default zone does not know",
                        nft(FIREWALLD.formatted("")),
                        dropped(
                                FirewallKeeper.FIREWALLD,
                                "inet",
                                "firewalld",
                                "filter_FWD_public",
                                "filter_FORWARD",
                                "reject with icmpx admin-prohibited"),
                        ""),
                new Row(
                        "firewalld trusts the guests' addresses, and is reloaded",
                        nft(FIREWALLD.formatted("ip saddr 10.0.0.0/8 goto filter_FWD_trusted"))
                                + nft(FIREWALLD.formatted("ip saddr 10.0.0.0/8 goto filter_FWD_trusted")),
                        open,
                        ""),
                new Row(
                        "firewalld is in the middle of a reload",
                        nft(
                                "table inet firewalld_policy_drop { chain filter_forward { type filter hook forward priority"
                                        + " filter + 9; policy drop; ct state { established, related } accept; }; }"),
                        dropped(
                                FirewallKeeper.FIREWALLD,
                                "inet",
                                "firewalld_policy_drop",
                                "filter_forward",
                                "filter_forward",
                                ""),
                        ""),
                new Row(
                        "firewalld writes by iptables",
                        "iptables -N FORWARD_ZONES; iptables -A FORWARD -j FORWARD_ZONES; iptables -N FWD_public;"
                                + " iptables -A FORWARD_ZONES -g FWD_public; iptables -A FWD_public -j DROP",
                        dropped(FirewallKeeper.FIREWALLD, "ip", "filter", "FWD_public", "FORWARD", "drop"),
                        ""),
                new Row(
                        "A policy of Calico's drops by a rule in iptables, where Docker lets guests through",
                        DOCKER + "; iptables -I DOCKER-USER -i vmb-+ -j ACCEPT; iptables -N cali-FORWARD; iptables -I"
                                + " FORWARD -j cali-FORWARD; iptables -N cali-po-gnp/no.one; iptables -A cali-FORWARD -j"
                                + " cali-po-gnp/no.one; iptables -A cali-po-gnp/no.one -d 198.41.0.0/16 -j DROP",
                        dropped(
                                FirewallKeeper.CALICO,
                                "ip",
                                "filter",
                                "cali-po-gnp/no.one",
                                "FORWARD",
                                "ip daddr 198.41.0.0/16 drop"),
                        ""),
                new Row(
                        "A host endpoint of Calico's drops by a rule of nft",
                        nft(
                                "table ip calico { chain filter-cali-thfw-eth0 { drop; }; chain filter-FORWARD { type filter"
                                        + " hook forward priority 0; policy accept; jump filter-cali-thfw-eth0; }; }"),
                        dropped(
                                FirewallKeeper.CALICO,
                                "ip",
                                "calico",
                                "filter-cali-thfw-eth0",
                                "filter-FORWARD",
                                "drop"),
                        ""),
                new Row(
                        "A table of nft sends guests to a chain that drops them",
                        nft("table inet fw { chain f { type filter hook forward priority 0; policy accept; iifname"
                                + " \"vmb-*\" jump g; }; chain g { counter; tcp dport 443 counter drop; udp dport 53 drop;"
                                + " }; }"),
                        dropped(FirewallKeeper.NFTABLES, "inet", "fw", "g", "f", "tcp dport 443 drop"),
                        "nft insert rule inet fw f iifname \"vmb-*\" accept; nft insert rule inet fw f oifname \"vmb-*\""
                                + " accept (and keep them where that table is written)"),
                new Row(
                        "A table of nft drops behind our own last word",
                        nft("table ip late { chain p { type filter hook postrouting priority 2000; policy accept; ip"
                                + " daddr 198.41.0.4 drop; }; }"),
                        dropped(FirewallKeeper.NFTABLES, "ip", "late", "p", "p", "ip daddr 198.41.0.4 drop"),
                        ""),
                new Row(
                        "iptables-legacy drops, which no trace tells",
                        "XTABLES_LOCKFILE=/proc/self/fd/0 iptables-legacy -P FORWARD DROP",
                        new Passage.Lost("it was routed on and ended at the forward hook"
                                + (Files.isReadable(Path.of("/proc/net/ip_tables_names")) ? LEGACY : "")),
                        ""));
    }

    private static String docker() {
        return "iptables -I DOCKER-USER -i vmb-+ -o uplink -j ACCEPT; iptables -I DOCKER-USER -i uplink -o vmb-+ -j"
                + " ACCEPT; iptables -I DOCKER-USER -i vmb-+ -o vmb-+ -j ACCEPT (after Docker, at each boot and each reload of firewalld; or give the agent --manage-docker-user)";
    }

    /** The tables of iptables-legacy, once used, stay as long as the namespace. */
    private static Passage lost(String cause) {
        return new Passage.Lost(cause + (ForeignChains.legacyTables().isEmpty() ? "" : LEGACY));
    }

    private static Passage dropped(
            FirewallKeeper keeper, String family, String table, String chain, String base, String rule) {
        return new Passage.Dropped(new ForeignRule(keeper, family, table, chain, base, rule), POOL);
    }

    private static String nft(String text) {
        return "nft '" + text + "'\n";
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("rows")
    void aProbeTells(Row row) throws Exception {
        sh(row.commands());
        assertThat(probe.throughBridge(packet(open), POOL)).isEqualTo(row.says());
        assertThat(probe.alone(SPARE, POOL)).isEqualTo(row.says());
        if (!row.remedy().isEmpty() && row.says() instanceof Passage.Dropped dropped) {
            assertThat(dropped.leavingBy(Optional.of(new LinkName("uplink"))).remedy())
                    .isEqualTo(row.remedy());
            // As it is printed, but for the hint in parentheses.
            sh(row.remedy().replaceFirst(" \\(.*", ""));
            assertThat(probe.throughBridge(packet(open), POOL)).isEqualTo(new Passage.Open());
        }
    }

    @Test
    void aTableOfTheFamilyBridgeIsTriedToo() throws Exception {
        sh(nft(
                "table bridge fw { chain f { type filter hook prerouting priority 0; policy drop; ether type arp accept; };"
                        + " }"));
        Passage says = probe.throughBridge(packet(open), POOL);
        assertThat(says).isEqualTo(dropped(FirewallKeeper.NFTABLES, "bridge", "fw", "f", "f", ""));
        sh(
                "nft insert rule bridge fw f iifname \"vmt-*\" accept; nft insert rule bridge fw f oifname \"vmt-*\" accept");
        assertThat(((Passage.Dropped) says).remedy())
                .isEqualTo("nft insert rule bridge fw f iifname \"vmt-*\" accept; nft insert rule bridge fw f oifname"
                        + " \"vmt-*\" accept (and keep them where that table is written)");
        assertThat(probe.throughBridge(packet(open), POOL)).isEqualTo(new Passage.Open());
    }

    /** Nobody reads that queue here; a program that does may let the packet go on when it likes. */
    @Test
    void aPacketThatAProgramHoldsIsStillStoppedWhenItIsLetGo() throws Exception {
        sh("iptables -A FORWARD -d 198.41.0.4 -j NFQUEUE --queue-num 7");
        for (int i = 0; i < 2; i++) {
            assertThat(probe.throughBridge(packet(open), POOL))
                    .isEqualTo(new Passage.Lost("it was handed to a program (queue) by nft table ip filter, chain"
                            + " FORWARD, and nobody sees what that does"));
        }
        assertThat(OwnNamespace.output("nft", "list", "tables"))
                .contains("inet vmlet_passagee_probe\n", "inet vmlet_passagee_probe_1\n");
        probe.letGo();
        assertThat(OwnNamespace.output("nft", "list", "tables")).doesNotContain("_probe");
    }

    /** A table that is made anew gives the same handles again. */
    @Test
    void aRuleIsReadOnceAndAgainAfterAChange() throws Exception {
        String drops = "table inet fw { chain f { type filter hook forward priority 0; tcp dport %s drop; }; }";
        Passage first = dropped(FirewallKeeper.NFTABLES, "inet", "fw", "f", "f", "tcp dport 443 drop");
        sh(nft(drops.formatted("443")));
        assertThat(probe.throughBridge(packet(open), POOL)).isEqualTo(first);
        sh("nft delete table inet fw; " + nft(drops.formatted("400-500")));
        assertThat(probe.throughBridge(packet(open), POOL)).isEqualTo(first);
        probe.forgetRules();
        assertThat(probe.throughBridge(packet(open), POOL))
                .isEqualTo(dropped(FirewallKeeper.NFTABLES, "inet", "fw", "f", "f", "tcp dport 400-500 drop"));
    }

    /** The kernel tells of each, and all at once. */
    @Test
    void aPacketThatTwoThousandRulesMatchIsFollowedToItsEnd() throws Exception {
        Assumptions.assumeTrue(
                Hosts.isRootOfTheMachine(), "needs root of the machine: others' sockets hold no more than a hundred");
        Path rules = directory.resolve("many.nft");
        Files.writeString(
                rules,
                "table inet fw { chain f { type filter hook forward priority 0; " + "counter; ".repeat(2000)
                        + "tcp dport 443 drop; }; }");
        OwnNamespace.run("nft", "-f", rules.toString());
        assertThat(probe.throughBridge(packet(open), POOL))
                .isEqualTo(dropped(FirewallKeeper.NFTABLES, "inet", "fw", "f", "f", "tcp dport 443 drop"));
    }

    @Test
    void aNetworkWithAListIsTriedByWhatItAllows() throws Exception {
        assertThat(probe.throughBridge(packet(listed), POOL)).isEqualTo(new Passage.Open());
        sh(nft("table inet fw { chain f { type filter hook forward priority 0; udp dport 53 drop; }; }"));
        assertThat(probe.throughBridge(packet(listed), POOL))
                .isEqualTo(dropped(FirewallKeeper.NFTABLES, "inet", "fw", "f", "f", "udp dport 53 drop"));
        assertThat(probe.throughBridge(packet(open), POOL)).isEqualTo(new Passage.Open());
    }

    @Test
    void aNetworkThatNothingLeavesIsNotTried() {
        assertThat(ProbePacket.of(closed, Set.of(), 1)).isEmpty();
    }

    @Test
    void withoutARouteItSaysSo() throws Exception {
        sh("ip route delete default; sysctl -qw net.ipv4.conf.all.rp_filter=1");
        try {
            assertThat(probe.throughBridge(packet(open), POOL))
                    .isEqualTo(lost("the node did not route it on: there is no route to 198.41.0.4, or reverse path"
                            + " filtering (rp_filter, strict on all) does not know the way back to 10.77.0.253"));
        } finally {
            sh("ip route add default via " + OUTSIDE);
        }
    }

    @Test
    void withoutForwardingItSaysSo() throws Exception {
        town.links.setForwarding(open.bridge(), false);
        try {
            assertThat(probe.throughBridge(packet(open), POOL))
                    .isEqualTo(lost("the node did not route it on: IPv4 forwarding is off on vmb-a"));
        } finally {
            town.links.setForwarding(open.bridge(), true);
        }
    }

    /** A bridge that snoops says by IGMP which groups it is in, of its own accord. */
    @Test
    void noGuestHearsOfIt() throws Exception {
        guest.run("nft", """
                table netdev seen {
                  counter any { }
                  chain in {
                    type filter hook ingress device "eth0" priority 0;
                    meta protocol arp counter name any
                    ip protocol != igmp counter name any
                  }
                }
                """);
        sh(nft("table inet fw { chain f { type filter hook forward priority 0; reject; }; }"));
        for (int i = 0; i < 20; i++) {
            assertThat(probe.throughBridge(packet(open), POOL)).isInstanceOf(Passage.Dropped.class);
        }
        assertThat(guest.output("nft", "list", "counter", "netdev", "seen", "any"))
                .contains("packets 0 ");
    }
}
