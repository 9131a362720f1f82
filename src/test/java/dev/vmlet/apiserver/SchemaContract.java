package dev.vmlet.apiserver;

import static dev.vmlet.apiserver.Contract.machine;
import static dev.vmlet.apiserver.Contract.refused;
import static dev.vmlet.apiserver.Wire.JSON;
import static dev.vmlet.apiserver.Wire.MERGE;
import static dev.vmlet.apiserver.Wire.read;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import org.junit.jupiter.api.Test;

/**
 * What a CRD's schema does to objects: fill in, leave out, refuse. All of our own rules are tried by {@code
 * CrdValidationE2E}; here is how their refusals look on the wire.
 */
interface SchemaContract extends Contract {
    private static ObjectNode withUnknown() {
        ObjectNode machine = machine("a");
        machine.withObject("/spec").put("nosuch", 1);
        machine.withObject("/spec/cpu").put("sockets", 2);
        return machine;
    }

    @Test
    default void fillsInDefaultsBelowWhatIsGiven() {
        ObjectNode machine = machine("a");
        machine.withObject("/spec").set("readiness", read("{}"));
        machine.withObject("/spec").set("cloudInit", read("{userDataSecretRef: {name: s}}"));
        assertThat(create(machine).path("spec")).isEqualTo(read("""
                nodeName: n1
                runStrategy: Always
                cpu: {cores: 1}
                memory: {size: 1Gi}
                disks: [{name: root, size: 1Gi, reclaimPolicy: Delete}]
                cloudInit: {userDataSecretRef: {name: s, key: userData}}
                readiness: {timeoutSeconds: 300}
                terminationGracePeriodSeconds: 30
                """));
    }

    @Test
    default void takesANullForNothingGiven() {
        ObjectNode machine = machine("a");
        machine.withObject("/spec").putNull("runStrategy").putNull("cloudInit");
        JsonNode created = create(machine);
        assertThat(created.at("/spec/runStrategy").asText()).isEqualTo("Always");
    }

    @Test
    default void prunesWhatItDoesNotKnow() {
        ObjectNode machine = withUnknown();
        machine.withObject("/metadata").put("nosuch", true);
        machine.put("nosuch", true);
        JsonNode created =
                wire().post(vms() + "?fieldValidation=Ignore", machine).expect(201);
        assertThat(Contract.fields(created)).containsExactlyInAnyOrder("apiVersion", "kind", "metadata", "spec");
        assertThat(created.at("/metadata/nosuch").isMissingNode()).isTrue();
        assertThat(created.at("/spec/nosuch").isMissingNode()).isTrue();
        assertThat(created.at("/spec/cpu")).isEqualTo(read("{cores: 1}"));
        JsonNode patched = wire().patch(vm("a") + "?fieldValidation=Ignore", MERGE, "{spec: {other: 1}}")
                .expect(200);
        assertThat(patched).isEqualTo(created);
    }

    @Test
    default void refusesUnknownFieldsWhenStrict() {
        refused(
                wire().post(vms() + "?fieldValidation=Strict", withUnknown()),
                400,
                "BadRequest",
                "VirtualMachine in version \"v1alpha1\" cannot be handled as a VirtualMachine: strict decoding error: "
                        + "unknown field \"spec.cpu.sockets\", unknown field \"spec.nosuch\"",
                "");
        assertThat(wire().get(vm("a")).status()).isEqualTo(404);
        create("a");
        Wire.Answer patch = wire().patch(vm("a") + "?fieldValidation=Strict", MERGE, "{spec: {nosuch: 1}}");
        patch.expect(422);
        assertThat(patch.at("/reason").asText()).isEqualTo("Invalid");
        assertThat(patch.at("/message").asText())
                .startsWith(" \"\" is invalid: patch: Invalid value: \"{")
                .endsWith("}\": strict decoding error: unknown field \"spec.nosuch\"");
        assertThat(patch.at("/details/causes/0/field").asText()).isEqualTo("patch");
    }

