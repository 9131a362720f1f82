package dev.vmlet.host.survey;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.vmlet.doctor.Checkup;
import dev.vmlet.doctor.Facts;
import dev.vmlet.doctor.Finding;
import dev.vmlet.doctor.Finding.Verdict;
import dev.vmlet.host.net.LinuxLinks;
import dev.vmlet.host.net.OwnNamespace;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.Link;
import dev.vmlet.model.LinkName;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A kernel that others have furnished, and what the doctor says of it. */
class SurveyIT {
    private static final String PASSES =
            "ok    a packet sent as a guest would send it passes all firewalls of this host";

    @TempDir
    private Path dir;

    @BeforeEach
    void furnish() throws Exception {
        OwnNamespace.require();
        assumeTrue(Files.isExecutable(Path.of("/usr/sbin/nft")), "needs nft, to write other people's rules");
        OwnNamespace.run("ip", "link", "add", "up0", "type", "veth", "peer", "name", "up1");
        OwnNamespace.run("ip", "address", "add", "192.168.7.2/24", "dev", "up0");
        OwnNamespace.run("ip", "link", "set", "up0", "up");
        OwnNamespace.run("ip", "link", "set", "up1", "up");
        OwnNamespace.run("ip", "route", "add", "default", "via", "192.168.7.1");
    }

    @AfterEach
    void clear() throws Exception {
        if (OwnNamespace.isPrivate()) {
            OwnNamespace.run("nft", "flush", "ruleset");
            OwnNamespace.run("ip", "link", "delete", "up0");
        }
    }

    private List<Finding> findings() throws HostException {
        Facts.Wishes wishes = new Facts.Wishes(
                true, false, Ipv4Prefix.parse("10.208.0.0/12"), new Facts.IdRange("guests", 700000, 65536), false);
        HostPaths paths = new HostPaths(dir + "/state", dir + "/run");
        return Checkup.of(new Survey(wishes, paths, List.of()).look(new Facts.Vmm("ch", "", "")));
    }

    private String about(String check) throws HostException {
        if (check.equals("firewall")) {
            // The doctor says that it could not look; what it finds when it can is root's to test.
            Path legacy = Path.of("/proc/net/ip_tables_names");
            assumeTrue(
                    Files.notExists(legacy) || Files.isReadable(legacy),
                    "needs root of the machine: " + legacy + " cannot be read in a user namespace");
        }
        return String.join(
                "\n",
                findings().stream()
                        .filter(f -> f.check().equals(check))
                        .map(Finding::toString)
                        .toList());
    }

    private static void nft(String... lines) throws Exception {
        Path script = Files.createTempFile("rules", ".nft");
        Files.writeString(script, String.join("\n", lines) + "\n");
        OwnNamespace.run("nft", "-f", script.toString());
        Files.delete(script);
    }

    private static List<LinkName> links() throws HostException {
        try (LinuxLinks links = new LinuxLinks()) {
            return links.list().stream().map(Link::name).toList();
        }
    }

