package dev.vmlet.apiserver;

import static dev.vmlet.apiserver.Contract.generation;
import static dev.vmlet.apiserver.Contract.machine;
import static dev.vmlet.apiserver.Contract.refused;
import static dev.vmlet.apiserver.Contract.tidy;
import static dev.vmlet.apiserver.Contract.version;
import static dev.vmlet.apiserver.Wire.JSON;
import static dev.vmlet.apiserver.Wire.MERGE;
import static dev.vmlet.apiserver.Wire.read;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Duration;
import java.time.Instant;
import org.junit.jupiter.api.Test;

/** One object: created, read, updated, and the ways in which that is refused. */
interface ObjectContract extends Contract {
    @Test
    default void createsAnObject() {
        JsonNode created = create("a");
        assertThat(tidy(created)).isEqualTo(read("""
                apiVersion: vmlet.dev/v1alpha1
                kind: VirtualMachine
                metadata: {name: a, generation: 1}
                spec:
                  nodeName: n1
                  runStrategy: Always
                  cpu: {cores: 1}
                  memory: {size: 1Gi}
                  disks: [{name: root, size: 1Gi, reclaimPolicy: Delete}]
                  terminationGracePeriodSeconds: 30
                """));
        JsonNode metadata = created.path("metadata");
        assertThat(metadata.path("namespace").asText()).isEqualTo(namespace());
        assertThat(metadata.path("uid").asText()).matches("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}");
        assertThat(metadata.path("resourceVersion").asText()).matches("[1-9][0-9]*");
        assertThat(metadata.path("creationTimestamp").asText()).matches("[0-9-]{10}T[0-9:]{8}Z");
        assertThat(Duration.between(
                        Instant.parse(metadata.path("creationTimestamp").asText()), Instant.now()))
                .isLessThan(Duration.ofMinutes(5));
        assertThat(get("a")).isEqualTo(created);
    }

    @Test
    default void answersInYamlWhenAsked() {
        create("a");
        Wire.Answer answer = wire().send("GET", vm("a"), null, null, "Accept", "application/yaml");
        assertThat(answer.contentType()).isEqualTo("application/yaml");
        assertThat(read(answer.body().asText())).isEqualTo(get("a"));
    }

    @Test
    default void takesYaml() {
        Wire.Answer answer = wire().send("POST", vms(), "application/yaml", """
                apiVersion: vmlet.dev/v1alpha1
                kind: VirtualMachine
                metadata:
                  name: a
                spec:
                  memory: {size: 1Gi}
                  disks: [{name: root, size: 1Gi}]
                """);
        assertThat(answer.expect(201).at("/spec/memory/size").asText()).isEqualTo("1Gi");
    }

    @Test
    default void makesUpAName() {
        ObjectNode machine = machine("");
        machine.putObject("metadata").put("generateName", "web-");
        String first = create(machine).at("/metadata/name").asText();
        String second = create(machine).at("/metadata/name").asText();
        assertThat(first).matches("web-[a-z0-9]{5}").isNotEqualTo(second);
        assertThat(second).matches("web-[a-z0-9]{5}");
    }

    @Test
    default void givesANameOnce() {
        create("a");
        refused(
                wire().post(vms(), machine("a")),
                409,
                "AlreadyExists",
                "virtualmachines.vmlet.dev \"a\" already exists",
                "{name: a, group: vmlet.dev, kind: virtualmachines}");
    }

    @Test
    default void saysWhatIsNotThere() {
        String details = "{name: a, group: vmlet.dev, kind: virtualmachines}";
        String message = "virtualmachines.vmlet.dev \"a\" not found";
        ObjectNode machine = machine("a");
        ((ObjectNode) machine.path("metadata")).put("resourceVersion", "1");
        refused(wire().get(vm("a")), 404, "NotFound", message, details);
        refused(wire().get(vm("a") + "/status"), 404, "NotFound", message, details);
        refused(wire().put(vm("a"), machine), 404, "NotFound", message, details);
        refused(wire().patch(vm("a"), MERGE, "{}"), 404, "NotFound", message, details);
        refused(wire().delete(vm("a")), 404, "NotFound", message, details);
    }

