package dev.vmlet.apiserver.schema;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.node.ObjectNode;
import org.junit.jupiter.api.Test;

/** What is refused, in kube-apiserver 1.36's words: those of the first three tests were taken down from one. */
class ValidationTest {
    private static final ResourceType VM = Samples.virtualMachine();
    private static final String SUBDOMAIN = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric"
            + " characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex"
            + " used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

    private static ObjectNode vm(String metadata, String spec) {
        ObjectNode vm = Samples.yaml("{apiVersion: vmlet.dev/v1alpha1, kind: VirtualMachine}");
        vm.set("metadata", Samples.json(metadata));
        vm.set("spec", Samples.json(spec));
        return vm;
    }

    @Test
    void namesEveryFieldThatIsWrong() {
        ObjectNode wrong = vm(
                "{name: Web, namespace: default, labels: {\"-x\": \"a b\"}}",
                "{cpu: {cores: 0}, memory: {size: 1Gi}, disks: [{name: r, size: 1Gi}, {name: r, size: x}]}");
        assertThatThrownBy(() -> Validation.create(VM, VM.schema().withDefaults(wrong)))
                .hasMessage("VirtualMachine.vmlet.dev \"Web\" is invalid: [metadata.name: Invalid value: \"Web\": "
                        + SUBDOMAIN
                        + ", metadata.labels: Invalid value: \"-x\": name part must consist of alphanumeric characters,"
                        + " '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or"
                        + " 'my.name',  or '123-abc', regex used for validation is"
                        + " '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
                        + ", metadata.labels: Invalid value: \"a b\": a valid label must be an empty string or consist of"
                        + " alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric"
                        + " character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is"
                        + " '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
                        + ", spec.cpu.cores: Invalid value: 0: spec.cpu.cores in body should be greater than or equal"
                        + " to 1"
                        + ", spec.disks[1]: Duplicate value: {\"name\":\"r\"}"
                        + ", <nil>: Invalid value: metadata.name becomes the guest's host name: use at most 63"
                        + " lower-case letters, digits and '-', with a letter or digit at both ends"
                        + ", spec.disks[1].size: Invalid value: \"x\": disks[].size must be a quantity of bytes from 1Mi"
                        + " to 64Ti, for example 20Gi]");
    }

    @Test
    void leavesRulesAloneWhereTypesAreWrong() {
        ObjectNode wrong = vm(
                "{name: web, namespace: default}",
                "{runStrategy: false, cpu: {cores: \"x\"}, memory: {size: 1Gi}, disks: [{name: r, size: 1Gi}]}");
        assertThatThrownBy(() -> Validation.create(VM, wrong))
                .hasMessage(
                        "VirtualMachine.vmlet.dev \"web\" is invalid: [spec.runStrategy: Invalid value: \"boolean\":"
                                + " spec.runStrategy in body must be of type string: \"boolean\", spec.runStrategy: Unsupported"
                                + " value: false: supported values: \"Always\", \"Halted\", \"Once\", \"RerunOnFailure\","
                                + " spec.cpu.cores: Invalid value: \"string\": spec.cpu.cores in body must be of type integer:"
                                + " \"string\", <nil>: Invalid value: null: some validation rules were not checked because the"
                                + " object was invalid; correct the existing errors to complete validation]");
    }

    @Test
    void saysBeforehandWhatCannotBeDecoded() {
        assertThatThrownBy(() -> Validation.strict(
                        VM,
                        vm("{name: web}", "{memory: {size: 1Gi, nosuch: 2}, disks: [{name: r, size: 1Gi, foo: 1}]}")))
                .hasMessage(
                        "VirtualMachine in version \"v1alpha1\" cannot be handled as a VirtualMachine: strict decoding"
                                + " error: unknown field \"spec.disks[0].foo\", unknown field \"spec.memory.nosuch\"");
        assertThatThrownBy(() -> decode("secrets", "{data: {a: \"???\"}}"))
                .hasMessage(
                        "Secret in version \"v1\" cannot be handled as a Secret: illegal base64 data at input byte 0");
        assertThatThrownBy(() -> decode("configmaps", "{data: {a: 1}}"))
                .hasMessage(
                        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: json: cannot unmarshal number"
                                + " into Go struct field ConfigMap.data of type string");
        assertThatThrownBy(
                        () -> Validation.create(Samples.core("configmaps"), core("ConfigMap", "{data: {\"b c\": d}}")))
                .hasMessage("ConfigMap \"one\" is invalid: data[b c]: Invalid value: \"b c\": a valid config key must"
                        + " consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or"
                        + " 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')");
    }

