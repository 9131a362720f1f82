package dev.vmlet.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.api.Condition;
import dev.vmlet.api.VirtualMachineStatus;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.TestMethodOrder;
import org.junit.jupiter.api.extension.ExtendWith;

/**
 * An agent that dies between any two steps. All boundaries in one life of the object: an agent takes one step and dies
 * before the next, and its successor goes on from what it sees. After a step whose fruit does not survive (a disk is
 * prepared beside the loop; a start that is written down and never made is taken back) the successor may take one step
 * more.
 */
@ExtendWith(EndToEnd.class)
@EndToEnd.OwnCluster
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class CrashE2E {
    private static final String NS = "crash";
    private static final String NODE = "crash";
    /** Of {@code --halt-before-step}. */
    private static final int HALTED = 137;

    private static final int LIVES_MAX = 80;
    private static final Pattern APPLYING = Pattern.compile(" applying object=.* step=\"([^\"]*)\" because=");
    private static final Pattern BEFORE = Pattern.compile("halting before this step.* step=\"([^\"]*)\"");

    private @Nullable AgentProcess crashing;
    private @Nullable Leftovers before;
    private Cluster.@Nullable Life life;

    @BeforeEach
    void aNodeOfItsOwn(Cluster cluster) {
        if (crashing == null) {
            // Two cores: nobody else works meanwhile.
            cluster.rest();
            crashing = cluster.newAgent(NODE);
            // A rehearsal: the many starts to come find their classes prepared, and take a good part of the time less.
            Path archive = cluster.dir().resolve("agent.jsa");
            crashing.jvm("-Xlog:disable", "-XX:ArchiveClassesAtExit=" + archive);
            crashing.start();
            before = Leftovers.atRest(crashing);
            crashing.terminate();
            crashing.jvm("-Xlog:disable", "-XX:SharedArchiveFile=" + archive);
            cluster.namespace(NS);
            cluster.apply(Cluster.network(NS, "lab"));
        }
    }

    @AfterAll
    void end() {
        if (crashing != null) {
            crashing.close();
        }
    }

    @Test
    @Order(1)
    void createsThoughItDiesBeforeEveryStep(Cluster cluster) {
        cluster.apply(cluster.tiny(NS, "web", NODE, "lab"));
        Set<String> boundaries = lives(() -> isReady(cluster));
        // The Network's own steps are not named here: which of two threads is told to die is chance.
        assertThat(boundaries)
                .hasSizeGreaterThan(8)
                .anyMatch(s -> s.startsWith("prepare boot file boot.kernel"))
                .anyMatch(s -> s.startsWith("write the cloud-init seed"))
                .anyMatch(s -> s.startsWith("create tap"))
                .anyMatch(s -> s.startsWith("attach vmt-"))
                .anyMatch(s -> s.matches("set vmt-.* up"))
                .anyMatch(s -> s.startsWith("start qemu"))
                .anyMatch(s -> s.startsWith("write that the guest runs"));
        assertThat(cluster.guest(NS, "web").ssh("hostname")).isEqualTo("web");
        life = cluster.life(NS, "web");
        // The guest was started once, by an agent that died at once, and outlived all that came after.
        assertThat(guests()).containsExactly(String.valueOf(life.pid()));
        assertThat(cluster.kubectl("get", "vm", "web", "-n", NS, "-o", "jsonpath={.status.restarts}"))
                .isIn("", "0");
        agent().kill();
    }

    @Test
    @Order(2)
    void aRunningGuestDoesNotNoticeKillMinusNine(Cluster cluster) throws Exception {
        Cluster.Life running = Objects.requireNonNull(life);
        agent().start();
        Guest guest = cluster.guest(NS, "web");
        Process session = new ProcessBuilder(guest.command("i=0; while sleep 1; do i=$((i+1)); echo beat $i; done"))
                .redirectErrorStream(true)
                .redirectOutput(cluster.dir().resolve("session").toFile())
                .start();
        try {
            Path beats = cluster.dir().resolve("session");
            Cluster.await(
                    "a session", Cluster.SOON, () -> Files.readString(beats).contains("beat 2"));
            agent().kill();
            assertThat(guest.ssh("hostname")).isEqualTo("web");
            String heartOfStatus = heart(cluster);
            // Status must become true again by being seen, not by never having been touched.
            cluster.kubectl(
                    "patch",
                    "vm",
                    "web",
                    "-n",
                    NS,
                    "--subresource=status",
                    "--type=merge",
                    "-p",
                    "{\"status\":{\"phase\":\"Unknown\",\"vmm\":null}}");
            agent().start();
            Cluster.await("status as before", Cluster.SOON, () -> heart(cluster).equals(heartOfStatus));
            assertThat(cluster.life(NS, "web")).isEqualTo(running);
            long seen = Files.readString(beats).lines().count();
            Cluster.await(
                    "the session goes on",
                    Cluster.SOON,
                    () -> Files.readString(beats).lines().count() > seen + 1);
            assertThat(session.isAlive()).isTrue();
        } finally {
            session.destroyForcibly();
        }
        agent().kill();
    }

    @Test
    @Order(3)
    void stopsThoughItDiesBeforeEveryStep(Cluster cluster) {
        cluster.kubectl(
                "patch", "vm", "web", "-n", NS, "--type=merge", "-p", "{\"spec\":{\"runStrategy\":\"Halted\"}}");
        Set<String> boundaries = lives(
                () -> phase(cluster) == VirtualMachineStatus.Phase.Stopped && guests().isEmpty() && taps().isEmpty());
        assertThat(boundaries)
                .anyMatch(s -> s.startsWith("press the power button"))
                .anyMatch(s -> s.startsWith("cut the power"))
                .anyMatch(s -> s.startsWith("remove the cgroup and run files"))
                .anyMatch(s -> s.startsWith("cut off vmt-"));
        assertThat(cluster.address(NS, "web"))
                .isEqualTo(Objects.requireNonNull(life).address());
        agent().kill();
    }

    @Test
    @Order(4)
    void deletesARunningGuestThoughItDiesBeforeEveryStep(Cluster cluster) {
        cluster.kubectl(
                "patch", "vm", "web", "-n", NS, "--type=merge", "-p", "{\"spec\":{\"runStrategy\":\"Always\"}}");
        agent().start();
        Cluster.await("the guest runs again", Cluster.BOOT, () -> isReady(cluster));
        assertThat(cluster.address(NS, "web"))
                .isEqualTo(Objects.requireNonNull(life).address());
        agent().kill();
        cluster.kubectl("delete", "vm", "web", "-n", NS, "--wait=false");
        Set<String> boundaries = lives(() -> cluster.findVm(NS, "web").isEmpty()
                && Leftovers.now(agent()).links().isEmpty()
                && Leftovers.now(agent()).files().isEmpty());
        assertThat(boundaries)
                .anyMatch(s -> s.startsWith("press the power button"))
                .anyMatch(s -> s.startsWith("cut the power"))
                .anyMatch(s -> s.startsWith("remove ok4"))
                .anyMatch(s -> s.startsWith("cut off vmt-"))
                .anyMatch(s -> s.startsWith("delete the disks and files"))
                .anyMatch(s -> s.startsWith("delete the record of crash/web"));
        Objects.requireNonNull(before).awaitAgain(agent());
    }

    /**
     * Agents that die before their next step, one after another, until it is so; the last one lives on.
     *
     * @return every step that an agent died before, or that a successor began with
     */
    private Set<String> lives(Callable<Boolean> isSo) {
        Set<String> diedBefore = new LinkedHashSet<>();
        Set<String> begunWith = new LinkedHashSet<>();
        int fruitless = 0;
        String seen = trace();
        for (int lives = 1; lives <= LIVES_MAX; lives++) {
            // Each allowance twice: what was undone needs one life to be cleared away before another can go further.
            int haltBefore = 2 + (fruitless + 1) / 2;
            agent().launch("--halt-before-step", Integer.toString(haltBefore));
            Cluster.await(
                    "the agent dies, or the goal is reached", Cluster.BOOT, () -> !agent().isAlive() || isSo.call());
            Matcher first = APPLYING.matcher(agent().sinceLaunch());
            // With more allowance it began with what an earlier life had begun with, or died before.
            if (haltBefore <= 3 && first.find()) {
                begunWith.add(first.group(1));
            }
            if (agent().isAlive()) {
                System.out.println("CrashE2E: " + lives + " lives, died before " + diedBefore);
                diedBefore.addAll(begunWith);
                return diedBefore;
            }
            assertThat(agent().awaitEnd(Duration.ofSeconds(1)))
                    .as("exit code: " + agent().logTail(20))
                    .isEqualTo(HALTED);
            Matcher last = BEFORE.matcher(agent().sinceLaunch());
            boolean isNew = last.find() && diedBefore.add(last.group(1));
            String now = trace();
            fruitless = isNew && !now.equals(seen) ? 0 : fruitless + 1;
            seen = now;
        }
        throw new AssertionError("not there after " + LIVES_MAX + " lives, which died before " + diedBefore);
    }

    /** What survives an agent: the host, and what is written down. */
    private String trace() {
        StringBuilder trace = new StringBuilder(Leftovers.now(agent()).toString());
        trace.append(Command.of(
                        "sh",
                        "-c",
                        "ip -o link; ip -o -4 addr; ip neigh show nud permanent; cat /proc/sys/net/ipv4/conf/*/forwarding")
                .run()
                .mustSucceed());
        for (String dir : List.of("vms", "networks")) {
            try (Stream<Path> files = Files.walk(agent().stateDir().resolve(dir))) {
                for (Path file :
                        files.filter(f -> f.toString().endsWith(".json")).toList()) {
                    trace.append(Files.readString(file));
                }
            } catch (IOException e) {
                trace.append(e);
            }
        }
        return trace.toString();
    }

    private AgentProcess agent() {
        return Objects.requireNonNull(crashing);
    }

    /** Pids of what runs in guests' cgroups under the name of the VMM. */
    private List<String> guests() {
        return Leftovers.now(agent()).processes().stream()
                .filter(p -> p.contains("qemu-system") && !p.contains(" sh ") && !p.contains("setsid"))
                .map(p -> p.split(" ")[0])
                .toList();
    }

    private List<String> taps() {
        return Leftovers.now(agent()).links().stream()
                .filter(l -> l.startsWith("vmt-"))
                .toList();
    }

    private static boolean isReady(Cluster cluster) {
        return cluster.condition(NS, "web", "Ready").map(Condition::status).orElse(Condition.Status.Unknown)
                        == Condition.Status.True
                && phase(cluster) == VirtualMachineStatus.Phase.Running;
    }

    private static VirtualMachineStatus.@Nullable Phase phase(Cluster cluster) {
        VirtualMachineStatus status = cluster.vm(NS, "web").getStatus();
        return status == null ? null : status.phase();
    }

    /** The part of status that says what runs. */
    private static String heart(Cluster cluster) {
        VirtualMachineStatus status =
                Objects.requireNonNull(cluster.vm(NS, "web").getStatus());
        return status.phase() + " " + status.vmm() + " " + status.addresses() + " " + status.startedAt() + " "
                + status.restarts() + " "
                + cluster.condition(NS, "web", "Ready").map(Condition::status);
    }
}
