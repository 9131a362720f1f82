package dev.vmlet.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/**
 * The rights that the chart gives are those that are used: what the API server recorded of agents and controller in this
 * JVM, against the roles as they are installed. The life of a VM here goes by every call that there is.
 */
@ExtendWith(EndToEnd.class)
class RightsE2E {
    private static final String NS = "rights";
    private static final String CLOSED = "rights-closed";
    private static final String NODE = "rights";
    private static final JsonMapper JSON = new JsonMapper();

    /** Used, but not by what this class can bring about at will; with whose need it is. */
    private static final Map<String, Map<String, String>> RARE = Map.of(
            "vmlet-controller",
            Map.of(
                    "get vmlet.dev/networks",
                    "java-operator-sdk reads anew when the removal of its finalizer met a conflict",
                    "patch vmlet.dev/networkslices",
                    "the slice of a node whose VmNode and Lease have been gone for three minutes; ManyNodesContract does"
                            + " it with a clock of its own"));

    /** One line of a role. {@code namespace} is empty for every namespace, {@code name} for every object. */
    private record Grant(String verb, String resource, String namespace, String name) {
        boolean covers(Call call) {
            return verb.equals(call.verb)
                    && resource.equals(call.resource)
                    && (namespace.isEmpty() || namespace.equals(call.namespace))
                    && (name.isEmpty() || name.equals(call.name));
        }

        @Override
        public String toString() {
            return verb + " " + resource + (namespace.isEmpty() ? "" : " in " + namespace)
                    + (name.isEmpty() ? "" : " named " + name);
        }
    }

    /** {@code resource} is {@code group/plural} or {@code group/plural/subresource}. */
    private record Call(String verb, String resource, String namespace, String name, int answer) {}

    @Test
    void theRightsOfTheChartAreExactlyWhatIsUsed(Cluster cluster) throws JsonProcessingException {
        live(cluster);

        List<String> audited = cluster.audited();
        for (String account : List.of("vmlet-agent", "vmlet-controller")) {
            List<Call> calls = calls(audited, account);
            Set<Grant> grants = grants(cluster, account);
            assertThat(calls).as("calls of %s", account).isNotEmpty();
            assertThat(calls.stream()
                            .filter(call -> grants.stream().noneMatch(g -> g.covers(call)))
                            // What the namespace has not been opened for is asked for, and refused: the other test.
                            .filter(call -> !call.resource.equals("/secrets"))
                            .map(call -> call.verb + " " + call.resource + " in " + call.namespace)
                            .distinct())
                    .as("used by %s and not granted by the chart", account)
                    .isEmpty();
            assertThat(grants.stream()
                            .filter(grant -> calls.stream().noneMatch(c -> grant.covers(c) && c.answer != 403))
                            .map(Grant::toString)
                            .filter(grant ->
                                    !RARE.getOrDefault(account, Map.of()).containsKey(grant)))
                    .as("granted to %s by the chart and never used", account)
                    .isEmpty();
        }
    }

    @Test
    void secretsAreReadWhereTheOperatorAllowsItAndNowhereElse(Cluster cluster) throws JsonProcessingException {
        AgentProcess agent = cluster.newAgent(NODE + "-closed").start();
        cluster.namespace(CLOSED);
        secret(cluster, CLOSED);
        cluster.apply(vm(cluster, CLOSED, "web", NODE + "-closed", "cloudInit: {userDataSecretRef: {name: data}}"));
        Cluster.await(
                "the condition names the value to set",
                Cluster.SOON,
                () -> get(cluster, CLOSED, "{.status.conditions[?(@.type==\"Ready\")].reason}")
                        .equals("SecretForbidden"));
        assertThat(get(cluster, CLOSED, "{.status.conditions[?(@.type==\"Ready\")].message}"))
                .isEqualTo("Secret rights-closed/data cannot be read: agents may read no Secret in namespace"
                        + " rights-closed; the operator allows it by adding rights-closed to the chart's value"
                        + " secretNamespaces, or write spec.cloudInit.userData instead");

        cluster.allowSecrets(CLOSED);
        Cluster.await(
                "the guest runs",
                Cluster.BOOT,
                () -> get(cluster, CLOSED, "{.status.phase}").equals("Running"));

        assertThat(calls(cluster.audited(), "vmlet-agent").stream()
                        .filter(c -> c.resource.equals("/secrets"))
                        .map(Call::verb)
                        .distinct())
                .containsExactly("get");
        cluster.kubectl("delete", "vm", "web", "-n", CLOSED, "--timeout=120s");
        leave(cluster, agent, NODE + "-closed");
    }

