package dev.vmlet.apiserver;

import static dev.vmlet.apiserver.Contract.managers;
import static dev.vmlet.apiserver.Contract.refused;
import static dev.vmlet.apiserver.Contract.tidy;
import static dev.vmlet.apiserver.Contract.version;
import static dev.vmlet.apiserver.Wire.APPLY;
import static dev.vmlet.apiserver.Wire.MERGE;
import static dev.vmlet.apiserver.Wire.read;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import org.junit.jupiter.api.Test;

/** Server-side apply: who wants which field. */
interface ApplyContract extends Contract {
    /** A machine boots from its first disk, so that the rules want one. */
    String ROOT = "disks: [{name: root, size: 1Gi}]";

    String ROOT_FIELDS = "f:disks: {'k:{\"name\":\"root\"}': {.: {}, f:name: {}, f:size: {}}}";

    private Wire.Answer apply(String path, String manager, String rest) {
        return wire().patch(
                        path + "?fieldManager=" + manager,
                        APPLY,
                        "{apiVersion: vmlet.dev/v1alpha1, kind: VirtualMachine, metadata: {name: a}, " + rest + "}");
    }

    private Wire.Answer force(String path, String manager, String rest) {
        return apply(path, manager + "&force=true", rest);
    }

    @Test
    default void appliesWhatIsNotThereYet() {
        Wire.Answer answer = apply(vm("a"), "one", "spec: {memory: {size: 1Gi}, disks: [{name: root, size: 1Gi}]}");
        JsonNode created = answer.expect(201);
        assertThat(tidy(created)).isEqualTo(read("""
                apiVersion: vmlet.dev/v1alpha1
                kind: VirtualMachine
                metadata: {name: a, generation: 1}
                spec:
                  runStrategy: Always
                  cpu: {cores: 1}
                  memory: {size: 1Gi}
                  disks: [{name: root, size: 1Gi, reclaimPolicy: Delete}]
                  terminationGracePeriodSeconds: 30
                """));
        assertThat(managers(created)).isEqualTo(read("""
                - manager: one
                  operation: Apply
                  apiVersion: vmlet.dev/v1alpha1
                  fieldsType: FieldsV1
                  fieldsV1:
                    f:spec:
                      f:memory: {f:size: {}}
                      f:disks: {'k:{"name":"root"}': {.: {}, f:name: {}, f:size: {}}}
                """));
    }

    @Test
    default void writesNothingWhenNothingNewIsApplied() {
        String wanted = "spec: {memory: {size: 1Gi}, disks: [{name: root, size: 1Gi}]}";
        JsonNode created = apply(vm("a"), "one", wanted).expect(201);
        assertThat(apply(vm("a"), "one", wanted).expect(200)).isEqualTo(created);
        assertThat(get("a")).isEqualTo(created);
    }

    @Test
    default void sharesFieldsThatAllWantAlike() {
        apply(vm("a"), "one", "spec: {" + ROOT + ", memory: {size: 1Gi}}").expect(201);
        JsonNode shared = apply(vm("a"), "two", "spec: {memory: {size: 1Gi}, runStrategy: Halted}")
                .expect(200);
        assertThat(managers(shared)).isEqualTo(read("""
                - manager: one
                  operation: Apply
                  apiVersion: vmlet.dev/v1alpha1
                  fieldsType: FieldsV1
                  fieldsV1: {f:spec: {%s, f:memory: {f:size: {}}}}
                - manager: two
                  operation: Apply
                  apiVersion: vmlet.dev/v1alpha1
                  fieldsType: FieldsV1
                  fieldsV1: {f:spec: {f:memory: {f:size: {}}, f:runStrategy: {}}}
                """.formatted(ROOT_FIELDS)));
        // Leaving a shared field out gives up one's share and changes nothing.
        JsonNode left = apply(vm("a"), "two", "spec: {runStrategy: Halted}").expect(200);
        assertThat(left.at("/spec/memory/size").asText()).isEqualTo("1Gi");
    }

    @Test
    default void refusesToTakeAFieldFromAnother() {
        apply(vm("a"), "one", "spec: {" + ROOT + ", memory: {size: 1Gi}, cpu: {cores: 1}}")
                .expect(201);
        refused(
                apply(vm("a"), "two", "spec: {memory: {size: 2Gi}}"),
                409,
                "Conflict",
                "Apply failed with 1 conflict: conflict with \"one\": .spec.memory.size",
                """
                causes: [{reason: FieldManagerConflict, message: conflict with "one", field: .spec.memory.size}]
                """);
        refused(apply(vm("a"), "two", "spec: {memory: {size: 2Gi}, cpu: {cores: 2}}"), 409, "Conflict", """
                Apply failed with 2 conflicts: conflicts with "one":
                - .spec.cpu.cores
                - .spec.memory.size""", """
                causes:
                - {reason: FieldManagerConflict, message: conflict with "one", field: .spec.cpu.cores}
                - {reason: FieldManagerConflict, message: conflict with "one", field: .spec.memory.size}
                """);
    }

