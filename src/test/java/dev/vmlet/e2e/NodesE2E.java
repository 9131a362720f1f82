package dev.vmlet.e2e;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.vmlet.api.NetworkSlice;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineStatus;
import dev.vmlet.api.VmNode;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Ipv4Prefix;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Two nodes with real hosts and one API server. What emulated guests would show more, other classes do. */
@ExtendWith(EndToEnd.class)
class NodesE2E {
    private static final String NS = "nodes";

    @Test
    void eachNodeRunsItsOwnAndOneThatIsLostAndFoundCleansUp(Cluster cluster) {
        assumeTrue(
                Stream.of(System.getenv("PATH").split(":")).anyMatch(dir -> Files.isExecutable(Path.of(dir, "go"))),
                "SKIPPED: nodes in namespaces need Go for their stand-in guests");
        Path standIn = NodeInNamespace.buildStandIn(cluster);
        cluster.namespace(NS);
        cluster.apply(Cluster.network(NS, "lab"));
        cluster.apply(vm(cluster, "web-a", "na") + vm(cluster, "web-b", "nb") + vm(cluster, "gone", "nb"));
        try (NodeInNamespace a = new NodeInNamespace(cluster, "na", 1, standIn);
                NodeInNamespace b = new NodeInNamespace(cluster, "nb", 2, standIn, "--lease-duration", "PT20S")) {
            a.agent().launch();
            b.agent().launch();
            cluster.awaitReady(NS, "web-a", "web-b", "gone");
            assertEachHasItsOwn(cluster, a, b);

            Map<String, Cluster.Life> lives = lives(cluster, "web-a", "web-b", "gone");
            b.agent().kill();
            cluster.kubectl("delete", "vm", "gone", "-n", NS, "--wait=false");
            cluster.apply(vm(cluster, "later", "na"));
            cluster.awaitReady(NS, "later");
            Cluster.await(
                    "node nb is lost",
                    Cluster.SOON,
                    () -> phase(cluster, "web-b").equals("Unknown"));
            assertThat(ready(cluster, "web-b")).startsWith("Unknown NodeLost: node nb has not been heard of since ");
            assertThat(ready(cluster, "web-a")).startsWith("True ");
            assertThat(ready(cluster, "later")).startsWith("True ");
            assertThat(lives(cluster, "web-a", "web-b", "gone")).isEqualTo(lives);
            for (String name : List.of("web-b", "gone")) {
                assertThat(isAlive(lives, name)).as(name).isTrue();
                b.run(
                        "ping",
                        "-c",
                        "1",
                        "-W",
                        "2",
                        requireNonNull(lives.get(name)).address());
            }

            b.agent().start();
            cluster.awaitGone(NS, "gone");
            assertThat(isAlive(lives, "gone")).isFalse();
            Cluster.await(
                    "web-b is known again",
                    Cluster.SOON,
                    () -> phase(cluster, "web-b").equals("Running"));
            assertThat(lives(cluster, "web-a", "web-b")).isEqualTo(lives(lives, "web-a", "web-b"));
            // The tap of gone is reaped.
            awaitLinks(b, ours(cluster, "web-b"));
            awaitLinks(a, ours(cluster, "web-a", "later"));

            cluster.kubectl("delete", "vm", "--all", "-n", NS, "--timeout=60s");
            cluster.kubectl("delete", "vmnet", "lab", "-n", NS, "--timeout=60s");
            Cluster.await(
                    "no link is left",
                    Cluster.SOON,
                    () -> a.links().isEmpty() && b.links().isEmpty());
            a.agent().terminate();
            b.agent().terminate();
        }
        cluster.kubectl("delete", "vmnode", "na", "nb");
        cluster.kubectl("delete", "lease", "na", "nb", "-n", Identities.NAMESPACE);
    }

    private static String vm(Cluster cluster, String name, String node) {
        return cluster.tiny(NS, name, node, "lab");
    }