    @Test
    void givesTheCausesToPrograms() {
        assertThatThrownBy(() -> Validation.create(VM, vm("{name: web, namespace: default}", "{}")))
                .isInstanceOfSatisfying(
                        Refused.class, refused -> assertThat(refused.status()).isEqualTo(Samples.json("""
                                kind: Status
                                apiVersion: v1
                                metadata: {}
                                status: Failure
                                message: 'VirtualMachine.vmlet.dev "web" is invalid: [spec.memory: Required value, <nil>:
                                  Invalid value: null: some validation rules were not checked because the object was
                                  invalid; correct the existing errors to complete validation]'
                                reason: Invalid
                                details:
                                  name: web
                                  group: vmlet.dev
                                  kind: VirtualMachine
                                  causes:
                                  - {reason: FieldValueRequired, message: Required value, field: spec.memory}
                                  - reason: FieldValueInvalid
                                    message: 'Invalid value: null: some validation rules were not checked because the
                                      object was invalid; correct the existing errors to complete validation'
                                    field: <nil>
                                code: 422
                                """)));
    }

    @Test
    void checksEachLimit() {
        ResourceType type = Samples.withSpec("""
                type: object
                minProperties: 1
                properties:
                  i: {type: integer, format: int32}
                  even: {type: integer, multipleOf: 2}
                  below: {type: number, maximum: 1.5, exclusiveMaximum: true}
                  short: {type: string, maxLength: 2, pattern: "^a"}
                  long: {type: string, minLength: 2}
                  when: {type: string, format: date-time}
                  few: {type: array, maxItems: 1, items: {type: string}}
                  some: {type: array, minItems: 1, items: {type: string}}
                  either: {x-kubernetes-int-or-string: true}
                  one: {type: object, properties: {a: {type: string}, b: {type: string}}, oneOf: [{required: [a]}, {required: [b]}]}
                  not: {type: string, not: {enum: [x]}}
                  empty: {type: object, maxProperties: 0, additionalProperties: {type: string}}
                """);
        assertThat(errors(type, "{}"))
                .isEqualTo("spec: Invalid value: 0: spec in body should have at least 1 properties");
        assertThat(errors(type, "{i: 3000000000}"))
                .isEqualTo("<nil>: Invalid value: \"\": Checked value must be of type integer with format int32 in"
                        + " spec.i");
        assertThat(errors(type, "{i: true}"))
                .isEqualTo("spec.i: Invalid value: \"\": spec.i in body must be of type int32: \"\"");
        assertThat(errors(type, "{even: 3}"))
                .isEqualTo("spec.even: Invalid value: 3: spec.even in body should be a multiple of 2");
        assertThat(errors(type, "{below: 1.5}"))
                .isEqualTo("spec.below: Invalid value: 1.5: spec.below in body should be less than 1.5");
        assertThat(errors(type, "{short: abc}")).isEqualTo("spec.short: Too long: may not be more than 2 bytes");
        assertThat(errors(type, "{short: b}"))
                .isEqualTo("spec.short: Invalid value: \"b\": spec.short in body should match '^a'");
        assertThat(errors(type, "{long: a}"))
                .isEqualTo("spec.long: Invalid value: \"a\": spec.long in body should be at least 2 chars long");
        assertThat(errors(type, "{when: noon}"))
                .isEqualTo("spec.when: Invalid value: \"noon\": spec.when in body must be of type date-time: \"noon\"");
        assertThat(errors(type, "{few: [a, b]}")).isEqualTo("spec.few: Too many: 2: must have at most 1 item");
        assertThat(errors(type, "{some: []}"))
                .isEqualTo("spec.some: Invalid value: 0: spec.some in body should have at least 1 items");
        assertThat(errors(type, "{either: 1.5}"))
                .isEqualTo("spec.either: Invalid value: \"number\": spec.either in body must be of type"
                        + " integer,string: \"number\"");
        assertThat(errors(type, "{one: {a: x, b: y}}"))
                .isEqualTo(
                        "<nil>: Invalid value: \"\": \"spec.one\" must validate one and only one schema (oneOf). Found 2"
                                + " valid alternatives");
        assertThat(errors(type, "{not: x}"))
                .isEqualTo("<nil>: Invalid value: \"\": \"spec.not\" must not validate the schema (not)");
        assertThat(errors(type, "{empty: {a: b}}")).isEqualTo("spec.empty: Too many: 1: must have at most 0 items");
        assertThat(errors(type, "{either: 1, when: \"2026-01-01T00:00:00Z\", one: {a: x}, below: 1}"))
                .isEmpty();
    }

