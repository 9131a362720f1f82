package dev.vmlet.apiserver;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Instant;
import java.util.Locale;

/** The CustomResourceDefinitions as objects to be read: with the defaults and the status that a real server gives them. */
final class CrdObjects {
    private CrdObjects() {}

    /** Fills in what the author of a definition may leave out. */
    static void complete(ObjectNode crd) {
        if (!(crd.get("spec") instanceof ObjectNode spec)) return;
        if (!spec.has("conversion")) spec.putObject("conversion").put("strategy", "None");
        if (spec.get("names") instanceof ObjectNode names && names.has("kind")) {
            String kind = names.path("kind").asText();
            if (!names.has("listKind")) names.put("listKind", kind + "List");
            if (!names.has("singular")) names.put("singular", kind.toLowerCase(Locale.ROOT));
        }
    }

    /** The status of a definition that is served. */
    static ObjectNode status(ObjectNode crd, Instant now) {
        ObjectNode status = Json.object();
        status.set("acceptedNames", crd.path("spec").path("names").deepCopy());
        ArrayNode conditions = status.putArray("conditions");
        condition(conditions, "NamesAccepted", "NoConflicts", "no conflicts found", now);
        condition(conditions, "Established", "InitialNamesAccepted", "the initial names have been accepted", now);
        ArrayNode versions = status.putArray("storedVersions");
        for (JsonNode version : crd.path("spec").path("versions")) {
            if (version.path("storage").asBoolean())
                versions.add(version.path("name").asText());
        }
        return status;
    }

    private static void condition(ArrayNode conditions, String type, String reason, String message, Instant now) {
        conditions
                .addObject()
                .put("lastTransitionTime", Times.seconds(now))
                .put("message", message)
                .put("reason", reason)
                .put("status", "True")
                .put("type", type);
    }
}