    @Test
    default void warnsOfUnknownFieldsUnlessTold() {
        Wire.Answer warned = wire().post(vms(), withUnknown());
        warned.expect(201);
        assertThat(warned.warnings())
                .containsExactly(
                        "299 - \"unknown field \\\"spec.cpu.sockets\\\"\"",
                        "299 - \"unknown field \\\"spec.nosuch\\\"\"");
        assertThat(wire().patch(vm("a") + "?fieldValidation=Warn", MERGE, "{spec: {nosuch: 1}}")
                        .warnings())
                .containsExactly("299 - \"unknown field \\\"spec.nosuch\\\"\"");
        Wire.Answer ignored = wire().patch(vm("a") + "?fieldValidation=Ignore", MERGE, "{spec: {nosuch: 1}}");
        ignored.expect(200);
        assertThat(ignored.warnings()).isEmpty();
        wire().patch(vm("a") + "?fieldValidation=Maybe", MERGE, "{}").expect(422);
    }

    @Test
    default void noticesAKeyThatIsGivenTwice() {
        String body = """
                {"apiVersion": "vmlet.dev/v1alpha1", "kind": "VirtualMachine", "metadata": {"name": "a"},
                 "spec": {"memory": {"size": "1Gi", "size": "2Gi"}, "disks": [{"name": "root", "size": "1Gi"}]}}""";
        refused(
                wire().send("POST", vms() + "?fieldValidation=Strict", JSON, body),
                400,
                "BadRequest",
                "VirtualMachine in version \"v1alpha1\" cannot be handled as a VirtualMachine: strict decoding error: "
                        + "duplicate field \"spec.memory.size\"",
                "");
        Wire.Answer warned = wire().send("POST", vms(), JSON, body);
        assertThat(warned.expect(201).at("/spec/memory/size").asText()).isEqualTo("2Gi");
        assertThat(warned.warnings()).containsExactly("299 - \"duplicate field \\\"spec.memory.size\\\"\"");
    }

    @Test
    default void refusesAValueOutOfRange() {
        create("a");
        refused(
                wire().patch(vm("a"), MERGE, "{spec: {cpu: {cores: 0}}}"),
                422,
                "Invalid",
                "VirtualMachine.vmlet.dev \"a\" is invalid: spec.cpu.cores: Invalid value: 0: "
                        + "spec.cpu.cores in body should be greater than or equal to 1",
                """
                name: a
                group: vmlet.dev
                kind: VirtualMachine
                causes:
                - reason: FieldValueInvalid
                  message: 'Invalid value: 0: spec.cpu.cores in body should be greater than or equal to 1'
                  field: spec.cpu.cores
                """);
    }

    @Test
    default void refusesAValueOfTheWrongType() {
        create("a");
        refused(
                wire().patch(vm("a"), MERGE, "{spec: {cpu: {cores: many}}}"),
                422,
                "Invalid",
                "VirtualMachine.vmlet.dev \"a\" is invalid: [spec.cpu.cores: Invalid value: \"string\": "
                        + "spec.cpu.cores in body must be of type integer: \"string\", <nil>: Invalid value: null: "
                        + "some validation rules were not checked because the object was invalid; "
                        + "correct the existing errors to complete validation]",
                """
                name: a
                group: vmlet.dev
                kind: VirtualMachine
                causes:
                - reason: FieldValueTypeInvalid
                  message: 'Invalid value: "string": spec.cpu.cores in body must be of type integer: "string"'
                  field: spec.cpu.cores
                - reason: FieldValueInvalid
                  message: >-
                    Invalid value: null: some validation rules were not checked because the object was invalid;
                    correct the existing errors to complete validation
                  field: <nil>
                """);
    }

    @Test
    default void refusesAValueThatIsNoneOfTheChoices() {
        ObjectNode machine = machine("a");
        machine.withObject("/spec").put("runStrategy", "Never");
        Wire.Answer answer = wire().post(vms(), machine);
        answer.expect(422);
        assertThat(answer.at("/details/causes/0")).isEqualTo(read("""
                reason: FieldValueNotSupported
                message: 'Unsupported value: "Never": supported values: "Always", "Halted", "Once", "RerunOnFailure"'
                field: spec.runStrategy
                """));
    }

