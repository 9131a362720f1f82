package dev.vmlet.apiserver;

import static dev.vmlet.apiserver.Contract.names;
import static dev.vmlet.apiserver.Contract.refused;
import static dev.vmlet.apiserver.Contract.texts;
import static dev.vmlet.apiserver.Contract.tidy;
import static dev.vmlet.apiserver.Contract.version;
import static dev.vmlet.apiserver.Wire.MERGE;
import static dev.vmlet.apiserver.Wire.read;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import org.junit.jupiter.api.Test;

/** The kinds that come with Kubernetes and that vmlet or its users need. */
interface BuiltInContract extends Contract {
    private String core(String plural) {
        return "/api/v1/namespaces/" + namespace() + "/" + plural;
    }

    @Test
    default void keepsSecrets() {
        JsonNode created = wire().post(core("secrets"), read("""
                {apiVersion: v1, kind: Secret, metadata: {name: s}, data: {a: YQ==}, stringData: {b: bee, a: over}}
                """)).expect(201);
        assertThat(tidy(created)).isEqualTo(read("""
                {apiVersion: v1, kind: Secret, metadata: {name: s}, type: Opaque, data: {a: b3Zlcg==, b: YmVl}}
                """));
        JsonNode patched = wire().patch(core("secrets") + "/s", MERGE, "{stringData: {c: sea}}")
                .expect(200);
        assertThat(patched.path("data")).isEqualTo(read("{a: b3Zlcg==, b: YmVl, c: c2Vh}"));
        assertThat(patched.has("stringData")).isFalse();
        refused(
                wire().patch(core("secrets") + "/s", MERGE, "{type: other}"),
                422,
                "Invalid",
                "Secret \"s\" is invalid: type: Invalid value: \"other\": field is immutable",
                """
                name: s
                kind: Secret
                causes: [{reason: FieldValueInvalid, message: 'Invalid value: "other": field is immutable', field: type}]
                """);
        assertThat(wire().patch(core("secrets") + "/s", MERGE, "{data: {c: '!'}}")
                        .status())
                .isIn(400, 422);
        Wire.Answer key = wire().patch(core("secrets") + "/s", MERGE, "{data: {'a/b': YQ==}}");
        key.expect(422);
        assertThat(key.at("/details/causes/0/field").asText()).isEqualTo("data[a/b]");
    }

    @Test
    default void drawsSecretsAsATable() {
        wire().post(core("secrets"), read("{apiVersion: v1, kind: Secret, metadata: {name: s}, data: {a: YQ==}}"))
                .expect(201);
        JsonNode table = wire().send("GET", core("secrets"), null, null, "Accept", ListContract.TABLE)
                .expect(200);
        assertThat(texts(table.path("columnDefinitions"), "/name")).containsExactly("Name", "Type", "Data", "Age");
        assertThat(texts(table.at("/rows/0/cells"), "").subList(0, 3)).containsExactly("s", "Opaque", "1");
    }

    @Test
    default void letsNobodyChangeAnImmutableSecret() {
        wire().post(core("secrets"), read("""
                {apiVersion: v1, kind: Secret, metadata: {name: s}, immutable: true, data: {a: YQ==}}
                """)).expect(201);
        Wire.Answer answer = wire().patch(core("secrets") + "/s", MERGE, "{data: {a: Yg==}}");
        answer.expect(422);
        assertThat(answer.at("/message").asText())
                .isEqualTo("Secret \"s\" is invalid: data: Forbidden: field is immutable when `immutable` is set");
    }

