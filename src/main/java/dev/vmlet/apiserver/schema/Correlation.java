package dev.vmlet.apiserver.schema;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Which old value a new one follows: fields by name, items of list-type map by their keys. In other lists nobody can
 * tell.
 */
final class Correlation {
    private static final Correlation NONE = new Correlation(Optional.empty(), Map.of(), List.of());

    private final Optional<ObjectNode> fields;
    private final Map<List<JsonNode>, JsonNode> items;
    private final List<String> keys;

    private Correlation(Optional<ObjectNode> fields, Map<List<JsonNode>, JsonNode> items, List<String> keys) {
        this.fields = fields;
        this.items = items;
        this.keys = keys;
    }

    static Correlation of(SchemaNode schema, Optional<JsonNode> old) {
        return switch (old.orElse(null)) {
            case ObjectNode object -> new Correlation(Optional.of(object), Map.of(), List.of());
            case ArrayNode array when schema.listType.equals("map") -> ofItems(array, schema.listKeys);
            case null, default -> NONE;
        };
    }

    private static Correlation ofItems(ArrayNode array, List<String> keys) {
        Map<List<JsonNode>, JsonNode> items = new HashMap<>();
        for (JsonNode item : array) items.putIfAbsent(key(item, keys), item);
        return new Correlation(Optional.empty(), items, keys);
    }

    private static List<JsonNode> key(JsonNode item, List<String> keys) {
        return keys.stream().map(item::path).toList();
    }

    Optional<JsonNode> field(String name) {
        return fields.map(object -> object.get(name));
    }

    Optional<JsonNode> item(JsonNode item) {
        return keys.isEmpty() ? Optional.empty() : Optional.ofNullable(items.get(key(item, keys)));
    }
}
