package dev.vmlet.e2e;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/**
 * The image (hack/image, named by {@code VMLET_IMAGE}) as the chart's DaemonSet runs it: a guest that it starts hangs on
 * nothing of its container.
 */
@ExtendWith(EndToEnd.class)
class ContainerE2E {
    private static final String NS = "container";
    private static final String NODE = "pod";

    @Test
    void aGuestOutlivesTheContainerAndTheImageOfItsAgent(Cluster cluster) throws IOException {
        String image = System.getenv("VMLET_IMAGE");
        assumeTrue(
                image != null && Files.exists(Path.of(image)),
                "SKIPPED: VMLET_IMAGE names no image: hack/image FILE, as root");
        Path home = cluster.dir().resolve(NODE);
        cluster.set(
                "agent.stateDir=" + home.resolve("state"),
                "agent.runDir=" + home.resolve("run"),
                "agent.imageDir=" + cluster.imageDir(),
                "agent.emulation=auto");
        cluster.namespace(NS);
        cluster.apply(Cluster.network(NS, "lab"));
        cluster.apply(cluster.tiny(NS, "web", NODE, "lab"));
        try (PodmanPod pod = new PodmanPod(cluster, NODE)) {
            pod.load(Path.of(image));
            pod.start();
            try {
                cluster.awaitReady(NS, "web");
            } catch (AssertionError e) {
                throw new AssertionError(e.getMessage() + "\n" + pod.logs(), e);
            }

            Map<String, String> node = namespaces(1);
            Map<String, String> container = namespaces(pod.pid());
            assertThat(List.of("mnt", "cgroup", "ipc", "uts"))
                    .as("the container has namespaces of its own")
                    .allSatisfy(kind -> assertThat(container.get(kind)).isNotEqualTo(node.get(kind)));
            Cluster.Life life = cluster.life(NS, "web");
            long guest = java.util.Objects.requireNonNull(life.pid());
            assertThat(namespaces(guest)).as("the guest lives in the node's").isEqualTo(node);
            long launcher = Long.parseLong(Command.of("ps", "-o", "ppid=", "-p", Long.toString(guest))
                    .run()
                    .mustSucceed()
                    .strip());
            assertThat(namespaces(launcher)).as("and so does what waits for it").isEqualTo(node);
            assertThat(openFiles(launcher) + openFiles(guest)).doesNotContain("podman");
            assertThat(Files.readString(Path.of("/proc/" + guest + "/oom_score_adj"))
                            .strip())
                    .isEqualTo("0");
            assertThat(Command.of("ip", "-o", "link", "show", "type", "bridge")
                            .run()
                            .mustSucceed())
                    .as("a bridge of the node")
                    .contains(": vmb-");
            assertThat(capabilities(pod.pid())).isEqualTo(GIVEN & capabilities(1));
            assertThat(capabilities(guest)).as("the guest has none").isEqualTo(0);

            pod.remove();
            pod.removeImages();
            assertThat(pod.podman("ps", "--all", "--quiet").run().mustSucceed()).isEmpty();
            assertThat(pod.podman("images", "--quiet").run().mustSucceed()).isEmpty();
            assertThat(cluster.guest(NS, "web").ssh("echo alive")).isEqualTo("alive");

            pod.load(Path.of(image));
            pod.start();
            Cluster.await(
                    "the next agent has taken it up",
                    Cluster.SOON,
                    () -> pod.logs().contains("agent started"));
            assertThat(cluster.life(NS, "web")).as("the same guest").isEqualTo(life);
            cluster.kubectl("delete", "vm", "web", "-n", NS, "--timeout=120s");
            cluster.kubectl("delete", "vmnet", "lab", "-n", NS, "--timeout=120s");
            assertThat(Files.exists(Path.of("/proc/" + guest))).isFalse();
        }
    }

    /** The capabilities that the chart leaves the agent, as in linux/capability.h. */
    private static final long GIVEN = bits(0, 1, 2, 3, 5, 6, 7, 8, 12, 13, 18, 19, 21, 24);

    private static long bits(int... numbers) {
        long mask = 0;
        for (int number : numbers) {
            mask |= 1L << number;
        }
        return mask;
    }

    private static long capabilities(long pid) throws IOException {
        return Files.readAllLines(Path.of("/proc/" + pid + "/status")).stream()
                .filter(line -> line.startsWith("CapEff:"))
                .map(line -> Long.parseLong(line.substring(7).strip(), 16))
                .findFirst()
                .orElseThrow();
    }

    private static Map<String, String> namespaces(long pid) throws IOException {
        Map<String, String> all = new TreeMap<>();
        for (String kind : List.of("mnt", "cgroup", "ipc", "uts", "net", "pid")) {
            all.put(
                    kind,
                    Files.readSymbolicLink(Path.of("/proc/" + pid + "/ns/" + kind))
                            .toString());
        }
        return all;
    }

    private static String openFiles(long pid) {
        return Command.of(
                        "sh",
                        "-c",
                        "ls -l /proc/" + pid + "/fd /proc/" + pid + "/exe /proc/" + pid + "/cwd /proc/" + pid
                                + "/root; cat /proc/" + pid + "/maps")
                .run()
                .output();
    }
}