    @Test
    default void namesTheVersionThatAnUpdaterWroteIn() {
        wire().post(vms() + "?fieldManager=editor", Contract.machine("a")).expect(201);
        refused(
                apply(vm("a"), "one", "spec: {disks: [{name: root, size: 2Gi}]}"),
                409,
                "Conflict",
                "Apply failed with 1 conflict: conflict with \"editor\" using vmlet.dev/v1alpha1: "
                        + ".spec.disks[name=\"root\"].size",
                """
                causes:
                - reason: FieldManagerConflict
                  message: conflict with "editor" using vmlet.dev/v1alpha1
                  field: .spec.disks[name="root"].size
                """);
        wire().patch(vm("a") + "/status?fieldManager=agent", MERGE, "{status: {phase: Running}}")
                .expect(200);
        Wire.Answer answer = apply(vm("a") + "/status", "one", "status: {phase: Failed}");
        answer.expect(409);
        assertThat(answer.at("/message").asText())
                .isEqualTo("Apply failed with 1 conflict: conflict with \"agent\" with subresource \"status\" using "
                        + "vmlet.dev/v1alpha1: .status.phase");
    }

    @Test
    default void takesAFieldByForce() {
        apply(vm("a"), "one", "spec: {" + ROOT + ", memory: {size: 1Gi}, cpu: {cores: 1}}")
                .expect(201);
        JsonNode forced = force(vm("a"), "two", "spec: {memory: {size: 2Gi}}").expect(200);
        assertThat(forced.at("/spec/memory/size").asText()).isEqualTo("2Gi");
        assertThat(managers(forced)).isEqualTo(read("""
                - manager: one
                  operation: Apply
                  apiVersion: vmlet.dev/v1alpha1
                  fieldsType: FieldsV1
                  fieldsV1: {f:spec: {%s, f:cpu: {f:cores: {}}}}
                - manager: two
                  operation: Apply
                  apiVersion: vmlet.dev/v1alpha1
                  fieldsType: FieldsV1
                  fieldsV1: {f:spec: {f:memory: {f:size: {}}}}
                """.formatted(ROOT_FIELDS)));
    }

    @Test
    default void mergesListsByTheirKeys() {
        apply(vm("a"), "one", "spec: {memory: {size: 1Gi}, networks: [{name: lab}], disks: [{name: root, size: 1Gi}]}")
                .expect(201);
        JsonNode merged = apply(
                        vm("a"),
                        "two",
                        "spec: {networks: [{name: dmz, address: 10.1.0.9}], disks: [{name: data, size: 2Gi}]}")
                .expect(200);
        assertThat(merged.at("/spec/networks")).isEqualTo(read("[{name: lab}, {name: dmz, address: 10.1.0.9}]"));
        assertThat(Contract.texts(merged.at("/spec/disks"), "/name")).containsExactly("root", "data");
        JsonNode removed = apply(vm("a"), "two", "spec: {disks: [{name: data, size: 2Gi}]}")
                .expect(200);
        assertThat(removed.at("/spec/networks")).isEqualTo(read("[{name: lab}]"));
    }

    @Test
    default void removesWhatIsNoLongerApplied() {
        apply(
                        vm("a"),
                        "one",
                        "spec: {" + ROOT + ", memory: {size: 1Gi}, cpu: {cores: 4}, cloudInit: {userData: hello}}")
                .expect(201);
        JsonNode applied = apply(vm("a"), "one", "spec: {" + ROOT + ", memory: {size: 1Gi}}")
                .expect(200);
        assertThat(applied.path("spec")).isEqualTo(read("""
                runStrategy: Always
                cpu: {cores: 1}
                memory: {size: 1Gi}
                disks: [{name: root, size: 1Gi, reclaimPolicy: Delete}]
                terminationGracePeriodSeconds: 30
                """));
    }

    @Test
    default void keepsLabelsOfEachManager() {
        wire().patch(vm("a") + "?fieldManager=one", APPLY, """
                {apiVersion: vmlet.dev/v1alpha1, kind: VirtualMachine, metadata: {name: a, labels: {one: "1"}},
                 spec: {memory: {size: 1Gi}, disks: [{name: root, size: 1Gi}]}}
                """).expect(201);
        JsonNode both = wire().patch(vm("a") + "?fieldManager=two", APPLY, """
                {apiVersion: vmlet.dev/v1alpha1, kind: VirtualMachine, metadata: {name: a, labels: {two: "2"}}}
                """).expect(200);
        assertThat(both.at("/metadata/labels")).isEqualTo(read("{one: '1', two: '2'}"));
        JsonNode left = apply(vm("a"), "one", "spec: {" + ROOT + ", memory: {size: 1Gi}}")
                .expect(200);
        assertThat(left.at("/metadata/labels")).isEqualTo(read("{two: '2'}"));
    }

