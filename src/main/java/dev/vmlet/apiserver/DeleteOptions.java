package dev.vmlet.apiserver;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.Set;

/**
 * How a deletion is to be done.
 *
 * @param uid empty, or what the object must have
 * @param resourceVersion empty, or what the object must have
 * @param propagation empty, Background, Foreground or Orphan
 */
record DeleteOptions(boolean dryRun, String uid, String resourceVersion, String propagation) {
    static final DeleteOptions PLAIN = new DeleteOptions(false, "", "", "");
    private static final Set<String> POLICIES = Set.of("", "Background", "Foreground", "Orphan");

    /** From the body where there is one, else from the query. */
    static DeleteOptions of(Call call) throws ApiException {
        Query query = call.query();
        JsonNode body = call.body().bytes().length == 0
                ? Json.object()
                : call.body().read().tree();
        JsonNode dryRun = body.path("dryRun");
        String propagation = Json.text(body, "propagationPolicy");
        if (propagation.isEmpty()) propagation = query.text("propagationPolicy");
        // The older way to say it.
        if (propagation.isEmpty() && (body.path("orphanDependents").asBoolean() || query.flag("orphanDependents"))) {
            propagation = "Orphan";
        }
        if (!POLICIES.contains(propagation)) {
            throw ApiException.invalid(
                    "DeleteOptions",
                    "",
                    "propagationPolicy",
                    "FieldValueNotSupported",
                    "Unsupported value: \"" + propagation
                            + "\": supported values: \"Background\", \"Foreground\", \"Orphan\"");
        }
        return new DeleteOptions(
                WriteOptions.dryRun(
                        dryRun.isEmpty() ? query.text("dryRun") : dryRun.path(0).asText()),
                Json.text(body.path("preconditions"), "uid"),
                Json.text(body.path("preconditions"), "resourceVersion"),
                propagation);
    }
}