    @Test
    default void refusesANameThatIsNone() {
        Wire.Answer answer = wire().post(vms(), machine("Bad_Name"));
        answer.expect(422);
        assertThat(answer.at("/reason").asText()).isEqualTo("Invalid");
        assertThat(answer.at("/details/causes/0")).isEqualTo(read("""
                reason: FieldValueInvalid
                message: >-
                  Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric
                  characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com',
                  regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
                field: metadata.name
                """));
    }

    @Test
    default void wantsAName() {
        ObjectNode machine = machine("");
        machine.putObject("metadata");
        Wire.Answer answer = wire().post(vms(), machine);
        answer.expect(422);
        assertThat(answer.at("/details/causes/0")).isEqualTo(read("""
                reason: FieldValueRequired
                message: 'Required value: name or generateName is required'
                field: metadata.name
                """));
    }

    @Test
    default void wantsANamespaceThatIsThere() {
        refused(
                wire().post(GROUP + "/namespaces/nosuch/virtualmachines", machine("a")),
                404,
                "NotFound",
                "namespaces \"nosuch\" not found",
                "{name: nosuch, kind: namespaces}");
    }

    @Test
    default void refusesAnObjectOfAnotherPlace() {
        ObjectNode elsewhere = machine("a");
        ((ObjectNode) elsewhere.path("metadata")).put("namespace", "other");
        refused(
                wire().post(vms(), elsewhere),
                400,
                "BadRequest",
                "the namespace of the provided object does not match the namespace sent on the request",
                "");
        create("b");
        refused(
                wire().put(vm("b"), machine("a")),
                400,
                "BadRequest",
                "the name of the object (a) does not match the name on the URL (b)",
                "");
        ObjectNode version = machine("a").put("apiVersion", "vmlet.dev/v9");
        refused(
                wire().post(vms(), version),
                400,
                "BadRequest",
                "the API version in the data (vmlet.dev/v9) does not match the expected API version (vmlet.dev/v1alpha1)",
                "");
        assertThat(wire().post(vms(), machine("a").put("kind", "Network")).status())
                .isIn(400, 422);
    }

    @Test
    default void refusesWhatItCannotRead() {
        for (String body : new String[] {"{bad", "null", "[]", "", "{}"}) {
            Wire.Answer answer = wire().send("POST", vms(), JSON, body);
            assertThat(answer.status() + " " + answer.at("/reason").asText())
                    .as(body)
                    .isEqualTo("400 BadRequest");
        }
        refused(
                wire().send("POST", vms(), "text/csv", "a"),
                415,
                "UnsupportedMediaType",
                "the body of the request was in an unknown format - accepted media types include: application/json, "
                        + "application/yaml, application/vnd.kubernetes.protobuf",
                "");
    }

    @Test
    default void refusesWhatIsTooLarge() {
        ObjectNode machine = machine("a");
        machine.withObject("/metadata/annotations").put("large", "x".repeat(4 << 20));
        Wire.Answer answer = wire().post(vms(), machine);
        answer.expect(413);
        assertThat(answer.at("/reason").asText()).isEqualTo("RequestEntityTooLarge");
        assertThat(answer.at("/message").asText()).contains("limit is 3145728");
    }

    @Test
    default void refusesAnnotationsThatTogetherAreTooLarge() {
        ObjectNode machine = machine("a");
        machine.withObject("/metadata/annotations").put("large", "x".repeat(300_000));
        Wire.Answer answer = wire().post(vms(), machine);
        answer.expect(422);
        assertThat(answer.at("/details/causes/0")).isEqualTo(read("""
                reason: FieldValueTooLong
                message: 'Too long: may not be more than 262144 bytes'
                field: metadata.annotations
                """));
    }

    @Test
    default void refusesLabelsThatAreNone() {
        ObjectNode machine = machine("a");
        machine.withObject("/metadata/labels").put("app", "not a label");
        Wire.Answer answer = wire().post(vms(), machine);
        answer.expect(422);
        assertThat(answer.at("/details/causes/0")).isEqualTo(read("""
                reason: FieldValueInvalid
                message: >-
                  Invalid value: "not a label": a valid label must be an empty string or consist of alphanumeric
                  characters, '-', '_' or '.', and must start and end with an alphanumeric character
                  (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is
                  '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')
                field: metadata.labels
                """));
    }