    @Test
    default void appliesStatusAsTheAgentDoes() {
        create("a");
        String ready = "status: {phase: Running, conditions: [{type: Ready, status: 'True', reason: R, message: m, "
                + "lastTransitionTime: '2026-01-01T00:00:00Z'}]}";
        ObjectNode applied =
                (ObjectNode) force(vm("a") + "/status", "agent", ready).expect(200);
        assertThat(applied.at("/status/phase").asText()).isEqualTo("Running");
        assertThat(force(vm("a") + "/status", "agent", ready).expect(200)).isEqualTo(applied);

        // The controller's condition lives beside the agent's, and goes when the controller no longer applies it.
        JsonNode both = force(
                        vm("a") + "/status",
                        "controller",
                        "status: {conditions: [{type: NodeLost, status: 'True', "
                                + "reason: R, message: m, lastTransitionTime: '2026-01-01T00:00:00Z'}]}")
                .expect(200);
        assertThat(Contract.texts(both.at("/status/conditions"), "/type")).containsExactly("Ready", "NodeLost");
        JsonNode agent =
                both.at("/metadata/managedFields").findParents("subresource").getFirst();
        assertThat(agent.path("subresource").asText()).isEqualTo("status");
        JsonNode gone = force(vm("a") + "/status", "controller", "status: {}").expect(200);
        assertThat(gone.path("status")).isEqualTo(applied.path("status"));
    }

    @Test
    default void appliesSpecAndStatusEachByItsDoor() {
        JsonNode created = apply(vm("a"), "one", "spec: {" + ROOT + ", memory: {size: 1Gi}}, status: {phase: Running}")
                .expect(201);
        assertThat(created.has("status")).isFalse();
        assertThat(managers(created).toString()).doesNotContain("f:status");
        JsonNode status = apply(vm("a") + "/status", "one", "spec: {cpu: {cores: 9}}, status: {phase: Running}")
                .expect(200);
        assertThat(status.at("/spec/cpu/cores").asInt()).isEqualTo(1);
        assertThat(status.path("status")).isEqualTo(read("{phase: Running}"));
        refused(
                wire().patch(vm("b") + "/status?fieldManager=one", APPLY, """
                        {apiVersion: vmlet.dev/v1alpha1, kind: VirtualMachine, metadata: {name: b}, status: {phase: Running}}
                        """),
                404,
                "NotFound",
                "virtualmachines.vmlet.dev \"b\" not found",
                "{name: b, group: vmlet.dev, kind: virtualmachines}");
    }

    @Test
    default void addsAndRemovesAFinalizerAsJavaOperatorSdkDoes() {
        wire().post(vms() + "?fieldManager=editor", Contract.machine("a")).expect(201);
        String body = """
                {apiVersion: vmlet.dev/v1alpha1, kind: VirtualMachine, metadata: {name: a, namespace: %s, finalizers: [vmlet.dev/vm]}}
                """.formatted(namespace());
        JsonNode added = wire().patch(vm("a") + "?fieldManager=virtualmachine&force=true", APPLY, body)
                .expect(200);
        assertThat(added.at("/metadata/finalizers")).isEqualTo(read("[vmlet.dev/vm]"));
        assertThat(added.at("/metadata/generation").asInt()).isEqualTo(1);
        assertThat(managers(added).path(0)).isEqualTo(read("""
                manager: virtualmachine
                operation: Apply
                apiVersion: vmlet.dev/v1alpha1
                fieldsType: FieldsV1
                fieldsV1: {f:metadata: {f:finalizers: {'v:"vmlet.dev/vm"': {}}}}
                """));
        assertThat(version(wire().patch(vm("a") + "?fieldManager=virtualmachine&force=true", APPLY, body)
                        .expect(200)))
                .isEqualTo(version(added));
        wire().delete(vm("a")).expect(200);
        wire().patch(vm("a"), Wire.JSON_PATCH, """
                - {op: test, path: /metadata/resourceVersion, value: "%s"}
                - {op: remove, path: /metadata/finalizers}
                """.formatted(version(get("a")))).expect(200);
        assertThat(wire().get(vm("a")).status()).isEqualTo(404);
    }

