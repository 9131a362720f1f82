package dev.vmlet.apiserver;

import static dev.vmlet.apiserver.Contract.machine;
import static dev.vmlet.apiserver.Contract.names;
import static dev.vmlet.apiserver.Contract.refused;
import static dev.vmlet.apiserver.Contract.version;
import static dev.vmlet.apiserver.Wire.MERGE;
import static dev.vmlet.apiserver.Wire.read;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Duration;
import org.junit.jupiter.api.Test;

/** The end of objects: at once, after their finalizers, together, or with their owners. */
interface DeletionContract extends Contract {
    private JsonNode createHeld(String name) {
        ObjectNode machine = machine(name);
        machine.withObject("/metadata").set("finalizers", read("[vmlet.dev/x, vmlet.dev/y]"));
        return create(machine);
    }

    private void createOwned(String name, JsonNode owner, String more) {
        ObjectNode machine = machine(name);
        machine.withObject("/metadata").set("ownerReferences", read("""
                [{apiVersion: vmlet.dev/v1alpha1, kind: VirtualMachine, name: %s, uid: %s%s}]
                """.formatted(
                owner.at("/metadata/name").asText(), owner.at("/metadata/uid").asText(), more)));
        create(machine);
    }

    private void assumeAGarbageCollector() {
        assumeTrue(
                collectsGarbage(),
                "SKIPPED: this API server runs without the controllers that collect garbage in a cluster");
    }

    private void awaitGone(String path) {
        await().atMost(Duration.ofSeconds(20))
                .untilAsserted(() -> assertThat(wire().get(path).status()).isEqualTo(404));
    }

    @Test
    default void deletesAtOnceWhatNobodyHolds() {
        JsonNode machine = create("a");
        Wire.Answer answer = wire().delete(vm("a"));
        assertThat(answer.expect(200))
                .isEqualTo(read("""
                kind: Status
                apiVersion: v1
                metadata: {}
                status: Success
                details: {name: a, group: vmlet.dev, kind: virtualmachines, uid: %s}
                """.formatted(machine.at("/metadata/uid").asText())));
        assertThat(wire().get(vm("a")).status()).isEqualTo(404);
        assertThat(create("a").at("/metadata/uid")).isNotEqualTo(machine.at("/metadata/uid"));
    }

    @Test
    default void waitsForFinalizers() {
        JsonNode machine = createHeld("a");
        JsonNode marked = wire().delete(vm("a")).expect(200);
        assertThat(marked.path("kind").asText()).isEqualTo("VirtualMachine");
        assertThat(marked.at("/metadata/deletionTimestamp").asText()).matches("[0-9-]{10}T[0-9:]{8}Z");
        assertThat(marked.at("/metadata/deletionGracePeriodSeconds").asInt(-1)).isZero();
        assertThat(marked.at("/metadata/generation").asInt()).isEqualTo(2);
        assertThat(version(marked)).isGreaterThan(version(machine));
        assertThat(get("a")).isEqualTo(marked);

        // Once more: nothing new.
        assertThat(wire().delete(vm("a")).expect(200)).isEqualTo(marked);

        JsonNode half = wire().patch(vm("a"), MERGE, "{metadata: {finalizers: [vmlet.dev/y]}}")
                .expect(200);
        assertThat(half.at("/metadata/deletionTimestamp")).isEqualTo(marked.at("/metadata/deletionTimestamp"));
        JsonNode last =
                wire().patch(vm("a"), MERGE, "{metadata: {finalizers: []}}").expect(200);
        assertThat(last.at("/metadata/finalizers").isMissingNode()).isTrue();
        assertThat(wire().get(vm("a")).status()).isEqualTo(404);
    }

    @Test
    default void takesNoNewFinalizerOnceDeleted() {
        createHeld("a");
        wire().delete(vm("a")).expect(200);
        Wire.Answer answer =
                wire().patch(vm("a"), MERGE, "{metadata: {finalizers: [vmlet.dev/x, vmlet.dev/y, vmlet.dev/z]}}");
        answer.expect(422);
        assertThat(answer.at("/details/causes/0")).isEqualTo(read("""
                reason: FieldValueForbidden
                message: 'Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"vmlet.dev/z"}'
                field: metadata.finalizers
                """));
        wire().patch(vm("a"), MERGE, "{metadata: {finalizers: null}}").expect(200);
    }

    @Test
    default void mayBeUpdatedWhileItWaits() {
        createHeld("a");
        wire().delete(vm("a")).expect(200);
        assertThat(wire().patch(vm("a") + "/status", MERGE, "{status: {phase: Stopping}}")
                        .expect(200)
                        .at("/status/phase")
                        .asText())
                .isEqualTo("Stopping");
        refused(
                wire().post(vms(), machine("a")),
                409,
                "AlreadyExists",
                "object is being deleted: virtualmachines.vmlet.dev \"a\" already exists",
                "{name: a, group: vmlet.dev, kind: virtualmachines}");
        wire().patch(vm("a"), MERGE, "{metadata: {finalizers: null}}").expect(200);
    }

    @Test
    default void deletesTheOneThatWasMeant() {
        JsonNode machine = create("a");
        String uid = machine.at("/metadata/uid").asText();
        Wire.Answer other = wire().delete(vm("a"), "{preconditions: {uid: 00000000-0000-0000-0000-000000000000}}");
        other.expect(409);
        assertThat(other.at("/reason").asText()).isEqualTo("Conflict");
        assertThat(other.at("/message").asText())
                .isEqualTo(
                        "Operation cannot be fulfilled on VirtualMachine.vmlet.dev \"a\": the UID in the precondition "
                                + "(00000000-0000-0000-0000-000000000000) does not match the UID in record (" + uid
                                + "). The object might have been deleted and then recreated");
        Wire.Answer stale = wire().delete(vm("a"), "{preconditions: {resourceVersion: '1'}}");
        stale.expect(409);
        assertThat(stale.at("/message").asText())
                .isEqualTo(
                        "Operation cannot be fulfilled on VirtualMachine.vmlet.dev \"a\": the ResourceVersion in the "
                                + "precondition (1) does not match the ResourceVersion in record (" + version(machine)
                                + "). The object might have been modified");
        wire().delete(vm("a"), "{preconditions: {uid: %s, resourceVersion: '%s'}}".formatted(uid, version(machine)))
                .expect(200);
    }

