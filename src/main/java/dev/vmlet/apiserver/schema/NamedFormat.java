package dev.vmlet.apiserver.schema;

import static java.util.Objects.requireNonNull;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;

/** A format that rules know by name: {@code format.dns1123Label().validate(self)}. */
record NamedFormat(String name, Function<String, List<String>> check) {
    static final Map<String, Function<String, List<String>>> ALL = Map.ofEntries(
            Map.entry("dns1123Label", Names::label),
            Map.entry("dns1123Subdomain", Names::subdomain),
            Map.entry("dns1035Label", Names::label1035),
            Map.entry("qualifiedName", Names::qualified),
            Map.entry("labelValue", Names::labelValue),
            Map.entry("dns1123LabelPrefix", prefix -> Names.label(Names.withoutTrailingDash(prefix))),
            Map.entry("dns1123SubdomainPrefix", prefix -> Names.subdomain(Names.withoutTrailingDash(prefix))),
            Map.entry("dns1035LabelPrefix", prefix -> Names.label1035(Names.withoutTrailingDash(prefix))),
            Map.entry("uri", text -> unless(Urls.isRequestUri(text), "invalid URI for request")),
            Map.entry("uuid", text -> unless(Formats.matches("uuid", text), "does not match the UUID format")),
            Map.entry("byte", text -> unless(Formats.matches("byte", text), "invalid base64")),
            Map.entry("date", text -> unless(Formats.isDate(text), "invalid date")),
            Map.entry("datetime", text -> unless(Formats.isDateTime(text), "invalid datetime")));

    static NamedFormat named(String name) {
        return new NamedFormat(name, requireNonNull(ALL.get(name)));
    }

    private static List<String> unless(boolean fits, String wrong) {
        return fits ? List.of() : List.of(wrong);
    }

    /** What is wrong with a text; empty where nothing is. */
    Optional<List<String>> validate(String text) {
        List<String> wrong = check.apply(text);
        return wrong.isEmpty() ? Optional.empty() : Optional.of(wrong);
    }
}
