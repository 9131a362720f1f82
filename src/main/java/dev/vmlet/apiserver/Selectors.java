package dev.vmlet.apiserver;

import dev.vmlet.apiserver.schema.ResourceType;
import dev.vmlet.apiserver.store.Stored;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Predicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Label and field selectors. */
final class Selectors {
    private static final String KEY = "(?:[A-Za-z0-9.-]+/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?";
    private static final String VALUE = "(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?";
    private static final Pattern EQUALITY = Pattern.compile("(" + KEY + ")\\s*(==|=|!=)\\s*(" + VALUE + ")");
    private static final Pattern SET = Pattern.compile("(" + KEY + ")\\s+(in|notin)\\s*\\(([^()]*)\\)");
    private static final Pattern EXISTS = Pattern.compile("(!?)\\s*(" + KEY + ")");
    private static final Pattern COMPARED = Pattern.compile("(" + KEY + ")\\s*([<>])\\s*(-?[0-9]+)");
    private static final Pattern NO_BRACKET = Pattern.compile(KEY + "\\s+(?:in|notin)\\s+([^( ]+).*");
    private static final Pattern FIELD = Pattern.compile("([^=!]+)(==|=|!=)(.*)");

    private Selectors() {}

    /**
     * Both selectors of a request.
     *
     * @throws ApiException 400
     */
    static Predicate<Stored> of(ResourceType type, String labelSelector, String fieldSelector) throws ApiException {
        Predicate<Map<String, String>> labels = labels(labelSelector);
        Predicate<Map<String, String>> fields = fields(type, fieldSelector);
        return stored -> labels.test(stored.index().labels())
                && fields.test(stored.index().fields());
    }

    static Predicate<Map<String, String>> labels(String selector) throws ApiException {
        Predicate<Map<String, String>> all = labels -> true;
        for (String part : split(selector)) {
            all = all.and(requirement(part));
        }
        return all;
    }

    private static Predicate<Map<String, String>> requirement(String part) throws ApiException {
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
                if (!value.strip().matches(VALUE)) throw malformed("invalid label value: \"" + value.strip() + "\"");
                values.add(value.strip());
            }
            return set.group(2).equals("in")
                    ? labels -> labels.containsKey(key) && values.contains(labels.get(key))
                    : labels -> !labels.containsKey(key) || !values.contains(labels.get(key));
        }
        Matcher compared = COMPARED.matcher(part);
        if (compared.matches()) return compared(compared);
        Matcher exists = EXISTS.matcher(part);
        if (exists.matches()) {
            boolean wanted = exists.group(1).isEmpty();
            String key = exists.group(2);
            return labels -> labels.containsKey(key) == wanted;
        }
        Matcher open = NO_BRACKET.matcher(part);
        if (open.matches()) throw malformed("found '" + open.group(1) + "' expected: '('");
        throw malformed(
                "cannot read '" + part + "': expected a key, with =, ==, !=, in, notin, < or > and what to compare");
    }

    private static Predicate<Map<String, String>> compared(Matcher compared) throws ApiException {
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
            throw malformed("not a number: " + compared.group(3));
        }
    }

    private static ApiException malformed(String why) {
        return ApiException.badRequest("unable to parse requirement: " + why);
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

    private static Predicate<Map<String, String>> fields(ResourceType type, String selector) throws ApiException {
        Predicate<Map<String, String>> all = fields -> true;
        for (String part : fieldTerms(selector)) {
            Matcher term = FIELD.matcher(part);
            if (!term.matches()) {
                throw ApiException.badRequest("invalid selector: '" + selector + "'; can't understand '" + part + "'");
            }
            String field = term.group(1);
            if (!known(type, field)) {
                throw ApiException.badRequest("field label not supported: " + field);
            }
            String value = unescape(term.group(3));
            boolean equal = !term.group(2).equals("!=");
            all = all.and(fields -> fields.getOrDefault(field, "").equals(value) == equal);
        }
        return all;
    }

    /** At commas that are not escaped. */
    private static List<String> fieldTerms(String selector) {
        return Arrays.stream(selector.split("(?<!\\\\),", -1))
                .filter(part -> !part.isBlank())
                .toList();
    }

    private static String unescape(String value) {
        return value.replaceAll("\\\\([\\\\,=])", "$1");
    }

    private static boolean known(ResourceType type, String field) {
        return field.equals("metadata.name")
                || (field.equals("metadata.namespace") && type.namespaced())
                || type.selectableFields().contains(field);
    }
}