    private static String errors(ResourceType type, String spec) {
        try {
            Validation.create(type, Samples.thing(spec));
            return "";
        } catch (Refused e) {
            return String.valueOf(e.getMessage()).replace("Thing.example.com \"one\" is invalid: ", "");
        }
    }

    @Test
    void forgivesWhatAnUpdateLeavesAsItWas() {
        ResourceType lax = Samples.withSpec("{type: object, properties: {a: {type: integer}, b: {type: integer}}}");
        ResourceType strict = Samples.withSpec(
                "{type: object, properties: {a: {type: integer, maximum: 1}, b: {type: integer, maximum: 1}}}");
        ObjectNode old = Samples.thing("{a: 5, b: 1}");
        assertThatCode(() -> Validation.update(strict, Samples.thing("{a: 5, b: 0}"), old))
                .doesNotThrowAnyException();
        assertThatThrownBy(() -> Validation.update(strict, Samples.thing("{a: 6, b: 0}"), old))
                .hasMessageContaining("spec.a: Invalid value: 6");
        assertThatCode(() -> Validation.update(lax, Samples.thing("{a: 6}"), old))
                .doesNotThrowAnyException();
    }

    @Test
    void keepsWhatIsFixedInMetadata() {
        ObjectNode old = Samples.thing("{}");
        ((ObjectNode) old.path("metadata")).put("uid", "a").put("deletionTimestamp", "2026-01-01T00:00:00Z");
        ObjectNode changed = old.deepCopy();
        ((ObjectNode) changed.path("metadata"))
                .put("uid", "b")
                .putArray("finalizers")
                .add("example.com/x");
        assertThatThrownBy(() -> Validation.update(Samples.withSpec("{type: object}"), changed, old))
                .hasMessage(
                        "Thing.example.com \"one\" is invalid: [metadata.finalizers: Forbidden: no new finalizers can"
                                + " be added if the object is being deleted, found new finalizers"
                                + " []string{\"example.com/x\"}, metadata.uid: Invalid value: \"b\": field is immutable]");
    }

    @Test
    void keepsAnImmutableSecretAsItIs() {
        ObjectNode old = core("Secret", "{type: Opaque, immutable: true, data: {a: YQ==}}");
        ObjectNode changed = core("Secret", "{type: other, immutable: true, data: {a: Yg==}}");
        assertThatThrownBy(() -> Validation.update(Samples.core("secrets"), changed, old))
                .hasMessage("Secret \"one\" is invalid: [type: Invalid value: \"other\": field is immutable, data:"
                        + " Forbidden: field is immutable when `immutable` is set]");
    }

    @Test
    void movesStringDataIntoDataAndFillsInTheType() {
        ResourceType secrets = Samples.core("secrets");
        ObjectNode secret = core("Secret", "{data: {a: YQ==}, stringData: {b: text}}");
        assertThat(secrets.schema().withDefaults(CoreTypes.normalized(secrets, secret)))
                .isEqualTo(core("Secret", "{data: {a: YQ==, b: dGV4dA==}, type: Opaque}"));
    }

    private static void decode(String groupResource, String rest) throws Refused {
        ResourceType type = Samples.core(groupResource);
        Validation.decodable(type, core(type.kind(), rest));
    }

    private static ObjectNode core(String kind, String rest) {
        ObjectNode object = Samples.yaml("{apiVersion: v1}");
        object.put("kind", kind);
        object.set("metadata", Samples.json("{name: one, namespace: default, resourceVersion: \"1\"}"));
        Samples.yaml(rest).properties().forEach(field -> object.set(field.getKey(), field.getValue()));
        return object;
    }
}
