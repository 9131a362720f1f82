package dev.vmlet.apiserver.schema;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.vmlet.apiserver.schema.FieldManagement.Manager;
import java.time.Instant;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class FieldManagementTest {
    private static final Instant NOON = Instant.parse("2026-01-01T12:00:00Z");
    private static final Instant LATER = Instant.parse("2026-01-01T13:00:00Z");
    private static final ResourceType THING = Samples.withSpec("""
            type: object
            properties:
              size: {type: integer}
              colour: {type: string}
              inner: {type: object, properties: {a: {type: string}, b: {type: string}}}
              labels: {type: object, additionalProperties: {type: string}}
              tags: {type: array, x-kubernetes-list-type: set, items: {type: string}}
              whole: {type: array, items: {type: string}}
              pinned: {type: object, x-kubernetes-map-type: atomic, additionalProperties: {type: string}}
              disks:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [name]
                items:
                  type: object
                  required: [name]
                  properties: {name: {type: string}, size: {type: string}, image: {type: string}}
            """);

    private Optional<ObjectNode> live = Optional.empty();

    private void apply(String manager, String spec) throws Refused {
        apply(manager, spec, false, NOON);
    }

    private void apply(String manager, String spec, boolean force, Instant now) throws Refused {
        ObjectNode applied = Samples.yaml("""
                apiVersion: example.com/v1
                kind: Thing
                metadata: {name: one, namespace: default}
                """);
        applied.set("spec", Samples.json(spec));
        live = Optional.of(FieldManagement.apply(THING, live, applied, new Manager(manager, ""), force, now));
    }

    private void update(String manager, String spec, Instant now) {
        ObjectNode updated = live.map(ObjectNode::deepCopy).orElseGet(() -> Samples.thing("{}"));
        updated.set("spec", Samples.json(spec));
        live = Optional.of(FieldManagement.track(THING, live, updated, new Manager(manager, ""), now));
    }

    private JsonNode spec() {
        return live.orElseThrow().path("spec");
    }

    private JsonNode managedFields() {
        return live.orElseThrow().path("metadata").path("managedFields");
    }

    @Test
    void createsWhatIsAppliedAndSaysWhoOwnsIt() throws Refused {
        apply("me", "{size: 1, inner: {a: x}, labels: {k: v}, tags: [t], whole: [w], disks: [{name: root, size: 1G}]}");

        assertThat(live.orElseThrow()).isEqualTo(Samples.json("""
                apiVersion: example.com/v1
                kind: Thing
                metadata:
                  name: one
                  namespace: default
                  managedFields:
                  - manager: me
                    operation: Apply
                    apiVersion: example.com/v1
                    time: "2026-01-01T12:00:00Z"
                    fieldsType: FieldsV1
                    fieldsV1:
                      "f:spec":
                        "f:disks":
                          'k:{"name":"root"}': {".": {}, "f:name": {}, "f:size": {}}
                        "f:inner": {"f:a": {}}
                        "f:labels": {"f:k": {}}
                        "f:size": {}
                        "f:tags": {'v:"t"': {}}
                        "f:whole": {}
                spec:
                  size: 1
                  inner: {a: x}
                  labels: {k: v}
                  tags: [t]
                  whole: [w]
                  disks: [{name: root, size: 1G}]
                """));
    }

    @Test
    void writesNothingWhenTheSameIsAppliedAgain() throws Refused {
        apply("me", "{size: 1, tags: [a, b]}");
        ObjectNode before = live.orElseThrow();
        apply("me", "{size: 1, tags: [a, b]}", false, LATER);
        assertThat(live).contains(before);
    }

    @Test
    void removesWhatIsNoLongerAppliedAndNobodyElseOwns() throws Refused {
        apply("me", "{size: 1, labels: {mine: x, ours: y}, disks: [{name: root}, {name: data, size: 1G}]}");
        apply("you", "{labels: {ours: y}, disks: [{name: data, size: 1G}]}");
        apply("me", "{colour: red}");
        assertThat(spec()).isEqualTo(Samples.json("{colour: red, labels: {ours: y}, disks: [{name: data, size: 1G}]}"));
    }

    @Test
    void removesItsItemWithWhatAnUpdateAddedWithin() throws Refused {
        apply("me", "{size: 1, disks: [{name: root, size: 1G}]}");
        update("editor", "{size: 1, disks: [{name: root, size: 1G, image: debian}]}", NOON);
        apply("me", "{size: 1}");
        assertThat(spec()).isEqualTo(Samples.json("{size: 1}"));
    }

    @Test
    void leavesAnObjectEmptyThatIsAppliedEmpty() throws Refused {
        apply("me", "{size: 1, inner: {a: x}}");
        apply("me", "{size: 1, inner: {}}");
        assertThat(spec()).isEqualTo(Samples.json("{size: 1, inner: {}}"));
    }

    @Test
    void mergesItemsByKeyAndInTheOrderApplied() throws Refused {
        apply("me", "{disks: [{name: a}, {name: b}]}");
        apply("you", "{disks: [{name: c}, {name: b, size: 1G}, {name: a}]}");
        assertThat(spec()).isEqualTo(Samples.json("{disks: [{name: c}, {name: b, size: 1G}, {name: a}]}"));
    }

    @Test
    void replacesAtomicListsAndMapsAsAWhole() throws Refused {
        apply("me", "{whole: [a, b], pinned: {k: v, l: w}}");
        apply("me", "{whole: [c], pinned: {l: x}}");
        assertThat(spec()).isEqualTo(Samples.json("{whole: [c], pinned: {l: x}}"));
    }

    @Test
    void refusesToTakeAFieldFromSomebodyElse() throws Refused {
        apply("me", "{size: 1}");
        assertThatThrownBy(() -> apply("you", "{size: 2}"))
                .isInstanceOfSatisfying(
                        Refused.class, refused -> assertThat(refused.status()).isEqualTo(Samples.json("""
                                kind: Status
                                apiVersion: v1
                                metadata: {}
                                status: Failure
                                message: 'Apply failed with 1 conflict: conflict with "me": .spec.size'
                                reason: Conflict
                                details:
                                  causes:
                                  - {reason: FieldManagerConflict, message: conflict with "me", field: .spec.size}
                                code: 409
                                """)));
    }

    @Test
    void namesEveryConflictByItsManager() throws Refused {
        apply("me", "{size: 1, disks: [{name: root, size: 1G}]}");
        update("kubectl-edit", "{size: 1, colour: red, disks: [{name: root, size: 1G}]}", NOON);
        assertThatThrownBy(() -> apply("you", "{size: 2, colour: blue, disks: [{name: root, size: 2G}]}"))
                .hasMessage("""
                        Apply failed with 3 conflicts: conflicts with "kubectl-edit" using example.com/v1:
                        - .spec.colour
                        conflicts with "me":
                        - .spec.disks[name="root"].size
                        - .spec.size""");
    }

    @Test
    void takesFieldsByForce() throws Refused {
        apply("me", "{size: 1}");
        apply("you", "{size: 2}", true, LATER);
        assertThat(spec()).isEqualTo(Samples.json("{size: 2}"));
        assertThat(managedFields()).hasSize(1);
        assertThat(managedFields().at("/0/manager").asText()).isEqualTo("you");
    }

    @Test
    void sharesAFieldWithWhoAppliesTheSameValueWhoseEntryHasNoTime() throws Refused {
        apply("me", "{size: 1}");
        apply("you", "{size: 1}");
        assertThat(managedFields())
                .extracting(entry -> entry.path("manager").asText())
                .containsExactly("you", "me");
    }

    @Test
    void anUpdateTakesWhatItChanges() throws Refused {
        apply("me", "{size: 1, colour: red}");
        update("editor", "{size: 2, colour: red}", LATER);
        assertThat(managedFields()).isEqualTo(Samples.json("""
                - manager: me
                  operation: Apply
                  apiVersion: example.com/v1
                  time: "2026-01-01T12:00:00Z"
                  fieldsType: FieldsV1
                  fieldsV1: {"f:spec": {"f:colour": {}}}
                - manager: editor
                  operation: Update
                  apiVersion: example.com/v1
                  time: "2026-01-01T13:00:00Z"
                  fieldsType: FieldsV1
                  fieldsV1: {"f:spec": {"f:size": {}}}
                """));
    }

    @Test
    void aCreateOwnsAllThatItSetsWithTheObjectsAround() {
        update("maker", "{inner: {a: x}, labels: {k: v}}", NOON);
        assertThat(managedFields().at("/0/fieldsV1")).isEqualTo(Samples.json("""
                "f:spec": {".": {}, "f:inner": {".": {}, "f:a": {}}, "f:labels": {".": {}, "f:k": {}}}
                """));
    }

    @Test
    void anUpdateThatChangesNothingChangesNothing() {
        update("maker", "{size: 1}", NOON);
        ObjectNode before = live.orElseThrow();
        update("somebody", "{size: 1}", LATER);
        assertThat(live).contains(before);
    }

    @Test
    void statusIsManagedThroughItsSubresourceAlone() {
        update("maker", "{size: 1}", NOON);
        ObjectNode withStatus = live.orElseThrow().deepCopy();
        withStatus.set("status", Samples.json("{phase: Ready}"));
        ObjectNode through = FieldManagement.track(THING, live, withStatus, new Manager("agent", "status"), LATER);
        assertThat(through.at("/metadata/managedFields/1")).isEqualTo(Samples.json("""
                manager: agent
                operation: Update
                apiVersion: example.com/v1
                time: "2026-01-01T13:00:00Z"
                fieldsType: FieldsV1
                fieldsV1: {"f:status": {".": {}, "f:phase": {}}}
                subresource: status
                """));
    }

    @Test
    void doesNotLetAClientForgetTheManagersByMistake() {
        update("maker", "{size: 1}", NOON);
        JsonNode before = managedFields();
        ObjectNode ignorant = live.orElseThrow().deepCopy();
        ((ObjectNode) ignorant.path("metadata")).remove("managedFields");
        assertThat(FieldManagement.track(THING, live, ignorant, new Manager("other", ""), LATER)
                        .at("/metadata/managedFields"))
                .isEqualTo(before);
    }

    @Test
    void letsAClientResetTheManagers() {
        update("maker", "{size: 1}", NOON);
        ObjectNode reset = live.orElseThrow().deepCopy();
        ((ObjectNode) reset.path("metadata")).putArray("managedFields").addObject();
        assertThat(FieldManagement.track(THING, live, reset, new Manager("other", ""), LATER)
                        .at("/metadata/managedFields")
                        .isMissingNode())
                .isTrue();
    }

    @Test
    void kubectlTakesOverWhatItAppliedClientSide() throws Refused {
        ObjectNode created = Samples.thing("{size: 1}");
        created.withObjectProperty("metadata")
                .withObjectProperty("annotations")
                .put("kubectl.kubernetes.io/last-applied-configuration", """
                        {"apiVersion":"example.com/v1","kind":"Thing","metadata":{"name":"one"},"spec":{"size":1}}
                        """);
        Manager clientSide = new Manager("kubectl-client-side-apply", "");
        live = Optional.of(FieldManagement.track(THING, Optional.empty(), created, clientSide, NOON));
        apply("kubectl", "{size: 2}");
        assertThat(spec()).isEqualTo(Samples.json("{size: 2}"));
        assertThat(live.orElseThrow()
                        .at("/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration")
                        .asText())
                .isEqualTo("""
                        {"apiVersion":"example.com/v1","kind":"Thing","metadata":{"name":"one","namespace":"default"},"spec":{"size":2}}
                        """);
    }

    @Test
    void anotherApplierGetsAConflictWithKubectlsClientSideApply() {
        update("kubectl-client-side-apply", "{size: 1}", NOON);
        assertThatThrownBy(() -> apply("you", "{size: 2}"))
                .hasMessage("Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using"
                        + " example.com/v1: .spec.size");
    }

    @Test
    void refusesWhatTheSchemaDoesNotHave() {
        assertThatThrownBy(() -> apply("me", "{nosuch: 1}"))
                .hasMessage("failed to create typed patch object (default/one; example.com/v1, Kind=Thing):"
                        + " .spec.nosuch: field not declared in schema");
        assertThatThrownBy(() -> apply("me", "{disks: [{name: a}, {name: a}]}"))
                .hasMessage("failed to create typed patch object (default/one; example.com/v1, Kind=Thing):"
                        + " .spec.disks: duplicate entries for key [name=\"a\"]");
    }

    @Test
    void keepsElevenUpdatersInTen() {
        for (int i = 0; i < 11; i++) {
            StringBuilder labels = new StringBuilder("{labels: {");
            for (int j = 0; j <= i; j++) labels.append("k").append(j).append(": v, ");
            update("updater-" + i, labels + "}}", NOON.plusSeconds(i));
        }
        assertThat(managedFields()).hasSize(10);
        assertThat(managedFields())
                .extracting(entry -> entry.path("manager").asText())
                .contains("ancient-changes");
    }

    @Test
    void finalizersAreASetThatManagersShare() throws Refused {
        ObjectNode mine = Samples.thing("{}");
        ((ObjectNode) mine.path("metadata")).putArray("finalizers").add("a.example.com/x");
        live = Optional.of(FieldManagement.apply(THING, live, mine, new Manager("me", ""), false, NOON));
        ObjectNode yours = Samples.thing("{}");
        ((ObjectNode) yours.path("metadata")).putArray("finalizers").add("b.example.com/y");
        live = Optional.of(FieldManagement.apply(THING, live, yours, new Manager("you", ""), false, NOON));
        live = Optional.of(FieldManagement.apply(THING, live, Samples.thing("{}"), new Manager("me", ""), false, NOON));
        assertThat(live.orElseThrow().at("/metadata/finalizers")).isEqualTo(Samples.json("[b.example.com/y]"));
    }
}