    @Test
    default void tracksWhatUpdatersWrite() {
        JsonNode created = wire().send(
                        "POST", vms(), Wire.JSON, Contract.machine("a").toString(), "User-Agent", "editor/1.0 (linux)")
                .expect(201);
        assertThat(managers(created)).isEqualTo(read("""
                - manager: editor
                  operation: Update
                  apiVersion: vmlet.dev/v1alpha1
                  fieldsType: FieldsV1
                  fieldsV1:
                    f:spec:
                      .: {}
                      f:cpu: {.: {}, f:cores: {}}
                      f:disks:
                        .: {}
                        'k:{"name":"root"}': {.: {}, f:name: {}, f:reclaimPolicy: {}, f:size: {}}
                      f:memory: {.: {}, f:size: {}}
                      f:nodeName: {}
                      f:runStrategy: {}
                      f:terminationGracePeriodSeconds: {}
                """));
        JsonNode patched = wire().patch(
                        vm("a") + "?fieldManager=other", MERGE, "{spec: {cpu: {cores: 3}}, metadata: {labels: {a: b}}}")
                .expect(200);
        assertThat(managers(patched)).contains(read("""
                manager: other
                operation: Update
                apiVersion: vmlet.dev/v1alpha1
                fieldsType: FieldsV1
                fieldsV1: {f:metadata: {f:labels: {.: {}, f:a: {}}}, f:spec: {f:cpu: {f:cores: {}}}}
                """));
        JsonNode cleared = wire().patch(vm("a"), MERGE, "{metadata: {managedFields: [{}]}}")
                .expect(200);
        assertThat(cleared.at("/metadata/managedFields").isMissingNode()).isTrue();
    }

    @Test
    default void appliesNothingTwiceAfterAConflictWithAnOldVersion() {
        apply(vm("a"), "one", "spec: {" + ROOT + ", memory: {size: 1Gi}}").expect(201);
        refused(
                wire().patch(vm("a") + "?fieldManager=one", APPLY, """
                        {apiVersion: vmlet.dev/v1alpha1, kind: VirtualMachine, metadata: {name: a, resourceVersion: "1"},
                         spec: {memory: {size: 3Gi}}}
                        """),
                409,
                "Conflict",
                "Operation cannot be fulfilled on virtualmachines.vmlet.dev \"a\": the object has been modified; "
                        + "please apply your changes to the latest version and try again",
                "{name: a, group: vmlet.dev, kind: virtualmachines}");
    }

    @Test
    default void refusesAnApplyThatIsNone() {
        apply(vm("a"), "one", "spec: {" + ROOT + ", memory: {size: 1Gi}}").expect(201);
        refused(
                wire().patch(vm("a"), APPLY, Contract.machine("a").toString()),
                422,
                "Invalid",
                "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
                """
                group: meta.k8s.io
                kind: PatchOptions
                causes:
                - reason: FieldValueRequired
                  message: 'Required value: is required for apply patch'
                  field: fieldManager
                """);
        refused(
                wire().patch(vm("a") + "?fieldManager=one", APPLY, """
                        {apiVersion: vmlet.dev/v1alpha1, kind: VirtualMachine, metadata: {name: b}}
                        """),
                400,
                "BadRequest",
                "the name of the object (b) does not match the name on the URL (a)",
                "");
        refused(
                wire().patch(vm("a") + "?fieldManager=one", APPLY, """
                        {apiVersion: vmlet.dev/v1alpha1, kind: VirtualMachine,
                         metadata: {name: a, managedFields: [{manager: x}]}}
                        """),
                400,
                "BadRequest",
                "metadata.managedFields must be nil",
                "");
        for (String bad : new String[] {
            "spec: {disks: [{name: x}, {name: x}]}", "spec: {disks: [{size: 1Gi}]}", "spec: {nosuch: 1}"
        }) {
            Wire.Answer answer = apply(vm("a"), "one", bad);
            assertThat(answer.status()).as(bad).isEqualTo(500);
            assertThat(answer.at("/message").asText())
                    .startsWith("failed to create typed patch object (")
                    .contains("vmlet.dev/v1alpha1, Kind=VirtualMachine): .spec.");
        }
        Wire.Answer invalid = apply(vm("a"), "one", "spec: {memory: {size: nonsense}}");
        invalid.expect(422);
        assertThat(invalid.at("/reason").asText()).isEqualTo("Invalid");
    }

    @Test
    default void appliesBuiltIns() {
        String lease = "/apis/coordination.k8s.io/v1/namespaces/" + namespace() + "/leases/n1?fieldManager=agent";
        String body = """
                {apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: n1},
                 spec: {holderIdentity: n1, leaseDurationSeconds: 40, renewTime: "2026-01-01T00:00:00.000000Z"}}
                """;
        JsonNode created = wire().patch(lease, APPLY, body).expect(201);
        assertThat(version(wire().patch(lease, APPLY, body).expect(200))).isEqualTo(version(created));
        JsonNode renewed = wire().patch(lease, APPLY, body.replace(":00.000000Z", ":09.000000Z"))
                .expect(200);
        assertThat(renewed.at("/spec/renewTime").asText()).isEqualTo("2026-01-01T00:00:09.000000Z");
        assertThat(version(renewed)).isGreaterThan(version(created));
    }
}
