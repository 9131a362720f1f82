package dev.vmlet.apiserver.schema;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.node.ObjectNode;
import org.junit.jupiter.api.Test;

class PatchesTest {
    private static final ResourceType NODE = Samples.core("nodes");
    private static final ResourceType VM = Samples.virtualMachine();

    private static ObjectNode strategic(String target, String patch) throws Refused {
        return Patches.strategic(NODE, Samples.yaml(target), Samples.json(patch));
    }

    @Test
    void mergesObjectsAndReplacesLists() throws Refused {
        ObjectNode target = Samples.yaml("{a: {b: 1, c: 2}, l: [1, 2], s: x}");
        ObjectNode patch = Samples.yaml("{a: {b: null, d: {e: null, f: 1}}, l: [3], s: {t: 1}}");
        assertThat(Patches.merge(VM, target, patch))
                .isEqualTo(Samples.json("{a: {c: 2, d: {f: 1}}, l: [3], s: {t: 1}}"));
        assertThat(target).isEqualTo(Samples.json("{a: {b: 1, c: 2}, l: [1, 2], s: x}"));
    }

    @Test
    void followsJsonPatches() throws Refused {
        assertThat(Patches.json(
                        VM,
                        Samples.yaml("{a: 1, l: [1]}"),
                        Samples.json(
                                "[{op: test, path: /a, value: 1}, {op: replace, path: /a, value: 2}, {op: add, path:"
                                        + " /l/-, value: 2}, {op: remove, path: /l/0}]")))
                .isEqualTo(Samples.json("{a: 2, l: [2]}"));
    }

    @Test
    void refusesJsonPatchesThatDoNotFit() {
        assertThatThrownBy(() ->
                        Patches.json(VM, Samples.yaml("{a: 1}"), Samples.json("[{op: test, path: /a, value: 2}]")))
                .isInstanceOfSatisfying(
                        Refused.class, refused -> assertThat(refused.code()).isEqualTo(422));
        assertThatThrownBy(() -> Patches.json(VM, Samples.yaml("{}"), Samples.json("[{op: remove, path: /a}]")))
                .isInstanceOfSatisfying(
                        Refused.class, refused -> assertThat(refused.status()).isEqualTo(Samples.json("""
                                kind: Status
                                apiVersion: v1
                                metadata: {}
                                status: Failure
                                message: the server rejected our request due to an error in our request
                                reason: Invalid
                                details: {}
                                code: 422
                                """)));
        assertThatThrownBy(() -> Patches.json(VM, Samples.yaml("{}"), Samples.json("{a: 1}")))
                .isInstanceOfSatisfying(
                        Refused.class, refused -> assertThat(refused.code()).isEqualTo(400));
    }

    @Test
    void mergesListsByTheirKey() throws Refused {
        assertThat(
                        strategic(
                                "{status: {conditions: [{type: A, status: x, reason: r}, {type: B, status: x}]}}",
                                "{status: {conditions: [{type: A, status: y}, {type: C, status: z}, {type: B, $patch: delete}]}}"))
                .isEqualTo(Samples.json(
                        "{status: {conditions: [{type: A, status: y, reason: r}, {type: C, status: z}]}}"));
    }

    @Test
    void replacesListsWithoutAKey() throws Refused {
        assertThat(strategic("{spec: {taints: [{key: a}]}}", "{spec: {taints: [{key: b}]}}"))
                .isEqualTo(Samples.json("{spec: {taints: [{key: b}]}}"));
    }

    @Test
    void addsToAndTakesFromListsOfTexts() throws Refused {
        assertThat(strategic("{metadata: {finalizers: [a, b]}}", "{metadata: {finalizers: [c]}}"))
                .isEqualTo(Samples.json("{metadata: {finalizers: [a, b, c]}}"));
        assertThat(strategic(
                        "{metadata: {finalizers: [a, b]}}",
                        "{metadata: {$deleteFromPrimitiveList/finalizers: [a], $setElementOrder/finalizers: [b]}}"))
                .isEqualTo(Samples.json("{metadata: {finalizers: [b]}}"));
    }

    @Test
    void putsItemsInTheOrderAskedFor() throws Refused {
        assertThat(strategic(
                        "{metadata: {ownerReferences: [{uid: a}, {uid: b}]}}",
                        "{metadata: {$setElementOrder/ownerReferences: [{uid: c}, {uid: b}, {uid: a}], ownerReferences:"
                                + " [{uid: c}]}}"))
                .isEqualTo(Samples.json("{metadata: {ownerReferences: [{uid: c}, {uid: b}, {uid: a}]}}"));
    }

    @Test
    void obeysDirectives() throws Refused {
        assertThat(strategic("{metadata: {labels: {a: x}}}", "{metadata: {labels: {$patch: replace, b: y}}}"))
                .isEqualTo(Samples.json("{metadata: {labels: {b: y}}}"));
        assertThat(strategic("{metadata: {labels: {a: x}, name: n}}", "{metadata: {labels: {$patch: delete}}}"))
                .isEqualTo(Samples.json("{metadata: {name: n}}"));
        assertThat(strategic("{spec: {podCIDR: a, providerID: b}}", "{spec: {$retainKeys: [podCIDR], podCIDR: c}}"))
                .isEqualTo(Samples.json("{spec: {podCIDR: c}}"));
        assertThat(strategic("{metadata: {labels: {a: x, b: y}}}", "{metadata: {labels: {a: null}}}"))
                .isEqualTo(Samples.json("{metadata: {labels: {b: y}}}"));
        assertThatThrownBy(() -> strategic("{spec: {}}", "{spec: {$patch: explode}}"))
                .hasMessage("unrecognized type of \"$patch\": \"explode\"");
    }

    @Test
    void hasNoStrategicMergePatchForCustomResources() {
        assertThatThrownBy(() -> Patches.strategic(VM, Samples.yaml("{}"), Samples.json("{}")))
                .isInstanceOfSatisfying(
                        Refused.class, refused -> assertThat(refused.code()).isEqualTo(415));
    }
}
