package dev.vmlet.apiserver;

import static dev.vmlet.apiserver.Contract.machine;
import static dev.vmlet.apiserver.Contract.refused;
import static dev.vmlet.apiserver.Wire.JSON_PATCH;
import static dev.vmlet.apiserver.Wire.MERGE;
import static dev.vmlet.apiserver.Wire.STRATEGIC;
import static dev.vmlet.apiserver.Wire.read;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import org.junit.jupiter.api.Test;

/** The three patches that say what to change. The fourth, which says what is wanted, has {@link ApplyContract}. */
interface PatchContract extends Contract {
    @Test
    default void mergesAMergePatch() {
        ObjectNode machine = machine("a");
        machine.withObject("/metadata").set("labels", read("{app: web, tier: front}"));
        create(machine);
        JsonNode patched = wire().patch(vm("a"), MERGE, """
                metadata: {labels: {app: null, new: label}}
                spec: {cpu: {cores: 2}, disks: [{name: root, size: 2Gi}, {name: data, size: 1Gi}]}
                """).expect(200);
        assertThat(patched.at("/metadata/labels")).isEqualTo(read("{tier: front, new: label}"));
        assertThat(patched.path("spec")).isEqualTo(read("""
                nodeName: n1
                runStrategy: Always
                cpu: {cores: 2}
                memory: {size: 1Gi}
                disks: [{name: root, size: 2Gi, reclaimPolicy: Delete}, {name: data, size: 1Gi, reclaimPolicy: Delete}]
                terminationGracePeriodSeconds: 30
                """));
    }

    @Test
    default void walksAJsonPatch() {
        create("a");
        JsonNode patched = wire().patch(vm("a"), JSON_PATCH, """
                - {op: test, path: /spec/cpu/cores, value: 1}
                - {op: replace, path: /spec/cpu/cores, value: 2}
                - {op: add, path: /spec/disks/-, value: {name: data, size: 1Gi}}
                - {op: add, path: /metadata/labels, value: {app.kubernetes.io/name: web}}
                - {op: copy, from: /metadata/labels/app.kubernetes.io~1name, path: /metadata/labels/app}
                - {op: move, from: /metadata/labels/app, path: /metadata/labels/moved}
                - {op: remove, path: /spec/terminationGracePeriodSeconds}
                """).expect(200);
        assertThat(patched.at("/metadata/labels")).isEqualTo(read("{app.kubernetes.io/name: web, moved: web}"));
        assertThat(patched.at("/spec/cpu/cores").asInt()).isEqualTo(2);
        assertThat(patched.at("/spec/disks/1")).isEqualTo(read("{name: data, size: 1Gi, reclaimPolicy: Delete}"));
        assertThat(patched.at("/spec/terminationGracePeriodSeconds").asInt())
                .as("removed, and defaulted anew")
                .isEqualTo(30);
    }

    @Test
    default void appliesAJsonPatchWholeOrNotAtAll() {
        ObjectNode machine = create("a");
        String message = "the server rejected our request due to an error in our request";
        for (String last : new String[] {
            "{op: test, path: /spec/nodeName, value: n2}",
            "{op: remove, path: /spec/nosuch}",
            "{op: nosuch, path: /spec/cpu}"
        }) {
            refused(
                    wire().patch(vm("a"), JSON_PATCH, "[{op: replace, path: /spec/cpu/cores, value: 2}, " + last + "]"),
                    422,
                    "Invalid",
                    message,
                    "{}");
        }
        assertThat(get("a")).isEqualTo(machine);
    }

    @Test
    default void refusesAPatchThatIsNone() {
        create("a");
        for (String type : new String[] {MERGE, JSON_PATCH}) {
            Wire.Answer answer = wire().send("PATCH", vm("a"), type, "{bad");
            assertThat(answer.status() + " " + answer.at("/reason").asText()).isEqualTo("400 BadRequest");
        }
        assertThat(wire().patch(vm("a"), JSON_PATCH, "{}").status()).isEqualTo(400);
    }