    @Test
    default void replacesAnObject() {
        ObjectNode machine = create("a");
        machine.withObject("/metadata/labels").put("app", "web");
        machine.withObject("/spec/cpu").put("cores", 4);
        JsonNode replaced = wire().put(vm("a"), machine).expect(200);
        assertThat(replaced.at("/spec/cpu/cores").asInt()).isEqualTo(4);
        assertThat(replaced.at("/metadata/labels/app").asText()).isEqualTo("web");
        assertThat(replaced.at("/metadata/uid")).isEqualTo(machine.at("/metadata/uid"));
        assertThat(version(replaced)).isGreaterThan(version(machine));
        assertThat(get("a")).isEqualTo(replaced);
    }

    @Test
    default void letsNoWriterOverwriteAnother() {
        ObjectNode stale = create("a");
        wire().patch(vm("a"), MERGE, "{metadata: {labels: {first: one}}}").expect(200);
        String message =
                "Operation cannot be fulfilled on virtualmachines.vmlet.dev \"a\": the object has been modified; "
                        + "please apply your changes to the latest version and try again";
        String details = "{name: a, group: vmlet.dev, kind: virtualmachines}";
        stale.withObject("/metadata/labels").put("second", "two");
        refused(wire().put(vm("a"), stale), 409, "Conflict", message, details);
        refused(wire().put(vm("a") + "/status", stale), 409, "Conflict", message, details);
        refused(wire().patch(vm("a"), MERGE, """
                {metadata: {resourceVersion: "%s", labels: {second: two}}}
                """.formatted(version(stale))), 409, "Conflict", message, details);
        assertThat(get("a").at("/metadata/labels")).isEqualTo(read("{first: one}"));
    }

    @Test
    default void wantsAVersionWithAReplacement() {
        create("a");
        refused(
                wire().put(vm("a"), machine("a")),
                422,
                "Invalid",
                "virtualmachines.vmlet.dev \"a\" is invalid: metadata.resourceVersion: Invalid value: 0: "
                        + "must be specified for an update",
                """
                name: a
                group: vmlet.dev
                kind: virtualmachines
                causes:
                - reason: FieldValueInvalid
                  message: 'Invalid value: 0: must be specified for an update'
                  field: metadata.resourceVersion
                """);
    }

    @Test
    default void replacesNoObjectOfAnotherLife() {
        ObjectNode machine = create("a");
        ((ObjectNode) machine.path("metadata")).put("uid", "00000000-0000-0000-0000-000000000000");
        Wire.Answer answer = wire().put(vm("a"), machine);
        answer.expect(409);
        assertThat(answer.at("/reason").asText()).isEqualTo("Conflict");
        assertThat(answer.at("/message").asText())
                .contains("UID in precondition: 00000000-0000-0000-0000-000000000000");
    }

    @Test
    default void keepsWhatOnlyTheServerWrites() {
        ObjectNode machine = create("a");
        ObjectNode forged = machine.deepCopy();
        ((ObjectNode) forged.path("metadata"))
                .put("creationTimestamp", "2001-01-01T00:00:00Z")
                .put("generation", 77);
        JsonNode replaced = wire().put(vm("a"), forged).expect(200);
        assertThat(replaced).isEqualTo(machine);
    }

    @Test
    default void countsGenerationsOfTheSpecAlone() {
        create("a");
        assertThat(generation(wire().patch(vm("a"), MERGE, "{spec: {cpu: {cores: 2}}}")
                        .expect(200)))
                .isEqualTo(2);
        assertThat(generation(
                        wire().patch(vm("a"), MERGE, "{metadata: {labels: {app: web}, finalizers: [vmlet.dev/x]}}")
                                .expect(200)))
                .isEqualTo(2);
        assertThat(generation(wire().patch(vm("a") + "/status", MERGE, "{status: {phase: Running}}")
                        .expect(200)))
                .isEqualTo(2);
        assertThat(generation(wire().patch(vm("a"), MERGE, "{spec: {cpu: {cores: 2}}}")
                        .expect(200)))
                .isEqualTo(2);
        assertThat(generation(wire().patch(vm("a"), MERGE, "{spec: {cpu: {cores: 3}}}")
                        .expect(200)))
                .isEqualTo(3);
        wire().patch(vm("a"), MERGE, "{metadata: {finalizers: null}}").expect(200);
    }

