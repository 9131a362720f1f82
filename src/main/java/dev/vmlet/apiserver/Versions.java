package dev.vmlet.apiserver;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.vmlet.apiserver.schema.ResourceType;
import java.util.Map;

/**
 * The one kind that is served in two groups: Events are kept as core/v1 and also spoken as events.k8s.io/v1, whose fields
 * have other names.
 */
final class Versions {
    private static final String CORE_EVENTS = "events";

    /** Name in events.k8s.io/v1, name in core/v1. */
    private static final Map<String, String> RENAMED = Map.of(
            "regarding", "involvedObject",
            "note", "message",
            "deprecatedSource", "source",
            "deprecatedFirstTimestamp", "firstTimestamp",
            "deprecatedLastTimestamp", "lastTimestamp",
            "deprecatedCount", "count",
            "reportingController", "reportingComponent");

    private Versions() {}

    /** The name under which the store keeps objects of the type. */
    static String storedResource(ResourceType type) {
        return isOtherName(type) ? CORE_EVENTS : type.groupResource();
    }

    private static boolean isOtherName(ResourceType type) {
        return type.group().equals("events.k8s.io");
    }

    /** As it is kept. May change and return its argument. */
    static ObjectNode toStored(ResourceType type, ObjectNode object) {
        if (!isOtherName(type)) return object;
        RENAMED.forEach((ours, core) -> rename(object, ours, core));
        return object.put("apiVersion", "v1");
    }

    /** As the type speaks of it. May change and return its argument. */
    static ObjectNode fromStored(ResourceType type, ObjectNode object) {
        if (!isOtherName(type)) return object;
        RENAMED.forEach((ours, core) -> rename(object, core, ours));
        return object.put("apiVersion", type.apiVersion());
    }

    private static void rename(ObjectNode object, String from, String to) {
        JsonNode value = object.remove(from);
        if (value != null) object.set(to, value);
    }
}
