package dev.vmlet.apiserver.schema;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;

/** Objects and types for the tests of this package. */
final class Samples {
    private static final YAMLMapper YAML = new YAMLMapper();

    private Samples() {}

    static ObjectNode yaml(String text) {
        try {
            return (ObjectNode) YAML.readTree(text);
        } catch (JsonProcessingException e) {
            throw new IllegalArgumentException(text, e);
        }
    }

    static JsonNode json(String text) {
        try {
            return YAML.readTree(text);
        } catch (JsonProcessingException e) {
            throw new IllegalArgumentException(text, e);
        }
    }

    static ResourceType core(String groupResource) {
        return CoreTypes.all().stream()
                .filter(type -> type.groupResource().equals(groupResource))
                .findFirst()
                .orElseThrow();
    }

    static ResourceType virtualMachine() {
        try {
            ObjectNode crd = (ObjectNode)
                    YAML.readTree(Path.of("crd/virtualmachines.vmlet.dev.yaml").toFile());
            return ResourceType.ofAcceptedCrd(crd).getFirst();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (Refused e) {
            throw new IllegalStateException(e);
        }
    }

    /** A kind whose spec has the given schema. */
    static ResourceType withSpec(String specSchema) {
        try {
            return ResourceType.ofCrd(crd(specSchema)).getFirst();
        } catch (Refused e) {
            throw new IllegalArgumentException(e);
        }
    }

    static ObjectNode crd(String specSchema) {
        ObjectNode crd = yaml("""
                metadata: {name: things.example.com}
                spec:
                  group: example.com
                  scope: Namespaced
                  names: {plural: things, singular: thing, kind: Thing}
                  versions:
                  - name: v1
                    served: true
                    storage: true
                    subresources: {status: {}}
                    schema:
                      openAPIV3Schema:
                        type: object
                        properties: {}
                """);
        ObjectNode properties = (ObjectNode) crd.at("/spec/versions/0/schema/openAPIV3Schema/properties");
        properties.set("spec", yaml(specSchema));
        properties.set("status", yaml("{type: object, x-kubernetes-preserve-unknown-fields: true}"));
        return crd;
    }

    /** An object of {@link #withSpec}. */
    static ObjectNode thing(String spec) {
        ObjectNode thing = yaml("""
                apiVersion: example.com/v1
                kind: Thing
                metadata: {name: one, namespace: default, resourceVersion: "1"}
                """);
        thing.set("spec", json(spec));
        return thing;
    }
}