    private static void assertEachHasItsOwn(Cluster cluster, NodeInNamespace a, NodeInNamespace b) {
        awaitLinks(a, ours(cluster, "web-a"));
        awaitLinks(b, ours(cluster, "web-b", "gone"));
        Map<String, Ipv4Prefix> slices = new TreeMap<>();
        for (NetworkSlice slice : cluster.client()
                .resources(NetworkSlice.class)
                .inNamespace(NS)
                .list()
                .getItems()) {
            var spec = requireNonNull(slice.getSpec());
            assertThat(spec.network()).isEqualTo("lab");
            slices.put(spec.nodeName(), Ipv4Prefix.parse(requireNonNull(spec.cidr())));
        }
        assertThat(slices).containsOnlyKeys("na", "nb");
        assertThat(slices.get("na")).isNotEqualTo(slices.get("nb"));
        for (String name : List.of("web-a", "web-b", "gone")) {
            VirtualMachine vm = cluster.vm(NS, name);
            String node = requireNonNull(requireNonNull(vm.getSpec()).nodeName());
            assertThat(requireNonNull(vm.getStatus()).nodeName()).isEqualTo(node);
            assertThat(requireNonNull(slices.get(node)).contains(Ipv4Address.parse(cluster.address(NS, name))))
                    .as(name + " has an address of its node's slice")
                    .isTrue();
        }
        assertThat(cluster.client().resources(VmNode.class).list().getItems())
                .extracting(n -> n.getMetadata().getName())
                .contains("na", "nb");
    }

    /** By an await: a single look may catch the tap of a moment with which the way out is tried. */
    private static void awaitLinks(NodeInNamespace node, Set<String> links) {
        Awaitility.await("the links of " + node.agent().name())
                .atMost(Cluster.SOON)
                .pollInterval(Duration.ofMillis(250))
                .untilAsserted(() -> assertThat(node.links()).isEqualTo(links));
    }

    /** The tap of each VM, and the bridge of their Network. */
    private static Set<String> ours(Cluster cluster, String... names) {
        Set<String> links = new TreeSet<>();
        for (String name : names) {
            VirtualMachineStatus status = requireNonNull(cluster.vm(NS, name).getStatus());
            links.add(
                    requireNonNull(requireNonNull(status.addresses()).getFirst().tap()));
            String node = requireNonNull(status.nodeName());
            cluster.client().resources(NetworkSlice.class).inNamespace(NS).list().getItems().stream()
                    .filter(s -> node.equals(requireNonNull(s.getSpec()).nodeName()))
                    .map(s -> requireNonNull(requireNonNull(s.getStatus()).bridge()))
                    .forEach(links::add);
        }
        return links;
    }

    private static Map<String, Cluster.Life> lives(Cluster cluster, String... names) {
        return Stream.of(names).collect(Collectors.toMap(n -> n, n -> cluster.life(NS, n), (x, _) -> x, TreeMap::new));
    }

    private static Map<String, Cluster.Life> lives(Map<String, Cluster.Life> all, String... names) {
        return Stream.of(names)
                .collect(Collectors.toMap(n -> n, n -> requireNonNull(all.get(n)), (x, _) -> x, TreeMap::new));
    }

    private static boolean isAlive(Map<String, Cluster.Life> lives, String name) {
        int pid = requireNonNull(requireNonNull(lives.get(name)).pid());
        return ProcessHandle.of(pid).map(ProcessHandle::isAlive).orElse(false);
    }

    private static String phase(Cluster cluster, String name) {
        return String.valueOf(requireNonNull(cluster.vm(NS, name).getStatus()).phase());
    }

    private static String ready(Cluster cluster, String name) {
        return Optional.ofNullable(cluster.condition(NS, name, "Ready").orElse(null))
                .map(c -> c.status() + " " + c.reason() + ": " + c.message())
                .orElse("");
    }
}
