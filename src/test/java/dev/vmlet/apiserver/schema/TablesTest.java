package dev.vmlet.apiserver.schema;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.vmlet.apiserver.schema.Tables.Include;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class TablesTest {
    private static final Instant NOW = Instant.parse("2026-01-01T12:00:00Z");
    private static final ObjectNode VM = Samples.yaml("""
            apiVersion: vmlet.dev/v1alpha1
            kind: VirtualMachine
            metadata: {name: web, creationTimestamp: "2026-01-01T11:55:00Z"}
            spec: {nodeName: n1, cpu: {cores: 2}, memory: {size: 1Gi}}
            status:
              phase: Running
              conditions: [{type: Running, status: "True"}, {type: Ready, status: "False"}]
              addresses: [{ip: 10.77.0.2}]
            """);

    private static ObjectNode table(ResourceType type, ObjectNode object, Include include, boolean withColumns) {
        ObjectNode metadata = Samples.yaml("{resourceVersion: \"7\"}");
        return Tables.of(type, List.of(object), metadata, include, withColumns, NOW);
    }

    private static JsonNode cells(String groupResource, String object) throws Exception {
        ObjectNode table = table(Samples.core(groupResource), Samples.yaml(object), Include.None, false);
        return new ObjectMapper().readTree(table.at("/rows/0/cells").toString());
    }

    @Test
    void printsTheColumnsOfADefinition() {
        ObjectNode table = table(Samples.virtualMachine(), VM, Include.Metadata, true);
        assertThat(table.path("columnDefinitions"))
                .extracting(column ->
                        column.path("name").asText() + " " + column.path("type").asText() + " "
                                + column.path("format").asText() + " " + column.path("priority"))
                .containsExactly(
                        "Name string name 0",
                        "Phase string  0",
                        "Ready string  0",
                        "IP string  0",
                        "Node string  0",
                        "Age date  0",
                        "Cores integer  1",
                        "Memory string  1",
                        "Image string  1",
                        "VMM string  1",
                        "Restarts integer  1");
        table.remove("columnDefinitions");
        assertThat(table).isEqualTo(Samples.json("""
                kind: Table
                apiVersion: meta.k8s.io/v1
                metadata: {resourceVersion: "7"}
                rows:
                - cells: [web, Running, "False", 10.77.0.2, n1, 5m, 2, 1Gi, null, null, null]
                  object:
                    kind: PartialObjectMetadata
                    apiVersion: meta.k8s.io/v1
                    metadata: {name: web, creationTimestamp: "2026-01-01T11:55:00Z"}
                """));
    }

    @Test
    void carriesAsMuchOfTheObjectAsAskedFor() {
        ResourceType type = Samples.virtualMachine();
        assertThat(table(type, VM, Include.Object, false).at("/rows/0/object")).isEqualTo(VM);
        assertThat(table(type, VM, Include.None, false).at("/rows/0/object").isNull())
                .isTrue();
        assertThat(table(type, VM, Include.None, false).path("columnDefinitions"))
                .isEmpty();
    }

    @Test
    void printsBuiltInKindsAsKubectlUsersKnowThem() throws Exception {
        String metadata = "metadata: {name: x, creationTimestamp: \"2026-01-01T10:00:00Z\"}";
        assertThat(cells("namespaces", "{" + metadata + ", status: {phase: Active}}"))
                .isEqualTo(Samples.json("[x, Active, 120m]"));
        assertThat(cells("secrets", "{" + metadata + ", type: Opaque, data: {a: YQ==}}"))
                .isEqualTo(Samples.json("[x, Opaque, 1, 120m]"));
        assertThat(cells("configmaps", "{" + metadata + ", data: {a: b}, binaryData: {c: YQ==}}"))
                .isEqualTo(Samples.json("[x, 2, 120m]"));
        assertThat(cells("leases.coordination.k8s.io", "{" + metadata + ", spec: {holderIdentity: me}}"))
                .isEqualTo(Samples.json("[x, me, 120m]"));
        assertThat(cells("customresourcedefinitions.apiextensions.k8s.io", "{" + metadata + "}"))
                .isEqualTo(Samples.json("[x, \"2026-01-01T10:00:00Z\"]"));
        assertThat(cells("nodes", """
                metadata: {name: n, creationTimestamp: "2025-12-01T12:00:00Z", labels: {node-role.kubernetes.io/vm: ""}}
                spec: {unschedulable: true}
                status:
                  conditions: [{type: Ready, status: "True"}]
                  addresses: [{type: InternalIP, address: 10.0.0.1}]
                  nodeInfo: {kubeletVersion: v1, osImage: Debian, kernelVersion: "6.1"}
                """))
                .isEqualTo(Samples.json(
                        "[n, 'Ready,SchedulingDisabled', vm, 31d, v1, 10.0.0.1, <none>, Debian, '6.1', <unknown>]"));
        assertThat(cells("events", """
                metadata: {name: e}
                involvedObject: {kind: VirtualMachine, name: web}
                type: Normal
                reason: Started
                message: " started "
                source: {component: vmlet, host: n1}
                firstTimestamp: "2026-01-01T11:00:00Z"
                lastTimestamp: "2026-01-01T11:59:30Z"
                count: 3
                """))
                .isEqualTo(Samples.json(
                        "[30s, Normal, Started, virtualmachine/web, '', 'vmlet, n1', started, 60m, 3, e]"));
    }

    @Test
    void tellsAgesAsKubectlDoes() {
        assertThat(List.of(
                        -5L, -1L, 0L, 119L, 120L, 130L, 600L, 10_799L, 10_800L, 12_660L, 28_800L, 172_800L, 176_400L))
                .extracting(seconds -> Ages.human(Duration.ofSeconds(seconds)))
                .containsExactly(
                        "<invalid>",
                        "0s",
                        "0s",
                        "119s",
                        "2m",
                        "2m10s",
                        "10m",
                        "179m",
                        "3h",
                        "3h31m",
                        "8h",
                        "2d",
                        "2d1h");
        assertThat(List.of(8L, 729L, 730L, 731L, 2920L))
                .extracting(days -> Ages.human(Duration.ofDays(days)))
                .containsExactly("8d", "729d", "2y", "2y1d", "8y");
    }

    @Test
    void followsPaths() {
        JsonNode object = Samples.json("{a: {b.c: [1, 2, 3]}, list: [{n: x, v: 1}, {n: y, v: 2}], f: 1.5}");
        assertThat(List.of(
                        ".a.b\\.c[0]",
                        ".a['b.c'][-1]",
                        ".list[?(@.n==\"y\")].v",
                        ".list[?(@.n!='y')].v",
                        ".list[*].n",
                        ".f",
                        ".a",
                        ".nosuch.x"))
                .extracting(path -> JsonPath.parse(path)
                        .flatMap(each -> each.first(object))
                        .map(JsonPath::shown)
                        .orElse("-"))
                .containsExactly("1", "3", "2", "1", "x", "1.5", "map[b.c:[1 2 3]]", "-");
        assertThat(JsonPath.parse("{.range}")).isEqualTo(Optional.empty());
    }
}
