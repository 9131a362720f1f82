package dev.vmlet.apiserver.schema;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** metadata.managedFields, read: who manages which fields. Mutable; one instance serves one request. */
final class ManagedFields {
    private static final String APPLY = "Apply";
    private static final String UPDATE = "Update";

    /** Update entries beyond so many are merged, oldest first. */
    private static final int UPDATERS_MAX = 10;

    private static final String OLD_CHANGES = "ancient-changes";

    private final Map<Writer, Entry> entries = new LinkedHashMap<>();

    /** @param apiVersion empty for appliers: whoever applies in a newer version is still the same one */
    record Writer(String name, String operation, String apiVersion, String subresource) {
        static Writer applier(String name, String subresource) {
            return new Writer(nameOr(name), APPLY, "", subresource);
        }

        static Writer updater(String name, String apiVersion, String subresource) {
            return new Writer(nameOr(name), UPDATE, apiVersion, subresource);
        }

        private static String nameOr(String name) {
            return name.isEmpty() ? "unknown" : name;
        }

        /** As conflicts name it. */
        String shown() {
            String where = subresource.isEmpty() ? "" : " with subresource " + GoText.quote(subresource);
            return GoText.quote(name) + where + (operation.equals(UPDATE) ? " using " + apiVersion : "");
        }
    }

    record Entry(String apiVersion, FieldSet fields, Optional<Instant> time) {
        Entry with(FieldSet newFields) {
            return new Entry(apiVersion, newFields, time);
        }
    }

    /** Empty where the list cannot be read: then nobody manages anything. */
    static ManagedFields of(JsonNode metadata) {
        ManagedFields managed = new ManagedFields();
        for (JsonNode json : metadata.path("managedFields")) {
            String operation = Json.text(json, "operation");
            String apiVersion = Json.text(json, "apiVersion");
            boolean readable = (operation.equals(APPLY) || operation.equals(UPDATE))
                    && !apiVersion.isEmpty()
                    && Json.text(json, "fieldsType").equals("FieldsV1");
            if (!readable) return new ManagedFields();
            Writer writer = new Writer(
                    Json.text(json, "manager"),
                    operation,
                    operation.equals(APPLY) ? "" : apiVersion,
                    Json.text(json, "subresource"));
            managed.entries.put(writer, new Entry(apiVersion, FieldSet.ofFieldsV1(json.path("fieldsV1")), time(json)));
        }
        return managed;
    }

    private static Optional<Instant> time(JsonNode json) {
        String text = Json.text(json, "time");
        return text.isEmpty() || !Formats.isDateTime(text)
                ? Optional.empty()
                : Optional.of(OffsetDateTime.parse(text).toInstant());
    }

    /** Whether a client asks for all entries to be forgotten: an empty list, or one empty entry. */
    static boolean isReset(JsonNode metadata) {
        if (!(metadata.get("managedFields") instanceof ArrayNode list)) return false;
        return list.isEmpty() || (list.size() == 1 && list.get(0).isEmpty());
    }

    boolean isEmpty() {
        return entries.isEmpty();
    }

    Map<Writer, Entry> entries() {
        return entries;
    }

    FieldSet fieldsOf(Writer writer) {
        Entry entry = entries.get(writer);
        return entry == null ? FieldSet.EMPTY : entry.fields();
    }

    /** All fields that anybody manages. */
    FieldSet all() {
        FieldSet all = FieldSet.EMPTY;
        for (Entry entry : entries.values()) all = all.plus(entry.fields());
        return all;
    }

    /** Takes fields away from all but one writer; who has none left is gone. */
    void takeFromOthers(Writer except, FieldSet fields) {
        entries.replaceAll((writer, entry) ->
                writer.equals(except) ? entry : entry.with(entry.fields().minus(fields)));
        removeEmpty();
    }

    void removeEmpty() {
        entries.values().removeIf(entry -> entry.fields().isEmpty());
    }

    void set(Writer writer, Entry entry) {
        entries.put(writer, entry);
    }

    /** Merges the oldest updaters of each version until few enough are left. */
    void capUpdaters() {
        List<Writer> updaters = new ArrayList<>(entries.keySet().stream()
                .filter(writer -> writer.operation().equals(UPDATE))
                .sorted(Comparator.comparing((Writer writer) -> timeOf(writer)).thenComparing(Writer::toString))
                .toList());
        int count = updaters.size();
        Map<String, Writer> firsts = new LinkedHashMap<>();
        for (Writer writer : updaters) {
            if (count <= UPDATERS_MAX) return;
            Writer first = firsts.putIfAbsent(writer.apiVersion(), writer);
            if (first == null) continue;
            Writer bucket = Writer.updater(OLD_CHANGES, writer.apiVersion(), "");
            FieldSet merged = fieldsOf(bucket).plus(fieldsOf(first)).plus(fieldsOf(writer));
            Optional<Instant> time = Optional.ofNullable(entries.get(writer)).flatMap(Entry::time);
            entries.remove(first);
            entries.remove(writer);
            entries.put(bucket, new Entry(writer.apiVersion(), merged, time));
            count--;
        }
    }

    private Instant timeOf(Writer writer) {
        return Optional.ofNullable(entries.get(writer)).flatMap(Entry::time).orElse(Instant.EPOCH);
    }

    /** Sets metadata.managedFields, or removes it where there are no entries. */
    void writeTo(ObjectNode metadata) {
        metadata.remove("managedFields");
        if (entries.isEmpty()) return;
        ArrayNode list = metadata.putArray("managedFields");
        entries.keySet().stream()
                .sorted(Comparator.comparing(Writer::operation)
                        .thenComparingLong(writer -> timeOf(writer).getEpochSecond())
                        .thenComparing(Writer::name)
                        .thenComparing(writer -> versionOf(writer))
                        .thenComparing(Writer::subresource))
                .forEach(writer -> list.add(json(writer, metadata)));
    }

    private String versionOf(Writer writer) {
        Entry entry = entries.get(writer);
        return entry == null ? "" : entry.apiVersion();
    }

    private ObjectNode json(Writer writer, ObjectNode factory) {
        ObjectNode json = factory.objectNode();
        json.put("manager", writer.name()).put("operation", writer.operation());
        json.put("apiVersion", versionOf(writer));
        Optional.ofNullable(entries.get(writer))
                .flatMap(Entry::time)
                .ifPresent(time ->
                        json.put("time", time.truncatedTo(ChronoUnit.SECONDS).toString()));
        json.put("fieldsType", "FieldsV1").set("fieldsV1", fieldsOf(writer).toFieldsV1());
        if (!writer.subresource().isEmpty()) json.put("subresource", writer.subresource());
        return json;
    }
}
