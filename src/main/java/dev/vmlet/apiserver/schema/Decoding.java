package dev.vmlet.apiserver.schema;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Optional;

/**
 * Built-in kinds, and the metadata of all, have Go types in kube-apiserver: a value of another type cannot be decoded, and
 * the request is bad (400) rather than the object invalid (422).
 */
final class Decoding {
    private Decoding() {}

    /** @throws Refused 400 for the first value that has the wrong type */
    static void check(ResourceType type, ObjectNode object) throws Refused {
        Optional<String> wrong = type.custom()
                ? find(object.path("metadata"), ObjectMeta.NODE, "ObjectMeta.metadata")
                : find(object, type.schema().root(), type.kind());
        if (wrong.isPresent()) {
            throw Refused.badRequest(type.kind() + " in version " + GoText.quote(type.version())
                    + " cannot be handled as a " + type.kind() + ": " + wrong.get());
        }
    }

    private static Optional<String> find(JsonNode value, SchemaNode schema, String path) {
        if (value.isNull() || value.isMissingNode() || schema.isFreeForm()) return Optional.empty();
        return switch (value) {
            case ObjectNode object when schema.isObject() -> findInFields(object, schema, path);
            case ArrayNode array when schema.isList() -> findInItems(array, schema, path);
            default -> fits(value, schema) ? findInText(value, schema) : Optional.of(mismatch(value, schema, path));
        };
    }

    private static Optional<String> findInFields(ObjectNode object, SchemaNode schema, String path) {
        for (var field : object.properties()) {
            Optional<SchemaNode> child = schema.child(field.getKey());
            if (child.isEmpty()) continue;
            // Entries of a map are named after the map, as Go does.
            String below = schema.properties.containsKey(field.getKey()) ? path + "." + field.getKey() : path;
            Optional<String> wrong = find(field.getValue(), child.get(), below);
            if (wrong.isPresent()) return wrong;
        }
        return Optional.empty();
    }

    private static Optional<String> findInItems(ArrayNode array, SchemaNode schema, String path) {
        if (schema.items.isEmpty()) return Optional.empty();
        for (JsonNode item : array) {
            Optional<String> wrong = find(item, schema.items.get(), path);
            if (wrong.isPresent()) return wrong;
        }
        return Optional.empty();
    }

    private static boolean fits(JsonNode value, SchemaNode schema) {
        if (schema.intOrString) return value.isTextual() || value.isIntegralNumber();
        return switch (schema.type) {
            case "string" -> value.isTextual();
            case "boolean" -> value.isBoolean();
            case "number" -> value.isNumber();
            case "integer" ->
                value.isIntegralNumber()
                        && (schema.limits.format().equals("int32")
                                ? value.canConvertToInt()
                                : value.canConvertToLong());
            default -> false;
        };
    }

    private static Optional<String> findInText(JsonNode value, SchemaNode schema) {
        String text = value.asText();
        return switch (schema.limits.format()) {
            case "byte" ->
                Formats.matches("byte", text)
                        ? Optional.empty()
                        : Optional.of("illegal base64 data at input byte " + firstBadBase64(text));
            case "date-time" ->
                Formats.isDateTime(text)
                        ? Optional.empty()
                        : Optional.of("parsing time " + GoText.quote(text)
                                + " as \"2006-01-02T15:04:05Z07:00\": not a time of RFC 3339");
            default -> Optional.empty();
        };
    }

    private static int firstBadBase64(String text) {
        for (int i = 0; i < text.length(); i++) {
            boolean padding = text.charAt(i) == '=' && i >= text.length() - 2;
            boolean good = padding
                    || "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".indexOf(text.charAt(i)) >= 0;
            if (!good) return i;
        }
        return text.length() - text.length() % 4;
    }

    private static String mismatch(JsonNode value, SchemaNode schema, String path) {
        String given = switch (value.getNodeType()) {
            case STRING, BINARY -> "string";
            case NUMBER -> schema.type.equals("integer") ? "number " + value : "number";
            case BOOLEAN -> "bool";
            case ARRAY -> "array";
            case OBJECT -> "object";
            case NULL, MISSING, POJO -> "null";
        };
        return "json: cannot unmarshal " + given + " into Go struct field " + path + " of type " + goType(schema);
    }

    private static String goType(SchemaNode schema) {
        return switch (schema.type) {
            case "boolean" -> "bool";
            case "integer" -> schema.limits.format().equals("int32") ? "int32" : "int64";
            case "number" -> "float64";
            case "array" -> "[]" + schema.items.map(Decoding::goType).orElse("interface {}");
            case "object" ->
                schema.properties.isEmpty()
                        ? "map[string]"
                                + schema.additional.map(Decoding::goType).orElse("interface {}")
                        : "struct";
            default -> "string";
        };
    }
}