    @Test
    default void refusesWhatIsMissing() {
        ObjectNode machine = machine("a");
        machine.withObject("/spec").remove("memory");
        machine.withArray("/spec/disks").addObject().put("size", "1Gi");
        Wire.Answer answer = wire().post(vms(), machine);
        answer.expect(422);
        assertThat(Contract.texts(answer.at("/details/causes"), "/field"))
                .contains("spec.memory", "spec.disks[1].name");
        assertThat(Contract.texts(answer.at("/details/causes"), "/message")).contains("Required value");
        assertThat(Contract.texts(answer.at("/details/causes"), "/reason")).contains("FieldValueRequired");
    }

    @Test
    default void refusesAKeyThatIsInAListTwice() {
        ObjectNode machine = machine("a");
        machine.withArray("/spec/disks").addObject().put("name", "root").put("size", "1Gi");
        Wire.Answer answer = wire().post(vms(), machine);
        answer.expect(422);
        assertThat(answer.at("/details/causes/0")).isEqualTo(read("""
                reason: FieldValueDuplicate
                message: 'Duplicate value: {"name":"root"}'
                field: spec.disks[1]
                """));
    }

    @Test
    default void refusesWhatIsTooLong() {
        ObjectNode machine = machine("a");
        machine.withArray("/spec/disks").addObject().put("name", "x".repeat(21)).put("size", "1Gi");
        Wire.Answer answer = wire().post(vms(), machine);
        answer.expect(422);
        assertThat(answer.at("/details/causes/0")).isEqualTo(read("""
                reason: FieldValueTooLong
                message: 'Too long: may not be more than 20 bytes'
                field: spec.disks[1].name
                """));
    }

    @Test
    default void refusesInTheWordsOfARule() {
        ObjectNode machine = machine("a");
        machine.withObject("/spec").set("boot", read("{kernel: {path: /abs}}"));
        refused(
                wire().post(vms(), machine),
                422,
                "Invalid",
                "VirtualMachine.vmlet.dev \"a\" is invalid: spec.boot.kernel.path: Invalid value: \"/abs\": "
                        + "path must be relative to the image directory: without a leading '/', empty parts, '.' and '..'",
                """
                name: a
                group: vmlet.dev
                kind: VirtualMachine
                causes:
                - reason: FieldValueInvalid
                  message: >-
                    Invalid value: "/abs": path must be relative to the image directory: without a leading '/',
                    empty parts, '.' and '..'
                  field: spec.boot.kernel.path
                """);
    }

    @Test
    default void refusesATransitionInTheWordsOfItsRule() {
        create("a");
        String message =
                "nodeName cannot change once it is set: delete this VirtualMachine and create it for the other node";
        Wire.Answer answer = wire().patch(vm("a"), MERGE, "{spec: {nodeName: n2}}");
        answer.expect(422);
        assertThat(answer.at("/message").asText())
                .startsWith("VirtualMachine.vmlet.dev \"a\" is invalid: spec.nodeName: Invalid value: ")
                .endsWith(message);
        assertThat(answer.at("/details/causes/0/field").asText()).isEqualTo("spec.nodeName");
        assertThat(answer.at("/details/causes/0/reason").asText()).isEqualTo("FieldValueInvalid");
        wire().patch(vm("a"), MERGE, "{spec: {nodeName: null}}").expect(422);
        wire().patch(vm("a"), MERGE, "{spec: {disks: [{name: other, size: 1Gi}]}}")
                .expect(422);
        wire().patch(vm("a"), MERGE, "{spec: {disks: [{name: root, size: 1Mi}]}}")
                .expect(422);
        wire().patch(vm("a"), MERGE, "{spec: {disks: [{name: root, size: 2Gi}, {name: data, size: 1Gi}]}}")
                .expect(200);
    }

    @Test
    default void checksTheStatusToo() {
        create("a");
        Wire.Answer answer = wire().patch(vm("a") + "/status", MERGE, "{status: {phase: Dancing}}");
        answer.expect(422);
        assertThat(answer.at("/details/causes/0/field").asText()).isEqualTo("status.phase");
        assertThat(wire().patch(vm("a") + "/status", MERGE, "{status: {nosuch: 1}}")
                        .warnings())
                .containsExactly("299 - \"unknown field \\\"status.nosuch\\\"\"");
    }
}
