package dev.vmlet.host.net;

import static dev.vmlet.host.net.Town.NODE_OUTSIDE;
import static dev.vmlet.host.net.Town.OUTSIDE;
import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.doctor.ForwardChain;
import dev.vmlet.doctor.ForwardChain.Let;
import dev.vmlet.doctor.ForwardChain.Side;
import dev.vmlet.host.docker.IptablesDockerChain;
import dev.vmlet.model.DesiredNetwork;
import dev.vmlet.model.DockerUser;
import dev.vmlet.model.Egress;
import dev.vmlet.model.FirewallKeeper;
import dev.vmlet.model.ForeignRule;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.NetworkPolicy;
import dev.vmlet.model.Passage;
import dev.vmlet.model.Protocol;
import dev.vmlet.model.PublishedPort;
import dev.vmlet.model.Seen;
import dev.vmlet.model.ServicePort;
import dev.vmlet.plan.ProbePacket;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The firewalls that nodes have, as Debian ships them: what the probe says of each is so, its remedy, run as it is printed,
 * lets guests out and in, and goes on to after a reload. PassageIT plays many more than these.
 */
class RealFirewallsIT {
    private static final Ipv4Prefix POOL = Ipv4Prefix.parse("10.208.0.0/12");
    private static final Ipv4Prefix SPARE = Ipv4Prefix.parse("10.223.255.252/30");
    private static final LinkName UPLINK = new LinkName("uplink");
    private static final Passage OPEN = new Passage.Open();
    private static final Duration PATIENCE = Duration.ofSeconds(20);
    private static final int SHUT_MILLIS = 600;
    private static final int NODES_OWN = 9100;
    private static final int OPEN_MILLIS = 8000;
    private static final String FIREWALLD_REMEDY =
            "firewall-cmd --permanent --zone=trusted --add-source=10.208.0.0/12; firewall-cmd --reload";

    private static final String UFW_REMEDY = "ufw route allow from 10.208.0.0/12; ufw route allow to 10.208.0.0/12";

    /** Where these programs would leave something, if it were the machine's own. */
    private static final List<Path> THEIRS = Stream.of(
                    "/etc/ufw/user.rules",
                    "/etc/ufw/before.rules",
                    "/etc/firewalld/zones/trusted.xml",
                    "/etc/docker",
                    "/var/lib/docker",
                    "/var/lib/containerd",
                    "/run/docker",
                    "/run/docker.sock",
                    "/run/firewalld",
                    "/run/ufw.lock")
            .map(Path::of)
            .toList();

    private final SecureRandom chance = new SecureRandom();
    private final Nftables nft = new Nftables();
    private Town town;
    private PassageProbe probe;
    private DesiredNetwork network;
    private Peer guest;
    private Peer outside;

    @TempDir
    private Path dir;

    private String linksBefore = "";
    private String forwardingBefore = "";
    private List<Path> theirsBefore = List.of();

    @BeforeEach
    void build() throws Exception {
        RealFirewalls.require();
        linksBefore = links();
        forwardingBefore = OwnNamespace.output("sysctl", "-n", "net.ipv4.ip_forward");
        theirsBefore = THEIRS.stream().filter(Files::exists).toList();
        town = new Town("realfire", dir);
        probe = new PassageProbe(town.links, nft, "realfire");
        network = town.network(
                "vmb-a",
                "52:00:00:00:aa:01",
                "10.208.7.0/24",
                Egress.MASQUERADE,
                new NetworkPolicy(false, List.of(), List.of(), List.of(new ServicePort(Protocol.TCP, NODES_OWN))));
        town.build(network);
        town.install();
        guest = town.plug(
                Town.publishing(
                        Town.nic(network, "52:00:00:00:00:11", "10.208.7.11"),
                        new PublishedPort(new ServicePort(Protocol.TCP, 8080), 80)),
                network);
        outside = town.outside();
    }

    @AfterEach
    void nothingIsLeft() throws Exception {
        if (town == null) {
            return;
        }
        nft.close();
        town.close();
        OwnNamespace.run("nft", "flush ruleset");
        // Docker leaves its bridge; a peer's namespace may live on for a while, and longer where this JVM has a socket
        // in it.
        for (String link : links().lines().toList()) {
            if (!linksBefore.contains(link)) {
                OwnNamespace.exitOf("ip", "link", "delete", link.replaceFirst("@.*", ""));
            }
        }
        OwnNamespace.run("sysctl", "-qw", "net.ipv4.ip_forward=" + forwardingBefore.strip());
        assertThat(links()).isEqualTo(linksBefore);
        assertThat(THEIRS.stream().filter(Files::exists)).isEqualTo(theirsBefore);
    }