    @Test
    default void keepsConfigMaps() {
        JsonNode created = wire().post(core("configmaps"), read("""
                {apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {a: b}}
                """)).expect(201);
        assertThat(tidy(created))
                .isEqualTo(read("{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {a: b}}"));
        Wire.Answer typed = wire().post(core("configmaps"), read("""
                {apiVersion: v1, kind: ConfigMap, metadata: {name: d}, data: {a: 1}}
                """));
        typed.expect(400);
        assertThat(typed.at("/message").asText())
                .startsWith(
                        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: json: cannot unmarshal number");
    }

    @Test
    default void keepsNamespaces() {
        JsonNode space = wire().get("/api/v1/namespaces/" + namespace()).expect(200);
        assertThat(tidy(space)).isEqualTo(read("""
                apiVersion: v1
                kind: Namespace
                metadata: {name: %1$s, labels: {kubernetes.io/metadata.name: %1$s}}
                spec: {finalizers: [kubernetes]}
                status: {phase: Active}
                """.formatted(namespace())));
        assertThat(names(wire().get("/api/v1/namespaces").expect(200))).contains("default", "kube-system", namespace());
        refused(
                wire().post("/api/v1/namespaces", read("{apiVersion: v1, kind: Namespace, metadata: {name: default}}")),
                409,
                "AlreadyExists",
                "namespaces \"default\" already exists",
                "{name: default, kind: namespaces}");
        Wire.Answer dotted =
                wire().post("/api/v1/namespaces", read("{apiVersion: v1, kind: Namespace, metadata: {name: a.b}}"));
        dotted.expect(422);
        assertThat(dotted.at("/details/causes/0/message").asText())
                .isEqualTo("Invalid value: \"a.b\": must not contain dots");
    }

    @Test
    default void keepsNodes() {
        String name = namespace();
        JsonNode created =
                wire().post("/api/v1/nodes", read("""
                {apiVersion: v1, kind: Node, metadata: {name: %s}, status: {nodeInfo: {kernelVersion: "6.1"}}}
                """.formatted(name))).expect(201);
        assertThat(created.path("kind").asText()).isEqualTo("Node");
        JsonNode status =
                wire().patch("/api/v1/nodes/" + name + "/status", MERGE, """
                {status: {capacity: {cpu: "4", memory: 8Gi}}}
                """).expect(200);
        assertThat(status.at("/status/capacity")).isEqualTo(read("{cpu: '4', memory: 8Gi}"));
        assertThat(names(wire().get("/api/v1/nodes?fieldSelector=metadata.name%3D" + name)
                        .expect(200)))
                .containsExactly(name);
        wire().delete("/api/v1/nodes/" + name).expect(200);
        assertThat(wire().get("/api/v1/nodes/" + name).status()).isEqualTo(404);
    }

    @Test
    default void keepsLeases() {
        String leases = "/apis/coordination.k8s.io/v1/namespaces/" + namespace() + "/leases";
        ObjectNode created = (ObjectNode) wire().post(leases, read("""
                apiVersion: coordination.k8s.io/v1
                kind: Lease
                metadata: {name: l}
                spec: {holderIdentity: a, leaseDurationSeconds: 15, acquireTime: "2026-01-01T00:00:00.123456Z",
                       renewTime: "2026-01-01T00:00:00.123456Z", leaseTransitions: 1}
                """)).expect(201);
        assertThat(created.path("spec")).isEqualTo(read("""
                holderIdentity: a
                leaseDurationSeconds: 15
                acquireTime: "2026-01-01T00:00:00.123456Z"
                renewTime: "2026-01-01T00:00:00.123456Z"
                leaseTransitions: 1
                """));
        created.withObject("/spec").put("holderIdentity", "b");
        JsonNode taken = wire().put(leases + "/l", created).expect(200);
        assertThat(taken.at("/spec/holderIdentity").asText()).isEqualTo("b");
        assertThat(wire().put(leases + "/l", created).status())
                .as("the old version")
                .isEqualTo(409);
        assertThat(version(taken)).isGreaterThan(version(created));
    }

    private void createEvent(String name, String machine, String reason) {
        wire().post(core("events"), read("""
                apiVersion: v1
                kind: Event
                metadata: {name: %1$s}
                involvedObject: {apiVersion: vmlet.dev/v1alpha1, kind: VirtualMachine, name: %2$s, namespace: %3$s, uid: u-%2$s}
                type: Normal
                reason: %4$s
                message: It is so.
                source: {component: vmlet, host: n1}
                firstTimestamp: "2026-01-01T00:00:00Z"
                lastTimestamp: "2026-01-01T00:00:00Z"
                count: 1
                """.formatted(name, machine, namespace(), reason)))
                .expect(201);
    }

    @Test
    default void keepsEventsAndSelectsThem() {
        createEvent("e1", "a", "Started");
        createEvent("e2", "a", "Stopped");
        createEvent("e3", "b", "Started");
        String events = core("events") + "?fieldSelector=";
        assertThat(names(wire().get(events + "involvedObject.name%3Da").expect(200)))
                .containsExactly("e1", "e2");
        assertThat(names(wire().get(events + "involvedObject.kind%3DVirtualMachine,involvedObject.uid%3Du-b,"
                                + "involvedObject.namespace%3D" + namespace())
                        .expect(200)))
                .containsExactly("e3");
        assertThat(names(wire().get(events + "reason%3DStarted,type%21%3DWarning")
                        .expect(200)))
                .containsExactly("e1", "e3");
        assertThat(names(wire().get(events + "source%3Dvmlet,involvedObject.apiVersion%3Dvmlet.dev/v1alpha1")
                        .expect(200)))
                .hasSize(3);
        assertThat(wire().get(events + "message%3Dx").status()).isEqualTo(400);
        JsonNode event = wire().get(core("events") + "/e1").expect(200);
        assertThat(event.path("source")).isEqualTo(read("{component: vmlet, host: n1}"));
        JsonNode counted = wire().patch(core("events") + "/e1", MERGE, """
                {count: 2, lastTimestamp: "2026-01-01T00:01:00Z"}
                """).expect(200);
        assertThat(counted.path("count").asInt()).isEqualTo(2);
    }

    @Test
    default void refusesAnEventOfAnotherNamespace() {
        Wire.Answer answer = wire().post(core("events"), read("""
                {apiVersion: v1, kind: Event, metadata: {name: e},
                 involvedObject: {kind: VirtualMachine, name: a, namespace: other}}
                """));
        answer.expect(422);
        assertThat(answer.at("/details/causes/0/field").asText()).isEqualTo("involvedObject.namespace");
    }

    @Test
    default void showsAnEventByBothItsNames() {
        createEvent("e1", "a", "Started");
        JsonNode event = wire().get("/apis/events.k8s.io/v1/namespaces/" + namespace() + "/events/e1")
                .expect(200);
        assertThat(event.path("apiVersion").asText()).isEqualTo("events.k8s.io/v1");
        assertThat(event.at("/regarding/name").asText()).isEqualTo("a");
        assertThat(event.path("note").asText()).isEqualTo("It is so.");
        assertThat(event.at("/deprecatedSource/component").asText()).isEqualTo("vmlet");
        assertThat(event.at("/deprecatedCount").asInt()).isEqualTo(1);
    }

    @Test
    default void drawsEventsAsATable() {
        createEvent("e1", "a", "Started");
        JsonNode table = wire().send("GET", core("events"), null, null, "Accept", ListContract.TABLE)
                .expect(200);
        assertThat(texts(table.path("columnDefinitions"), "/name"))
                .containsExactly(
                        "Last Seen",
                        "Type",
                        "Reason",
                        "Object",
                        "Subobject",
                        "Source",
                        "Message",
                        "First Seen",
                        "Count",
                        "Name");
        List<String> cells = texts(table.at("/rows/0/cells"), "");
        assertThat(cells.subList(1, 7))
                .containsExactly("Normal", "Started", "virtualmachine/a", "", "vmlet, n1", "It is so.");
    }

    @Test
    default void showsTheCrdsItServes() {
        String crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        assertThat(names(wire().get(crds).expect(200)))
                .contains(
                        "networks.vmlet.dev",
                        "networkslices.vmlet.dev",
                        "virtualmachines.vmlet.dev",
                        "vmnodes.vmlet.dev");
        JsonNode crd = wire().get(crds + "/virtualmachines.vmlet.dev").expect(200);
        assertThat(crd.path("kind").asText() + " " + crd.path("apiVersion").asText())
                .isEqualTo("CustomResourceDefinition apiextensions.k8s.io/v1");
        assertThat(crd.at("/spec/names")).isEqualTo(read("""
                plural: virtualmachines
                singular: virtualmachine
                kind: VirtualMachine
                listKind: VirtualMachineList
                shortNames: [vm, vms]
                categories: [all, vmlet]
                """));
        assertThat(crd.at("/status/storedVersions")).isEqualTo(read("[v1alpha1]"));
        assertThat(texts(crd.at("/status/conditions"), "/type")).contains("Established", "NamesAccepted");
        assertThat(texts(crd.at("/status/conditions"), "/status"))
                .contains("True")
                .doesNotContain("False");
    }
}
