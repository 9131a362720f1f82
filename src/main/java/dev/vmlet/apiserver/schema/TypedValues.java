package dev.vmlet.apiserver.schema;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;

/**
 * How values of a schema fall into fields: objects by name, lists of type map by key, sets by value, and everything atomic
 * as a whole. The rules are those of structured-merge-diff, the library behind kube-apiserver's server-side apply.
 */
final class TypedValues {
    private TypedValues() {}

    enum Shape {
        /** Merged field by field. */
        FIELDS,
        /** Merged item by item. */
        ITEMS,
        /** One field, whatever is in it. */
        LEAF
    }

    /** A null takes the shape of its schema. */
    static Shape shape(SchemaNode schema, JsonNode value) {
        if (value.isObject() || (value.isNull() && (schema.isObject() || schema.isFreeForm()))) {
            return schema.atomicMap || schema.isList() || schema.isScalar() ? Shape.LEAF : Shape.FIELDS;
        }
        boolean list = value.isArray() || (value.isNull() && schema.isList());
        return list && !schema.listType.equals("atomic") ? Shape.ITEMS : Shape.LEAF;
    }

    /** The schema of a field; what is unnamed in an object without named fields is free-form. */
    static SchemaNode child(SchemaNode schema, String name) {
        return schema.child(name).orElse(SchemaNode.FREE_FORM);
    }

    static SchemaNode item(SchemaNode schema) {
        return schema.items.orElse(SchemaNode.FREE_FORM);
    }

    /** The step that leads to an item; empty where the item lacks its keys. */
    static Optional<String> step(SchemaNode schema, JsonNode item) {
        if (!schema.listType.equals("map")) return Optional.of(FieldPath.valueStep(item));
        Map<String, JsonNode> keys = new TreeMap<>();
        for (String key : schema.listKeys) {
            JsonNode value = item.get(key);
            Optional<JsonNode> fallback = item(schema).child(key).flatMap(node -> node.defaultValue);
            if (value != null) {
                keys.put(key, value);
            } else {
                fallback.ifPresent(known -> keys.put(key, known));
            }
        }
        return keys.isEmpty() || !item.isObject() ? Optional.empty() : Optional.of(FieldPath.keyStep(keys));
    }

    /** Items by their step; of several with the same step the first, and the step is in {@code twice}. */
    record Items(Map<String, JsonNode> bySteps, Set<String> twice) {
        static Items of(SchemaNode schema, JsonNode list) {
            Map<String, JsonNode> items = new LinkedHashMap<>();
            Set<String> twice = new HashSet<>();
            for (JsonNode item : list) {
                step(schema, item).ifPresent(step -> {
                    if (items.putIfAbsent(step, item) != null) twice.add(step);
                });
            }
            return new Items(items, twice);
        }
    }

    /**
     * All fields of a value, as an applier of it owns them: leaves, items of lists, entries of maps, and what is empty.
     */
    static FieldSet fields(JsonNode value, SchemaNode schema) {
        Set<FieldPath> paths = new HashSet<>();
        collect(value, schema, FieldPath.ROOT, paths);
        return new FieldSet(paths);
    }

    private static void collect(JsonNode value, SchemaNode schema, FieldPath path, Set<FieldPath> paths) {
        switch (shape(schema, value)) {
            case LEAF -> paths.add(path);
            case FIELDS ->
                value.properties().forEach(field -> {
                    FieldPath below = path.field(field.getKey());
                    JsonNode child = field.getValue();
                    collect(child, child(schema, field.getKey()), below, paths);
                    boolean empty = child.isNull() || (child.isObject() && child.isEmpty());
                    if (empty || !schema.properties.containsKey(field.getKey())) paths.add(below);
                });
            case ITEMS -> {
                Items items = Items.of(schema, value);
                items.bySteps.forEach((step, item) -> {
                    FieldPath below = path.step(step);
                    if (!items.twice.contains(step)) collect(item, item(schema), below, paths);
                    paths.add(below);
                });
            }
        }
    }

    /** What differs between two versions of an object. */
    record Comparison(FieldSet added, FieldSet modified, FieldSet removed) {}

    static Comparison compare(JsonNode before, JsonNode after, SchemaNode schema) {
        Differences differences = new Differences();
        differences.visit(Optional.of(before), Optional.of(after), schema, FieldPath.ROOT);
        return new Comparison(
                new FieldSet(differences.added), new FieldSet(differences.modified), new FieldSet(differences.removed));
    }

    private static final class Differences {
        final Set<FieldPath> added = new HashSet<>();
        final Set<FieldPath> modified = new HashSet<>();
        final Set<FieldPath> removed = new HashSet<>();

