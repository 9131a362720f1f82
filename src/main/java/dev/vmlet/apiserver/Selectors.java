package dev.vmlet.apiserver;

import dev.vmlet.apiserver.schema.ResourceType;
import dev.vmlet.apiserver.store.Stored;
import dev.vmlet.model.LabelSelector;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Label and field selectors. */
final class Selectors {
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
        try {
            return LabelSelector.parse(selector);
        } catch (IllegalArgumentException e) {
            throw ApiException.badRequest("unable to parse requirement: " + e.getMessage());
        }
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
