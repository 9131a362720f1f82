package dev.vmlet.apiserver.schema;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.vmlet.apiserver.schema.TypedValues.Items;
import dev.vmlet.apiserver.schema.TypedValues.Shape;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/** Lays a configuration over a live value: what the configuration has wins, what it lacks stays. */
final class TypedMerge {
    private TypedMerge() {}

    /** Neither argument is changed; the result may share parts with them. */
    static JsonNode merge(JsonNode live, JsonNode applied, SchemaNode schema) {
        Shape shape = TypedValues.shape(schema, applied);
        boolean alike = live.isNull() || applied.isNull() || TypedValues.shape(schema, live) == shape;
        if (!alike || shape == Shape.LEAF || (live.isEmpty() && applied.isEmpty())) return applied;
        return shape == Shape.FIELDS ? fields(live, applied, schema) : items(live, applied, schema);
    }

    private static JsonNode fields(JsonNode live, JsonNode applied, SchemaNode schema) {
        if (!(applied instanceof ObjectNode wanted)) return live;
        ObjectNode merged = wanted.objectNode();
        live.properties().forEach(field -> {
            JsonNode over = wanted.get(field.getKey());
            SchemaNode child = TypedValues.child(schema, field.getKey());
            merged.set(field.getKey(), over == null ? field.getValue() : merge(field.getValue(), over, child));
        });
        wanted.properties().forEach(field -> {
            if (!merged.has(field.getKey())) merged.set(field.getKey(), field.getValue());
        });
        return merged;
    }

    /**
     * Items keep the live order among themselves, but for those of the configuration, which come in its order; each new one
     * stands before the next that both have.
     */
    private static JsonNode items(JsonNode live, JsonNode applied, SchemaNode schema) {
        if (!(applied instanceof ArrayNode wanted)) return live;
        Items old = Items.of(schema, live);
        Items now = Items.of(schema, wanted);
        ArrayNode merged = wanted.arrayNode();
        List<String> liveSteps = steps(schema, live);
        List<String> rest = new ArrayList<>(now.bySteps().keySet());
        List<String> shared = new ArrayList<>(rest);
        shared.retainAll(old.bySteps().keySet());
        Set<String> done = new LinkedHashSet<>();
        int l = 0;
        int r = 0;
        while (l < live.size() || r < rest.size()) {
            Optional<String> left = l < live.size() ? Optional.of(liveSteps.get(l)) : Optional.empty();
            Optional<String> right = r < rest.size() ? Optional.of(rest.get(r)) : Optional.empty();
            boolean leftIsShared = left.isPresent() && now.bySteps().containsKey(left.get());
            if (left.isPresent() && !leftIsShared) {
                merged.add(live.get(l++));
                continue;
            }
            if (left.isPresent() && right.isPresent() && !left.equals(right)) {
                boolean isNext = !shared.isEmpty() && shared.getFirst().equals(left.get());
                if (!isNext) {
                    l++;
                    continue;
                }
            } else if (left.isPresent() && (right.isEmpty() || left.equals(right))) {
                l++;
            }
            if (right.isEmpty()) continue;
            r++;
            if (!done.add(right.get())) continue;
            shared.remove(right.get());
            merged.add(item(old, now, right.get(), schema));
        }
        return merged;
    }

    private static JsonNode item(Items old, Items now, String step, SchemaNode schema) {
        JsonNode wanted = now.bySteps().get(step);
        JsonNode live = old.bySteps().get(step);
        if (wanted == null) throw new IllegalStateException("no item " + step);
        if (live == null || old.twice().contains(step)) return wanted;
        return merge(live, wanted, TypedValues.item(schema));
    }

    private static List<String> steps(SchemaNode schema, JsonNode list) {
        List<String> steps = new ArrayList<>();
        for (JsonNode item : list) steps.add(TypedValues.step(schema, item).orElse(""));
        return steps;
    }
}
