package dev.vmlet.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** An agent that is not heard of: its VMs are Unknown, its guests run on, and it takes their status back. */
@ExtendWith(EndToEnd.class)
class NodeLossE2E {
    private static final String NS = "node-loss";
    private static final String NODE = "lost";

    @Test
    void vmsOfALostNodeAreUnknownUntilItsAgentIsBack(Cluster cluster) {
        AgentProcess agent = cluster.newAgent(NODE, "--lease-duration", "PT40S").start();
        cluster.namespace(NS);
        cluster.apply(cluster.tiny(NS, "web", NODE, "none")
                .replace("networks: [{name: none}]", "networks: []\n  readiness: {none: {}}"));
        Cluster.await("the guest runs", Cluster.BOOT, () -> phase(cluster).equals("Running"));
        Cluster.await(
                "a Lease of the node", Cluster.SOON, () -> renewed(cluster).endsWith("Z"));
        String pid = pid(cluster);

        agent.kill();
        Cluster.await("the node is lost", Cluster.SOON, () -> phase(cluster).equals("Unknown"));
        assertThat(get(cluster, "{.status.conditions[?(@.type==\"Ready\")].reason}"))
                .isEqualTo("NodeLost");
        assertThat(get(cluster, "{.status.conditions[?(@.type==\"Ready\")].message}"))
                .startsWith("node lost has not been heard of since ")
                .contains("the guest may still run there");
        assertThat(pid(cluster)).as("what the agent saw last stays").isEqualTo(pid);
        assertThat(Leftovers.now(agent).processes()).as("the guest runs on").isNotEmpty();
        assertThat(cluster.events(NS, "VirtualMachine", "web")).anyMatch(e -> e.startsWith("Warning NodeLost: "));

        agent.start();
        Cluster.await(
                "the agent has the status back",
                Cluster.SOON,
                () -> phase(cluster).equals("Running"));
        assertThat(get(cluster, "{.status.conditions[*].reason}")).doesNotContain("NodeLost");
        assertThat(pid(cluster)).as("the guest was not started again").isEqualTo(pid);

        cluster.kubectl("delete", "vm", "web", "-n", NS, "--timeout=120s");
        agent.terminate();
        cluster.kubectl("delete", "vmnode", NODE);
        cluster.kubectl("delete", "lease", NODE, "-n", "vmlet-system");
        for (String family : new String[] {"inet", "bridge"}) {
            Command.of("nft", "delete", "table", family, "vmlet_" + agent.installation())
                    .run()
                    .mustSucceed();
        }
    }

    private static String phase(Cluster cluster) {
        return get(cluster, "{.status.phase}");
    }

    private static String pid(Cluster cluster) {
        return get(cluster, "{.status.vmm.pid}");
    }

    private static String renewed(Cluster cluster) {
        return cluster.kubectl(
                "get",
                "lease",
                "-n",
                "vmlet-system",
                "-l",
                "vmlet.dev/lease=agent",
                "-o",
                "jsonpath={.items[?(@.metadata.name==\"" + NODE + "\")].spec.renewTime}");
    }

    private static String get(Cluster cluster, String path) {
        return cluster.kubectl("get", "vm", "web", "-n", NS, "-o", "jsonpath=" + path);
    }
}
