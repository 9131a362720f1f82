package dev.vmlet.host.net;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.FirewallSet;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/**
 * One of our tables as nft lists it (libnftables-json(5)).
 *
 * @param mark comment of the counter {@code owner}, empty without one
 * @param objects counters, sets, chains and rules in the kernel's order, without what changes by itself: handles,
 *     packet counts and members of sets
 * @param elements members of the sets we know
 */
record NftTable(String mark, List<NftObject> objects, Set<FirewallElement> elements) {
    private static final JsonMapper JSON = new JsonMapper();

    /** {@code label} is what a person calls the object; {@code definition} is JSON on one line. */
    record NftObject(String label, String definition) {
        @Override
        public String toString() {
            return label + " = " + definition;
        }
    }

    /** @throws NftRefusal when the text is not a listing */
    static NftTable parse(String json) throws NftRefusal {
        JsonNode items;
        try {
            items = JSON.readTree(json).path("nftables");
        } catch (JsonProcessingException e) {
            throw new NftRefusal("unreadable listing: " + e.getOriginalMessage());
        }
        if (!items.isArray()) {
            throw new NftRefusal("unreadable listing: no \"nftables\" in it");
        }
        String mark = "";
        List<NftObject> objects = new ArrayList<>();
        Set<FirewallElement> elements = new HashSet<>();
        for (JsonNode item : items) {
            String kind = item.fieldNames().hasNext() ? item.fieldNames().next() : "";
            if (kind.equals("metainfo") || kind.isEmpty() || !(item.get(kind) instanceof ObjectNode object)) {
                continue;
            }
            String name = object.path("name").asText();
            if (kind.equals("counter") && name.equals("owner")) {
                mark = object.path("comment").asText();
            }
            if (kind.equals("set") || kind.equals("map")) {
                elements.addAll(elements(object.path("family").asText(), name, object.path("elem")));
            }
            objects.add(new NftObject(label(kind, object), definition(kind, object)));
        }
        return new NftTable(mark, List.copyOf(objects), Set.copyOf(elements));
    }

    private static String label(String kind, JsonNode object) {
        String family = object.path("family").asText();
        return kind.equals("rule")
                ? family + " rule in chain " + object.path("chain").asText()
                : family + " " + kind + " " + object.path("name").asText();
    }

    private static String definition(String kind, ObjectNode object) {
        ObjectNode copy = object.deepCopy();
        copy.remove("handle");
        if (kind.equals("set") || kind.equals("map")) {
            copy.remove("elem");
        }
        if (kind.equals("counter")) {
            copy.remove(List.of("packets", "bytes"));
        }
        for (JsonNode expression : copy.path("expr")) {
            if (expression.get("counter") instanceof ObjectNode counter) {
                counter.remove(List.of("packets", "bytes"));
            }
        }
        return copy.toString();
    }

    private static Set<FirewallElement> elements(String family, String name, JsonNode listed) {
        Set<FirewallElement> elements = new HashSet<>();
        for (FirewallSet set : FirewallSet.values()) {
            if (set.family().equals(family) && set.nftName().equals(name)) {
                for (JsonNode element : listed) {
                    elements.add(element(set, element));
                }
            }
        }
        return elements;
    }

    /** An element with a comment is wrapped in {@code elem}; a bare one is its value; of a map, a pair of such. */
    private static FirewallElement element(FirewallSet set, JsonNode listed) {
        if (set.isMap() && listed.isArray()) {
            FirewallElement from = element(set, listed.path(0));
            FirewallElement to = element(set, listed.path(1));
            return new FirewallElement(
                    set, Stream.concat(from.key().stream(), to.key().stream()).toList(), from.ownerUid());
        }
        JsonNode wrapped = listed.path("elem");
        JsonNode value = wrapped.isMissingNode() ? listed : wrapped.path("val");
        String owner = wrapped.path("comment").asText("");
        List<String> key = value.has("concat")
                ? StreamSupport.stream(value.path("concat").spliterator(), false)
                        .map(NftTable::text)
                        .toList()
                : List.of(text(value));
        if (set.hasIntervals()) {
            int place = set == FirewallSet.SUBNETS ? 0 : 1;
            key = new ArrayList<>(key);
            // nft lists a /32 as the bare address.
            if (place < key.size() && key.get(place).indexOf('/') < 0) {
                key.set(place, key.get(place) + "/32");
            }
        }
        return new FirewallElement(set, key, owner);
    }

    private static String text(JsonNode value) {
        if (value.has("prefix")) {
            JsonNode prefix = value.path("prefix");
            return prefix.path("addr").asText() + "/" + prefix.path("len").asText();
        }
        if (value.has("range")) {
            JsonNode range = value.path("range");
            return range.path(0).asText() + "-" + range.path(1).asText();
        }
        return value.isValueNode() ? value.asText() : value.toString();
    }

    /** How many objects bear each label: what a reader of the ruleset's text can count too. */
    Map<String, Integer> shape() {
        Map<String, Integer> shape = new TreeMap<>();
        for (NftObject object : objects) {
            shape.merge(object.label(), 1, Integer::sum);
        }
        return shape;
    }
}
