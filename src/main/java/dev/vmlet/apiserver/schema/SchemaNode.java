package dev.vmlet.apiserver.schema;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.google.re2j.Pattern;
import com.google.re2j.PatternSyntaxException;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * One place in a structural schema, read once. Immutable.
 *
 * <p>Fields instead of accessors: the walks (prune, default, validate, merge) read a dozen of them for every value.
 */
final class SchemaNode {
    private static final String PRESERVE_KEY = "x-kubernetes-preserve-unknown-fields";

    /** What free-form values are made of: maps by key, lists and scalars as a whole. */
    static final SchemaNode FREE_FORM = new Reader(new ArrayList<>())
            .read(JsonNodeFactory.instance.objectNode().put(PRESERVE_KEY, true).put("nullable", true), "");

    /** Empty where any type will do. */
    final String type;

    final boolean intOrString;
    final boolean nullable;
    final boolean preservesUnknown;
    final boolean embeddedResource;
    final Map<String, SchemaNode> properties;
    final Optional<SchemaNode> additional;
    final boolean forbidsAdditional;
    final Optional<SchemaNode> items;
    final Optional<JsonNode> defaultValue;
    final List<String> required;
    final Limits limits;

    /** {@code atomic}, {@code set} or {@code map}; atomic where the schema does not say. */
    final String listType;

    final List<String> listKeys;
    final boolean atomicMap;
    final List<Rule> rules;
    final List<SchemaNode> allOf;
    final List<SchemaNode> anyOf;
    final List<SchemaNode> oneOf;
    final Optional<SchemaNode> not;

    /** Rules here or anywhere below: a walk for rules need not enter otherwise. */
    final boolean hasRules;

    /** Defaults anywhere below. */
    final boolean hasDefaults;

    /** What a value of the right type must keep to. Absent limits are null. */
    record Limits(
            List<JsonNode> allowed,
            String format,
            @Nullable BigDecimal minimum,
            boolean exclusiveMinimum,
            @Nullable BigDecimal maximum,
            boolean exclusiveMaximum,
            @Nullable BigDecimal multipleOf,
            @Nullable Long minLength,
            @Nullable Long maxLength,
            @Nullable Pattern pattern,
            @Nullable Long minItems,
            @Nullable Long maxItems,
            boolean uniqueItems,
            @Nullable Long minProperties,
            @Nullable Long maxProperties) {}

    /** An entry of x-kubernetes-validations. Texts that are not given are empty. */
    record Rule(
            String rule,
            String message,
            String messageExpression,
            String reason,
            String fieldPath,
            boolean optionalOldSelf) {}

    private SchemaNode(JsonNode json, String path, Reader reader) {
        type = json.path("type").asText("");
        intOrString = json.path("x-kubernetes-int-or-string").asBoolean();
        nullable = json.path("nullable").asBoolean();
        preservesUnknown = json.path(PRESERVE_KEY).asBoolean();
        embeddedResource = json.path("x-kubernetes-embedded-resource").asBoolean();
        Map<String, SchemaNode> named = new LinkedHashMap<>();
        json.path("properties")
                .properties()
                .forEach(entry -> named.put(
                        entry.getKey(), reader.read(entry.getValue(), path + ".properties[" + entry.getKey() + "]")));
        properties = Collections.unmodifiableMap(named);
        JsonNode more = json.path("additionalProperties");
        additional = more.isObject()
                ? Optional.of(reader.read(more, path + ".additionalProperties"))
                : more.asBoolean(false) ? Optional.of(FREE_FORM) : Optional.empty();
        forbidsAdditional = more.isBoolean() && !more.booleanValue();
        items = json.path("items").isObject()
                ? Optional.of(reader.read(json.path("items"), path + ".items"))
                : Optional.empty();
        defaultValue = Optional.ofNullable(json.get("default"));
        required = texts(json.path("required"));
        limits = limits(json, path, reader);
        listType = json.path("x-kubernetes-list-type").asText("atomic");
        listKeys = texts(json.path("x-kubernetes-list-map-keys"));
        atomicMap = json.path("x-kubernetes-map-type").asText().equals("atomic");
        rules = rules(json.path("x-kubernetes-validations"));
        allOf = branches(json, "allOf", path, reader);
        anyOf = branches(json, "anyOf", path, reader);
        oneOf = branches(json, "oneOf", path, reader);
        not = json.path("not").isObject()
                ? Optional.of(reader.read(json.path("not"), path + ".not"))
                : Optional.empty();
        hasRules = !rules.isEmpty()
                || children().stream().anyMatch(child -> child.hasRules)
                || allOf.stream().anyMatch(branch -> branch.hasRules);
        hasDefaults = children().stream().anyMatch(child -> child.hasDefaults || child.defaultValue.isPresent());
    }

