package dev.vmlet.apiserver.schema;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Collection;
import java.util.List;

/** A request that cannot be carried out, with the meta/v1 Status that says so in kube-apiserver's words. */
public final class Refused extends Exception {
    private final transient ObjectNode status;

    private Refused(ObjectNode status) {
        super(status.path("message").asText());
        this.status = status;
    }

    /** The HTTP status; the body has it as well. */
    public int code() {
        return status.path("code").asInt();
    }

    public ObjectNode status() {
        return status.deepCopy();
    }

    static Refused badRequest(String message) {
        return new Refused(status(400, "BadRequest", message));
    }

    static Refused internal(String message) {
        return new Refused(status(500, "", message));
    }

    static Refused unsupportedMediaType(String message) {
        return new Refused(status(415, "UnsupportedMediaType", message));
    }

    static Refused tooLarge(String message) {
        return new Refused(status(413, "RequestEntityTooLarge", message));
    }

    /** 422 for operations of a JSON patch that cannot be carried out. kube-apiserver says neither which nor why. */
    static Refused patchDoesNotFit() {
        ObjectNode status = status(422, "Invalid", "the server rejected our request due to an error in our request");
        status.putObject("details");
        return new Refused(sorted(status));
    }

    /** 422 for one field of an object, for rules that no schema holds. */
    public static Refused invalidField(ResourceType type, String name, String field, String value, String detail) {
        return invalid(type.group(), type.kind(), name, List.of(FieldError.invalid(field, value, detail)));
    }

    /** 422 with a cause for each field; equal sentences are said once. */
    static Refused invalid(String group, String kind, String name, List<FieldError> errors) {
        String qualified = group.isEmpty() ? kind : kind + "." + group;
        ObjectNode status =
                status(422, "Invalid", qualified + " " + GoText.quote(name) + " is invalid: " + sentences(errors));
        ObjectNode details = status.putObject("details");
        if (!name.isEmpty()) details.put("name", name);
        if (!group.isEmpty()) details.put("group", group);
        details.put("kind", kind);
        ArrayNode causes = details.putArray("causes");
        for (FieldError error : errors) addCause(causes, error.reason(), error.body(), error.field());
        return new Refused(sorted(status));
    }

    /** 409 of server-side apply. */
    static Refused applyConflict(String message, Collection<Cause> conflicts) {
        ObjectNode status = status(409, "Conflict", message);
        ArrayNode causes = status.putObject("details").putArray("causes");
        for (Cause conflict : conflicts) {
            addCause(causes, "FieldManagerConflict", conflict.message(), conflict.field());
        }
        return new Refused(sorted(status));
    }

    record Cause(String message, String field) {}

    private static void addCause(ArrayNode causes, String reason, String message, String field) {
        causes.addObject().put("reason", reason).put("message", message).put("field", field);
    }

    private static String sentences(List<FieldError> errors) {
        List<String> all = errors.stream().map(FieldError::sentence).distinct().toList();
        return all.size() == 1 ? all.getFirst() : "[" + String.join(", ", all) + "]";
    }

    private static ObjectNode status(int code, String reason, String message) {
        ObjectNode status = JsonNodeFactory.instance.objectNode();
        status.put("kind", "Status").put("apiVersion", "v1");
        status.putObject("metadata");
        status.put("status", "Failure").put("message", message);
        if (!reason.isEmpty()) status.put("reason", reason);
        return status.put("code", code);
    }

    /** Details before code, as kube-apiserver writes them. */
    private static ObjectNode sorted(ObjectNode status) {
        int code = status.remove("code").asInt();
        return status.put("code", code);
    }
}
