package dev.vmlet.e2e;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.vmlet.api.Condition;
import java.io.IOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.awaitility.Awaitility;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.TestMethodOrder;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Guests on a node where the real Calico has pods and policies, in both ways in which it writes rules: who reaches whom, that
 * neither disturbs the other, and that what its policies keep from guests is told with the policy that lets them through.
 */
@ExtendWith(EndToEnd.class)
@ParameterizedClass(name = "Calico in mode {0}")
@EnumSource(Felix.Mode.class)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class CalicoE2E {
    private static final String NS = "calico";
    private static final String NEAR_POD = "10.244.3.5";
    private static final String FAR_POD = "10.244.4.5";
    private static final String LAB = "10.99.0.0/24";
    /** Of this JVM's namespace, which is the world around the nodes. */
    private static final String OUTSIDE = "203.0.113.9";

    private static final int HTTP = 80;
    private static final int PUBLISHED = 8081;
    /** What the stand-in takes from whoever asks, to send it on; see bench/standin. */
    private static final int ORDERS = 7777;

    private static final int CLOSED = 9;
    private static final String HOST_ENDPOINT = """
            apiVersion: projectcalico.org/v3
            kind: HostEndpoint
            metadata: {name: near, labels: {host: near}}
            spec: {node: calico-near, interfaceName: eth0}
            """;
    private static final String SILENCE = "silence";
    private static final int ANSWERED_WITHIN = 10;
    private static final int SILENT_FOR = 1;

    /** Of both modes: a mode is changed on a living node, as an operator does it. */
    private static @Nullable World world;

    @Parameter
    private Felix.Mode mode = Felix.Mode.IPTABLES;

    /** The modes in which this was begun, and done: JUnit makes one object of this class for both. */
    private Felix.@Nullable Mode tried;

    private Felix.@Nullable Mode ready;

    /** Two nodes with a pod and a Felix each; an agent and guests are on the near one. */
    private static final class World implements AutoCloseable {
        private final Deque<Runnable> open = new ArrayDeque<>();
        private final Cluster cluster;
        private final Calico calico;
        private final NodeInNamespace near;
        private final NodeInNamespace far;
        private final OtherNamespace nearPod;
        private final OtherNamespace farPod;
        private final Felix nearFelix;
        private final Felix farFelix;

        World(Cluster cluster, Calico calico) throws IOException {
            this.cluster = cluster;
            this.calico = calico;
            open.push(calico::close);
            Path standIn = NodeInNamespace.buildStandIn(cluster);
            near = new NodeInNamespace(cluster, "calico-near", 5, standIn);
            open.push(near::close);
            far = new NodeInNamespace(cluster, "calico-far", 6, standIn);
            open.push(far::close);
            near.agent().launch();
            nearPod = pod(near, "near", NEAR_POD, 5);
            farPod = pod(far, "far", FAR_POD, 6);
            nearFelix = new Felix(cluster, calico, near);
            open.push(nearFelix::close);
            farFelix = new Felix(cluster, calico, far);
            open.push(farFelix::close);
            here("ip", "addr", "add", OUTSIDE + "/32", "dev", "lo");
            open.push(() -> here("ip", "addr", "del", OUTSIDE + "/32", "dev", "lo"));
        }

        /** With a port that answers, and a route to it and back as Calico's BGP would tell it. */
        private OtherNamespace pod(NodeInNamespace node, String name, String address, int number) {
            OtherNamespace pod = calico.pod(node, name, address);
            open.push(pod::close);
            TwoNodes.tellAddress(cluster, node);
            here("sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/node" + number + "/forwarding");
            here("ip", "route", "add", address, "via", node.address());
            Process server = pod.start(Logs.fresh("pod-" + name), "socat", "UDP4-RECVFROM:" + ORDERS + ",fork", "PIPE");
            open.push(server::destroyForcibly);
            return pod;
        }

        @Override
        public void close() {
            while (!open.isEmpty()) {
                open.pop().run();
            }
        }
    }

    private static void here(String... command) {
        Command.of(command).run().mustSucceed();
    }

    @BeforeEach
    void deploy(Cluster cluster) throws IOException {
        assumeTrue(
                Stream.of(System.getenv("PATH").split(":")).anyMatch(dir -> Files.isExecutable(Path.of(dir, "go"))),
                "SKIPPED: nodes in namespaces need Go for their stand-in guests");
        Calico.require();
        if (ready == mode) {
            return;
        }
        assumeTrue(tried != mode, "this was not ready before");
        tried = mode;
        if (world == null) {
            cluster.namespace(NS);
            world = new World(cluster, new Calico(cluster));
        }
        cluster.apply(Cluster.network(NS, "lab").replace("{}", "{cidr: " + LAB + ", nodePrefixLength: 25}")
                + Cluster.network(NS, "other")
                + vm(cluster, "web", "lab")
                        .replace("- {name: lab}", "- {name: lab, ports: [{hostPort: 8081, port: 80}]}")
                + vm(cluster, "stranger", "other"));
        world.nearFelix.close();
        world.nearFelix.start(mode, Calico.link("near"));
        world.farFelix.close();
        world.farFelix.start(mode, Calico.link("far"));
        cluster.awaitReady(NS, "web", "stranger");
        ready = mode;
    }

    private static World world() {
        return requireNonNull(world);
    }

    private static String vm(Cluster cluster, String name, String network) {
        return cluster.tiny(NS, name, "calico-near", network)
                .replace("networks: [{name: " + network + "}]", "networks:\n  - {name: " + network + "}");
    }

    @AfterAll
    static void takeDown() {
        if (world == null) {
            return;
        }
        Cluster cluster = world.cluster;
        cluster.kubectl("delete", "vm,vmnet", "--all", "-n", NS, "--timeout=60s");
        world.near.agent().terminate();
        world.close();
        cluster.kubectl("delete", "vmnode", "calico-near");
        cluster.kubectl("delete", "lease", "calico-near", "-n", Identities.NAMESPACE);
        world = null;
    }

    @Test
    @Order(1)
    void whoReachesWhomIsWhatReadmeSays(Cluster cluster) throws Exception {
        String node = world().near.address();
        String web = cluster.address(NS, "web");
        String stranger = cluster.address(NS, "stranger");
        int between = counted("inet", "between_networks");
        int spoofed = counted("bridge", "spoofed");
        Map<String, String> seen = new LinkedHashMap<>();
        seen.put("a guest, outside", guestToOutside(web, web, ANSWERED_WITHIN));
        seen.put("a guest, a pod of its node", guestTo(web, web, NEAR_POD, ORDERS, ANSWERED_WITHIN));
        seen.put("a guest, a pod of another node", guestTo(web, web, FAR_POD, ORDERS, ANSWERED_WITHIN));
        seen.put("a guest, a guest of another Network", guestTo(web, web, stranger, ORDERS, SILENT_FOR));
        seen.put("a guest, from another's address, outside", guestToOutside(web, "10.99.0.99", SILENT_FOR));
        seen.put("outside, the published port", ask(List.of(), node, PUBLISHED, ANSWERED_WITHIN));
        seen.put("the node itself, the published port", ask(world().near.enter(), node, PUBLISHED, ANSWERED_WITHIN));
        seen.put(
                "a pod of the node, the published port",
                ask(world().nearPod.enter(), node, PUBLISHED, ANSWERED_WITHIN));
        seen.put(
                "a pod of another node, the published port",
                ask(world().farPod.enter(), node, PUBLISHED, ANSWERED_WITHIN));
        seen.put("a pod of the node, the guest itself", ask(world().nearPod.enter(), web, HTTP, SILENT_FOR));
        seen.put("a pod of the node, the node itself", ask(world().nearPod.enter(), node, CLOSED, SILENT_FOR));
        Map<String, String> asReadmeSays = new LinkedHashMap<>();
        asReadmeSays.put("a guest, outside", node);
        asReadmeSays.put("a guest, a pod of its node", "answered");
        asReadmeSays.put("a guest, a pod of another node", "answered");
        asReadmeSays.put("a guest, a guest of another Network", SILENCE);
        asReadmeSays.put("a guest, from another's address, outside", SILENCE);
        asReadmeSays.put("outside, the published port", world().near.gateway());
        asReadmeSays.put("the node itself, the published port", node);
        asReadmeSays.put("a pod of the node, the published port", "10.99.0.1");
        asReadmeSays.put(
                "a pod of another node, the published port", world().far.address());
        asReadmeSays.put("a pod of the node, the guest itself", SILENCE);
        // Calico's, by defaultEndpointToHostAction.
        asReadmeSays.put("a pod of the node, the node itself", SILENCE);
        assertThat(seen).isEqualTo(asReadmeSays);
        assertThat(counted("inet", "between_networks")).isGreaterThan(between);
        assertThat(counted("bridge", "spoofed")).isGreaterThan(spoofed);
    }

    private static int counted(String family, String counter) {
        Matcher packets = Pattern.compile("packets (\\d+)")
                .matcher(world().near.run("nft", "list", "counter", family, ourTable(), counter));
        assertThat(packets.find()).isTrue();
        return Integer.parseInt(packets.group(1));
    }

    /** A line by TCP; what comes of it is the address that the guest saw. */
    private static String ask(List<String> place, String ip, int port, int seconds) {
        List<String> command = new ArrayList<>(place);
        command.addAll(List.of("timeout", Integer.toString(seconds), "bash", "-c"));
        command.addAll(List.of("exec 3<>/dev/tcp/$0/$1 && echo >&3 && head -n 1 <&3", ip, Integer.toString(port)));
        return told(Command.of(command).run());
    }

    /** Exit code 124 is that of timeout. */
    private static String told(Command.Ended ended) {
        return ended.code() == 124 ? SILENCE : ended.mustSucceed();
    }

    /** @return as whom the guest came, if it was answered too */
    private static String guestToOutside(String guest, String from, int seconds) throws Exception {
        try (DatagramSocket server = new DatagramSocket(0, InetAddress.getByName(OUTSIDE))) {
            CompletableFuture<String> heard = new CompletableFuture<>();
            Thread.ofVirtual().start(() -> {
                try {
                    DatagramPacket packet = new DatagramPacket(new byte[64], 64);
                    server.receive(packet);
                    heard.complete(packet.getAddress().getHostAddress());
                    server.send(packet);
                } catch (IOException e) {
                    heard.completeExceptionally(e);
                }
            });
            String answer = guestTo(guest, from, OUTSIDE, server.getLocalPort(), seconds);
            return answer.equals(SILENCE) ? SILENCE + heard.getNow("") : heard.get(10, TimeUnit.SECONDS);
        }
    }

    /** The node asks the guest to send something there, from that address, and hears what came back. */
    private static String guestTo(String guest, String from, String to, int port, int seconds) throws Exception {
        byte[] order = ByteBuffer.allocate(10)
                .put(InetAddress.getByName(from).getAddress())
                .put(InetAddress.getByName(to).getAddress())
                .putShort((short) port)
                .array();
        StringBuilder escaped = new StringBuilder("V4");
        for (byte b : order) {
            escaped.append("\\x%02x".formatted(b));
        }
        Command.Ended ended = world().near
                .tryRun(
                        "timeout",
                        Integer.toString(seconds),
                        "bash",
                        "-c",
                        "exec 3<>/dev/udp/$0/" + ORDERS + " && env printf '" + escaped + " hello' >&3 && head -c 8 <&3",
                        guest);
        return told(ended).equals("V0 hello") ? "answered" : told(ended);
    }

    @Test
    @Order(2)
    void aFelixThatStartsAgainAndWritesAllItsRulesLeavesOursAlone(Cluster cluster) throws Exception {
        String ours = ourRules();
        List<String> theirs = sorted(world().nearFelix.rules());
        String repairs = repairs(cluster);
        world().nearFelix.close();
        world().nearFelix.loseRules(mode);
        world().nearFelix.start(mode, Calico.link("near"));
        Awaitility.await("all of Felix' rules")
                .atMost(Cluster.SOON)
                .pollInterval(Duration.ofMillis(250))
                .untilAsserted(
                        () -> assertThat(sorted(world().nearFelix.rules())).isEqualTo(theirs));
        assertThat(ourRules()).isEqualTo(ours);
        assertThat(repairs(cluster)).as("what vmlet had to mend").isEqualTo(repairs);
    }

    @Test
    @Order(3)
    void anAgentThatStartsAgainAndWritesAllItsRulesLeavesThoseOfFelixAlone() {
        String theirs = world().nearFelix.rules();
        String links = world().near.run("ip", "-d", "link", "show", Calico.link("near"));
        String routes = world().near.run("ip", "route");
        String ours = withoutNumbers(ourRules());
        world().near.agent().kill();
        world().near.run("nft", "delete table inet " + ourTable() + "; delete table bridge " + ourTable());
        world().near.agent().start();
        Cluster.await(
                "our tables are there again",
                Cluster.SOON,
                () -> withoutNumbers(ourRules()).equals(ours));
        assertThat(world().nearFelix.rules()).isEqualTo(theirs);
        assertThat(world().near.run("ip", "-d", "link", "show", Calico.link("near")))
                .isEqualTo(links);
        assertThat(world().near.run("ip", "route")).isEqualTo(routes);
    }

    /** Both tables, with the number of every rule and without what is counted. */
    private static String ourRules() {
        StringBuilder text = new StringBuilder();
        for (String family : List.of("inet", "bridge")) {
            text.append(world().near.run("nft", "-a", "-s", "list", "table", family, ourTable()));
        }
        return text.toString();
    }

    private static String ourTable() {
        return "vmlet_" + world().near.agent().installation();
    }

    /** Felix makes its chains in any order. */
    private static List<String> sorted(String rules) {
        return withoutNumbers(rules).lines().sorted().toList();
    }

    private static String withoutNumbers(String rules) {
        return rules.replaceAll(" # handle \\d+", "");
    }

    /** Each with how often it was told, of all objects. */
    private static String repairs(Cluster cluster) {
        return cluster.kubectl(
                "get",
                "events",
                "-A",
                "--field-selector=reason=Repaired",
                "-o",
                "jsonpath={range .items[*]}{.count} {.message}{\"\\n\"}{end}");
    }

    @Test
    @Order(4)
    void aPolicyThatKeepsGuestsInIsNamedWithTheOneThatLetsThemOut(Cluster cluster) throws Exception {
        try {
            // A rule of the policy, and what comes to the end of all policies: one in each mode.
            if (mode == Felix.Mode.IPTABLES) {
                world().calico.apply(HOST_ENDPOINT + denying("- {action: Deny, destination: {notNets: [10.0.0.0/8]}}"));
                assertSaid(
                        cluster,
                        "the rule \"meta mark & 0x00040000 == 0x00040000 drop\" in iptables' cali-po-gnp/nothing-through"
                                + " chain",
                        "<as of that policy>");
            } else {
                world().calico.apply(HOST_ENDPOINT + denying(""));
                assertSaid(
                        cluster,
                        "the rule \"meta mark & 0x00020000 == 0x00000000 drop comment \"cali:HASH; End of tier default."
                                + " Drop if no policies passed packet\"\" in chain filter-cali-thfw-eth0 of nft table ip"
                                + " calico",
                        "<of this node's HostEndpoint>");
            }
            aRuleInFelixChainsDoesNotStay();
            itsRemedyLetsGuestsOutAndIn(cluster);
        } finally {
            world().calico
                    .delete(
                            "hostendpoint/near",
                            "globalnetworkpolicy/nothing-through",
                            "globalnetworkpolicy/vmlet-egress-10-99-0-0-25",
                            "globalnetworkpolicy/vmlet-ingress-10-99-0-0-25");
            // Before it ends: what it wrote stays, and may keep the next one from the API server.
            Cluster.await(
                    "Felix forgot endpoint and policies",
                    Cluster.SOON,
                    () -> Stream.of("cali-thfw-eth0", "gnp/")
                            .noneMatch(world().nearFelix.rules()::contains));
        }
    }

    /** The node reaches its API server, and nothing is forwarded, to say nothing of what is one address on. */
    private static String denying(String rule) {
        return """
                ---
                apiVersion: projectcalico.org/v3
                kind: GlobalNetworkPolicy
                metadata: {name: nothing-through}
                spec:
                  order: 100
                  selector: host == 'near'
                  applyOnForward: true
                  types: [Ingress, Egress]
                  egress:
                  - {action: Allow, destination: {nets: [%s/32, 198.51.100.0/24]}}
                  %s
                """.formatted(Outside.NODE, rule);
    }

    /** By the condition and by doctor, which knows no Network, and so speaks of the pool's addresses. */
    private void assertSaid(Cluster cluster, String rule, String selector) {
        String what = rule + " (Calico)";
        Awaitility.await("the condition names the rule")
                .atMost(Cluster.SOON)
                .pollInterval(Duration.ofMillis(250))
                .untilAsserted(() -> {
                    Condition said = networkReady(cluster);
                    assertThat(said.reason() + ": " + withoutHashes(requireNonNull(said.message())))
                            .isEqualTo(
                                    "ForeignRuleDrops: what guests of Network lab send out of this node is dropped by "
                                            + what + ", as a probe packet showed; to let them through: "
                                            + remedy("10.99.0.0/25", selector));
                });
        assertThat(withoutHashes(doctor(cluster)))
                .contains("\nwarn  a packet sent as a guest would send it is dropped by " + what
                        + ": guests reach nothing outside their Network — " + remedy("10.208.0.0/12", selector) + "\n");
    }

    private static String withoutHashes(String text) {
        return text.replaceAll("cali:[^;]{16};", "cali:HASH;");
    }

    private static String remedy(String range, String selector) {
        return "calicoctl apply -f - <<< \"{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {name:"
                + " vmlet-egress-" + range.replaceAll("[./]", "-") + "}, spec: {order: 0, selector: " + selector
                + ", applyOnForward: true, types: [Egress], egress: [{action: Allow, source: {nets: [" + range
                + "]}}, {action: Allow, destination: {nets: [" + range + "]}}]}}\" (its order, and its tier where there"
                + " are several, must come before those of what drops; published ports may need the same for Ingress;"
                + " what is written into Calico's chains by hand Felix takes away)";
    }

    private void aRuleInFelixChainsDoesNotStay() {
        String theirs = world().nearFelix.rules();
        if (mode == Felix.Mode.IPTABLES) {
            world().near.run("iptables", "-I", "cali-thfw-eth0", "-j", "ACCEPT");
        } else {
            world().near.run("nft", "insert rule ip calico filter-cali-thfw-eth0 accept");
        }
        assertThat(world().nearFelix.rules()).isNotEqualTo(theirs);
        Cluster.await(
                "Felix took it away",
                Cluster.SOON,
                () -> sorted(world().nearFelix.rules()).equals(sorted(theirs)));
    }

    private static void itsRemedyLetsGuestsOutAndIn(Cluster cluster) throws Exception {
        String web = cluster.address(NS, "web");
        String node = world().near.address();
        assertThat(guestToOutside(web, web, SILENT_FOR)).isEqualTo(SILENCE);
        assertThat(ask(List.of(), node, PUBLISHED, SILENT_FOR)).isEqualTo(SILENCE);
        // As a person would take it from there.
        String remedy = requireNonNull(networkReady(cluster).message())
                .replaceFirst(".* to let them through: ", "")
                .replaceFirst(" \\(.*", "")
                .replaceFirst("selector: <[^>]*>", "selector: host == 'near'");
        world().calico.shell(remedy);
        Cluster.await(
                "the condition is true again",
                Cluster.SOON,
                () -> networkReady(cluster).status() == Condition.Status.True);
        assertThat(guestToOutside(web, web, ANSWERED_WITHIN)).isEqualTo(node);
        assertThat(ask(List.of(), node, PUBLISHED, SILENT_FOR)).isEqualTo(SILENCE);
        world().calico.shell(remedy.replace("egress", "ingress").replace("Egress", "Ingress"));
        Cluster.await(
                "the published port is reached",
                Cluster.SOON,
                () -> ask(List.of(), node, PUBLISHED, SILENT_FOR)
                        .equals(world().near.gateway()));
    }

    /** Felix has turned the node's forwarding on since the agent came, and pods rely on it. */
    @Test
    @Order(5)
    void theLastGuestLeavesNothingAndTakesNothingOfCalicoAlong(Cluster cluster) {
        String theirs = withoutOwnAddresses(world().nearFelix.rules());
        String link = world().near.run("ip", "-d", "addr", "show", Calico.link("near"));
        cluster.kubectl("delete", "vm,vmnet", "--all", "-n", NS, "--timeout=60s");
        Cluster.await("the sweep", Cluster.SOON, () -> world().near.links().isEmpty());
        assertThat(withoutOwnAddresses(world().nearFelix.rules())).isEqualTo(theirs);
        assertThat(world().near.run("ip", "-d", "addr", "show", Calico.link("near")))
                .isEqualTo(link);
        assertThat(world().near.run("cat", "/proc/sys/net/ipv4/conf/eth0/forwarding"))
                .isEqualTo("1");
        world().nearPod.run("ping", "-c", "1", "-W", "5", FAR_POD);
    }

    /** Felix keeps a set of all addresses of its node, and so of the bridges that come and go. */
    private static String withoutOwnAddresses(String rules) {
        return rules.replaceFirst("(?s)set cali40this-host \\{.*?\n\t\\}", "");
    }

    private static Condition networkReady(Cluster cluster) {
        return cluster.condition(NS, "web", "NetworkReady").orElseThrow();
    }

    private static String doctor(Cluster cluster) {
        List<String> command = new ArrayList<>(cluster.java());
        Path home = cluster.dir().resolve("calico-near");
        command.addAll(List.of("doctor", "--emulation", "auto"));
        command.addAll(List.of(
                "--state-dir",
                home.resolve("state").toString(),
                "--run-dir",
                home.resolve("run").toString()));
        return world().near.tryRun(command.toArray(String[]::new)).output();
    }
}