    private static String links() throws Exception {
        return OwnNamespace.output("ip", "-brief", "link").replaceAll("(?m) .*$", "");
    }

    private RealFirewalls firewalls(String... programs) throws Exception {
        return town.keep(RealFirewalls.moveIn(Files.createDirectory(dir.resolve("memory")), programs));
    }

    private Passage says() throws Exception {
        probe.forgetRules();
        Passage ofGuest = probe.throughBridge(
                ProbePacket.of(network, Set.of(), chance.nextInt()).orElseThrow(), POOL);
        assertThat(probe.alone(SPARE, POOL)).as("without a Network").isEqualTo(ofGuest);
        return ofGuest;
    }

    private static Passage dropped(
            FirewallKeeper keeper, String family, String table, String chain, String base, String rule) {
        return new Passage.Dropped(new ForeignRule(keeper, family, table, chain, base, rule), POOL);
    }

    /** As it is printed, but for the hint in parentheses. */
    private static void runRemedy(RealFirewalls firewalls, Passage says, String expected) throws Exception {
        String remedy = ((Passage.Dropped) says).leavingBy(Optional.of(UPLINK)).remedy();
        assertThat(remedy).isEqualTo(expected);
        firewalls.sh(remedy.replaceFirst(" \\(.*", ""));
    }

    private boolean guestGetsOut(int millis) throws Exception {
        return connects(outside, 443, guest, OUTSIDE, 443, millis);
    }

    private boolean portIsReached(int millis) throws Exception {
        return connects(guest, 80, outside, NODE_OUTSIDE, 8080, millis);
    }

    /** The port of the node that the Network opens. */
    private boolean nodeIsReached(int millis) throws Exception {
        try (ServerSocket _ = new ServerSocket(NODES_OWN);
                Socket _ = guest.within(() -> connect("10.208.7.1", NODES_OWN, millis))) {
            return true;
        } catch (IOException e) {
            return false;
        }
    }

    private static boolean connects(Peer server, int port, Peer client, String address, int at, int millis)
            throws Exception {
        try (ServerSocket _ = server.within(() -> new ServerSocket(port));
                Socket _ = client.within(() -> connect(address, at, millis))) {
            return true;
        } catch (IOException e) {
            return false;
        }
    }

    private static Socket connect(String address, int port, int millis) throws IOException {
        Socket socket = new Socket();
        try {
            socket.connect(new InetSocketAddress(address, port), millis);
            return socket;
        } catch (IOException e) {
            socket.close();
            throw e;
        }
    }

    private void isShut() throws Exception {
        assertThat(guestGetsOut(SHUT_MILLIS)).as("a guest gets out").isFalse();
    }

    private void isOpen() throws Exception {
        assertThat(says()).isEqualTo(OPEN);
        assertThat(guestGetsOut(OPEN_MILLIS)).as("a guest gets out").isTrue();
        assertThat(portIsReached(OPEN_MILLIS)).as("its port is reached").isTrue();
    }

    /** A connection that a guest has is not hurt by what is done meanwhile. */
    private void throughAConnection(Callable<Void> work) throws Exception {
        try (ServerSocket listening = outside.within(() -> new ServerSocket(22));
                Socket client = guest.within(() -> connect(OUTSIDE, 22, OPEN_MILLIS));
                Socket accepted = listening.accept()) {
            accepted.setSoTimeout(OPEN_MILLIS);
            work.call();
            client.getOutputStream().write(42);
            assertThat(accepted.getInputStream().read()).isEqualTo(42);
        }
    }

    private String ourTables() throws Exception {
        return (OwnNamespace.output("nft", "list", "table", "inet", town.names().table())
                        + OwnNamespace.output(
                                "nft", "list", "table", "bridge", town.names().table()))
                .replaceAll("packets \\d+ bytes \\d+", "");
    }

