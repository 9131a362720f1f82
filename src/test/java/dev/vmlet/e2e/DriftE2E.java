package dev.vmlet.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import java.net.InetSocketAddress;
import java.net.Socket;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.TestMethodOrder;
import org.junit.jupiter.api.extension.ExtendWith;

/** What others break on the host is seen and put right, and an Event says what happened. */
@ExtendWith(EndToEnd.class)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class DriftE2E {
    private static final String NS = "drift";

    private boolean applied;

    @BeforeEach
    void boot(Cluster cluster) {
        cluster.agent();
        if (!applied) {
            applied = true;
            cluster.namespace(NS);
            cluster.apply(Cluster.network(NS, "lab") + cluster.tiny(NS, "web", "a", "lab"));
        }
        cluster.awaitReady(NS, "web");
        awaitReachable(cluster);
    }

    // First: a bridge that is gone lets go of the tap too, and the same words are told once in ten minutes.
    @Test
    @Order(1)
    void aTapPulledOutOfItsBridgeIsPutBack(Cluster cluster) {
        repaired(
                cluster,
                () -> ip("link", "set", tap(cluster), "nomaster"),
                "VirtualMachine",
                "web",
                "the tap is in no bridge");
    }

    @Test
    @Order(2)
    void aDeletedBridgeComesBackWithItsGuests(Cluster cluster) {
        repaired(
                cluster,
                () -> ip("link", "del", bridge(cluster)),
                "Network",
                "lab",
                "the bridge of Network drift/lab is gone");
        assertThat(link(tap(cluster))).contains("master " + bridge(cluster));
    }

    @Test
    @Order(3)
    void aBridgeThatWasSetDownIsSetUp(Cluster cluster) {
        repaired(cluster, () -> ip("link", "set", bridge(cluster), "down"), "Network", "lab", "the bridge is down");
    }

    @Test
    @Order(4)
    void aDeletedTableIsInstalledAgain(Cluster cluster) {
        String table = "vmlet_" + cluster.agent().installation();
        for (String family : List.of("inet", "bridge")) {
            List<String> before = nft("list", "table", family, table).lines().toList();
            repaired(
                    cluster,
                    () -> nft("delete", "table", family, table),
                    "VmNode",
                    "a",
                    "install the firewall tables " + table);
            assertThat(nft("list", "table", family, table).lines().map(DriftE2E::withoutCounts))
                    .containsExactlyInAnyOrderElementsOf(
                            before.stream().map(DriftE2E::withoutCounts).toList());
        }
    }

    @Test
    @Order(5)
    void aDeletedElementOfAGuestIsAddedAgain(Cluster cluster) {
        String table = "vmlet_" + cluster.agent().installation();
        repaired(
                cluster,
                () -> nft(
                        "delete",
                        "element",
                        "bridge",
                        table,
                        "ok4",
                        "{ \"" + tap(cluster) + "\" . " + mac(cluster) + " . " + cluster.address(NS, "web") + " }"),
                "VirtualMachine",
                "web",
                "admit ok4{" + tap(cluster));
    }

    @Test
    @Order(6)
    void aDeletedElementOfANetworkIsAddedAgain(Cluster cluster) {
        String table = "vmlet_" + cluster.agent().installation();
        repaired(
                cluster,
                () -> nft("delete", "element", "inet", table, "bridges", "{ \"" + bridge(cluster) + "\" }"),
                "Network",
                "lab",
                "the firewall lost members of drift/lab");
    }

    @Test
    @Order(7)
    void aGuestWhoseTapWasDeletedIsStartedAgain(Cluster cluster) {
        Cluster.Life life = cluster.life(NS, "web");
        List<String> told = told(cluster, "VirtualMachine", "web");
        ip("link", "del", tap(cluster));
        awaitEvent(cluster, told, "VirtualMachine", "web", "tap was deleted");
        awaitAnotherLife(cluster, life);
    }

    @Test
    @Order(8)
    void aKilledVmmIsStartedAgain(Cluster cluster) {
        Cluster.Life life = cluster.life(NS, "web");
        int restarts = restarts(cluster);
        List<String> told = told(cluster, "VirtualMachine", "web");
        Command.of("kill", "-9", String.valueOf(life.pid())).run().mustSucceed();
        awaitEvent(cluster, told, "VirtualMachine", "web", "VmmKilled");
        awaitAnotherLife(cluster, life);
        assertThat(restarts(cluster)).isEqualTo(restarts + 1);
        assertThat(cluster.kubectl("get", "vm", "web", "-n", NS, "-o", "jsonpath={.status.lastExit.reason}"))
                .isEqualTo("VmmKilled");
    }

    @Test
    @Order(Integer.MAX_VALUE)
    void afterAllThatDeletionLeavesNothing(Cluster cluster) {
        cluster.kubectl("delete", "vm,vmnet", "--all", "-n", NS, "--timeout=120s");
        Leftovers.awaitNone(cluster.agent());
    }

    /** The deed is undone, told with those words, and the guest noticed no more than some lost packets. */
    private static void repaired(Cluster cluster, Runnable deed, String kind, String name, String words) {
        Cluster.Life life = cluster.life(NS, "web");
        List<String> told = told(cluster, kind, name);
        deed.run();
        awaitEvent(cluster, told, kind, name, words);
        awaitReachable(cluster);
        assertThat(cluster.guest(NS, "web").ssh("ping -c 1 -W 5 " + Outside.ADDRESS))
                .contains(" 0% packet loss");
        assertThat(cluster.life(NS, "web")).isEqualTo(life);
    }

    private static void awaitAnotherLife(Cluster cluster, Cluster.Life old) {
        Cluster.await("another process and an open port", Cluster.BOOT, () -> {
            Cluster.Life now = cluster.life(NS, "web");
            return now.pid() != null
                    && !Objects.equals(now.pid(), old.pid())
                    && cluster.condition(NS, "web", "Ready").orElseThrow().status()
                            == dev.vmlet.api.Condition.Status.True;
        });
        assertThat(cluster.address(NS, "web")).isEqualTo(old.address());
        assertThat(cluster.guest(NS, "web").ssh("hostname")).isEqualTo("web");
    }

    private static List<String> told(Cluster cluster, String kind, String name) {
        return cluster.events(kind.equals("VmNode") ? "default" : NS, kind, name);
    }

    private static void awaitEvent(Cluster cluster, List<String> before, String kind, String name, String words) {
        Cluster.await("an Event of " + kind + " " + name + " that says: " + words, Cluster.SOON, () -> {
            List<String> news = new ArrayList<>(told(cluster, kind, name));
            before.forEach(news::remove);
            return news.stream().anyMatch(e -> e.contains(words));
        });
    }

    private static void awaitReachable(Cluster cluster) {
        Cluster.await("port 22 answers", Cluster.SOON, () -> {
            try (Socket socket = new Socket()) {
                socket.connect(new InetSocketAddress(cluster.address(NS, "web"), 22), 2_000);
                return true;
            }
        });
    }

    private static int restarts(Cluster cluster) {
        return Objects.requireNonNullElse(
                Objects.requireNonNull(cluster.vm(NS, "web").getStatus()).restarts(), 0);
    }

    private static String mac(Cluster cluster) {
        return cluster.kubectl("get", "vm", "web", "-n", NS, "-o", "jsonpath={.status.addresses[0].mac}");
    }

    private static String bridge(Cluster cluster) {
        return cluster.agent().names().bridge(cluster.uid(NS, "vmnet", "lab")).value();
    }

    private static String tap(Cluster cluster) {
        return cluster.agent().names().tap(cluster.uid(NS, "vm", "web"), "lab").value();
    }

    private static String link(String name) {
        return Command.of("ip", "-d", "link", "show", name).run().mustSucceed();
    }

    private static void ip(String... arguments) {
        run("ip", arguments);
    }

    private static String nft(String... arguments) {
        return run("nft", arguments);
    }

    private static String run(String tool, String... arguments) {
        List<String> command = new ArrayList<>(List.of(tool));
        command.addAll(List.of(arguments));
        return Command.of(command).run().mustSucceed();
    }

    private static String withoutCounts(String line) {
        return line.replaceAll("packets \\d+ bytes \\d+", "packets … bytes …");
    }
}
