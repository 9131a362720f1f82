package dev.vmlet.apiserver.schema;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.cel.common.values.CelByteString;
import dev.cel.common.values.NullValue;
import java.time.Instant;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeParseException;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** JSON as the values that rules work on, with the types that {@link CelTypes} gives. */
final class CelValues {
    private CelValues() {}

    static Object of(JsonNode value, SchemaNode schema) {
        return switch (value) {
            case ObjectNode object -> fields(object, schema);
            case ArrayNode array -> items(array, schema);
            default -> scalar(value, schema);
        };
    }

    /** A whole object: type and name beside what the schema says. */
    static Object ofResource(ObjectNode object, SchemaNode schema) {
        Map<String, Object> fields = new HashMap<>(fields(object, schema));
        for (String name : List.of("apiVersion", "kind")) fields.put(name, Json.text(object, name));
        Map<String, Object> metadata = new HashMap<>();
        for (String name : List.of("name", "generateName")) {
            JsonNode text = object.path("metadata").path(name);
            if (text.isTextual()) metadata.put(name, text.textValue());
        }
        fields.put("metadata", metadata);
        return fields;
    }

    private static Map<String, Object> fields(ObjectNode object, SchemaNode schema) {
        Map<String, Object> fields = new HashMap<>();
        object.properties().forEach(field -> {
            Optional<SchemaNode> child = schema.child(field.getKey());
            if (child.isEmpty()) return;
            Optional<String> name =
                    schema.additional.isPresent() ? Optional.of(field.getKey()) : CelTypes.escape(field.getKey());
            name.ifPresent(known -> fields.put(known, of(field.getValue(), child.get())));
        });
        return fields;
    }

    private static List<Object> items(ArrayNode array, SchemaNode schema) {
        List<Object> items = new ArrayList<>(array.size());
        SchemaNode item = schema.items.orElse(SchemaNode.FREE_FORM);
        for (JsonNode each : array) items.add(of(each, item));
        return items;
    }

    private static Object scalar(JsonNode value, SchemaNode schema) {
        return switch (value.getNodeType()) {
            case BOOLEAN -> value.booleanValue();
            case NUMBER ->
                schema.type.equals("number") || !isWhole(value)
                        ? (Object) value.doubleValue()
                        : (Object) value.longValue();
            case STRING -> text(value.textValue(), schema);
            case ARRAY, BINARY, MISSING, NULL, OBJECT, POJO -> NullValue.NULL_VALUE;
        };
    }

    private static boolean isWhole(JsonNode value) {
        return value.isIntegralNumber() || value.doubleValue() == Math.rint(value.doubleValue());
    }

    /** A text that its format does not fit stays text: validation has refused it before any rule saw it. */
    private static Object text(String text, SchemaNode schema) {
        if (!schema.type.equals("string")) return text;
        return switch (schema.limits.format()) {
            case "byte" -> CelByteString.of(Base64.getDecoder().decode(text));
            case "duration" -> GoDurations.parse(text).<Object>map(each -> each).orElse(text);
            case "date" -> date(text);
            case "date-time" -> instant(text);
            default -> text;
        };
    }

    private static Object date(String text) {
        return Formats.isDate(text)
                ? LocalDate.parse(text).atStartOfDay(ZoneOffset.UTC).toInstant()
                : text;
    }

    private static Object instant(String text) {
        try {
            Instant instant = OffsetDateTime.parse(text).toInstant();
            return instant;
        } catch (DateTimeParseException _) {
            return text;
        }
    }
}
