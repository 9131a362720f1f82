package dev.vmlet.apiserver.schema;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/** What a configuration must be before it can be merged, in the words of structured-merge-diff. */
final class TypedMistakes {
    private TypedMistakes() {}

    static void find(JsonNode value, SchemaNode schema, String path, List<String> mistakes) {
        if (value.isNull() || schema.isFreeForm() && !value.isContainerNode()) return;
        if (value.isObject() && (schema.isObject() || schema.isFreeForm())) {
            fields(value, schema, path, mistakes);
        } else if (value.isArray() && (schema.isList() || schema.isFreeForm())) {
            items(value, schema, path, mistakes);
        } else {
            scalar(value, schema).ifPresent(wrong -> mistakes.add(at(path, wrong)));
        }
    }

    private static void fields(JsonNode value, SchemaNode schema, String path, List<String> mistakes) {
        boolean open = schema.properties.isEmpty() || schema.preservesUnknown || schema.isFreeForm();
        value.properties().forEach(field -> {
            String below = path + "." + field.getKey();
            Optional<SchemaNode> child = schema.child(field.getKey());
            if (child.isEmpty() && !open) {
                mistakes.add(at(below, "field not declared in schema"));
            } else {
                find(field.getValue(), child.orElse(SchemaNode.FREE_FORM), below, mistakes);
            }
        });
    }

    private static void items(JsonNode value, SchemaNode schema, String path, List<String> mistakes) {
        Set<String> seen = new HashSet<>();
        for (int i = 0; i < value.size(); i++) {
            JsonNode item = value.get(i);
            String below = path + "[" + i + "]";
            if (!schema.listType.equals("atomic")) {
                Optional<String> step = TypedValues.step(schema, item);
                if (step.isEmpty()) {
                    mistakes.add(at(path, "element " + i + ": " + noKey(schema, item)));
                    return;
                }
                below = path + new FieldPath(List.of(step.get()));
                if (!seen.add(step.get())) {
                    mistakes.add(at(path, "duplicate entries for key " + new FieldPath(List.of(step.get()))));
                }
            }
            find(item, TypedValues.item(schema), below, mistakes);
        }
    }

    private static String noKey(SchemaNode schema, JsonNode item) {
        if (item.isNull()) return "associative list with keys may not have a null element";
        if (!item.isObject()) return "associative list with keys may not have non-map elements";
        String keys = schema.listKeys.stream()
                .map(GoText::quote)
                .reduce((a, b) -> a + " " + b)
                .orElse("");
        return "associative list with keys has an element that omits all key fields [" + keys
                + "] (and doesn't have default values for any key fields)";
    }

    private static Optional<String> scalar(JsonNode value, SchemaNode schema) {
        String given = value.isTextual() ? "string" : value.isNumber() ? "number" : value.isBoolean() ? "bool" : "";
        String shown = value.isContainerNode() ? value.toString() : value.asText();
        if (schema.isObject()) return Optional.of("expected map, got &{" + shown + "}");
        if (schema.isList()) return Optional.of("expected list, got &{" + shown + "}");
        if (schema.intOrString) {
            return value.isContainerNode() ? Optional.of("expected any scalar, got " + shown) : Optional.empty();
        }
        return switch (schema.type) {
            case "string" ->
                given.equals("string")
                        ? Optional.empty()
                        : Optional.of("expected string, got &value.valueUnstructured{Value:" + shown + "}");
            case "boolean" ->
                given.equals("bool") ? Optional.empty() : Optional.of("expected boolean, got &{" + shown + "}");
            default ->
                given.equals("number")
                        ? Optional.empty()
                        : Optional.of("expected numeric (int or float), got " + (given.isEmpty() ? "object" : given));
        };
    }

    private static String at(String path, String wrong) {
        return path.isEmpty() ? wrong : path + ": " + wrong;
    }
}
