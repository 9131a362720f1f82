package dev.vmlet.e2e;

import static java.util.Objects.requireNonNull;
import static java.util.Objects.requireNonNullElse;
import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.vmlet.api.Condition;
import dev.vmlet.api.VirtualMachineStatus;
import io.fabric8.kubernetes.api.model.Service;
import io.fabric8.kubernetes.api.model.discovery.v1.Endpoint;
import io.fabric8.kubernetes.api.model.discovery.v1.EndpointConditions;
import io.fabric8.kubernetes.api.model.discovery.v1.EndpointPort;
import io.fabric8.kubernetes.api.model.discovery.v1.EndpointSlice;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.function.Predicate;
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
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * The Service of {@code examples/service} with its VM on node {@code near}, led there by Kubernetes' own kube-proxy in each
 * of its modes, on that node and on another. The VM's guest is a stand-in that tells each client as whom it came.
 */
@ExtendWith(EndToEnd.class)
@ParameterizedClass(name = "kube-proxy in mode {0}")
@EnumSource(
        value = KubeProxy.Mode.class,
        names = {"IPTABLES", "NFTABLES"})
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class KubeProxyE2E {
    private static final String NS = "kube-proxy";
    private static final Path EXAMPLES = Path.of("examples");
    private static final String SERVICE = "front";
    private static final String VM = "front-a";
    /** Behind the same Service, on the other node. */
    private static final String FAR_VM = "front-b";

    private static final String OTHER = "neighbour";
    private static final int LAST = Integer.MAX_VALUE;
    private static final int HTTP = 80;
    private static final int PUBLISHED = 8081;
    /** By UDP; the stand-in sends back what begins as {@link #PACKET}. */
    private static final int ECHO = 7777;

    private static final String PACKET = "V0 hello";
    private static final int SILENT = 124;
    private static final String IPVS = "kube-ipvs0";

    /** Of both modes: a mode is changed on a living node, as an operator does it. */
    private static @Nullable TwoNodes nodes;

    private static @Nullable Cluster known;

    @Parameter
    private KubeProxy.Mode mode = KubeProxy.Mode.IPTABLES;

    /** The modes in which this was begun, and done: JUnit makes one object of this class for both. */
    private KubeProxy.@Nullable Mode tried;

    private KubeProxy.@Nullable Mode ready;
    private String clusterIp = "";
    private int nodePort;

    @BeforeEach
    void deploy(Cluster cluster) throws IOException {
        assumeTrue(
                Stream.of(System.getenv("PATH").split(":")).anyMatch(dir -> Files.isExecutable(Path.of(dir, "go"))),
                "SKIPPED: nodes in namespaces need Go for their stand-in guests");
        if (ready == mode) {
            return;
        }
        assumeTrue(tried != mode, "the Service did not become ready before");
        tried = mode;
        if (nodes == null) {
            known = cluster;
            cluster.namespace(NS);
            nodes = new TwoNodes(cluster);
            // Another VM, so that the node keeps the Network when the one behind the Service is deleted.
            cluster.apply(example("network.yaml") + service() + cluster.tiny(NS, OTHER, "near", "lab"));
        }
        cluster.apply(vm(cluster));
        Service service =
                cluster.client().services().inNamespace(NS).withName(SERVICE).require();
        clusterIp = service.getSpec().getClusterIP();
        nodePort = service.getSpec().getPorts().getFirst().getNodePort();
        for (KubeProxy proxy : nodes().proxies()) {
            proxy.close();
            proxy.start(mode, clusterIp);
        }
        cluster.awaitReady(NS, VM, OTHER);
        awaitServed();
        ready = mode;
    }

    private static TwoNodes nodes() {
        return requireNonNull(nodes);
    }

    @AfterAll
    static void takeDown() {
        if (nodes != null && known != null) {
            known.kubectl("delete", "vm", VM, FAR_VM, OTHER, "-n", NS, "--ignore-not-found", "--timeout=60s");
            known.kubectl("delete", "service", SERVICE, "-n", NS);
            known.kubectl("delete", "vmnet", "lab", "-n", NS, "--timeout=60s");
            nodes.near.agent().terminate();
            nodes.far.agent().terminate();
            nodes.close();
            known.kubectl("delete", "vmnode", "near", "far");
            known.kubectl("delete", "lease", "near", "far", "-n", Identities.NAMESPACE);
            nodes = null;
        }
    }

    private static String example(String file) throws IOException {
        String text = Files.readString(EXAMPLES.resolve(file));
        return "---\n" + replaced(text, "metadata:\n", "metadata:\n  namespace: " + NS + "\n");
    }

    /** The example's Service, asked for from outside too, and with a port by UDP. */
    private static String service() throws IOException {
        return replaced(example("service/service-front.yaml"), "  ports:\n", "  type: NodePort\n  ports:\n")
                        .stripTrailing()
                + """

                    - {name: echo, port: %1$d, targetPort: echo, protocol: UDP}
                """.formatted(ECHO);
    }

    private static String vm(Cluster cluster) throws IOException {
        String text = example("service/vm-front.yaml");
        text = replaced(text, "  # nodeName: a ", "  nodeName: near ");
        text = replaced(text, "name: debian-13", "path: tiny/root.raw");
        text = replaced(
                text,
                "      ports:\n",
                "      ports:\n        - {name: echo, hostPort: %1$d, port: %1$d, protocol: UDP}\n".formatted(ECHO));
        return text.replaceFirst("ssh-ed25519 \\S+ you@example", Matcher.quoteReplacement(cluster.publicKey()));
    }

    private static String replaced(String text, String what, String by) {
        assertThat(text).as("the example").contains(what);
        return text.replace(what, by);
    }

    /** Both nodes: that the far one leads to the VM says nothing of the rules of the near one, kube-proxy's and ours. */
    private void awaitServed() {
        // As one address with its port, or as two parts of a map.
        Predicate<String> leadsThere = Pattern.compile(nodes().near.address() + "(:| \\. )" + PUBLISHED)
                .asPredicate();
        Cluster.await(
                "both nodes lead to the VM",
                Cluster.SOON,
                () -> nodes().proxies().stream().allMatch(proxy -> leadsThere.test(proxy.rules(mode)))
                        && ask(nodes().farPod.enter(), clusterIp, HTTP).succeeded()
                        && ask(nodes().nearPod.enter(), clusterIp, HTTP).succeeded());
    }

    /** A line by TCP; what comes of it is the address that the guest saw. */
    private static Command.Ended ask(List<String> place, String ip, int port) {
        return from(place, "exec 3<>/dev/tcp/$0/$1 && echo >&3 && head -n 1 <&3", ip, port);
    }

    private static Command.Ended askByUdp(List<String> place, String ip, int port) {
        return from(place, "exec 3<>/dev/udp/$0/$1 && printf '" + PACKET + "' >&3 && head -c 8 <&3", ip, port);
    }

    /** Exit code {@link #SILENT} where nothing comes back. */
    private static Command.Ended from(List<String> place, String script, String ip, int port) {
        List<String> command = new ArrayList<>(place);
        command.addAll(List.of("timeout", "4", "bash", "-c", script, ip, Integer.toString(port)));
        return Command.of(command).with("LC_ALL", "C").run();
    }

    private static void assertSilence(String who, Command.Ended ended) {
        assertThat(ended.code()).as(who + ": " + ended.output()).isEqualTo(SILENT);
    }

    @Test
    @Order(1)
    void aPodOfAnotherNodeReachesTheVmByTheServicesAddressAsItself(Cluster cluster) {
        assertThat(ask(nodes().farPod.enter(), clusterIp, HTTP).mustSucceed()).isEqualTo(TwoNodes.FAR_POD);
        assertThat(askByUdp(nodes().farPod.enter(), clusterIp, ECHO).mustSucceed())
                .isEqualTo(PACKET);
        EndpointSlice slice = slice(cluster).orElseThrow();
        Endpoint endpoint = slice.getEndpoints().getFirst();
        assertThat(endpoint.getAddresses()).containsExactly(nodes().near.address());
        assertThat(endpoint.getNodeName()).isEqualTo("near");
        assertThat(endpoint.getConditions()).isEqualTo(new EndpointConditions(true, true, false));
        assertThat(slice.getPorts().stream()
                        .sorted(Comparator.comparing(EndpointPort::getName))
                        .map(port -> port.getName() + " " + port.getProtocol() + "/" + port.getPort()))
                .containsExactly("echo UDP/" + ECHO, "http TCP/" + PUBLISHED);
    }

    private static Optional<EndpointSlice> slice(Cluster cluster) {
        List<EndpointSlice> all = cluster.client()
                .discovery()
                .v1()
                .endpointSlices()
                .inNamespace(NS)
                .withLabel("kubernetes.io/service-name", SERVICE)
                .list()
                .getItems();
        assertThat(all).hasSizeLessThanOrEqualTo(1);
        return all.stream().findFirst();
    }

    @Test
    @Order(2)
    void anotherNodeItselfReachesTheVmByTheServicesAddress() {
        assertThat(ask(nodes().far.enter(), clusterIp, HTTP).mustSucceed())
                .isEqualTo(nodes().far.address());
    }

    /** kube-proxy gives whoever comes by its NodePort the node's address, or the answer would go another way. */
    @Test
    @Order(3)
    void theOutsideReachesTheVmByTheNodePortOfAnotherNode() {
        assertThat(ask(List.of(), nodes().far.address(), nodePort).mustSucceed())
                .isEqualTo(nodes().far.address());
    }

    /** kube-proxy would lead the connection to the node, which would refuse it: a connection is translated once. */
    @Test
    @Order(4)
    void onTheVmsOwnNodeEverybodyReachesItAsHimself(Cluster cluster) {
        String near = nodes().near.address();
        assertThat(ask(nodes().nearPod.enter(), clusterIp, HTTP).mustSucceed())
                .as("a pod")
                .isEqualTo(TwoNodes.NEAR_POD);
        assertThat(askByUdp(nodes().nearPod.enter(), clusterIp, ECHO).mustSucceed())
                .as("a pod by UDP")
                .isEqualTo(PACKET);
        assertThat(ask(nodes().near.enter(), clusterIp, HTTP).mustSucceed())
                .as("the node itself")
                .isEqualTo(near);
        assertThat(ask(List.of(), near, nodePort).mustSucceed())
                .as("the outside, by the NodePort")
                .isEqualTo(nodes().near.gateway());
        assertThat(ask(nodes().nearPod.enter(), near, nodePort).mustSucceed())
                .as("a pod, by the NodePort")
                .isEqualTo(TwoNodes.NEAR_POD);
        assertThat(cluster.kubectl(
                        "get",
                        "vmnode",
                        "near",
                        "-o",
                        "jsonpath={range .spec.services[*]}{.service} {.addresses} {.protocol}/{.port} {.backends[*].name}"
                                + " {.backends[*].hostPort}{\"\\n\"}{end}"))
                .isEqualTo("""
                        %1$s/%2$s ["%3$s"] TCP/%4$d %5$s %6$d
                        %1$s/%2$s ["%3$s"] UDP/%7$d %5$s %7$d""".formatted(NS, SERVICE, clusterIp, HTTP, VM, PUBLISHED, ECHO));
    }

    /** Of two VMs the one on the client's own node answers; which it was tells a far node that hears no near client. */
    @Test
    @Order(9)
    void aServiceIsAnsweredByTheClientsOwnNodeAndByAnotherWhileThatHasNoneThatIsReady(Cluster cluster)
            throws IOException {
        cluster.apply(vm(cluster).replace(VM, FAR_VM).replace("nodeName: near ", "nodeName: far "));
        cluster.awaitReady(NS, FAR_VM);
        Predicate<String> leadsFar =
                Pattern.compile(nodes().far.address() + "(:| \\. )" + PUBLISHED).asPredicate();
        Cluster.await(
                "both kube-proxies know both VMs",
                Cluster.SOON,
                () -> nodes().proxies().stream().allMatch(proxy -> leadsFar.test(proxy.rules(mode))));
        nodes().far.run("nft", "add table ip deaf");
        nodes().far.run("nft", "add chain ip deaf in { type filter hook prerouting priority -300; }");
        nodes().far.run("nft", "add rule ip deaf in ip saddr " + TwoNodes.NEAR_POD + " drop");
        for (int i = 0; i < 12; i++) {
            assertThat(ask(nodes().nearPod.enter(), clusterIp, HTTP).mustSucceed())
                    .isEqualTo(TwoNodes.NEAR_POD);
        }
        nodes().far.run("nft", "delete table ip deaf");

        String told = generation(cluster);
        cluster.kubectl("patch", "vm", VM, "-n", NS, "--type=merge", "-p", "{\"spec\": {\"runStrategy\": \"Halted\"}}");
        Predicate<String> leadsNear = Pattern.compile(nodes().near.address() + "(:| \\. )" + PUBLISHED)
                .asPredicate();
        Cluster.await(
                "the near node's kube-proxy leads to the far VM alone",
                Cluster.SOON,
                () -> !leadsNear.test(nodes().nearProxy.rules(mode)));
        for (int i = 0; i < 12; i++) {
            assertThat(ask(nodes().nearPod.enter(), clusterIp, HTTP).mustSucceed())
                    .isEqualTo(TwoNodes.NEAR_POD);
        }

        cluster.kubectl("patch", "vm", VM, "-n", NS, "--type=merge", "-p", "{\"spec\": {\"runStrategy\": \"Always\"}}");
        cluster.kubectl("delete", "vm", FAR_VM, "-n", NS, "--timeout=60s");
        cluster.awaitReady(NS, VM);
        awaitServed();
        assertThat(generation(cluster))
                .as("that a VM is not ready, and is again, is not written to its node")
                .isEqualTo(told);
    }

    private static String generation(Cluster cluster) {
        return cluster.kubectl("get", "vmnode", "near", "-o", "jsonpath={.metadata.generation}");
    }

    @Test
    @Order(5)
    void podsOfBothNodesReachWhatTheConditionNamesAndNothingElse(Cluster cluster) {
        assertThat(reachable(cluster))
                .isEqualTo("True Published: Pods of this node and of others reach the guest at "
                        + nodes().near.address() + ", udp/" + ECHO + " (its port " + ECHO + "), tcp/" + PUBLISHED
                        + " (its port " + HTTP + "), and nothing else of it; through a Service that"
                        + " selects it too.");
        String node = nodes().near.address();
        assertThat(ask(nodes().nearPod.enter(), node, PUBLISHED).mustSucceed()).isEqualTo(TwoNodes.NEAR_POD);
        assertThat(ask(nodes().farPod.enter(), node, PUBLISHED).mustSucceed()).isEqualTo(TwoNodes.FAR_POD);
        assertThat(ask(nodes().near.enter(), node, PUBLISHED).mustSucceed()).isEqualTo(node);
        assertThat(ask(List.of(), node, PUBLISHED).mustSucceed())
                .isEqualTo(nodes().near.gateway());
        String guest = cluster.address(NS, VM);
        // Routes there and back, so that nothing but the node's firewall is between them.
        Command.of("ip", "route", "add", guest, "via", node).run().mustSucceed();
        assertSilence(
                "a pod of the node, at the guest's own address",
                ask(nodes().nearPod.enter(), guest, HTTP));
        assertSilence("a pod of another node, there", ask(nodes().farPod.enter(), guest, HTTP));
        Command.of("ip", "route", "del", guest, "via", node).run().mustSucceed();
    }

    private static String reachable(Cluster cluster) {
        return told(cluster, "ReachableFromPods");
    }

    private static String told(Cluster cluster, String type) {
        Condition condition = cluster.condition(NS, VM, type).orElseThrow();
        return condition.status() + " " + condition.reason() + ": " + condition.message();
    }

    @Test
    @Order(6)
    void aKubeProxyThatStartsAgainAndWritesAllItsRulesLeavesOursAlone(Cluster cluster) {
        String ours = ourRules();
        String repairs = repairs(cluster);
        nodes().nearProxy.kill();
        loseTheirs();
        nodes().nearProxy.start(mode, clusterIp);
        awaitServed();
        assertThat(ourRules()).isEqualTo(ours);
        assertThat(repairs(cluster)).as("what vmlet had to mend").isEqualTo(repairs);
    }

    /** Both tables, with the number of every rule and without what is counted. */
    private static String ourRules() {
        StringBuilder text = new StringBuilder();
        for (String family : List.of("inet", "bridge")) {
            text.append(nodes().near.run("nft", "-a", "-s", "list", "table", family, ourTable()));
        }
        return text.toString();
    }

    private static String ourTable() {
        return "vmlet_" + nodes().near.agent().installation();
    }

    /** All rules of kube-proxy on the VM's node, as if somebody had flushed them. */
    private void loseTheirs() {
        if (mode == KubeProxy.Mode.NFTABLES) {
            nodes().near.run("nft", "delete", "table", "ip", "kube-proxy");
        } else {
            nodes().near.run("iptables", "-t", "nat", "-F");
            nodes().near.run("iptables", "-F");
        }
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
    @Order(7)
    void tablesOfOursThatAreMadeAnewLeaveThoseOfKubeProxyAlone(Cluster cluster) {
        String theirs = nodes().nearProxy.rules(mode);
        String before = withoutNumbers(ourRules());
        nodes().near.run("nft", "delete", "table", "inet", ourTable());
        Cluster.await(
                "our tables are there again",
                Cluster.SOON,
                () -> withoutNumbers(ourRules()).equals(before));
        awaitServed();
        assertThat(nodes().nearProxy.rules(mode)).isEqualTo(theirs);
    }

    private static String withoutNumbers(String rules) {
        return rules.replaceAll(" # handle \\d+", "");
    }

    /** The kernel here may be without IPVS; then a link of the name is what the node has of that mode. */
    @Test
    @Order(8)
    void underIpvsNothingIsPublishedAndTheConditionsSayWhy(Cluster cluster) {
        KubeProxy proxy = nodes().nearProxy;
        proxy.kill();
        proxy.launch(KubeProxy.Mode.IPVS);
        boolean real = proxy.runsUntil(
                () -> nodes().near.tryRun("ip", "link", "show", IPVS).succeeded());
        if (!real) {
            System.out.println(
                    "NOT SEEN: kube-proxy in IPVS mode, which does not run here; a link of its name stands in"
                            + " for it. Its last words: " + proxy.lastWords());
            nodes().near.run("ip", "link", "add", IPVS, "type", "bridge");
        }
        Cluster.await(
                "nothing is published",
                Cluster.SOON,
                () -> published(cluster).isEmpty() && reachable(cluster).startsWith("False "));
        assertThat(reachable(cluster))
                .isEqualTo("False FirewallNotReady: What comes to this node's udp/" + ECHO + ", tcp/" + PUBLISHED
                        + " is not led to the guest; NetworkReady tells why.");
        assertThat(told(cluster, "NetworkReady")).contains("kube-proxy serves this node in IPVS mode");
        Cluster.await(
                "the slice is not ready",
                Cluster.SOON,
                () -> slice(cluster)
                        .orElseThrow()
                        .getEndpoints()
                        .getFirst()
                        .getConditions()
                        .equals(new EndpointConditions(false, false, false)));
        Cluster.await(
                "the far node leads nobody there",
                Cluster.SOON,
                () -> ask(nodes().farPod.enter(), clusterIp, HTTP).output().contains("Connection refused"));
        if (real) {
            proxy.kill();
        }
        // It outlives a kube-proxy that is killed, and its change to iptables mode.
        nodes().near.run("ip", "link", "delete", IPVS);
        proxy.start(mode, clusterIp);
        awaitServed();
        assertThat(reachable(cluster)).startsWith("True Published: ");
    }

    private static List<String> published(Cluster cluster) {
        VirtualMachineStatus status = requireNonNull(cluster.vm(NS, VM).getStatus());
        return requireNonNullElse(requireNonNull(status.addresses()).getFirst().publishedPorts(), List.of());
    }

    @Test
    @Order(LAST)
    void aDeletedVmIsNoEndpointAndItsConnectionsEnd(Cluster cluster) throws IOException {
        Path heard = cluster.dir().resolve("heard-" + mode);
        Process client = nodes().farPod.start(heard, "socat", "-", "TCP4:" + clusterIp + ":" + HTTP);
        try (OutputStream says = client.getOutputStream()) {
            say(says);
            Cluster.await(
                    "an answer", Cluster.SOON, () -> Files.readString(heard).equals(TwoNodes.FAR_POD + "\n"));

            cluster.kubectl("delete", "vm", VM, "-n", NS, "--timeout=60s");
            Cluster.await("no slice", Cluster.SOON, () -> slice(cluster).isEmpty());
            Cluster.await(
                    "the far node knows",
                    Cluster.SOON,
                    () -> ask(nodes().farPod.enter(), clusterIp, HTTP).output().contains("Connection refused"));
            assertThat(client.isAlive()).as("nobody has said anything yet").isTrue();
            say(says);
            Cluster.await("what was open is reset by the VM's node", Cluster.SOON, () -> !client.isAlive());
            assertThat(Files.readString(heard)).isEqualTo(TwoNodes.FAR_POD + "\n");
        } finally {
            client.destroyForcibly();
        }
    }

    private static void say(OutputStream to) throws IOException {
        to.write("\n".getBytes(StandardCharsets.UTF_8));
        to.flush();
    }
}