    /** Every call there is, by agent and controller. */
    private static void live(Cluster cluster) {
        cluster.namespace(NS);
        cluster.allowSecrets(NS);
        secret(cluster, NS);
        AgentProcess agent = cluster.newAgent(NODE, "--lease-duration", "PT40S").start();
        cluster.apply(Cluster.network(NS, "lab"));
        cluster.apply(service());
        cluster.apply(sliceOfAnother());
        cluster.apply(vm(cluster, NS, "web", NODE, "cloudInit: {userDataSecretRef: {name: data}}")
                .replace("name: web}", "name: web, labels: {app: web}}")
                .replace("networks: []", "networks: [{name: lab, ports: [{name: http, hostPort: 18080, port: 80}]}]"));
        cluster.apply(vm(cluster, NS, "homeless", NODE, "").replace("  nodeName: " + NODE + "\n", ""));
        Cluster.await(
                "the guest runs",
                Cluster.BOOT,
                () -> get(cluster, NS, "{.status.phase}").equals("Running"));
        Cluster.await(
                "the slice's name is another's",
                Cluster.SOON,
                () -> events(cluster, "front").contains("ServiceRefused"));
        cluster.kubectl("delete", "endpointslice", "front.web", "-n", NS);
        cluster.kubectl("annotate", "service", "front", "-n", NS, "again=1");
        Cluster.await(
                "the VM is behind the Service",
                Cluster.SOON,
                () -> ready(cluster).equals("true"));
        Cluster.await(
                "the controller says who has no node",
                Cluster.SOON,
                () -> cluster.kubectl(
                                "get", "vm", "homeless", "-n", NS, "-o", "jsonpath={.status.conditions[*].reason}")
                        .contains("NotAssigned"));
        // The same words again, which count up one Event.
        cluster.apply(vm(cluster, NS, "wrong", NODE, "cloudInit: {userDataSecretRef: {name: none}}"));
        Cluster.await("it is told", Cluster.SOON, () -> events(cluster, "wrong").contains("SecretNotFound"));
        cluster.kubectl("annotate", "vm", "wrong", "-n", NS, "again=1");
        Cluster.await("the controller keeps a Network in use", Cluster.SOON, () -> {
            cluster.kubectl("delete", "vmnet", "lab", "-n", NS, "--wait=false");
            return events(cluster, "lab").contains("NetworkBeingDeleted");
        });
        // It is kept for as long as its user is there, and that is said again and again.
        awaitCounted(cluster, "wrong", "SecretNotFound");
        awaitCounted(cluster, "lab", "NetworkBeingDeleted");

        agent.terminate();
        Cluster.await(
                "the node is lost",
                Cluster.SOON,
                () -> get(cluster, NS, "{.status.phase}").equals("Unknown"));
        Cluster.await(
                "the Service leads to it no more",
                Cluster.SOON,
                () -> ready(cluster).equals("false"));
        // Its object goes without the agent's release: an orphan, about which the API server is asked directly.
        cluster.kubectl("delete", "vm", "web", "-n", NS, "--wait=false");
        cluster.kubectl("patch", "vm", "web", "-n", NS, "--type=json", "-p", """
                [{"op": "remove", "path": "/metadata/finalizers"}]""");
        Cluster.await(
                "its slice is gone",
                Cluster.SOON,
                () -> cluster.kubectl("get", "endpointslices", "-n", NS, "-o", "name")
                        .isBlank());
        // And one by force, with a tombstone on a VmNode that somebody has removed besides.
        cluster.kubectl("delete", "vmnode", NODE);
        cluster.kubectl("delete", "vm", "wrong", "-n", NS, "--wait=false");
        cluster.kubectl("annotate", "vm", "wrong", "-n", NS, "vmlet.dev/force-delete=the machine burnt down");
        Cluster.await(
                "it is deleted by force",
                Cluster.SOON,
                () -> cluster.findVm(NS, "wrong").isEmpty());
        agent.start();
        Cluster.await(
                "the orphan is stopped",
                Cluster.SOON,
                () -> Leftovers.now(agent).processes().isEmpty());
        Cluster.await(
                "the tombstone is taken away",
                Cluster.SOON,
                () -> cluster.kubectl("get", "vmnode", NODE, "-o", "jsonpath={.spec.tombstones}{.status.buried}")
                        .replace("[]", "")
                        .isEmpty());
        cluster.kubectl("delete", "vm", "homeless", "-n", NS, "--timeout=120s");
        cluster.kubectl("wait", "--for=delete", "vmnet/lab", "-n", NS, "--timeout=120s");
        leave(cluster, agent, NODE);
        // It gives its Lease back, and takes it again.
        cluster.controller().terminate();
        cluster.controller().start();
    }