    @Test
    default void deletesACollection() {
        for (String name : new String[] {"a", "b", "c"}) create(name);
        createHeld("d");
        wire().patch(vm("b"), MERGE, "{metadata: {labels: {keep: me}}}").expect(200);
        JsonNode deleted = wire().delete(vms() + "?labelSelector=%21keep").expect(200);
        assertThat(deleted.path("kind").asText()).isEqualTo("VirtualMachineList");
        assertThat(names(deleted)).containsExactlyInAnyOrder("a", "c", "d");
        assertThat(names(wire().get(vms()).expect(200))).containsExactly("b", "d");
        assertThat(get("d").at("/metadata/deletionTimestamp").asText()).isNotEmpty();
        wire().patch(vm("d"), MERGE, "{metadata: {finalizers: null}}").expect(200);
    }

    @Test
    default void deletesOwnersAfterTheirDependentsInTheForeground() {
        JsonNode owner = create("owner");
        createOwned("owned", owner, ", blockOwnerDeletion: true");
        JsonNode marked =
                wire().delete(vm("owner"), "{propagationPolicy: Foreground}").expect(200);
        assertThat(marked.at("/metadata/finalizers")).isEqualTo(read("[foregroundDeletion]"));
        if (!collectsGarbage()) return;
        awaitGone(vm("owned"));
        awaitGone(vm("owner"));
    }

    @Test
    default void refusesAPropagationThatIsNone() {
        create("a");
        Wire.Answer answer = wire().delete(vm("a"), "{propagationPolicy: Sideways}");
        answer.expect(422);
        assertThat(answer.at("/details/causes/0/field").asText()).isEqualTo("propagationPolicy");
    }

    @Test
    default void deletesDependentsWithTheirOwner() {
        assumeAGarbageCollector();
        JsonNode owner = create("owner");
        createOwned("owned", owner, "");
        createOwned("grandchild", get("owned"), "");
        create("other");
        wire().delete(vm("owner"), "{propagationPolicy: Background}").expect(200);
        awaitGone(vm("owned"));
        awaitGone(vm("grandchild"));
        assertThat(names(wire().get(vms()).expect(200))).containsExactly("other");
    }

    @Test
    default void keepsADependentThatHasAnotherOwner() {
        assumeAGarbageCollector();
        JsonNode first = create("first");
        JsonNode second = create("second");
        ObjectNode owned = machine("owned");
        owned.withObject("/metadata").set("ownerReferences", read("""
                - {apiVersion: vmlet.dev/v1alpha1, kind: VirtualMachine, name: first, uid: %s}
                - {apiVersion: vmlet.dev/v1alpha1, kind: VirtualMachine, name: second, uid: %s}
                """.formatted(
                first.at("/metadata/uid").asText(), second.at("/metadata/uid").asText())));
        create(owned);
        wire().delete(vm("first")).expect(200);
        await().atMost(Duration.ofSeconds(20))
                .untilAsserted(() -> assertThat(Contract.texts(get("owned").at("/metadata/ownerReferences"), "/name"))
                        .containsExactly("second"));
        wire().delete(vm("second")).expect(200);
        awaitGone(vm("owned"));
    }

    @Test
    default void orphansWhenAsked() {
        assumeAGarbageCollector();
        JsonNode owner = create("owner");
        createOwned("owned", owner, "");
        wire().delete(vm("owner"), "{propagationPolicy: Orphan}").expect(200);
        awaitGone(vm("owner"));
        assertThat(get("owned").at("/metadata/ownerReferences").isMissingNode()).isTrue();
    }

    @Test
    default void deletesADependentThatNeverHadItsOwner() {
        assumeAGarbageCollector();
        ObjectNode absent = machine("absent");
        absent.withObject("/metadata").put("uid", "00000000-0000-0000-0000-000000000000");
        createOwned("owned", absent, "");
        awaitGone(vm("owned"));
    }

    @Test
    default void emptiesANamespaceThatIsDeleted() {
        assumeAGarbageCollector();
        create("a");
        createHeld("held");
        String path = "/api/v1/namespaces/" + namespace();
        JsonNode marked = wire().delete(path).expect(200);
        assertThat(marked.at("/status/phase").asText()).isEqualTo("Terminating");
        awaitGone(vm("a"));
        await().atMost(Duration.ofSeconds(20))
                .untilAsserted(() -> assertThat(
                                get("held").at("/metadata/deletionTimestamp").asText())
                        .isNotEmpty());
        Wire.Answer late = wire().post(vms(), machine("late"));
        late.expect(403);
        assertThat(late.at("/message").asText()).contains("because it is being terminated");
        assertThat(wire().get(path).status()).as("it waits for what is held").isEqualTo(200);
        wire().patch(vm("held"), MERGE, "{metadata: {finalizers: null}}").expect(200);
        awaitGone(path);
    }

    @Test
    default void takesNothingNewIntoANamespaceThatIsDeleted() {
        wire().delete("/api/v1/namespaces/" + namespace()).expect(200);
        // A namespace that was empty may be gone already, where somebody empties namespaces.
        assertThat(wire().post(vms(), machine("late")).status()).isIn(403, 404);
    }
}
