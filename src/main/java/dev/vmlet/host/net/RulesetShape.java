package dev.vmlet.host.net;

import java.util.Map;
import java.util.TreeMap;

/**
 * Counts the tables, counters, sets, chains and rules in a {@link dev.vmlet.plan.Ruleset}'s text, so that a listing can
 * be held against what was sent and not against itself. It knows that text's layout (one rule a line, blocks closed on a
 * line of their own) and no more of nft's grammar.
 */
final class RulesetShape {
    private RulesetShape() {}

    static Map<String, Integer> of(String text) {
        Map<String, Integer> shape = new TreeMap<>();
        String family = "";
        String chain = "";
        for (String line : text.lines().map(String::strip).toList()) {
            String[] words = line.split(" ");
            if (line.startsWith("table ") && line.endsWith("{")) {
                family = words[1];
                shape.merge(family + " table " + words[2], 1, Integer::sum);
            } else if (line.equals("}")) {
                chain = "";
            } else if (line.startsWith("chain ")
                    || line.startsWith("set ")
                    || line.startsWith("map ")
                    || line.startsWith("counter ") && line.contains("{")) {
                shape.merge(family + " " + words[0] + " " + words[1], 1, Integer::sum);
                chain = words[0].equals("chain") ? words[1] : "";
            } else if (!chain.isEmpty() && !line.startsWith("type ")) {
                shape.merge(family + " rule in chain " + chain, 1, Integer::sum);
            }
        }
        return shape;
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