    /** An Event is counted up a minute after it was told again; the last second of a process need not suffice for it. */
    private static void awaitCounted(Cluster cluster, String object, String reason) {
        Cluster.await(
                reason + " about " + object + " is counted up",
                Duration.ofMinutes(3),
                () -> Stream.of(cluster.kubectl(
                                        "get",
                                        "events",
                                        "-n",
                                        NS,
                                        "--field-selector=involvedObject.name=" + object + ",reason=" + reason,
                                        "-o",
                                        "jsonpath={.items[*].count}")
                                .split(" "))
                        .anyMatch(count -> Integer.parseInt(count) >= 2));
    }

    /** The one that README's examples show. */
    private static String service() {
        try {
            return Files.readString(Path.of("examples/service/service-front.yaml"))
                    .replace("metadata:", "metadata:\n  namespace: " + NS);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** By the name that ours would have. */
    private static String sliceOfAnother() {
        return """
                apiVersion: discovery.k8s.io/v1
                kind: EndpointSlice
                metadata: {namespace: %s, name: front.web}
                addressType: IPv4
                endpoints: []
                ports: []
                """.formatted(NS);
    }

    private static String ready(Cluster cluster) {
        return cluster.kubectl(
                "get",
                "endpointslices",
                "-n",
                NS,
                "-l",
                "kubernetes.io/service-name=front",
                "-o",
                "jsonpath={.items[*].endpoints[*].conditions.ready}");
    }

    private static void leave(Cluster cluster, AgentProcess agent, String node) {
        agent.terminate();
        cluster.kubectl("delete", "vmnode", node);
        cluster.kubectl("delete", "lease", node, "-n", Identities.NAMESPACE);
        for (String family : new String[] {"inet", "bridge"}) {
            Command.of("nft", "delete", "table", family, "vmlet_" + agent.installation())
                    .run()
                    .mustSucceed();
        }
    }

    private static String vm(Cluster cluster, String namespace, String name, String node, String cloudInit) {
        return cluster.tiny(namespace, name, node, "none")
                .replaceAll("(?m)^  cloudInit: .*$", cloudInit.isEmpty() ? "  readiness: {none: {}}" : "  " + cloudInit)
                .replace(
                        "networks: [{name: none}]",
                        "networks: []" + (cloudInit.isEmpty() ? "" : "\n  readiness: {none: {}}"));
    }

    private static void secret(Cluster cluster, String namespace) {
        cluster.apply("{apiVersion: v1, kind: Secret, metadata: {namespace: " + namespace
                + ", name: data}, stringData: {userData: \"#cloud-config\\n{}\"}}");
    }

    private static String get(Cluster cluster, String namespace, String path) {
        return cluster.kubectl("get", "vm", "web", "-n", namespace, "-o", "jsonpath=" + path);
    }

    private static String events(Cluster cluster, String object) {
        return cluster.kubectl(
                "get",
                "events",
                "-n",
                NS,
                "--field-selector=involvedObject.name=" + object,
                "-o",
                "jsonpath={.items[*].reason}");
    }

    private static List<Call> calls(List<String> audited, String account) throws JsonProcessingException {
        String user = "system:serviceaccount:" + Identities.NAMESPACE + ":" + account;
        List<Call> calls = new ArrayList<>();
        for (String line : audited) {
            JsonNode event = JSON.readTree(line);
            JsonNode object = event.path("objectRef");
            // Discovery and /version have no object; everybody who has a token may ask for them.
            // And with the tokens of both RefusedWritesE2E has kubectl and curl try what they may not.
            if (!event.at("/user/username").asText().equals(user)
                    || object.isMissingNode()
                    || !event.path("userAgent").asText().startsWith("fabric8")) {
                continue;
            }
            String resource = object.path("apiGroup").asText() + "/"
                    + object.path("resource").asText()
                    + Optional.of(object.path("subresource").asText())
                            .filter(s -> !s.isEmpty())
                            .map(s -> "/" + s)
                            .orElse("");
            Call call = new Call(
                    event.path("verb").asText(),
                    resource,
                    object.path("namespace").asText(),
                    object.path("name").asText(),
                    event.at("/responseStatus/code").asInt());
            calls.add(call);
            if (call.verb.equals("patch") && call.answer == 201) {
                // A server-side apply that creates needs both rights.
                calls.add(new Call("create", resource, call.namespace, call.name, call.answer));
            }
        }
        return calls;
    }

    /** From the roles that the account is bound to, as the API server has them. */
    private static Set<Grant> grants(Cluster cluster, String account) throws JsonProcessingException {
        Set<Grant> grants = new TreeSet<>((a, b) -> a.toString().compareTo(b.toString()));
        for (String kind : List.of("clusterrolebindings", "rolebindings")) {
            for (JsonNode binding : JSON.readTree(cluster.kubectl("get", kind, "-A", "-o", "json"))
                    .path("items")) {
                boolean ours = binding.path("subjects")
                        .valueStream()
                        .anyMatch(s -> s.path("kind").asText().equals("ServiceAccount")
                                && s.path("name").asText().equals(account));
                if (ours) {
                    grants.addAll(grants(cluster, binding));
                }
            }
        }
        return grants;
    }

    private static List<Grant> grants(Cluster cluster, JsonNode binding) throws JsonProcessingException {
        String namespace = binding.at("/metadata/namespace").asText();
        String kind = binding.at("/roleRef/kind").asText();
        List<String> command = new ArrayList<>(List.of(
                "get",
                kind.toLowerCase(java.util.Locale.ROOT),
                binding.at("/roleRef/name").asText(),
                "-o",
                "json"));
        if (kind.equals("Role")) {
            command.addAll(List.of("-n", namespace));
        }
        JsonNode role = JSON.readTree(cluster.kubectl(command.toArray(String[]::new)));
        List<Grant> grants = new ArrayList<>();
        for (JsonNode rule : role.path("rules")) {
            for (JsonNode group : rule.path("apiGroups")) {
                for (JsonNode resource : rule.path("resources")) {
                    for (JsonNode verb : rule.path("verbs")) {
                        String what = group.asText() + "/" + resource.asText();
                        if (rule.path("resourceNames").isEmpty()) {
                            grants.add(new Grant(verb.asText(), what, namespace, ""));
                        }
                        for (JsonNode name : rule.path("resourceNames")) {
                            grants.add(new Grant(verb.asText(), what, namespace, name.asText()));
                        }
                    }
                }
            }
        }
        return grants;
    }
}
