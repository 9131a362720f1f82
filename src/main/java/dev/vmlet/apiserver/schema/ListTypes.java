package dev.vmlet.apiserver.schema;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Lists of type set hold no value twice, lists of type map no key. */
final class ListTypes {
    private ListTypes() {}

    static List<FieldError> duplicates(JsonNode value, SchemaNode schema) {
        List<FieldError> errors = new ArrayList<>();
        visit(value, schema, "", errors);
        return errors;
    }

    private static void visit(JsonNode value, SchemaNode schema, String path, List<FieldError> errors) {
        switch (value) {
            case ObjectNode object ->
                object.properties().forEach(field -> {
                    String name = field.getKey();
                    boolean named = schema.properties.containsKey(name);
                    String below = !named ? path + "[" + name + "]" : path.isEmpty() ? name : path + "." + name;
                    schema.child(name).ifPresent(child -> visit(field.getValue(), child, below, errors));
                });
            case ArrayNode array -> visitItems(array, schema, path, errors);
            default -> {}
        }
    }

    private static void visitItems(ArrayNode array, SchemaNode schema, String path, List<FieldError> errors) {
        switch (schema.listType) {
            case "set" -> findTwice(array, List.of(), path, errors);
            case "map" -> findTwice(array, schema.listKeys, path, errors);
            default -> {}
        }
        if (schema.items.isEmpty()) return;
        for (int i = 0; i < array.size(); i++) {
            visit(array.get(i), schema.items.get(), path + "[" + i + "]", errors);
        }
    }

    /**
     * Each value is named once, at its second place.
     *
     * @param keys empty for whole items
     */
    private static void findTwice(ArrayNode array, List<String> keys, String path, List<FieldError> errors) {
        Map<JsonNode, Integer> seen = new HashMap<>();
        for (int i = 0; i < array.size(); i++) {
            JsonNode item = array.get(i);
            if (!keys.isEmpty() && !item.isObject() && !item.isNull()) {
                String detail = "must be an object for an array of list-type map";
                errors.add(FieldError.invalid(path + "[" + i + "]", item, detail));
                return;
            }
            JsonNode identity = keys.isEmpty() ? item : keyOf(item, keys);
            if (seen.merge(identity, 1, Integer::sum) == 2) {
                errors.add(FieldError.duplicate(path + "[" + i + "]", identity));
            }
        }
    }

    private static ObjectNode keyOf(JsonNode item, List<String> keys) {
        ObjectNode key = JsonNodeFactory.instance.objectNode();
        for (String name : keys) {
            JsonNode value = item.get(name);
            if (value != null) key.set(name, value);
        }
        return key;
    }
}
