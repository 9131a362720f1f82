package dev.vmlet.e2e;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.api.VirtualMachineStatus;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Maintenance of a machine, as its operator does it: all guests down in good order, and up again as they were. */
@ExtendWith(EndToEnd.class)
class EvacuationE2E {
    private static final String NS = "evacuation";
    private static final String NODE = "rests";
    private static final Pattern CRASH = Pattern.compile("^Warning (VmmKilled|GuestPanic|StartFailed|BackOff): ");

    @Test
    void guestsAreShutDownStayDownAndComeBackWithTheirAddresses(Cluster cluster) {
        AgentProcess agent = cluster.newAgent(NODE).start();
        cluster.namespace(NS);
        cluster.apply(Cluster.network(NS, "net")
                + cluster.tiny(NS, "always", NODE, "net")
                + cluster.tiny(NS, "once", NODE, "net") + "  runStrategy: Once\n");
        cluster.awaitReady(NS, "always", "once");
        String address = cluster.address(NS, "always");
        assertThat(cluster.guest(NS, "always").ssh("echo kept > /var/kept && sync; cat /var/kept"))
                .isEqualTo("kept");

        String told = agent.evacuate();
        assertThat(told)
                .startsWith("2 guests of this node to be stopped.\n")
                .contains("evacuation/always: stopped (Evacuated)")
                .contains("evacuation/once: stopped (Evacuated)")
                .endsWith("Evacuated: nothing starts on this node until `vmlet evacuate --end`.");
        for (String name : new String[] {"always", "once"}) {
            Cluster.await("the status of " + name + " tells it", Cluster.SOON, () -> {
                VirtualMachineStatus status =
                        requireNonNull(cluster.vm(NS, name).getStatus());
                return "Stopped".equals(String.valueOf(status.phase()))
                        && "Evacuated".equals(requireNonNull(status.lastExit()).reason());
            });
        }
        awaitNoGuest("no guest runs", agent);

        agent.kill();
        agent.start();
        Cluster.await(
                "the agent has looked again",
                Cluster.SOON,
                () -> cluster.condition(NS, "always", "Ready")
                        .filter(c -> "Evacuated".equals(c.reason()))
                        .isPresent());
        awaitNoGuest("a new agent keeps the peace", agent);

        assertThat(agent.evacuate("--end"))
                .isEqualTo("The evacuation is ended. Guests start again by their runStrategy, a few at a time.");
        cluster.awaitReady(NS, "always");
        assertThat(cluster.address(NS, "always")).as("its address").isEqualTo(address);
        VirtualMachineStatus once = requireNonNull(cluster.vm(NS, "once").getStatus());
        assertThat(String.valueOf(once.phase())).isEqualTo("Stopped");
        assertThat(cluster.events(NS, "VirtualMachine", "always"))
                .as("a shutdown in good order is no crash")
                .noneMatch(e -> CRASH.matcher(e).find());

        cluster.kubectl("delete", "vm", "always", "once", "-n", NS, "--timeout=120s");
        cluster.kubectl("delete", "vmnet", "net", "-n", NS, "--timeout=120s");
        agent.terminate();
        cluster.kubectl("delete", "vmnode", NODE);
        cluster.kubectl("delete", "lease", NODE, "-n", "vmlet-system");
        for (String family : new String[] {"inet", "bridge"}) {
            Command.of("nft", "delete", "table", family, "vmlet_" + agent.installation())
                    .run()
                    .mustSucceed();
        }
    }

    /** By an await: a single look may catch a program that the agent asks for its version. */
    private static void awaitNoGuest(String what, AgentProcess agent) {
        Cluster.await(what, Cluster.SOON, () -> Leftovers.now(agent).processes().isEmpty());
    }
}
