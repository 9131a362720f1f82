package dev.vmlet.host.net;

import dev.vmlet.host.net.NftTable.NftObject;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Counts the tables, counters, sets, chains and rules in a {@link dev.vmlet.plan.Ruleset}'s text, so that a listing can
 * be held against what was sent and not against itself. It knows that text's layout (one rule a line, blocks closed on a
 * line of their own), which is that of nft's own listing as well, and no more of nft's grammar.
 */
final class RulesetShape {
    private RulesetShape() {}

    static Map<String, Integer> of(String text) {
        Map<String, Integer> shape = new TreeMap<>();
        objects(text).forEach(object -> shape.merge(object.label(), 1, Integer::sum));
        return shape;
    }

    /** The objects in the text's order, each defined by its lines. */
    static List<NftObject> objects(String text) {
        List<NftObject> objects = new ArrayList<>();
        String family = "";
        String chain = "";
        for (String line : text.lines().map(String::strip).toList()) {
            String[] words = line.split(" ");
            if (line.startsWith("table ") && line.endsWith("{")) {
                family = words[1];
                objects.add(new NftObject(family + " table " + words[2], line));
            } else if (line.equals("}")) {
                chain = "";
            } else if (line.startsWith("chain ")
                    || line.startsWith("set ")
                    || line.startsWith("map ")
                    || line.startsWith("counter ") && line.contains("{")) {
                objects.add(new NftObject(family + " " + words[0] + " " + words[1], line));
                chain = words[0].equals("chain") ? words[1] : "";
            } else if (!chain.isEmpty() && !line.startsWith("type ")) {
                if (!line.isEmpty()) {
                    objects.add(new NftObject(family + " rule in chain " + chain, line));
                }
            } else if (!line.isEmpty() && !objects.isEmpty()) {
                NftObject last = objects.removeLast();
                objects.add(new NftObject(last.label(), last.definition() + " " + line));
            }
        }
        return objects;
    }

    /** What the second lacks or has too much of, a sentence; empty when they agree. */
    static String difference(Map<String, Integer> expected, Map<String, Integer> seen) {
        for (var entry : expected.entrySet()) {
            int count = seen.getOrDefault(entry.getKey(), 0);
            if (count != entry.getValue()) {
                return count == 0
                        ? entry.getKey() + " is missing"
                        : entry.getKey() + ": " + count + " found, " + entry.getValue() + " expected";
            }
        }
        for (String label : seen.keySet()) {
            if (!expected.containsKey(label)) {
                return label + " is not ours";
            }
        }
        return "";
    }
}
