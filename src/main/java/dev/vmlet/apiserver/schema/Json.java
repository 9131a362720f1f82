package dev.vmlet.apiserver.schema;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;

/** Equality of JSON values as people see it: 1 and 1.0 are the same number, whatever class Jackson keeps them in. */
final class Json {
    private Json() {}

    static boolean same(JsonNode one, JsonNode other) {
        return one.equals(Json::compareScalars, other);
    }

    /** Called where the nodes are not equal already. */
    private static int compareScalars(JsonNode one, JsonNode other) {
        if (one.isNumber() && other.isNumber()) return one.decimalValue().compareTo(other.decimalValue());
        return one.equals(other) ? 0 : 1;
    }

    /** Position of the first item that equals an earlier one. */
    static Optional<Integer> firstDuplicate(ArrayNode array) {
        for (int i = 1; i < array.size(); i++) {
            for (int j = 0; j < i; j++) if (same(array.get(i), array.get(j))) return Optional.of(i);
        }
        return Optional.empty();
    }

    /** An empty object where the field is missing or no object. */
    static ObjectNode object(ObjectNode parent, String field) {
        return parent.get(field) instanceof ObjectNode child ? child : parent.objectNode();
    }

    /** As Go's encoder writes it: keys sorted, and what could be HTML escaped. */
    static String sorted(JsonNode value) {
        return sortedCopy(value)
                .toString()
                .replace("<", "\\u003c")
                .replace(">", "\\u003e")
                .replace("&", "\\u0026")
                .replace("\u2028", "\\u2028")
                .replace("\u2029", "\\u2029");
    }

    private static JsonNode sortedCopy(JsonNode value) {
        return switch (value) {
            case ObjectNode object -> {
                ObjectNode copy = object.objectNode();
                new TreeSet<>(names(object)).forEach(name -> copy.set(name, sortedCopy(object.path(name))));
                yield copy;
            }
            case ArrayNode array -> {
                ArrayNode copy = array.arrayNode();
                array.forEach(item -> copy.add(sortedCopy(item)));
                yield copy;
            }
            default -> value;
        };
    }

    private static List<String> names(ObjectNode object) {
        return object.properties().stream().map(Map.Entry::getKey).toList();
    }

    static String text(JsonNode parent, String field) {
        return parent.path(field).asText("");
    }
}