    private SchemaNode(SchemaNode from, Map<String, SchemaNode> newProperties) {
        type = "object";
        intOrString = false;
        nullable = false;
        preservesUnknown = from.preservesUnknown;
        embeddedResource = from.embeddedResource;
        properties = Collections.unmodifiableMap(newProperties);
        additional = from.additional;
        forbidsAdditional = from.forbidsAdditional;
        items = Optional.empty();
        defaultValue = Optional.empty();
        required = from.required;
        limits = from.limits;
        listType = from.listType;
        listKeys = from.listKeys;
        atomicMap = from.atomicMap;
        rules = from.rules;
        allOf = from.allOf;
        anyOf = from.anyOf;
        oneOf = from.oneOf;
        not = from.not;
        hasRules = from.hasRules;
        hasDefaults = from.hasDefaults;
    }

    /** The same for a whole object, whose type and metadata are known whatever its author wrote about them. */
    SchemaNode asResource() {
        Map<String, SchemaNode> whole = new LinkedHashMap<>();
        whole.put("apiVersion", ObjectMeta.API_VERSION);
        whole.put("kind", ObjectMeta.KIND);
        whole.put("metadata", ObjectMeta.NODE);
        properties.forEach(whole::putIfAbsent);
        return new SchemaNode(this, whole);
    }

    /** @param wrong collects what cannot be read, with its path in the schema */
    static SchemaNode read(JsonNode json, String path, List<FieldError> wrong) {
        return new Reader(wrong).read(json, path);
    }

    private record Reader(List<FieldError> wrong) {
        SchemaNode read(JsonNode json, String path) {
            return new SchemaNode(json, path, this);
        }
    }

    /** Any scalar, list or map may stand here: types come from the values. */
    boolean isFreeForm() {
        return type.isEmpty() && !intOrString;
    }

    boolean isList() {
        return type.equals("array");
    }

    boolean isObject() {
        return type.equals("object");
    }

    boolean isScalar() {
        return intOrString || !(type.isEmpty() || isList() || isObject());
    }

    /** The schema of a field, or of what may stand beside the named fields. */
    Optional<SchemaNode> child(String field) {
        SchemaNode property = properties.get(field);
        return property != null ? Optional.of(property) : additional;
    }

    private List<SchemaNode> children() {
        List<SchemaNode> all = new ArrayList<>(properties.values());
        additional.ifPresent(all::add);
        items.ifPresent(all::add);
        return all;
    }

    private static List<SchemaNode> branches(JsonNode json, String key, String path, Reader reader) {
        List<SchemaNode> all = new ArrayList<>();
        JsonNode list = json.path(key);
        for (int i = 0; i < list.size(); i++) all.add(reader.read(list.get(i), path + "." + key + "[" + i + "]"));
        return List.copyOf(all);
    }

    private static List<Rule> rules(JsonNode list) {
        List<Rule> all = new ArrayList<>();
        for (JsonNode json : list) {
            all.add(new Rule(
                    json.path("rule").asText("").strip(),
                    json.path("message").asText("").strip(),
                    json.path("messageExpression").asText("").strip(),
                    json.path("reason").asText(""),
                    json.path("fieldPath").asText(""),
                    json.path("optionalOldSelf").asBoolean()));
        }
        return List.copyOf(all);
    }

    private static Limits limits(JsonNode json, String path, Reader reader) {
        return new Limits(
                List.copyOf(elements(json.path("enum"))),
                json.path("format").asText(""),
                decimal(json.path("minimum")),
                json.path("exclusiveMinimum").asBoolean(),
                decimal(json.path("maximum")),
                json.path("exclusiveMaximum").asBoolean(),
                decimal(json.path("multipleOf")),
                whole(json.path("minLength")),
                whole(json.path("maxLength")),
                pattern(json.path("pattern"), path, reader),
                whole(json.path("minItems")),
                whole(json.path("maxItems")),
                json.path("uniqueItems").asBoolean(),
                whole(json.path("minProperties")),
                whole(json.path("maxProperties")));
    }

    private static @Nullable Pattern pattern(JsonNode json, String path, Reader reader) {
        if (!json.isTextual()) return null;
        try {
            return Pattern.compile(json.textValue());
        } catch (PatternSyntaxException e) {
            String detail = "must be a valid regular expression, but isn't: " + e.getMessage();
            reader.wrong.add(FieldError.invalid(path + ".pattern", json.textValue(), detail));
            return null;
        }
    }

    private static @Nullable BigDecimal decimal(JsonNode json) {
        return json.isNumber() ? json.decimalValue() : null;
    }

    private static @Nullable Long whole(JsonNode json) {
        return json.isNumber() ? json.longValue() : null;
    }

    private static List<JsonNode> elements(JsonNode list) {
        List<JsonNode> all = new ArrayList<>();
        list.forEach(all::add);
        return all;
    }

    private static List<String> texts(JsonNode list) {
        return elements(list).stream().map(JsonNode::asText).toList();
    }
}
