package dev.vmlet.apiserver.schema;

import com.fasterxml.jackson.databind.JsonNode;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * The JSONPaths of printer columns: fields, {@code ['quoted.fields']}, {@code [0]}, {@code [-1]}, {@code [*]} and filters
 * such as {@code [?(@.type=="Ready")]}.
 */
final class JsonPath {
    private static final Pattern STEP = Pattern.compile("\\.?\\[\\?\\(@((?:\\.[\\w-]+)+)\\s*(==|!=)\\s*"
            + "(?:\"([^\"]*)\"|'([^']*)'|([-\\w.]+))\\s*\\)]"
            + "|\\.?\\[(-?\\d+|\\*)]"
            + "|\\.?\\[['\"]([^'\"]*)['\"]]"
            + "|\\.((?:\\\\.|[^.\\[\\\\])+)");

    private final List<Step> steps;

    private JsonPath(List<Step> steps) {
        this.steps = steps;
    }

    private sealed interface Step {
        record Field(String name) implements Step {}

        /** Counted from the end if negative. */
        record Index(int index) implements Step {}

        record All() implements Step {}

        record Filter(List<String> path, boolean equal, String value) implements Step {}
    }

    /** Empty where the text is no such path. */
    static Optional<JsonPath> parse(String text) {
        List<Step> steps = new ArrayList<>();
        Matcher matcher = STEP.matcher(text);
        int end = 0;
        while (end < text.length()) {
            if (!matcher.find(end) || matcher.start() != end) return Optional.empty();
            steps.add(step(matcher));
            end = matcher.end();
        }
        return Optional.of(new JsonPath(List.copyOf(steps)));
    }

    private static Step step(Matcher matcher) {
        if (matcher.group(1) != null) {
            String value = matcher.group(3) != null
                    ? matcher.group(3)
                    : matcher.group(4) != null ? matcher.group(4) : matcher.group(5);
            List<String> path = List.of(matcher.group(1).substring(1).split("\\."));
            return new Step.Filter(path, matcher.group(2).equals("=="), value);
        }
        String index = matcher.group(6);
        if (index != null) return index.equals("*") ? new Step.All() : new Step.Index(Integer.parseInt(index));
        if (matcher.group(7) != null) return new Step.Field(matcher.group(7));
        return new Step.Field(matcher.group(8).replaceAll("\\\\(.)", "$1"));
    }

    /** The first value that the path leads to. */
    Optional<JsonNode> first(JsonNode root) {
        List<JsonNode> found = List.of(root);
        for (Step step : steps) {
            List<JsonNode> next = new ArrayList<>();
            for (JsonNode value : found) follow(step, value, next);
            found = next;
        }
        return found.stream().findFirst();
    }

    private static void follow(Step step, JsonNode value, List<JsonNode> found) {
        switch (step) {
            case Step.Field(String name) when value.has(name) -> found.add(value.get(name));
            case Step.Field _ -> {}
            case Step.Index(int index) -> {
                int position = index < 0 ? value.size() + index : index;
                if (value.isArray() && value.has(position)) found.add(value.get(position));
            }
            case Step.All _ -> value.forEach(found::add);
            case Step.Filter(List<String> path, boolean equal, String wanted) ->
                value.forEach(item -> {
                    JsonNode at = item;
                    for (String name : path) at = at.path(name);
                    if (!at.isMissingNode() && at.asText().equals(wanted) == equal) found.add(item);
                });
        }
    }

    /** As Go prints it: what a column of type string shows for values that are none. */
    static String shown(JsonNode value) {
        return switch (value.getNodeType()) {
            case ARRAY -> {
                List<String> items = new ArrayList<>();
                value.forEach(item -> items.add(shown(item)));
                yield "[" + String.join(" ", items) + "]";
            }
            case OBJECT ->
                value.properties().stream()
                        .map(entry -> entry.getKey() + ":" + shown(entry.getValue()))
                        .sorted()
                        .collect(Collectors.joining(" ", "map[", "]"));
            case NUMBER -> value.isIntegralNumber() ? value.asText() : GoText.number(new BigDecimal(value.asText()));
            case NULL, MISSING -> "<nil>";
            case BINARY, BOOLEAN, POJO, STRING -> value.asText();
        };
    }
}
