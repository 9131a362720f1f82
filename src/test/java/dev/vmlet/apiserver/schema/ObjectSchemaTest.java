package dev.vmlet.apiserver.schema;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.node.ObjectNode;
import org.junit.jupiter.api.Test;

class ObjectSchemaTest {
    private static final ObjectSchema SCHEMA = Samples.withSpec("""
                    type: object
                    properties:
                      a: {type: string, default: x}
                      opt: {type: string, nullable: true, default: y}
                      o: {type: object, default: {}, properties: {b: {type: integer, default: 1}}}
                      l: {type: array, items: {type: object, properties: {c: {type: string, default: z}}}}
                      m: {type: object, additionalProperties: {type: object, properties: {d: {type: string, default: w}}}}
                      n: {type: string}
                      free: {type: object, x-kubernetes-preserve-unknown-fields: true, properties: {known: {type: object, properties: {e: {type: string}}}}}
                      embedded: {type: object, x-kubernetes-embedded-resource: true, properties: {spec: {type: object}}}
                      either: {x-kubernetes-int-or-string: true}
                    """).schema();

    @Test
    void fillsInDefaultsAtEveryDepth() {
        ObjectNode given = Samples.thing("{a: null, opt: null, l: [{}, {c: v}], m: {k: {}}, n: null}");
        assertThat(SCHEMA.withDefaults(given).path("spec"))
                .isEqualTo(Samples.json("{a: x, opt: null, l: [{c: z}, {c: v}], m: {k: {d: w}}, o: {b: 1}}"));
    }

    @Test
    void removesWhatItDoesNotKnowAndSaysSo() {
        ObjectNode given = Samples.thing("{nosuch: 1, l: [{c: x, q: 1}], free: {any: {thing: 1}, known: {e: x, f: 1}},"
                + " embedded: {apiVersion: v1, kind: K, metadata: {name: n}, extra: 1}, either: 5}");
        ((ObjectNode) given.path("metadata")).put("nosuch", 1);
        assertThat(SCHEMA.unknownFields(given))
                .containsExactly(
                        "unknown field \"metadata.nosuch\"",
                        "unknown field \"spec.embedded.extra\"",
                        "unknown field \"spec.free.known.f\"",
                        "unknown field \"spec.l[0].q\"",
                        "unknown field \"spec.nosuch\"");
        ObjectNode pruned = SCHEMA.prune(given);
        assertThat(pruned.path("spec"))
                .isEqualTo(
                        Samples.json("{l: [{c: x}], free: {any: {thing: 1}, known: {e: x}}, embedded: {apiVersion: v1,"
                                + " kind: K, metadata: {name: n}}, either: 5}"));
        assertThat(SCHEMA.unknownFields(pruned)).isEmpty();
    }

    @Test
    void refusesDefinitionsThatItCannotServe() {
        ObjectNode crd = Samples.crd("""
                type: object
                properties:
                  untyped: {description: what}
                  list: {type: array}
                  bad: {type: string, pattern: "("}
                  keyed: {type: array, x-kubernetes-list-type: map, items: {type: object}}
                """);
        ((ObjectNode) crd.path("metadata")).put("name", "wrong");
        ((ObjectNode) crd.path("spec")).remove("group");
        assertThatThrownBy(() -> ResourceType.ofCrd(crd))
                .hasMessageContaining("spec.group: Required value")
                .hasMessageContaining(
                        "metadata.name: Invalid value: \"wrong\": must be" + " spec.names.plural+\".\"+spec.group")
                .hasMessageContaining(
                        "properties[untyped].type: Required value: must not be empty for specified object" + " fields")
                .hasMessageContaining("properties[list].items: Required value: must be specified")
                .hasMessageContaining(
                        "properties[bad].pattern: Invalid value: \"(\": must be a valid regular expression")
                .hasMessageContaining("properties[keyed].x-kubernetes-list-map-keys: Required value");
    }

    @Test
    void readsWhatACrdSaysOfItsKind() {
        ResourceType vm = Samples.virtualMachine();
        assertThat(vm.apiVersion()).isEqualTo("vmlet.dev/v1alpha1");
        assertThat(vm.groupResource()).isEqualTo("virtualmachines.vmlet.dev");
        assertThat(vm.shortNames()).containsExactly("vm", "vms");
        assertThat(vm.listKind()).isEqualTo("VirtualMachineList");
        assertThat(vm.selectableFields()).containsExactly("spec.nodeName");
        assertThat(vm.statusSubresource()).isTrue();
        assertThat(vm.fieldValue(Samples.yaml("{spec: {nodeName: n1}}"), "spec.nodeName"))
                .isEqualTo("n1");
    }

    @Test
    void knowsTheBuiltInKinds() {
        assertThat(CoreTypes.all())
                .extracting(type -> type.apiVersion() + " " + type.kind())
                .containsExactly(
                        "v1 Namespace",
                        "v1 Node",
                        "v1 Secret",
                        "v1 ConfigMap",
                        "v1 Event",
                        "events.k8s.io/v1 Event",
                        "coordination.k8s.io/v1 Lease",
                        "apiextensions.k8s.io/v1 CustomResourceDefinition");
    }
}
