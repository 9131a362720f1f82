package dev.vmlet.apiserver.schema;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * The way to a value within an object, each step written as in fieldsV1: {@code f:name} a field, {@code k:{"name":"web"}} an
 * item of a list by its keys, {@code v:"text"} an item of a set.
 */
record FieldPath(List<String> steps) implements Comparable<FieldPath> {
    static final FieldPath ROOT = new FieldPath(List.of());
    private static final ObjectMapper MAPPER = new ObjectMapper();

    static FieldPath of(String... fields) {
        FieldPath path = ROOT;
        for (String field : fields) path = path.field(field);
        return path;
    }

    FieldPath field(String name) {
        return step("f:" + name);
    }

    /** @param step as written in fieldsV1 */
    FieldPath step(String step) {
        List<String> longer = new ArrayList<>(steps.size() + 1);
        longer.addAll(steps);
        longer.add(step);
        return new FieldPath(List.copyOf(longer));
    }

    /** The step to an item of a list of type map. Keys are sorted, so that equal keys are equal steps. */
    static String keyStep(Map<String, JsonNode> keys) {
        ObjectNode sorted = JsonNodeFactory.instance.objectNode();
        new TreeMap<>(keys).forEach(sorted::set);
        return "k:" + sorted;
    }

    static String valueStep(JsonNode value) {
        return "v:" + value;
    }

    /** However a client spelled it, the spelling that we would have written. */
    static String canonical(String step) {
        if (!step.startsWith("k:") && !step.startsWith("v:")) return step;
        try {
            JsonNode json = MAPPER.readTree(step.substring(2));
            if (!(json instanceof ObjectNode object) || step.startsWith("v:")) return step.charAt(0) + ":" + json;
            Map<String, JsonNode> keys = new TreeMap<>();
            object.properties().forEach(entry -> keys.put(entry.getKey(), entry.getValue()));
            return keyStep(keys);
        } catch (JsonProcessingException _) {
            return step;
        }
    }

    /** As conflicts name it: {@code .spec.disks[name="root"].size}. */
    @Override
    public String toString() {
        return steps.stream().map(FieldPath::shown).collect(Collectors.joining());
    }

    private static String shown(String step) {
        String rest = step.substring(2);
        return switch (step.charAt(0)) {
            case 'f' -> "." + rest;
            case 'v' -> "[=" + rest + "]";
            case 'k' -> "[" + shownKeys(rest) + "]";
            default -> "[" + rest + "]";
        };
    }

    private static String shownKeys(String json) {
        try {
            return MAPPER.readTree(json).properties().stream()
                    .map(entry -> entry.getKey() + "=" + entry.getValue())
                    .collect(Collectors.joining(","));
        } catch (JsonProcessingException _) {
            return json;
        }
    }

    @Override
    public int compareTo(FieldPath other) {
        for (int i = 0; i < Math.min(steps.size(), other.steps.size()); i++) {
            int order = steps.get(i).compareTo(other.steps.get(i));
            if (order != 0) return order;
        }
        return Integer.compare(steps.size(), other.steps.size());
    }
}
