package dev.vmlet.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Two controllers as processes of their own: one acts, the other stands by, and takes over whatever ends the first. */
@ExtendWith(EndToEnd.class)
class ControllersE2E {
    private static final String NS = "controllers";

    /** Killed by a signal that the process took. */
    private static final int TERMINATED = 143;

    private static final int DEPOSED = 4;

    @Test
    void oneOfTwoActsAndTheOtherTakesOver(Cluster cluster) {
        cluster.namespace(NS);
        AgentProcess first = cluster.controller();
        if (!first.isAlive()) {
            first.start();
        }
        Cluster.await("somebody leads", Cluster.SOON, () -> !holder(cluster).isEmpty());
        String before = holder(cluster);
        AgentProcess second = cluster.newController("second").start();
        acts(cluster, "one");
        assertThat(holder(cluster)).as("who came later stands by").isEqualTo(before);

        // An orderly end: the other need not wait until the Lease has stood still.
        assertThat(first.terminate()).isEqualTo(TERMINATED);
        assertThat(first.sinceLaunch()).contains("leadership given back");
        Cluster.await("the second leads", Cluster.SOON, () -> leads(cluster, "second"));
        acts(cluster, "two");

        // A sudden one.
        first.start();
        second.kill();
        Cluster.await("the first leads again", Cluster.SOON, () -> leads(cluster, "first"));
        acts(cluster, "three");

        // Stopped for longer than the Lease lasts, in the middle of whatever it did: it ends when it goes on.
        second.start();
        signal(first, "STOP");
        Cluster.await("the second leads again", Cluster.SOON, () -> leads(cluster, "second"));
        signal(first, "CONT");
        assertThat(first.awaitEnd(Duration.ofSeconds(30))).isEqualTo(DEPOSED);
        assertThat(first.sinceLaunch()).contains("this controller leads no more; ending");
        acts(cluster, "four");

        first.start();
        second.terminate();
        Cluster.await("the first leads at the end", Cluster.SOON, () -> leads(cluster, "first"));
    }

    /** A Network gets its CIDR. */
    private static void acts(Cluster cluster, String network) {
        cluster.apply(Cluster.network(NS, network));
        Cluster.await(
                "the CIDR of " + network,
                Cluster.SOON,
                () -> !cluster.kubectl("get", "vmnet", network, "-n", NS, "-o", "jsonpath={.status.cidr}")
                        .isEmpty());
    }

    private static boolean leads(Cluster cluster, String name) {
        return holder(cluster).startsWith(name + "_");
    }

    private static void signal(AgentProcess process, String name) {
        Command.of("kill", "-" + name, Long.toString(process.pid())).run().mustSucceed();
    }

    private static String holder(Cluster cluster) {
        return cluster.kubectl(
                "get", "lease", "vmlet-controller", "-n", "vmlet-system", "-o", "jsonpath={.spec.holderIdentity}");
    }
}