    /** What doctor reads of the only chain that drops forwarded packets. */
    private static List<Let> lets() {
        try (ForeignFirewalls firewalls = new ForeignFirewalls()) {
            List<ForwardChain> dropping = ((Seen.Present<List<ForwardChain>>) firewalls.forwarding())
                    .value().stream().filter(ForwardChain::drops).toList();
            assertThat(dropping).hasSize(1);
            return dropping.getFirst().lets();
        }
    }

    /** Everything that iptables of either family keeps, in its order. */
    private static List<String> iptables(RealFirewalls firewalls) throws Exception {
        return firewalls
                .output("iptables-save; ip6tables-save")
                .lines()
                .filter(line -> !line.startsWith("#"))
                .map(line -> line.replaceFirst(" \\[\\d+:\\d+]$", ""))
                .toList();
    }

    private static final Passage DOCKER = dropped(FirewallKeeper.DOCKER, "ip", "filter", "FORWARD", "FORWARD", "");

    private static final String DOCKER_REMEDY = "iptables -I DOCKER-USER -i vmb-+ -o uplink -j ACCEPT; iptables -I"
            + " DOCKER-USER -i uplink -o vmb-+ -j ACCEPT; iptables -I DOCKER-USER -i vmb-+ -o vmb-+ -j ACCEPT (after"
            + " Docker, at each boot and each reload of firewalld; or give the agent --manage-docker-user)";

    @Test
    void dockerDropsWhatItDoesNotKnowAndThreeRulesLetGuestsThroughButToNoContainer() throws Exception {
        RealFirewalls firewalls = firewalls("dockerd", "iptables");
        firewalls.startDocker();
        Peer container = town.keep(Peer.plug("container", "52:00:00:00:00:71", "172.17.0.2/16", "172.17.0.1"));
        OwnNamespace.run("ip", "link", "set", "container", "master", "docker0");
        Passage says = says();
        assertThat(says).isEqualTo(DOCKER);
        isShut();
        assertThat(portIsReached(SHUT_MILLIS)).isFalse();
        runRemedy(firewalls, says, DOCKER_REMEDY);
        isOpen();
        assertThat(lets())
                .contains(
                        new Let(Side.FROM, "vmb-*"),
                        new Let(Side.TO, "uplink"),
                        new Let(Side.FROM, "uplink"),
                        new Let(Side.TO, "vmb-*"));
        assertThat(connects(outside, 443, container, OUTSIDE, 443, OPEN_MILLIS))
                .as("a container gets out as before")
                .isTrue();
        assertThat(connects(container, 80, guest, "172.17.0.2", 80, SHUT_MILLIS))
                .as("a guest reaches a container")
                .isFalse();
        assertThat(connects(guest, 80, container, "10.208.7.11", 80, SHUT_MILLIS))
                .as("a container reaches a guest")
                .isFalse();
    }

    private IptablesDockerChain chain(RealFirewalls firewalls) {
        return new IptablesDockerChain(
                true, town.installation, firewalls.entry(), dir.resolve("docker-user"), System::nanoTime);
    }

    private static Seen<DockerUser> look(IptablesDockerChain chain) {
        assertThat(chain.disturbed()).isIn(true, false);
        return chain.look(Optional.of(UPLINK));
    }

    private static final List<String> OUR_RULES = List.of(
            "-A DOCKER-USER -i vmb-+ -o uplink -m comment --comment \"vmlet:realfire\" -j ACCEPT",
            "-A DOCKER-USER -i uplink -o vmb-+ -m comment --comment \"vmlet:realfire\" -j ACCEPT",
            "-A DOCKER-USER -i vmb-+ -o vmb-+ -m comment --comment \"vmlet:realfire\" -j ACCEPT");

