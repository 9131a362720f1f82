package dev.vmlet.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.api.Condition;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Objects;
import java.util.Set;
import org.awaitility.Awaitility;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.TestMethodOrder;
import org.junit.jupiter.api.extension.ExtendWith;

/** What is not ours is left alone, though it bear our name, and the clash is told. */
@ExtendWith(EndToEnd.class)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class ForeignE2E {
    private static final String NS = "foreign";
    private static final String KEPT = "kept-in";

    private @Nullable AgentProcess second;

    @Test
    @Order(1)
    void aForeignBridgeUnderOurNameIsLeftAlone(Cluster cluster) {
        AgentProcess agent = cluster.agent();
        cluster.namespace(NS);
        cluster.apply(Cluster.network(NS, "lab"));
        String bridge = agent.names().bridge(cluster.uid(NS, "vmnet", "lab")).value();
        ip("link", "add", "name", bridge, "type", "bridge");
        ip("addr", "add", "198.51.100.1/24", "dev", bridge);
        ip("link", "set", bridge, "up");
        String before = link(bridge);

        cluster.apply(cluster.tiny(NS, "web", "a", "lab"));
        Cluster.await(
                "the Network tells the clash",
                Cluster.SOON,
                () -> cluster.events(NS, "Network", "lab").stream()
                        .anyMatch(e ->
                                e.startsWith("Warning ForeignObject: link " + bridge + " exists and is not ours")));
        Cluster.await("the VM waits for its Network", Cluster.SOON, () -> {
            Condition ready = cluster.condition(NS, "web", "NetworkReady").orElseThrow();
            return ready.status() == Condition.Status.False;
        });
        assertThat(cluster.kubectl("get", "networkslice", "-n", NS, "-o", "yaml"))
                .contains("ForeignObject");
        assertThat(link(bridge)).isEqualTo(before);
        Cluster.await(
                "no guest runs",
                Cluster.SOON,
                () -> Leftovers.now(agent).processes().isEmpty());

        ip("link", "del", bridge);
        cluster.awaitReady(NS, "web");
        assertThat(cluster.guest(NS, "web").ssh("hostname")).isEqualTo("web");
    }

    @Test
    @Order(2)
    void aForeignTapUnderOurNameIsLeftAlone(Cluster cluster) {
        AgentProcess agent = cluster.agent();
        cluster.apply(
                cluster.tiny(NS, "next", "a", "lab").replace("nodeName: a", "nodeName: a\n  runStrategy: Halted"));
        String tap = agent.names().tap(cluster.uid(NS, "vm", "next"), "lab").value();
        ip("tuntap", "add", "name", tap, "mode", "tap", "user", "12345");
        ip("link", "set", tap, "up");
        String before = link(tap);

        cluster.kubectl(
                "patch", "vm", "next", "-n", NS, "--type=merge", "-p", "{\"spec\":{\"runStrategy\":\"Always\"}}");
        Cluster.await(
                "the VM tells the clash",
                Cluster.SOON,
                () -> cluster.events(NS, "VirtualMachine", "next").stream()
                        .anyMatch(e -> e.startsWith("Warning ForeignObject: link " + tap + " exists and is not ours")));
        Cluster.await(
                "and keeps it in a condition",
                Cluster.SOON,
                () -> cluster.kubectl("get", "vm", "next", "-n", NS, "-o", "jsonpath={.status.conditions[*].reason}")
                        .contains("ForeignObject"));
        assertThat(link(tap)).isEqualTo(before);
        assertThat(cluster.guest(NS, "web").ssh("hostname")).as("the neighbour").isEqualTo("web");

        // Deleting the object must not take the stranger along.
        cluster.kubectl("delete", "vm", "next", "-n", NS, "--timeout=90s");
        assertThat(link(tap)).isEqualTo(before);
        ip("link", "del", tap);
    }

    @Test
    @Order(3)
    void twoInstallationsShareAHost(Cluster cluster) {
        AgentProcess first = cluster.agent();
        AgentProcess other = cluster.newAgent("b");
        second = other;
        other.start();
        assertThat(other.installation()).isNotEqualTo(first.installation());
        Cluster.Life life = cluster.life(NS, "web");
        cluster.apply(Cluster.network(NS, "wide") + cluster.tiny(NS, "beside", "b", "wide"));
        cluster.awaitReady(NS, "beside");
        assertThat(cluster.guest(NS, "beside").ssh("hostname")).isEqualTo("beside");
        assertThat(cluster.guest(NS, "beside").ssh("ping -c 2 -W 3 " + Outside.ADDRESS))
                .contains(" 0% packet loss");
        assertThat(cluster.life(NS, "web")).isEqualTo(life);

        // The first one's guest and Network leave. The uplink still forwards for the second, and so the first keeps its
        // note of how it found that.
        cluster.kubectl("delete", "vm", "web", "-n", NS, "--timeout=120s");
        Cluster.await(
                "the first has nothing left but its note about the uplink",
                Cluster.SOON,
                () -> Leftovers.now(first)
                        .files()
                        .equals(Set.of(first.stateDir()
                                .resolve("forwarding")
                                .resolve(Outside.UPLINK)
                                .toString())));
        assertThat(cluster.guest(NS, "beside").ssh("hostname")).isEqualTo("beside");
        assertThat(cluster.guest(NS, "beside").ssh("ping -c 2 -W 3 " + Outside.ADDRESS))
                .as("the second never lost its way out")
                .contains(" 0% packet loss");

        cluster.kubectl("delete", "vm,vmnet", "--all", "-n", NS, "--timeout=120s");
        Leftovers.awaitNone(first, other);
        assertThat(Path.of("/proc/sys/net/ipv4/conf", Outside.UPLINK, "forwarding"))
                .as("forwarding of the uplink, as it was found")
                .content()
                .isEqualToIgnoringNewLines("0");
    }

    @Test
    @Order(4)
    void aRuleThatKeepsAGuestInIsNamedWithWhatLetsItOut(Cluster cluster) {
        AgentProcess agent = cluster.agent();
        cluster.namespace(KEPT);
        cluster.apply(Cluster.network(KEPT, "kept") + cluster.tiny(KEPT, "kept", "a", "kept"));
        cluster.awaitReady(KEPT, "kept");
        Cluster.Life life = cluster.life(KEPT, "kept");
        // A way out that was tried in vain, for want of a processor, is tried again.
        Awaitility.await("nothing keeps the guest in")
                .atMost(Duration.ofMinutes(2))
                .pollInterval(Duration.ofMillis(250))
                .untilAsserted(() -> {
                    Condition open = networkReady(cluster);
                    assertThat(open.status()).as(open.message()).isEqualTo(Condition.Status.True);
                });
        sh("iptables -P FORWARD DROP; iptables -N DOCKER-USER; iptables -A FORWARD -j DOCKER-USER;"
                + " iptables -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT");
        try {
            Cluster.await(
                    "the condition names the rule",
                    Cluster.SOON,
                    () -> "ForeignRuleDrops".equals(networkReady(cluster).reason()));
            assertThat(cluster.guest(KEPT, "kept").ssh("ping -c 2 -W 2 " + Outside.ADDRESS + " || true"))
                    .contains(" 100% packet loss");
            assertThat(cluster.events(KEPT, "Network", "kept"))
                    .anyMatch(e ->
                            e.startsWith("Warning ForeignRuleDrops: what guests of Network kept send out of this node"
                                    + " is dropped by the policy of iptables' FORWARD chain (Docker)"));
            String message = Objects.requireNonNull(networkReady(cluster).message());
            // As a person would take it from there.
            sh(message.replaceFirst(".* to let them through: ", "").replaceFirst(" \\(.*", ""));
            Cluster.await(
                    "the condition is true again",
                    Cluster.SOON,
                    () -> networkReady(cluster).status() == Condition.Status.True);
            assertThat(cluster.guest(KEPT, "kept").ssh("ping -c 2 -W 3 " + Outside.ADDRESS))
                    .contains(" 0% packet loss");
            assertThat(cluster.life(KEPT, "kept")).isEqualTo(life);
        } finally {
            sh("nft delete table ip filter");
        }
        cluster.kubectl("delete", "vm,vmnet", "--all", "-n", KEPT, "--timeout=120s");
        Leftovers.awaitNone(agent);
    }

    private static Condition networkReady(Cluster cluster) {
        return cluster.condition(KEPT, "kept", "NetworkReady").orElseThrow();
    }

    private static void sh(String commands) {
        Command.of("sh", "-ec", commands).run().mustSucceed();
    }

    @Test
    @Order(5)
    void aSecondAgentOnTheSameStateIsRefused(Cluster cluster) {
        AgentProcess first = cluster.agent();
        String refusal = first.startAgain();
        assertThat(refusal).contains(first.stateDir().toString()).doesNotContain("agent started");
        assertThat(first.isAlive()).isTrue();
        Objects.requireNonNull(second).terminate();
    }

    private static void ip(String... arguments) {
        java.util.List<String> command = new java.util.ArrayList<>(java.util.List.of("ip"));
        command.addAll(java.util.List.of(arguments));
        Command.of(command).run().mustSucceed();
    }

    /** Everything ip says about it, and its addresses. */
    private static String link(String name) {
        return Command.of("ip", "-d", "addr", "show", name)
                .run()
                .mustSucceed()
                .replaceAll("_timer +[0-9.]+", "_timer")
                .replace(" tentative", "");
    }
}