    private static String said(String... command) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor(10, TimeUnit.SECONDS)).isTrue();
        return output;
    }

    @Test
    void looksAndLeavesNothing() throws Exception {
        List<LinkName> links = links();
        String rules = said("nft", "list", "ruleset");
        assertThat(about("bridge")).isEqualTo("ok    the kernel makes bridges");
        assertThat(about("nftables")).startsWith("ok    the kernel takes our ruleset (libnftables ");
        assertThat(about("firewall")).isEqualTo(PASSES);
        assertThat(about("uplink")).isEqualTo("ok    guests go out by up0");
        assertThat(about("network-pool")).startsWith("ok ");
        assertThat(about("state-dir")).contains("state directory " + dir + "/state will be made; it is on ");
        // Not equal: a tap of a test before may go meanwhile.
        assertThat(links).containsAll(links());
        assertThat(said("nft", "list", "ruleset")).isEqualTo(rules);
        assertThat(dir).isEmptyDirectory();
    }

    @Test
    void findsAPolicyThatDropsAndTheRulesThatMendIt() throws Exception {
        nft(
                "table ip filter {",
                "  chain DOCKER-USER { }",
                "  chain FORWARD { type filter hook forward priority filter; policy drop; jump DOCKER-USER; }",
                "}");
        assertThat(about("firewall"))
                .isEqualTo(
                        "warn  a packet sent as a guest would send it is dropped by the policy of iptables' FORWARD chain"
                                + " (Docker): guests reach nothing outside their Network — iptables -I DOCKER-USER -i vmb-+ -o up0 -j ACCEPT;"
                                + " iptables -I DOCKER-USER -i up0 -o vmb-+ -j ACCEPT; iptables -I DOCKER-USER -i vmb-+ -o"
                                + " vmb-+ -j ACCEPT (after Docker, at each boot and each reload of firewalld; or give the agent --manage-docker-user)");
        // What these commands of iptables-nft write.
        nft(
                "insert rule ip filter DOCKER-USER iifname \"vmb-*\" oifname up0 counter accept",
                "insert rule ip filter DOCKER-USER iifname up0 oifname \"vmb-*\" counter accept",
                "insert rule ip filter DOCKER-USER iifname \"vmb-*\" oifname \"vmb-*\" counter accept");
        assertThat(about("firewall")).isEqualTo(PASSES);
    }

    @Test
    void findsALastRuleThatRejects() throws Exception {
        nft(
                "table inet firewalld {",
                "  chain filter_FORWARD { type filter hook forward priority 10; policy accept;",
                "    ct state established,related accept",
                "    reject with icmpx admin-prohibited",
                "  }",
                "}",
                "table inet mine {",
                "  chain forwarding { type filter hook forward priority 0; policy accept; iifname \"up0\" drop; }",
                "}");
        assertThat(about("firewall"))
                .isEqualTo("warn  a packet sent as a guest would send it is dropped by the rule \"reject with icmpx"
                        + " admin-prohibited\" in chain filter_FORWARD of nft table inet firewalld (firewalld): guests"
                        + " reach nothing outside their Network — firewall-cmd --permanent"
                        + " --zone=trusted --add-source=10.208.0.0/12; firewall-cmd --reload");
        nft(
                "table inet firewalld { chain filter_FWD_trusted { accept; }",
                "}",
                "insert rule inet firewalld filter_FORWARD ip saddr 10.208.0.0/12 goto filter_FWD_trusted");
        assertThat(about("firewall")).isEqualTo(PASSES);
    }

    @Test
    void mendsAnNftTableOfSomebodyByItsOwnRemedy() throws Exception {
        nft("table bridge odd { chain f { type filter hook forward priority 0; policy drop; }", "}");
        String finding = about("firewall");
        assertThat(finding)
                .startsWith(PASSES + "\nwarn  chain f of nft table bridge odd (nftables) drops what it does not know:"
                        + " guests of one Network do not reach each other");
        String remedy = finding.substring(finding.indexOf("— ") + 2, finding.indexOf(" (and keep"));
        for (String command : remedy.split("; ")) {
            OwnNamespace.run(command.replace("\"vmt-*\"", "vmt-*").split(" "));
        }
        assertThat(about("firewall")).startsWith(PASSES + "\nok    chain f of nft table bridge odd");
    }

    @Test
    void leavesTheTablesOfAnyVmletOut() throws Exception {
        nft("table inet vmlet_bbbbbbbb { chain forward { type filter hook forward priority 0; policy drop; }", "}");
        assertThat(about("firewall"))
                .startsWith(
                        "warn  a packet sent as a guest would send it does not leave this host: a table of another vmlet"
                                + " dropped it: nft table inet vmlet_bbbbbbbb, chain forward")
                .doesNotContain("\n");
    }

    @Test
    void findsAddressesAndRoutesInThePool() throws Exception {
        OwnNamespace.run("ip", "address", "add", "10.210.0.7/16", "dev", "up0");
        OwnNamespace.run("ip", "route", "add", "10.216.0.0/13", "via", "192.168.7.1");
        assertThat(about("network-pool"))
                .isEqualTo("warn  the network pool 10.208.0.0/12 overlaps 10.210.0.7/16 of up0, the route to"
                        + " 10.216.0.0/13 by up0: a Network with one of these addresses would cut this host off from"
                        + " them — --network-pool 10.240.0.0/12 is free here, or give each Network a spec.cidr");
    }

    @Test
    void leavesOurOwnBridgesOut() throws Exception {
        OwnNamespace.run("ip", "link", "add", "vmb-test", "type", "bridge");
        OwnNamespace.run("ip", "link", "set", "vmb-test", "alias", "vmlet:bbbbbbbb:net:u", "up");
        OwnNamespace.run("ip", "address", "add", "10.208.0.1/24", "dev", "vmb-test");
        try {
            assertThat(about("network-pool")).startsWith("ok ");
        } finally {
            OwnNamespace.run("ip", "link", "delete", "vmb-test");
        }
    }

    @Test
    void aHostWithoutAWayOutIsWarned() throws Exception {
        OwnNamespace.run("ip", "route", "delete", "default");
        assertThat(findings().stream()
                        .filter(f -> f.check().equals("uplink"))
                        .map(Finding::verdict)
                        .toList())
                .containsExactly(Verdict.WARN);
    }
}