    @Test
    void threeRulesInDockersChainAreAllThatWeWriteAndLastThroughARestartOfDocker() throws Exception {
        RealFirewalls firewalls = firewalls("dockerd", "iptables");
        IptablesDockerChain chain = chain(firewalls);
        assertThat(look(chain)).isEqualTo(Seen.missing());
        firewalls.startDocker();
        List<String> before = iptables(firewalls);
        assertThat(look(chain)).isEqualTo(Seen.present(new DockerUser(true, false, false, false)));
        chain.accept(UPLINK);
        assertThat(look(chain)).isEqualTo(Seen.present(new DockerUser(true, true, true, true)));
        List<String> with = iptables(firewalls);
        assertThat(with).containsSubsequence(OUR_RULES);
        List<String> rest = new ArrayList<>(with);
        OUR_RULES.forEach(rest::remove);
        assertThat(rest).isEqualTo(before);
        isOpen();

        throughAConnection(() -> {
            firewalls.stop("dockerd");
            assertThat(look(chain)).isEqualTo(Seen.present(new DockerUser(true, true, true, true)));
            isOpen();
            firewalls.startDocker();
            return null;
        });
        assertThat(look(chain)).isEqualTo(Seen.present(new DockerUser(true, true, true, true)));
        assertThat(iptables(firewalls)).isEqualTo(with);
        isOpen();

        chain.withdraw();
        assertThat(iptables(firewalls)).isEqualTo(before);
        assertThat(look(chain)).isEqualTo(Seen.present(new DockerUser(true, false, false, false)));
        assertThat(says()).isEqualTo(DOCKER);
    }

    /** Docker gives firewalld its rules then, and makes them again when that has forgotten them. */
    @Test
    void whereBothAreEachIsToldOfAndAReloadMakesDockersChainAnewWithoutOurRules() throws Exception {
        RealFirewalls firewalls = firewalls("dockerd", "iptables", "firewalld", "firewall-cmd", "dbus-daemon");
        IptablesDockerChain chain = chain(firewalls);
        firewalls.startFirewalld();
        firewalls.startDocker();
        assertThat(says()).isEqualTo(DOCKER);
        chain.accept(UPLINK);
        runRemedy(firewalls, says(), FIREWALLD_REMEDY);

        // That was a reload.
        for (String again : List.of("true", "firewall-cmd --complete-reload")) {
            firewalls.sh(again);
            awaitLook(chain, new DockerUser(true, true, false, false));
            chain.accept(UPLINK);
            assertThat(look(chain)).isEqualTo(Seen.present(new DockerUser(true, true, true, true)));
            isOpen();
        }
        chain.withdraw();
        assertThat(iptables(firewalls)).doesNotContainAnyElementsOf(OUR_RULES);
    }

    private static void awaitLook(IptablesDockerChain chain, DockerUser seen) {
        Awaitility.await()
                .atMost(PATIENCE)
                .untilAsserted(() -> assertThat(look(chain)).isEqualTo(Seen.present(seen)));
    }

    private static final Passage FIREWALLD = dropped(
            FirewallKeeper.FIREWALLD,
            "inet",
            "firewalld",
            "filter_FWD_public",
            "filter_FORWARD",
            "reject with icmpx admin-prohibited");

    @Test
    void firewalldTrustsGuestsAsToldAndReloadsTouchNeitherThemNorOurTables() throws Exception {
        RealFirewalls firewalls = firewalls("firewalld", "firewall-cmd", "dbus-daemon");
        String ours = ourTables();
        firewalls.startFirewalld();
        Passage says = says();
        assertThat(says).isEqualTo(FIREWALLD);
        isShut();
        assertThat(ourTables()).isEqualTo(ours);
        runRemedy(firewalls, says, FIREWALLD_REMEDY);
        isOpen();
        for (String again : List.of("firewall-cmd --reload", "firewall-cmd --complete-reload")) {
            throughAConnection(() -> {
                firewalls.sh(again);
                return null;
            });
            isOpen();
            assertThat(ourTables()).isEqualTo(ours);
        }
        assertThat(lets()).contains(new Let(Side.FROM, POOL.toString()));
        assertThat(nodeIsReached(OPEN_MILLIS)).isTrue();
        firewalls.stop("firewalld");
        isOpen();
        assertThat(ourTables()).isEqualTo(ours);
    }

    @Test
    void firewalldInPanicOrStuckInAReloadIsToldToGoOn() throws Exception {
        RealFirewalls firewalls = firewalls("firewalld", "firewall-cmd", "dbus-daemon");
        firewalls.startFirewalld();
        firewalls.sh(FIREWALLD_REMEDY + "; firewall-cmd --panic-on");
        Passage says = says();
        assertThat(says)
                .isEqualTo(dropped(
                        FirewallKeeper.FIREWALLD,
                        "inet",
                        "firewalld_policy_drop",
                        "raw_prerouting",
                        "raw_prerouting",
                        ""));
        isShut();
        runRemedy(firewalls, says, "firewall-cmd --panic-off");
        isOpen();
        // As it does by itself at the beginning of a reload; one that is killed in it leaves this behind.
        firewalls.sh("nft add table inet firewalld_policy_drop; nft add chain inet firewalld_policy_drop filter_forward"
                + " '{ type filter hook forward priority filter + 9; policy drop; }'");
        runRemedy(firewalls, says(), "firewall-cmd --reload (nothing is left to do where that was just running)");
        isOpen();
    }