    @Test
    default void refusesAPatchOfATypeItDoesNotKnow() {
        create("a");
        for (String type : new String[] {STRATEGIC, Wire.JSON}) {
            refused(
                    wire().patch(vm("a"), type, "{}"),
                    415,
                    "UnsupportedMediaType",
                    "the body of the request was in an unknown format - accepted media types include: "
                            + "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
                    "");
        }
    }

    @Test
    default void mergesBuiltInsStrategically() {
        String name = namespace();
        wire().post("/api/v1/nodes", read("""
                apiVersion: v1
                kind: Node
                metadata: {name: %s}
                spec: {taints: [{key: a, effect: NoSchedule}, {key: b, effect: NoSchedule}]}
                """.formatted(name))).expect(201);
        JsonNode patched = wire().patch("/api/v1/nodes/" + name + "/status", STRATEGIC, """
                status:
                  conditions:
                  - {type: Ready, status: "True"}
                  - {type: DiskPressure, status: "False"}
                """)
                .expect(200);
        assertThat(Contract.texts(patched.at("/status/conditions"), "/type")).contains("Ready", "DiskPressure");
        patched = wire().patch("/api/v1/nodes/" + name + "/status", STRATEGIC, """
                status: {conditions: [{type: DiskPressure, status: "True"}]}
                """)
                .expect(200);
        assertThat(Contract.texts(patched.at("/status/conditions"), "/type")).containsExactly("Ready", "DiskPressure");
        assertThat(Contract.texts(patched.at("/status/conditions"), "/status")).containsExactly("True", "True");
        wire().delete("/api/v1/nodes/" + name).expect(200);
    }

    @Test
    default void mergesFinalizersStrategically() {
        String secrets = "/api/v1/namespaces/" + namespace() + "/secrets";
        wire().post(secrets, read("""
                {apiVersion: v1, kind: Secret, metadata: {name: s, finalizers: [vmlet.dev/a]}, data: {a: YQ==, b: Yg==}}
                """)).expect(201);
        JsonNode patched = wire().patch(secrets + "/s", STRATEGIC, """
                metadata: {finalizers: [vmlet.dev/b]}
                data: {a: null, c: Yw==}
                """).expect(200);
        assertThat(patched.path("data")).isEqualTo(read("{b: Yg==, c: Yw==}"));
        assertThat(Contract.texts(patched.at("/metadata/finalizers"), ""))
                .containsExactlyInAnyOrder("vmlet.dev/a", "vmlet.dev/b");
        patched = wire().patch(secrets + "/s", STRATEGIC, """
                metadata: {$deleteFromPrimitiveList/finalizers: [vmlet.dev/a, vmlet.dev/b]}
                """).expect(200);
        assertThat(patched.at("/metadata/finalizers").isMissingNode()).isTrue();
    }

    @Test
    default void renamesNothing() {
        ObjectNode machine = create("a");
        refused(
                wire().patch(vm("a"), MERGE, "{metadata: {name: b}}"),
                400,
                "BadRequest",
                "the name of the object (b) does not match the name on the URL (a)",
                "");
        assertThat(wire().patch(vm("a"), MERGE, "{metadata: {uid: x}}").status())
                .isIn(409, 422);
        assertThat(get("a")).isEqualTo(machine);
    }

    @Test
    default void patchesTheStatusOnlyByItsDoor() {
        create("a");
        JsonNode patched = wire().patch(vm("a") + "/status", MERGE, """
                metadata: {labels: {app: web}}
                spec: {cpu: {cores: 9}}
                status: {phase: Running, restarts: 1}
                """).expect(200);
        assertThat(patched.path("status")).isEqualTo(read("{phase: Running, restarts: 1}"));
        assertThat(patched.at("/spec/cpu/cores").asInt()).isEqualTo(1);
        assertThat(patched.at("/metadata/labels").isMissingNode()).isTrue();
        patched = wire().patch(vm("a") + "/status", JSON_PATCH, """
                [{op: remove, path: /status/restarts}, {op: add, path: /status/phase, value: Stopped}]
                """).expect(200);
        assertThat(patched.path("status")).isEqualTo(read("{phase: Stopped}"));
    }
}
