package dev.vmlet.apiserver.schema;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.vmlet.apiserver.schema.FieldManagement.Manager;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

/**
 * Random managers apply random configurations, and an oracle that knows nothing of trees keeps the books: an object is a
 * table of leaves, each with a value and its owners. Lists of items have no order there.
 */
class ApplyPropertyTest {
    private static final int SEEDS = 300;
    private static final int STEPS = 12;
    private static final List<String> MANAGERS = List.of("ann", "bob", "eve");
    private static final Instant NOW = Instant.parse("2026-01-01T12:00:00Z");
    private static final ResourceType THING = Samples.withSpec("""
            type: object
            properties:
              a: {type: string}
              b: {type: string}
              map: {type: object, additionalProperties: {type: string}}
              set: {type: array, x-kubernetes-list-type: set, items: {type: string}}
              whole: {type: array, items: {type: string}}
              items:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [name]
                items:
                  type: object
                  required: [name]
                  properties: {name: {type: string}, x: {type: string}, y: {type: string}}
            """);

    private record Leaf(String value, Set<String> owners) {}

    @Test
    void agreesWithATableOfLeaves() {
        for (long seed = 0; seed < SEEDS; seed++) run(seed);
    }

    private static void run(long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        Map<String, Leaf> table = new TreeMap<>();
        Optional<ObjectNode> live = Optional.empty();
        for (int step = 0; step < STEPS; step++) {
            String manager = MANAGERS.get(random.nextInt(MANAGERS.size()));
            boolean force = random.nextBoolean();
            ObjectNode config = Samples.thing("{}");
            ((ObjectNode) config.path("metadata")).remove("resourceVersion");
            config.set("spec", spec(random));
            Map<String, String> wanted = leaves(config.path("spec"));
            boolean conflicts = wanted.entrySet().stream().anyMatch(leaf -> conflicts(table, leaf, manager));
            String told = "seed " + seed + ", step " + step + ": " + manager + " applies " + config.path("spec")
                    + (force ? " by force" : "") + " to " + live.map(each -> each.path("spec"));
            try {
                live = Optional.of(FieldManagement.apply(THING, live, config, new Manager(manager, ""), force, NOW));
                assertThat(conflicts && !force).as(told + " without a conflict").isFalse();
            } catch (Refused e) {
                assertThat(conflicts && !force).as(told + ": " + e.getMessage()).isTrue();
                continue;
            }
            apply(table, wanted, manager);
            assertThat(leaves(live.get().path("spec"))).as(told).isEqualTo(values(table));
            assertThat(owners(live.get())).as("owners after " + told).isEqualTo(owners(table));
        }
    }

    private static boolean conflicts(Map<String, Leaf> table, Map.Entry<String, String> leaf, String manager) {
        Leaf known = table.get(leaf.getKey());
        if (known == null || known.value().equals(leaf.getValue())) return false;
        Set<String> others = new HashSet<>(known.owners());
        others.remove(manager);
        return !others.isEmpty();
    }

    private static void apply(Map<String, Leaf> table, Map<String, String> wanted, String manager) {
        table.forEach((path, leaf) -> {
            if (!wanted.containsKey(path)) leaf.owners().remove(manager);
        });
        table.values().removeIf(leaf -> leaf.owners().isEmpty());
        wanted.forEach((path, value) -> {
            Leaf known = table.get(path);
            Set<String> owners = known != null && known.value().equals(value) ? known.owners() : new TreeSet<>();
            owners.add(manager);
            table.put(path, new Leaf(value, owners));
        });
    }

    private static Map<String, String> values(Map<String, Leaf> table) {
        Map<String, String> values = new TreeMap<>();
        table.forEach((path, leaf) -> values.put(path, leaf.value()));
        return values;
    }

    private static Map<String, Set<String>> owners(Map<String, Leaf> table) {
        Map<String, Set<String>> owners = new TreeMap<>();
        table.forEach((path, leaf) -> owners.put(path, leaf.owners()));
        return owners;
    }

    /** From managedFields, with a walk of its own: the ends of the tree are leaves. */
    private static Map<String, Set<String>> owners(ObjectNode object) {
        Map<String, Set<String>> owners = new TreeMap<>();
        for (JsonNode entry : object.at("/metadata/managedFields")) {
            collect(entry.at("/fieldsV1/f:spec"), "", entry.path("manager").asText(), owners);
        }
        return owners;
    }

    private static void collect(JsonNode tree, String path, String manager, Map<String, Set<String>> owners) {
        tree.properties().forEach(step -> {
            if (step.getKey().equals(".")) return;
            String name =
                    step.getKey().replaceAll("^k:\\{\"name\":\"(.*)\"}$", "$1").replaceAll("^[fv]:", "");
            String below = path + "/" + name.replace("\"", "");
            if (step.getValue().isEmpty()) {
                owners.computeIfAbsent(below, _ -> new TreeSet<>()).add(manager);
            } else {
                collect(step.getValue(), below, manager, owners);
            }
        });
    }

    private static Map<String, String> leaves(JsonNode spec) {
        Map<String, String> leaves = new TreeMap<>();
        for (String name : List.of("a", "b", "whole")) {
            if (spec.has(name)) leaves.put("/" + name, spec.get(name).toString());
        }
        spec.path("map")
                .properties()
                .forEach(entry ->
                        leaves.put("/map/" + entry.getKey(), entry.getValue().toString()));
        for (JsonNode value : spec.path("set")) leaves.put("/set/" + value.asText(), value.toString());
        for (JsonNode item : spec.path("items")) {
            item.properties()
                    .forEach(field -> leaves.put(
                            "/items/" + item.path("name").asText() + "/" + field.getKey(),
                            field.getValue().toString()));
        }
        return leaves;
    }

    private static ObjectNode spec(SplittableRandom random) {
        ObjectNode spec = JsonNodeFactory.instance.objectNode();
        for (String name : List.of("a", "b")) if (random.nextInt(3) == 0) spec.put(name, value(random));
        if (random.nextInt(3) == 0) {
            ObjectNode map = spec.putObject("map");
            for (String key : some(random, List.of("k", "l", "m"))) map.put(key, value(random));
        }
        if (random.nextInt(3) == 0) some(random, List.of("r", "s", "t")).forEach(spec.putArray("set")::add);
        if (random.nextInt(4) == 0) spec.putArray("whole").add(value(random)).add(value(random));
        if (random.nextInt(2) == 0) {
            ArrayNode items = spec.putArray("items");
            for (String name : some(random, List.of("i", "j", "k"))) {
                ObjectNode item = items.addObject().put("name", name);
                if (random.nextBoolean()) item.put("x", value(random));
                if (random.nextBoolean()) item.put("y", value(random));
            }
        }
        if (spec.isEmpty()) spec.put("a", value(random));
        return spec;
    }

    private static String value(SplittableRandom random) {
        return "v" + random.nextInt(3);
    }

    /** At least one, in any order. */
    private static List<String> some(SplittableRandom random, List<String> all) {
        List<String> rest = new ArrayList<>(all);
        List<String> chosen = new ArrayList<>();
        int count = 1 + random.nextInt(all.size());
        while (chosen.size() < count) chosen.add(rest.remove(random.nextInt(rest.size())));
        return chosen;
    }
}
