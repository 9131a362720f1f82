package dev.vmlet.apiserver.schema;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.vmlet.apiserver.schema.ResourceType.PrinterColumn;
import java.time.Instant;
import java.util.List;
import java.util.Optional;

/**
 * meta.k8s.io/v1 Table: what {@code kubectl get} prints. Columns of type date hold ages, as text: kube-apiserver computes
 * them, not kubectl, and so they are those of the moment of the request.
 */
public final class Tables {
    private Tables() {}

    /** What each row carries of its object: the query parameter includeObject, Metadata where it is not given. */
    public enum Include {
        None,
        Metadata,
        Object
    }

    /**
     * @param listMetadata metadata of the Table: resourceVersion, continue, remainingItemCount
     * @param withColumns false for all but the first event of a watch
     */
    public static ObjectNode of(
            ResourceType type,
            List<ObjectNode> items,
            ObjectNode listMetadata,
            Include include,
            boolean withColumns,
            Instant now) {
        ObjectNode table = JsonNodeFactory.instance.objectNode();
        table.put("kind", "Table").put("apiVersion", "meta.k8s.io/v1").set("metadata", listMetadata.deepCopy());
        ArrayNode definitions = table.putArray("columnDefinitions");
        if (withColumns) type.columns().forEach(column -> definitions.add(definition(column)));
        ArrayNode rows = table.putArray("rows");
        for (ObjectNode item : items) {
            ObjectNode row = rows.addObject();
            ArrayNode cells = row.putArray("cells");
            if (type.custom()) {
                type.columns().forEach(column -> cells.add(cell(column, item, now)));
            } else {
                coreCells(type, item, now, cells);
            }
            row.set("object", object(item, include));
        }
        return table;
    }

    private static ObjectNode definition(PrinterColumn column) {
        return JsonNodeFactory.instance
                .objectNode()
                .put("name", column.name())
                .put("type", column.type())
                .put("format", column.format())
                .put("description", column.description())
                .put("priority", column.priority());
    }

    private static void coreCells(ResourceType type, ObjectNode item, Instant now, ArrayNode cells) {
        boolean nameFirst = type.columns().getFirst().format().equals("name");
        if (nameFirst) cells.add(Json.text(item.path("metadata"), "name"));
        for (Object cell : CoreCells.of(type, item, now)) cells.addPOJO(cell);
    }

    private static JsonNode cell(PrinterColumn column, ObjectNode item, Instant now) {
        JsonNodeFactory json = JsonNodeFactory.instance;
        Optional<JsonNode> found = JsonPath.parse(column.jsonPath()).flatMap(path -> path.first(item));
        if (found.isEmpty() || found.get().isNull()) return json.nullNode();
        JsonNode value = found.get();
        return switch (column.type()) {
            case "string" -> json.textNode(JsonPath.shown(value));
            case "integer" -> integer(value);
            case "number" -> value.isNumber() ? value : json.nullNode();
            case "boolean" -> value.isBoolean() ? value : json.nullNode();
            case "date" -> value.isTextual() ? json.textNode(Ages.since(value, now)) : json.nullNode();
            default -> json.nullNode();
        };
    }

    private static JsonNode integer(JsonNode value) {
        if (value.isIntegralNumber()) return value;
        JsonNodeFactory json = JsonNodeFactory.instance;
        return value.isNumber() ? json.numberNode(value.longValue()) : json.nullNode();
    }

    private static JsonNode object(ObjectNode item, Include include) {
        return switch (include) {
            case None -> item.nullNode();
            case Object -> item;
            case Metadata -> {
                ObjectNode partial = item.objectNode();
                partial.put("kind", "PartialObjectMetadata").put("apiVersion", "meta.k8s.io/v1");
                partial.set("metadata", Json.object(item, "metadata"));
                yield partial;
            }
        };
    }
}
