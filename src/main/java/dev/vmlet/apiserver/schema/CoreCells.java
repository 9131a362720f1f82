package dev.vmlet.apiserver.schema;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.TreeSet;

/** The cells of built-in kinds, in the order of their columns in {@code core.yaml}; the name is not among them. */
final class CoreCells {
    private static final String NONE = "<none>";
    private static final String UNKNOWN = "<unknown>";
    private static final String ROLE = "node-role.kubernetes.io/";

    private CoreCells() {}

    static List<Object> of(ResourceType type, ObjectNode object, Instant now) {
        JsonNode metadata = object.path("metadata");
        String age = Ages.since(metadata.path("creationTimestamp"), now);
        return switch (type.groupResource()) {
            case "namespaces" -> List.of(Json.text(object.path("status"), "phase"), age);
            case "nodes" -> node(object, age);
            case "secrets" ->
                List.of(Json.text(object, "type"), object.path("data").size(), age);
            case "configmaps" ->
                List.of(object.path("data").size() + object.path("binaryData").size(), age);
            case "events" -> event(object, Spelling.CORE, now);
            case "events.events.k8s.io" -> event(object, Spelling.EVENTS, now);
            case "leases.coordination.k8s.io" -> List.of(Json.text(object.path("spec"), "holderIdentity"), age);
            case "customresourcedefinitions.apiextensions.k8s.io" -> List.of(Json.text(metadata, "creationTimestamp"));
            default -> List.of();
        };
    }

    private static List<Object> node(ObjectNode node, String age) {
        JsonNode status = node.path("status");
        JsonNode info = status.path("nodeInfo");
        return List.of(
                readiness(node),
                roles(node.path("metadata").path("labels")),
                age,
                Json.text(info, "kubeletVersion"),
                address(status, "InternalIP"),
                address(status, "ExternalIP"),
                or(Json.text(info, "osImage"), UNKNOWN),
                or(Json.text(info, "kernelVersion"), UNKNOWN),
                or(Json.text(info, "containerRuntimeVersion"), UNKNOWN));
    }

    private static String readiness(ObjectNode node) {
        String ready = "Unknown";
        for (JsonNode condition : node.path("status").path("conditions")) {
            if (!Json.text(condition, "type").equals("Ready")) continue;
            ready = Json.text(condition, "status").equals("True") ? "Ready" : "NotReady";
        }
        return ready + (node.path("spec").path("unschedulable").asBoolean() ? ",SchedulingDisabled" : "");
    }

    private static String roles(JsonNode labels) {
        Set<String> roles = new TreeSet<>();
        labels.properties().forEach(label -> {
            String key = label.getKey();
            if (key.startsWith(ROLE) && key.length() > ROLE.length()) roles.add(key.substring(ROLE.length()));
            boolean named = key.equals("kubernetes.io/role")
                    && !label.getValue().asText().isEmpty();
            if (named) roles.add(label.getValue().asText());
        });
        return or(String.join(",", roles), NONE);
    }

    private static String address(JsonNode status, String type) {
        for (JsonNode address : status.path("addresses")) {
            if (Json.text(address, "type").equals(type)) return Json.text(address, "address");
        }
        return NONE;
    }

    private static String or(String text, String instead) {
        return text.isEmpty() ? instead : text;
    }

    /** Two groups spell the fields of an event differently. */
    private enum Spelling {
        CORE("involvedObject", "message", "source", "firstTimestamp", "lastTimestamp", "count", "reportingComponent"),
        EVENTS(
                "regarding",
                "note",
                "deprecatedSource",
                "deprecatedFirstTimestamp",
                "deprecatedLastTimestamp",
                "deprecatedCount",
                "reportingController");

        private final String about;
        private final String message;
        private final String source;
        private final String first;
        private final String last;
        private final String count;
        private final String reporter;

        Spelling(
                String about, String message, String source, String first, String last, String count, String reporter) {
            this.about = about;
            this.message = message;
            this.source = source;
            this.first = first;
            this.last = last;
            this.count = count;
            this.reporter = reporter;
        }
    }

    private static List<Object> event(ObjectNode event, Spelling spelling, Instant now) {
        JsonNode first = event.hasNonNull(spelling.first) ? event.path(spelling.first) : event.path("eventTime");
        JsonNode last = event.hasNonNull(spelling.last) ? event.path(spelling.last) : first;
        JsonNode series = event.path("series");
        long count = Math.max(1, event.path(spelling.count).asLong());
        if (series.isObject()) {
            last = series.path("lastObservedTime");
            count = series.path("count").asLong();
        }
        JsonNode about = event.path(spelling.about);
        String name = Json.text(about, "name");
        String kind = Json.text(about, "kind").toLowerCase(Locale.ROOT);
        return new ArrayList<>(List.of(
                Ages.since(last, now),
                Json.text(event, "type"),
                Json.text(event, "reason"),
                name.isEmpty() ? kind : kind + "/" + name,
                Json.text(about, "fieldPath"),
                source(event, spelling),
                Json.text(event, spelling.message).strip(),
                Ages.since(first, now),
                count,
                Json.text(event.path("metadata"), "name")));
    }

    private static String source(ObjectNode event, Spelling spelling) {
        JsonNode source = event.path(spelling.source);
        String component = or(Json.text(source, "component"), Json.text(event, spelling.reporter));
        String host = or(Json.text(source, "host"), Json.text(event, "reportingInstance"));
        return host.isEmpty() ? component : component + ", " + host;
    }
}