    @Test
    default void writesNothingWhenNothingChanges() {
        ObjectNode machine = create("a");
        assertThat(wire().put(vm("a"), machine).expect(200)).isEqualTo(machine);
        assertThat(wire().patch(vm("a"), MERGE, "{spec: {cpu: {cores: 1}}}").expect(200))
                .isEqualTo(machine);
        assertThat(get("a")).isEqualTo(machine);
    }

    @Test
    default void takesTheStatusOnlyByItsDoor() {
        ObjectNode machine = machine("a");
        machine.withObject("/status").put("phase", "Running");
        ObjectNode created = create(machine);
        assertThat(created.has("status")).isFalse();

        created.withObject("/status").put("phase", "Running");
        assertThat(wire().put(vm("a"), created).expect(200).has("status")).isFalse();

        created.withObject("/spec/cpu").put("cores", 9);
        created.withObject("/metadata/labels").put("app", "web");
        JsonNode written = wire().put(vm("a") + "/status", created).expect(200);
        assertThat(written.path("status")).isEqualTo(read("{phase: Running}"));
        assertThat(written.at("/spec/cpu/cores").asInt()).isEqualTo(1);
        assertThat(written.at("/metadata/labels").isMissingNode()).isTrue();
        assertThat(wire().get(vm("a") + "/status").expect(200)).isEqualTo(written);

        wire().patch(vm("a"), MERGE, "{status: {phase: Failed}}").expect(200);
        assertThat(get("a")).isEqualTo(written);
    }

    @Test
    default void triesWithoutDoing() {
        JsonNode tried = wire().post(vms() + "?dryRun=All", machine("a")).expect(201);
        assertThat(tried.at("/metadata/uid").asText()).isNotEmpty();
        assertThat(tried.at("/spec/runStrategy").asText()).isEqualTo("Always");
        assertThat(wire().get(vm("a")).status()).isEqualTo(404);

        ObjectNode machine = create("a");
        assertThat(wire().patch(vm("a") + "?dryRun=All", MERGE, "{spec: {cpu: {cores: 2}}}")
                        .expect(200)
                        .at("/spec/cpu/cores")
                        .asInt())
                .isEqualTo(2);
        wire().delete(vm("a") + "?dryRun=All").expect(200);
        assertThat(get("a")).isEqualTo(machine);
        Wire.Answer answer = wire().post(vms() + "?dryRun=maybe", machine("b"));
        answer.expect(422);
        assertThat(answer.at("/details/causes/0/field").asText()).isEqualTo("dryRun");
    }

    @Test
    default void numbersVersionsUpwards() {
        long before = version(create("a"));
        for (int i = 0; i < 5; i++) {
            long after = version(wire().patch(vm("a"), MERGE, "{metadata: {labels: {n: '" + i + "'}}}")
                    .expect(200));
            assertThat(after).isGreaterThan(before);
            before = after;
        }
        assertThat(version(create("b"))).isGreaterThan(before);
        assertThat(version(wire().get(vms()).expect(200))).isGreaterThan(before);
    }

    @Test
    default void keepsClusterObjectsWithoutANamespace() {
        String name = namespace();
        JsonNode created =
                wire().post(GROUP + "/vmnodes", read("""
                {apiVersion: vmlet.dev/v1alpha1, kind: VmNode, metadata: {name: %s}}
                """.formatted(name))).expect(201);
        assertThat(created.at("/metadata/namespace").isMissingNode()).isTrue();
        assertThat(wire().get(GROUP + "/vmnodes/" + name).expect(200)).isEqualTo(created);
        wire().delete(GROUP + "/vmnodes/" + name).expect(200);
    }
}