        /** At least one of the two is present. */
        void visit(Optional<JsonNode> before, Optional<JsonNode> after, SchemaNode schema, FieldPath path) {
            Shape old = before.map(value -> shape(schema, value)).orElse(Shape.LEAF);
            Shape now = after.map(value -> shape(schema, value)).orElse(old);
            boolean alike = before.isEmpty()
                    || after.isEmpty()
                    || old == now
                    || before.get().isNull();
            Shape shape = before.isPresent() && before.get().isNull() ? now : alike && after.isPresent() ? now : old;
            boolean nothingBelow = isEmpty(before) && isEmpty(after);
            if (!alike || shape == Shape.LEAF || nothingBelow) {
                leaf(before, after, path);
                return;
            }
            if (shape == Shape.FIELDS) visitFields(before, after, schema, path);
            if (shape == Shape.ITEMS) visitItems(before, after, schema, path);
            if (before.isEmpty()) added.add(path);
            if (after.isEmpty()) removed.add(path);
        }

        private static boolean isEmpty(Optional<JsonNode> value) {
            return value.isEmpty() || value.get().isEmpty();
        }

        private void leaf(Optional<JsonNode> before, Optional<JsonNode> after, FieldPath path) {
            if (before.isEmpty()) {
                added.add(path);
            } else if (after.isEmpty()) {
                removed.add(path);
            } else if (!Json.same(before.get(), after.get())) {
                modified.add(path);
            }
        }

        private void visitFields(
                Optional<JsonNode> before, Optional<JsonNode> after, SchemaNode schema, FieldPath path) {
            Set<String> names = new LinkedHashSet<>();
            before.ifPresent(value -> value.fieldNames().forEachRemaining(names::add));
            after.ifPresent(value -> value.fieldNames().forEachRemaining(names::add));
            for (String name : names) {
                Optional<JsonNode> old = before.map(value -> value.get(name));
                visit(old, after.map(value -> value.get(name)), child(schema, name), path.field(name));
            }
        }

        private void visitItems(
                Optional<JsonNode> before, Optional<JsonNode> after, SchemaNode schema, FieldPath path) {
            Items old = before.map(value -> Items.of(schema, value)).orElse(new Items(Map.of(), Set.of()));
            Items now = after.map(value -> Items.of(schema, value)).orElse(new Items(Map.of(), Set.of()));
            Set<String> steps = new LinkedHashSet<>(old.bySteps.keySet());
            steps.addAll(now.bySteps.keySet());
            for (String step : steps) {
                Optional<JsonNode> one = Optional.ofNullable(old.bySteps.get(step));
                visit(one, Optional.ofNullable(now.bySteps.get(step)), item(schema), path.step(step));
            }
        }
    }

    /**
     * The value without the given fields. What has lost all its contents stays, empty, unless it is among the fields itself:
     * kube-apiserver leaves a null there, and then refuses it.
     */
    static JsonNode without(JsonNode value, SchemaNode schema, FieldSet fields) {
        return without(value, schema, FieldPath.ROOT, fields, fields.ancestors());
    }

    private static JsonNode without(
            JsonNode value, SchemaNode schema, FieldPath path, FieldSet fields, Set<FieldPath> ancestors) {
        if (!ancestors.contains(path) || value.isEmpty()) return value;
        return switch (shape(schema, value)) {
            case LEAF -> value;
            case FIELDS -> {
                ObjectNode rest = ((ObjectNode) value).objectNode();
                value.properties().forEach(field -> {
                    FieldPath below = path.field(field.getKey());
                    if (fields.has(below)) return;
                    SchemaNode child = child(schema, field.getKey());
                    rest.set(field.getKey(), without(field.getValue(), child, below, fields, ancestors));
                });
                yield rest;
            }
            case ITEMS -> {
                ArrayNode rest = ((ArrayNode) value).arrayNode();
                for (JsonNode item : value) {
                    Optional<FieldPath> below = step(schema, item).map(path::step);
                    if (below.isPresent() && fields.has(below.get())) continue;
                    rest.add(below.isEmpty() ? item : without(item, item(schema), below.get(), fields, ancestors));
                }
                yield rest;
            }
        };
    }

    /** Names whose schema is known, on the way to a member: as good as members themselves when items are removed. */
    static FieldSet withNamedFields(FieldSet fields, SchemaNode schema) {
        Set<FieldPath> all = new HashSet<>(fields.paths());
        for (FieldPath path : fields.ancestors()) if (isNamedField(path, schema)) all.add(path);
        return new FieldSet(all);
    }

    private static boolean isNamedField(FieldPath path, SchemaNode root) {
        SchemaNode schema = root;
        boolean named = false;
        for (String step : path.steps()) {
            if (step.startsWith("f:")) {
                String name = step.substring(2);
                named = schema.properties.containsKey(name);
                schema = child(schema, name);
            } else {
                named = false;
                schema = item(schema);
            }
        }
        return named;
    }

    /** Sentences on what cannot be applied: fields that nobody declared, values of another type, keys given twice. */
    static List<String> mistakes(JsonNode value, SchemaNode schema) {
        List<String> mistakes = new ArrayList<>();
        TypedMistakes.find(value, schema, "", mistakes);
        return mistakes;
    }
}
