package dev.vmlet.apiserver.schema;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Kubernetes' own kind of patch. Lists with a merge key are merged item by item, others replaced; directives within the
 * patch ({@code $patch}, {@code $deleteFromPrimitiveList/…}, {@code $setElementOrder/…}, {@code $retainKeys}) say what a
 * merge alone cannot.
 */
final class StrategicMerge {
    private static final String DIRECTIVE = "$patch";
    private static final String RETAIN = "$retainKeys";
    private static final String DELETE_FROM = "$deleteFromPrimitiveList/";
    private static final String ORDER = "$setElementOrder/";

    private final JsonNode root;

    StrategicMerge(ResourceType type) {
        ObjectNode whole = type.schema().openApi();
        whole.withObjectProperty("properties").set("metadata", ObjectMeta.schema());
        this.root = whole;
    }

    /**
     * @throws Refused 400 for directives that cannot be understood
     */
    void into(ObjectNode target, ObjectNode patch) throws Refused {
        merge(target, patch, root);
    }

    private void merge(ObjectNode target, ObjectNode patch, JsonNode schema) throws Refused {
        JsonNode directive = patch.path(DIRECTIVE);
        if (directive.isTextual()) {
            switch (directive.textValue()) {
                case "delete" -> {
                    target.removeAll();
                    return;
                }
                case "replace" -> {
                    target.removeAll();
                    patch.properties().forEach(field -> {
                        if (!field.getKey().equals(DIRECTIVE))
                            target.set(field.getKey(), field.getValue().deepCopy());
                    });
                    return;
                }
                case "merge" -> {}
                default ->
                    throw Refused.badRequest("unrecognized type of \"$patch\": " + GoText.quote(directive.textValue()));
            }
        }
        if (patch.get(RETAIN) instanceof ArrayNode keys) target.retain(ResourceType.texts(keys));
        for (var field : List.copyOf(patch.properties())) {
            String name = field.getKey();
            if (name.startsWith(DELETE_FROM)) {
                deleteFrom(target, name.substring(DELETE_FROM.length()), field.getValue());
            } else if (!name.startsWith("$")) {
                mergeField(
                        target,
                        name,
                        field.getValue(),
                        schema.path("properties").path(name),
                        schema);
            }
        }
        for (var field : patch.properties()) {
            if (!field.getKey().startsWith(ORDER)) continue;
            String name = field.getKey().substring(ORDER.length());
            order(target, name, field.getValue(), schema.path("properties").path(name));
        }
    }

    private static void deleteFrom(ObjectNode target, String name, JsonNode values) {
        if (!(target.get(name) instanceof ArrayNode list)) return;
        ArrayNode rest = list.arrayNode();
        for (JsonNode item : list) {
            boolean gone = false;
            for (JsonNode value : values) gone |= Json.same(item, value);
            if (!gone) rest.add(item);
        }
        target.set(name, rest);
    }

    private void mergeField(ObjectNode target, String name, JsonNode wanted, JsonNode known, JsonNode parent)
            throws Refused {
        JsonNode schema = known.isMissingNode() ? parent.path("additionalProperties") : known;
        if (wanted.isNull()) {
            target.remove(name);
        } else if (wanted instanceof ObjectNode object) {
            boolean fresh = !(target.get(name) instanceof ObjectNode);
            ObjectNode into = target.get(name) instanceof ObjectNode existing ? existing : target.putObject(name);
            merge(into, object, schema);
            boolean deleted = object.path(DIRECTIVE).asText().equals("delete");
            if (deleted || (fresh && into.isEmpty() && !object.isEmpty())) target.remove(name);
        } else if (wanted instanceof ArrayNode list
                && Json.text(schema, "x-kubernetes-patch-strategy").equals("merge")) {
            ArrayNode into = target.get(name) instanceof ArrayNode existing ? existing : target.putArray(name);
            target.set(name, mergeList(into, list, schema));
        } else if (wanted instanceof ArrayNode list) {
            target.set(name, withoutDirectives(list));
        } else {
            target.set(name, wanted.deepCopy());
        }
    }

    private static ArrayNode withoutDirectives(ArrayNode list) {
        ArrayNode plain = list.arrayNode();
        for (JsonNode item : list) if (!item.has(DIRECTIVE)) plain.add(item.deepCopy());
        return plain;
    }

    private ArrayNode mergeList(ArrayNode target, ArrayNode patch, JsonNode schema) throws Refused {
        String key = Json.text(schema, "x-kubernetes-patch-merge-key");
        if (key.isEmpty()) return union(target, patch);
        for (JsonNode item : patch) {
            if (item.path(DIRECTIVE).asText().equals("replace")) return withoutDirectives(patch);
        }
        List<JsonNode> items = new ArrayList<>();
        target.forEach(items::add);
        for (JsonNode item : patch) {
            if (!(item instanceof ObjectNode wanted) || !wanted.has(key)) {
                throw Refused.badRequest("map: " + item + " does not contain declared merge key: " + key);
            }
            Optional<JsonNode> existing = items.stream()
                    .filter(each -> Json.same(each.path(key), wanted.path(key)))
                    .findFirst();
            if (wanted.path(DIRECTIVE).asText().equals("delete")) {
                existing.ifPresent(items::remove);
            } else if (existing.isPresent() && existing.get() instanceof ObjectNode into) {
                merge(into, wanted, schema.path("items"));
            } else {
                items.add(wanted.deepCopy().remove(List.of(DIRECTIVE, RETAIN)));
            }
        }
        ArrayNode merged = target.arrayNode();
        items.forEach(merged::add);
        return merged;
    }

    private static ArrayNode union(ArrayNode target, ArrayNode patch) {
        Set<JsonNode> seen = new HashSet<>();
        ArrayNode union = target.arrayNode();
        for (JsonNode item : target) if (seen.add(item)) union.add(item);
        for (JsonNode item : patch) if (seen.add(item)) union.add(item.deepCopy());
        return union;
    }

    /** Items that the order names come in it; those it does not name keep their place as far as that goes. */
    private static void order(ObjectNode target, String name, JsonNode order, JsonNode schema) {
        if (!(target.get(name) instanceof ArrayNode list)) return;
        String key = Json.text(schema, "x-kubernetes-patch-merge-key");
        List<JsonNode> wanted = new ArrayList<>();
        for (JsonNode each : order) wanted.add(key.isEmpty() ? each : each.path(key));
        List<JsonNode> items = new ArrayList<>();
        list.forEach(items::add);
        List<JsonNode> named = items.stream()
                .filter(item -> wanted.contains(key.isEmpty() ? item : item.path(key)))
                .sorted(Comparator.comparingInt(item -> wanted.indexOf(key.isEmpty() ? item : item.path(key))))
                .toList();
        ArrayNode ordered = list.arrayNode();
        int next = 0;
        for (JsonNode item : items) ordered.add(named.contains(item) ? named.get(next++) : item);
        target.set(name, ordered);
    }
}
