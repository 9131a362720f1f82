package dev.vmlet.apiserver.schema;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;

/**
 * A structural schema, ready to judge whole objects: apiVersion, kind and metadata are part of it, whether the schema that
 * it was made from says so or not. Immutable, but for rules that compile at their first use; safe for threads.
 */
public final class ObjectSchema {
    private final ObjectNode openApi;
    private final SchemaNode root;
    private final SchemaNode given;
    private final Rules rules;

    private ObjectSchema(ObjectNode openApi, SchemaNode root, SchemaNode given) {
        this.openApi = openApi;
        this.root = root;
        this.given = given;
        this.rules = new Rules(given);
    }

    /**
     * @param wrong collects what cannot be read, as paths below {@code path}
     * @param path where the schema stands, for messages
     */
    static ObjectSchema read(ObjectNode openApiV3Schema, String path, List<FieldError> wrong) {
        SchemaNode given = SchemaNode.read(openApiV3Schema, path, wrong);
        return new ObjectSchema(openApiV3Schema.deepCopy(), given.asResource(), given);
    }

    /** As given. */
    public ObjectNode openApi() {
        return openApi.deepCopy();
    }

    /** Sorted sentences such as {@code unknown field "spec.nosuch"}, for fieldValidation Strict (400) and Warn. */
    public List<String> unknownFields(ObjectNode object) {
        return Pruning.prune(object.deepCopy(), root).stream()
                .map(path -> "unknown field " + GoText.quote(path))
                .toList();
    }

    /** A copy without the fields that the schema does not know. */
    public ObjectNode prune(ObjectNode object) {
        ObjectNode pruned = object.deepCopy();
        Pruning.prune(pruned, root);
        return pruned;
    }

    /** A copy with defaults filled in. Call it on every write, after a patch and before validation. */
    public ObjectNode withDefaults(ObjectNode object) {
        ObjectNode filled = object.deepCopy();
        Defaulting.fillIn(filled, root);
        if (filled.get("metadata") instanceof ObjectNode metadata) dropEmpty(metadata);
        return filled;
    }

    /** Empty labels are no labels. An empty list of managedFields, though, asks for them to be forgotten. */
    private static void dropEmpty(ObjectNode metadata) {
        metadata.properties()
                .removeIf(field -> !field.getKey().equals("managedFields")
                        && field.getValue().isContainerNode()
                        && field.getValue().isEmpty());
    }

    /** With apiVersion, kind and metadata. */
    SchemaNode root() {
        return root;
    }

    /** What the author wrote about the object; metadata, which {@link MetadataValidation} judges, is free-form there. */
    SchemaNode given() {
        return given;
    }

    Rules rules() {
        return rules;
    }
}