    @Test
    void firewalldThatWritesByIptablesIsKnownAllTheSame() throws Exception {
        RealFirewalls firewalls = firewalls("firewalld", "firewall-cmd", "dbus-daemon", "iptables");
        firewalls.sh("sed -i 's/^FirewallBackend=.*/FirewallBackend=iptables/' /etc/firewalld/firewalld.conf");
        firewalls.startFirewalld();
        Passage says = says();
        assertThat(says)
                .isInstanceOfSatisfying(
                        Passage.Dropped.class,
                        dropped -> assertThat(dropped.by().what())
                                .startsWith("the rule \"")
                                .endsWith("\" in iptables' FWD_public chain (firewalld)"));
        isShut();
        runRemedy(firewalls, says, FIREWALLD_REMEDY);
        isOpen();
        assertThat(lets()).contains(new Let(Side.FROM, POOL.toString()));
        firewalls.sh("firewall-cmd --complete-reload");
        isOpen();
    }

    @Test
    void ufwRoutesGuestsAsToldAndGoesOnToAfterAReloadAndABoot() throws Exception {
        RealFirewalls firewalls = firewalls("ufw", "iptables");
        String ours = ourTables();
        assertThat(nodeIsReached(OPEN_MILLIS)).isTrue();
        firewalls.sh("ufw default deny routed; ufw --force enable");
        Passage says = says();
        assertThat(says).isEqualTo(dropped(FirewallKeeper.UFW, "ip", "filter", "FORWARD", "FORWARD", ""));
        isShut();
        assertThat(portIsReached(SHUT_MILLIS)).isFalse();
        runRemedy(firewalls, says, UFW_REMEDY);
        isOpen();
        for (String again : List.of("ufw reload", "/lib/ufw/ufw-init force-stop; /lib/ufw/ufw-init start")) {
            throughAConnection(() -> {
                firewalls.sh(again);
                return null;
            });
            isOpen();
        }
        assertThat(lets()).contains(new Let(Side.FROM, POOL.toString()), new Let(Side.TO, POOL.toString()));
        assertThat(nodeIsReached(SHUT_MILLIS))
                .as("hostAccess, which README says ufw closes")
                .isFalse();
        firewalls.sh("ufw allow from 10.208.0.0/12 to any port " + NODES_OWN);
        assertThat(nodeIsReached(OPEN_MILLIS)).isTrue();
        assertThat(ourTables()).isEqualTo(ours);
    }

    /** They share the table. */
    @Test
    void whereDockerAndUfwAreWhatUfwIsToldIsEnoughForBoth() throws Exception {
        RealFirewalls firewalls = firewalls("dockerd", "ufw", "iptables");
        firewalls.sh("ufw default deny routed; ufw --force enable");
        firewalls.startDocker();
        Passage says = says();
        assertThat(says).isEqualTo(dropped(FirewallKeeper.UFW, "ip", "filter", "FORWARD", "FORWARD", ""));
        isShut();
        runRemedy(firewalls, says, UFW_REMEDY);
        isOpen();
    }

    @Test
    void ufwWithARuleOfTheOperatorsAgainstGuestsIsGivenOneBeforeIt() throws Exception {
        RealFirewalls firewalls = firewalls("ufw", "iptables");
        firewalls.sh("ufw default reject routed; ufw --force enable");
        assertThat(says()).isInstanceOfSatisfying(Passage.Dropped.class, dropped -> {
            assertThat(dropped.by().chain()).isEqualTo("ufw-reject-forward");
            assertThat(dropped.remedy()).isEqualTo(UFW_REMEDY);
        });
        firewalls.sh("ufw route deny from any");
        Passage says = says();
        assertThat(says).isEqualTo(dropped(FirewallKeeper.UFW, "ip", "filter", "ufw-user-forward", "FORWARD", "drop"));
        isShut();
        runRemedy(
                firewalls,
                says,
                "ufw route prepend allow from 10.208.0.0/12; ufw route prepend allow to 10.208.0.0/12");
        isOpen();
    }
}
