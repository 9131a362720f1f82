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

/** What others break that no repair in place can mend: the guest starts again. {@link DriftTableE2E} has the rest. */
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

    @Test
    @Order(1)
    void aGuestWhoseTapWasDeletedIsStartedAgain(Cluster cluster) {
        Cluster.Life life = cluster.life(NS, "web");
        List<String> told = told(cluster, "VirtualMachine", "web");
        ip("link", "del", tap(cluster));
        awaitEvent(cluster, told, "VirtualMachine", "web", "tap was deleted");
        awaitAnotherLife(cluster, life);
    }

    @Test
    @Order(2)
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

    private static String tap(Cluster cluster) {
        return cluster.agent().names().tap(cluster.uid(NS, "vm", "web"), "lab").value();
    }

    private static void ip(String... arguments) {
        List<String> command = new ArrayList<>(List.of("ip"));
        command.addAll(List.of(arguments));
        Command.of(command).run().mustSucceed();
    }
}
