package dev.vmlet.apiserver;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

/** The two finalizers by which a deletion tells the garbage collection what to do with dependents. */
final class Finalizers {
    static final String FOREGROUND = "foregroundDeletion";
    static final String ORPHAN = "orphan";

    private Finalizers() {}

    /** @param policy empty leaves what is there */
    static void propagate(ObjectNode metadata, String policy) {
        if (policy.isEmpty()) return;
        remove(metadata, FOREGROUND);
        remove(metadata, ORPHAN);
        if (policy.equals("Foreground")) metadata.withArray("finalizers").add(FOREGROUND);
        if (policy.equals("Orphan")) metadata.withArray("finalizers").add(ORPHAN);
    }

    static boolean has(JsonNode metadata, String finalizer) {
        for (JsonNode each : metadata.path("finalizers")) {
            if (each.asText().equals(finalizer)) return true;
        }
        return false;
    }

    /** Tells whether it was there. */
    static boolean remove(ObjectNode metadata, String finalizer) {
        if (!has(metadata, finalizer)) return false;
        ArrayNode others = Json.object().putArray("finalizers");
        metadata.path("finalizers").forEach(each -> {
            if (!each.asText().equals(finalizer)) others.add(each);
        });
        if (others.isEmpty()) metadata.remove("finalizers");
        else metadata.set("finalizers", others);
        return true;
    }
}
