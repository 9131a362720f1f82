package dev.vmlet.e2e;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.TestMethodOrder;
import org.junit.jupiter.api.extension.ExtendWith;

/** {@code vmlet standalone} as a person with one machine meets it: no cluster, kubectl, a guest, and what goes wrong. */
@ExtendWith(EndToEnd.class)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class StandaloneE2E {
    private static final String NODE = "alone";

    private @Nullable AgentProcess process;
    private @Nullable Leftovers before;
    private Path manifests = Path.of("");

    /** Pid and start of the guest, which no restart of standalone may change. */
    private String life = "";

    private AgentProcess standalone() {
        return requireNonNull(process);
    }

    @BeforeEach
    void start(Cluster cluster) throws IOException {
        if (process == null) {
            manifests = Files.createDirectories(cluster.dir().resolve("manifests"));
            Files.writeString(manifests.resolve("lab.yaml"), """
                    apiVersion: vmlet.dev/v1alpha1
                    kind: Network
                    metadata: {name: lab}
                    spec: {}
                    """);
            Files.writeString(manifests.resolve("broken.yaml"), "apiVersion: v1\nkind: [\n");
            process = AgentProcess.standalone(
                    cluster, NODE, "--listen", "127.0.0.1:0", "--manifests", manifests.toString());
        }
        if (!standalone().isAlive()) {
            standalone().start();
        }
        if (before == null) {
            before = Leftovers.atRest(standalone());
        }
    }

    @AfterAll
    void end() {
        if (process != null) {
            process.close();
        }
    }

    private String kubectl(Cluster cluster, String... arguments) {
        return cluster.kubectlAt(standalone().kubeconfig(), arguments).run().mustSucceed();
    }

    private String vm(Cluster cluster, String field) {
        return kubectl(cluster, "get", "vm", "web", "-o", "jsonpath={" + field + "}");
    }

    private String lifeNow(Cluster cluster) {
        return vm(cluster, ".status.vmm.pid") + " since " + vm(cluster, ".status.startedAt");
    }

    @Test
    @Order(1)
    void saysHowKubectlFindsItAndKeepsThatToItsOwner(Cluster cluster) throws IOException {
        assertThat(standalone().sinceLaunch())
                .contains("\nexport KUBECONFIG=" + standalone().kubeconfig() + "\n");
        assertThat(PosixFilePermissions.toString(
                        Files.getPosixFilePermissions(standalone().kubeconfig())))
                .isEqualTo("rw-------");
        assertThat(kubectl(cluster, "get", "nodes", "--no-headers").split(" +")).startsWith(NODE, "Ready");
        assertThat(kubectl(cluster, "get", "vmnodes", "-o", "name")).isEqualTo("vmnode.vmlet.dev/" + NODE);
    }

    @Test
    @Order(2)
    void loadsTheManifestsThatCanBeReadAndNamesTheOneThatCannot(Cluster cluster) {
        Cluster.await(
                "the Network of the manifests",
                Cluster.SOON,
                () -> kubectl(cluster, "get", "vmnet", "lab", "-o", "jsonpath={.status.cidr}")
                        .startsWith("10."));
        Cluster.await(
                "the Event about the broken file",
                Cluster.SOON,
                () -> kubectl(cluster, "get", "events", "-o", "jsonpath={range .items[*]}{.message}{'\\n'}{end}")
                        .contains("broken.yaml:2: this is no YAML"));
    }

    @Test
    @Order(3)
    void aGuestRunsOnTheOneNodeThereIs(Cluster cluster) throws IOException {
        // A file put there later; without spec.nodeName.
        Files.writeString(
                manifests.resolve("web.yaml"),
                cluster.tiny("default", "web", NODE, "lab").replace("  nodeName: " + NODE + "\n", ""));
        Cluster.await(
                "the VM of the manifests",
                Cluster.SOON,
                () -> !vm(cluster, ".metadata.uid").isEmpty());
        kubectl(cluster, "wait", "--for=condition=Ready", "--timeout=" + Cluster.BOOT.toSeconds() + "s", "vm/web");
        assertThat(vm(cluster, ".spec.nodeName")).isEqualTo(NODE);
        assertThat(cluster.guestAt(vm(cluster, ".status.addresses[0].ip")).ssh("hostname"))
                .isEqualTo("web");
        life = lifeNow(cluster);
    }

    @Test
    @Order(4)
    void endsInSecondsAndTakesItsGuestUpAgain(Cluster cluster) {
        String address = vm(cluster, ".status.addresses[0].ip");
        long asked = System.nanoTime();
        standalone().terminate();
        // It grants itself four; the rest is a machine that is busy.
        assertThat(Duration.ofNanos(System.nanoTime() - asked)).isLessThan(Duration.ofSeconds(12));
        assertThat(cluster.guestAt(address).ssh("hostname")).isEqualTo("web");
        standalone().start();
        Cluster.await(
                "the guest is Ready again",
                Cluster.SOON,
                () -> vm(cluster, ".status.conditions[?(@.type=='Ready')].status")
                        .equals("True"));
        assertThat(lifeNow(cluster)).isEqualTo(life);
    }

    @Test
    @Order(5)
    void aKillCostsNothing(Cluster cluster) {
        String spec = vm(cluster, ".spec");
        standalone().kill();
        standalone().start();
        assertThat(vm(cluster, ".spec")).isEqualTo(spec);
        assertThat(lifeNow(cluster)).isEqualTo(life);
    }

    /** {@code -Dstandalone.kills=100} asks for a longer run; {@code -Dstandalone.seed} repeats one. */
    @Test
    @Order(6)
    void killedInTheMiddleOfWritesItLosesAndTearsNothing(Cluster cluster) throws InterruptedException {
        long seed = Long.getLong("standalone.seed", System.nanoTime());
        SplittableRandom random = new SplittableRandom(seed);
        Writers writers = new Writers("-Dstandalone.seed=" + seed);
        int kills = Integer.getInteger("standalone.kills", 5);
        for (int i = 0; i < kills; i++) {
            writers.writeUntilKilled(standalone().kubeconfig(), 1 + random.nextInt(100), standalone()::kill);
            standalone().start();
            writers.assertKept(standalone().kubeconfig());
        }
        writers.clear(standalone().kubeconfig());
        assertThat(lifeNow(cluster)).isEqualTo(life);
    }

    @Test
    @Order(7)
    void aSecondOneOnTheSameStateDirectoryIsRefused() {
        assertThat(standalone().startAgain())
                .contains("vmlet: lock " + standalone().stateDir()
                        + ": another vmlet uses this state directory; stop it");
    }

    @Test
    @Order(8)
    void aTakenPortIsNamedWithItsHolder(Cluster cluster) throws IOException {
        String server = Files.readString(standalone().kubeconfig())
                .replaceFirst("(?s).*server: https://127.0.0.1:(\\d+).*", "$1");
        assertThat(refusal(cluster, "other", "--listen", "127.0.0.1:" + server))
                .isEqualTo("vmlet: listen on 127.0.0.1:" + server + ": it belongs to process "
                        + standalone().pid() + " (java); end that, or choose another port with --listen, for example"
                        + " --listen 127.0.0.1:0 for a free one");
    }

    @Test
    @Order(9)
    void aStateDirectoryOfANewerVmletEndsItWithASentenceAndIsNotTouched(Cluster cluster) throws IOException {
        Path format =
                Files.createDirectories(cluster.dir().resolve("newer/state")).resolve("format");
        Files.writeString(format, "99\n");
        assertThat(refusal(cluster, "newer"))
                .contains(
                        "open state directory " + format.getParent() + ": it has format 99, which a newer vmlet wrote");
        assertThat(format).hasContent("99");
        assertThat(format.resolveSibling("installation")).doesNotExist();
    }

    @Test
    @Order(9)
    void aStateDirectoryThatCannotBeUsedEndsItWithASentence(Cluster cluster) throws IOException {
        Path home = Files.createDirectories(cluster.dir().resolve("small/state"));
        Command.of("mount", "-t", "tmpfs", "-o", "size=64k,mode=755", "none", home.toString())
                .run()
                .mustSucceed();
        try {
            assertThat(refusal(cluster, "small")).contains(home.toString()).containsIgnoringCase("space");
            Command.of("mount", "-o", "remount,ro", home.toString()).run().mustSucceed();
            assertThat(refusal(cluster, "small"))
                    .contains(home.toString())
                    .contains("Read-only file system; mount it writable or choose another state directory");
        } finally {
            Command.of("umount", home.toString()).run().mustSucceed();
        }
    }

    /** What a standalone says that cannot start: its last line. */
    private static String refusal(Cluster cluster, String name, String... options) {
        List<String> all = new ArrayList<>(List.of(options));
        AgentProcess other = AgentProcess.standalone(cluster, name, all.toArray(String[]::new));
        return other.startAgain().strip().lines().toList().getLast();
    }

    @Test
    @Order(Integer.MAX_VALUE)
    void kubectlDeleteLeavesNothing(Cluster cluster) throws IOException {
        Files.delete(manifests.resolve("web.yaml"));
        kubectl(cluster, "delete", "vm", "web", "--timeout=300s");
        kubectl(cluster, "delete", "vmnet", "lab", "--timeout=90s");
        requireNonNull(before).awaitAgain(standalone());
    }
}
