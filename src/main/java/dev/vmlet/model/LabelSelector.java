package dev.vmlet.model;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Predicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Label selectors in their text form, as {@code kubectl get -l} takes them. */
public final class LabelSelector {
    private static final String KEY = "(?:[A-Za-z0-9.-]+/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?";
    private static final String VALUE = "(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?";
    private static final Pattern EQUALITY = Pattern.compile("(" + KEY + ")\\s*(==|=|!=)\\s*(" + VALUE + ")");
    private static final Pattern SET = Pattern.compile("(" + KEY + ")\\s+(in|notin)\\s*\\(([^()]*)\\)");
    private static final Pattern EXISTS = Pattern.compile("(!?)\\s*(" + KEY + ")");
    private static final Pattern COMPARED = Pattern.compile("(" + KEY + ")\\s*([<>])\\s*(-?[0-9]+)");
    private static final Pattern NO_BRACKET = Pattern.compile(KEY + "\\s+(?:in|notin)\\s+([^( ]+).*");

    private LabelSelector() {}

    /**
     * What an object's labels are judged by; an empty selector takes every object.
     *
     * @throws IllegalArgumentException with what is wrong with which part
     */
    public static Predicate<Map<String, String>> parse(String selector) {
        Predicate<Map<String, String>> all = labels -> true;
        for (String part : split(selector)) {
            all = all.and(requirement(part));
        }
        return all;
    }

    private static Predicate<Map<String, String>> requirement(String part) {
        Matcher equality = EQUALITY.matcher(part);
        if (equality.matches()) {
            String key = equality.group(1);
            String value = equality.group(3);
            return equality.group(2).equals("!=")
                    ? labels -> !value.equals(labels.get(key))
                    : labels -> value.equals(labels.get(key));
        }
        Matcher set = SET.matcher(part);
        if (set.matches()) {
            String key = set.group(1);
            Set<String> values = new TreeSet<>();
            for (String value : set.group(3).split(",", -1)) {
                if (!value.strip().matches(VALUE)) {
                    throw new IllegalArgumentException("invalid label value: \"" + value.strip() + "\"");
                }
                values.add(value.strip());
            }
            return set.group(2).equals("in")
                    ? labels -> labels.containsKey(key) && values.contains(labels.get(key))
                    : labels -> !labels.containsKey(key) || !values.contains(labels.get(key));
        }
        Matcher compared = COMPARED.matcher(part);
        if (compared.matches()) {
            return compared(compared);
        }
        Matcher exists = EXISTS.matcher(part);
        if (exists.matches()) {
            boolean wanted = exists.group(1).isEmpty();
            String key = exists.group(2);
            return labels -> labels.containsKey(key) == wanted;
        }
        Matcher open = NO_BRACKET.matcher(part);
        if (open.matches()) {
            throw new IllegalArgumentException("found '" + open.group(1) + "' expected: '('");
        }
        throw new IllegalArgumentException(
                "cannot read '" + part + "': expected a key, with =, ==, !=, in, notin, < or > and what to compare");
    }

    private static Predicate<Map<String, String>> compared(Matcher compared) {
        String key = compared.group(1);
        boolean greater = compared.group(2).equals(">");
        try {
            long bound = Long.parseLong(compared.group(3));
            return labels -> {
                try {
                    long value = Long.parseLong(labels.getOrDefault(key, ""));
                    return greater ? value > bound : value < bound;
                } catch (NumberFormatException e) {
                    return false;
                }
            };
        } catch (NumberFormatException e) {
            throw new IllegalArgumentException("not a number: " + compared.group(3), e);
        }
    }

    /** At commas that are not inside brackets. */
    private static List<String> split(String selector) {
        List<String> parts = new ArrayList<>();
        int depth = 0;
        int from = 0;
        for (int i = 0; i <= selector.length(); i++) {
            char c = i == selector.length() ? ',' : selector.charAt(i);
            if (c == '(') depth++;
            if (c == ')') depth--;
            if (i == selector.length() || (c == ',' && depth == 0)) {
                String part = selector.substring(from, i).strip();
                if (!part.isEmpty()) parts.add(part);
                from = i + 1;
            }
        }
        return parts;
    }
}
