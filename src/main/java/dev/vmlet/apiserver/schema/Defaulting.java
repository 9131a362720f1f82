package dev.vmlet.apiserver.schema;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Iterator;
import java.util.Map;
import java.util.Optional;

/**
 * Fills in defaults in place. A null where null is not allowed counts as absent: it is replaced by the default, and
 * removed where there is none. Nulls in lists stay where no default exists, since the positions of the others would move.
 */
final class Defaulting {
    private Defaulting() {}

    static void fillIn(JsonNode value, SchemaNode schema) {
        switch (value) {
            case ObjectNode object -> fillInFields(object, schema);
            case ArrayNode array -> schema.items.ifPresent(items -> fillInItems(array, items));
            default -> {}
        }
    }

    private static void fillInFields(ObjectNode object, SchemaNode schema) {
        schema.properties.forEach((name, property) -> {
            JsonNode given = object.get(name);
            if (property.defaultValue.isPresent() && (given == null || isUnwantedNull(given, property))) {
                object.set(name, property.defaultValue.get().deepCopy());
            }
        });
        Iterator<Map.Entry<String, JsonNode>> fields = object.properties().iterator();
        while (fields.hasNext()) {
            Map.Entry<String, JsonNode> field = fields.next();
            Optional<SchemaNode> known = schema.child(field.getKey());
            if (known.isEmpty()) continue;
            if (isUnwantedNull(field.getValue(), known.get())) {
                if (known.get().defaultValue.isEmpty()) {
                    fields.remove();
                    continue;
                }
                field.setValue(known.get().defaultValue.get().deepCopy());
            }
            fillIn(field.getValue(), known.get());
        }
    }

    private static void fillInItems(ArrayNode array, SchemaNode items) {
        for (int i = 0; i < array.size(); i++) {
            if (isUnwantedNull(array.get(i), items) && items.defaultValue.isPresent()) {
                array.set(i, items.defaultValue.get().deepCopy());
            }
            fillIn(array.get(i), items);
        }
    }

    private static boolean isUnwantedNull(JsonNode value, SchemaNode schema) {
        return value.isNull() && !schema.nullable;
    }
}
