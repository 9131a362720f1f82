package dev.vmlet.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Guests on Networks, as a user meets them. */
@ExtendWith(EndToEnd.class)
class GuestsE2E {
    @Test
    void aGuestIsReadyLetsUsInAndLeavesNothing(Cluster cluster) {
        AgentProcess agent = cluster.agent();
        Leftovers before = Leftovers.now(agent);
        cluster.namespace("first");
        cluster.apply(Cluster.network("first", "lab") + cluster.tiny("first", "web", "a", "lab"));
        cluster.awaitReady("first", "web");
        assertThat(cluster.guest("first", "web").ssh("hostname")).isEqualTo("web");
        assertThat(Leftovers.now(agent)).isNotEqualTo(before);
        cluster.kubectl("delete", "vm,vmnet", "--all", "-n", "first", "--timeout=120s");
        Cluster.await(
                "nothing is left", Cluster.SOON, () -> Leftovers.now(agent).equals(before));
        assertThat(Leftovers.now(agent)).isEqualTo(before);
    }
}
