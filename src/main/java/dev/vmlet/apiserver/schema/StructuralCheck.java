package dev.vmlet.apiserver.schema;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.List;
import java.util.Set;

/** What a schema must be so that pruning, defaulting and merging know each field: every place has one type. */
final class StructuralCheck {
    private static final Set<String> LIST_TYPES = Set.of("atomic", "set", "map");
    private static final List<String> UNSUPPORTED = List.of("$ref", "definitions", "dependencies", "patternProperties");

    private StructuralCheck() {}

    static void check(JsonNode schema, String path, List<FieldError> wrong) {
        if (!schema.path("type").asText().equals("object")) {
            wrong.add(FieldError.invalid(path + ".type", schema.path("type").asText(), "must be object at the root"));
        }
        visit(schema, path, wrong);
    }

    private static void visit(JsonNode schema, String path, List<FieldError> wrong) {
        boolean typed = schema.has("type")
                || schema.path("x-kubernetes-int-or-string").asBoolean()
                || schema.path("x-kubernetes-preserve-unknown-fields").asBoolean();
        if (!typed) wrong.add(FieldError.required(path + ".type", "must not be empty for specified object fields"));
        for (String keyword : UNSUPPORTED) {
            if (schema.has(keyword))
                wrong.add(FieldError.forbidden(path + "." + keyword, keyword + " is not supported"));
        }
        if (schema.path("type").asText().equals("array")
                && !schema.path("items").isObject()) {
            wrong.add(FieldError.required(path + ".items", "must be specified"));
        }
        if (schema.has("properties") && schema.has("additionalProperties")) {
            String detail = "additionalProperties and properties are mutual exclusive";
            wrong.add(FieldError.forbidden(path + ".additionalProperties", detail));
        }
        listType(schema, path, wrong);
        schema.path("properties").properties().forEach(property -> {
            boolean metadata = property.getKey().equals("metadata") && path.endsWith("openAPIV3Schema");
            if (!metadata) visit(property.getValue(), path + ".properties[" + property.getKey() + "]", wrong);
        });
        if (schema.path("items").isObject()) visit(schema.path("items"), path + ".items", wrong);
        if (schema.path("additionalProperties").isObject()) {
            visit(schema.path("additionalProperties"), path + ".additionalProperties", wrong);
        }
    }

    private static void listType(JsonNode schema, String path, List<FieldError> wrong) {
        JsonNode type = schema.path("x-kubernetes-list-type");
        if (type.isMissingNode()) return;
        if (!LIST_TYPES.contains(type.asText())) {
            wrong.add(FieldError.notSupported(path + ".x-kubernetes-list-type", type, List.of("atomic", "map", "set")));
        }
        JsonNode keys = schema.path("x-kubernetes-list-map-keys");
        if (!type.asText().equals("map")) return;
        if (keys.isEmpty()) {
            String detail = "must not be empty if x-kubernetes-list-type is map";
            wrong.add(FieldError.required(path + ".x-kubernetes-list-map-keys", detail));
        }
        JsonNode item = schema.path("items");
        for (JsonNode key : keys) {
            if (!item.path("properties").has(key.asText())) {
                String detail = "entries must all be names of item properties";
                wrong.add(FieldError.invalid(path + ".x-kubernetes-list-map-keys", key, detail));
            }
            boolean given = ResourceType.texts(item.path("required")).contains(key.asText());
            if (!given && !item.path("properties").path(key.asText()).has("default")) {
                String detail = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a"
                        + " required property";
                wrong.add(FieldError.required(path + ".items.properties[" + key.asText() + "].default", detail));
            }
        }
    }
}
