package dev.vmlet.apiserver;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.vmlet.apiserver.schema.Refused;
import dev.vmlet.apiserver.schema.ResourceType;
import dev.vmlet.apiserver.store.StoreException;
import java.util.OptionalInt;

/** A request that is answered with a Status object, in kube-apiserver's words where it has some. */
final class ApiException extends Exception {
    private final transient ObjectNode status;

    private ApiException(ObjectNode status) {
        super(status.path("message").asText(), null, false, false);
        this.status = status;
    }

    int code() {
        return status.path("code").asInt();
    }

    ObjectNode status() {
        return status;
    }

    /** Seconds after which a client should try again, where that may help. */
    OptionalInt retryAfter() {
        int seconds = status.path("details").path("retryAfterSeconds").asInt(0);
        return seconds > 0 ? OptionalInt.of(seconds) : OptionalInt.empty();
    }

    private static ApiException of(int code, String reason, String message) {
        ObjectNode status = Json.object();
        status.put("kind", "Status").put("apiVersion", "v1");
        status.putObject("metadata");
        status.put("status", "Failure").put("message", message);
        if (!reason.isEmpty()) status.put("reason", reason);
        status.put("code", code);
        return new ApiException(status);
    }

    private ObjectNode details() {
        return status.get("details") instanceof ObjectNode details ? details : status.putObject("details");
    }

    private ApiException about(ResourceType type, String name) {
        ObjectNode details = details();
        if (!name.isEmpty()) details.put("name", name);
        if (!type.group().isEmpty()) details.put("group", type.group());
        details.put("kind", type.plural());
        return this;
    }

    private ApiException cause(String reason, String message, String field) {
        ObjectNode cause = details().withArray("causes").addObject();
        if (!reason.isEmpty()) cause.put("reason", reason);
        if (!message.isEmpty()) cause.put("message", message);
        if (!field.isEmpty()) cause.put("field", field);
        return this;
    }

    static ApiException of(Refused refused) {
        return new ApiException(refused.status());
    }

    static ApiException of(StoreException e) {
        if (e instanceof StoreException.NotKept kept && kept.noSpace()) {
            return of(507, "InsufficientStorage", "the object could not be kept: " + e.getMessage());
        }
        return of(500, "InternalError", "Internal error occurred: the object could not be kept: " + e.getMessage());
    }

    static ApiException unauthorized() {
        return of(401, "Unauthorized", "Unauthorized");
    }

    static ApiException badRequest(String message) {
        return of(400, "BadRequest", message);
    }

    /** The path leads nowhere. */
    static ApiException noSuchPath() {
        ApiException e = of(404, "NotFound", "the server could not find the requested resource");
        e.details();
        return e;
    }

    static ApiException notFound(ResourceType type, String name) {
        return of(404, "NotFound", type.groupResource() + " \"" + name + "\" not found")
                .about(type, name);
    }

    static ApiException noNamespace(String namespace) {
        ApiException e = of(404, "NotFound", "namespaces \"" + namespace + "\" not found");
        e.details().put("name", namespace).put("kind", "namespaces");
        return e;
    }

    /** @param goes the one that is there is being deleted */
    static ApiException alreadyExists(ResourceType type, String name, boolean goes) {
        String being = goes ? "object is being deleted: " : "";
        return of(409, "AlreadyExists", being + type.groupResource() + " \"" + name + "\" already exists")
                .about(type, name);
    }

    static ApiException conflict(ResourceType type, String name, String why) {
        return of(
                        409,
                        "Conflict",
                        "Operation cannot be fulfilled on " + type.groupResource() + " \"" + name + "\": " + why)
                .about(type, name);
    }

    /** A deletion that meant another one. {@code what} goes on with the sentence: its uid, or its version. */
    static ApiException notTheOne(ResourceType type, String name, String what) {
        String kind = type.kind() + (type.group().isEmpty() ? "" : "." + type.group());
        ApiException e = of(409, "Conflict", "Operation cannot be fulfilled on " + kind + " \"" + name + "\": " + what);
        ObjectNode details = e.details().put("name", name);
        if (!type.group().isEmpty()) details.put("group", type.group());
        details.put("kind", type.kind());
        return e;
    }

    static ApiException modified(ResourceType type, String name) {
        return conflict(
                type,
                name,
                "the object has been modified; please apply your changes to the latest version and try again");
    }

    static ApiException forbidden(ResourceType type, String name, String why) {
        return of(
                        403,
                        "Forbidden",
                        type.groupResource() + (name.isEmpty() ? "" : " \"" + name + "\"") + " is forbidden: " + why)
                .about(type, name);
    }

    static ApiException terminating(ResourceType type, String name, String namespace) {
        String sentence = "because it is being terminated";
        return forbidden(type, name, "unable to create new content in namespace " + namespace + " " + sentence)
                .cause("NamespaceTerminating", "namespace " + namespace + " is being terminated", "metadata.namespace");
    }

    /** One field of an object is wrong. */
    static ApiException invalid(ResourceType type, String name, String field, String reason, String message) {
        String qualified = type.kind() + (type.group().isEmpty() ? "" : "." + type.group());
        return invalid(qualified, type.kind(), type.group(), name, field, reason, message);
    }

    /** One field of a request's options is wrong. */
    static ApiException invalid(String options, String name, String field, String reason, String message) {
        return invalid(options + ".meta.k8s.io", options, "meta.k8s.io", name, field, reason, message);
    }

    /** An update that does not say what it is based on. */
    static ApiException noRevision(ResourceType type, String name) {
        return invalid(
                type.groupResource(),
                type.plural(),
                type.group(),
                name,
                "metadata.resourceVersion",
                "FieldValueInvalid",
                "Invalid value: 0: must be specified for an update");
    }

    /** A patch that brings in fields that the schema does not know; {@code patched} is what it made of the object. */
    static ApiException strictPatch(String patched, String unknown) {
        String message =
                "Invalid value: " + JsonNodeFactory.instance.textNode(patched) + ": strict decoding error: " + unknown;
        return invalid("", "", "", "", "patch", "FieldValueInvalid", message);
    }

    private static ApiException invalid(
            String qualified, String kind, String group, String name, String field, String reason, String message) {
        ApiException e = of(422, "Invalid", qualified + " \"" + name + "\" is invalid: " + field + ": " + message);
        ObjectNode details = e.details();
        if (!name.isEmpty()) details.put("name", name);
        if (!group.isEmpty()) details.put("group", group);
        if (!kind.isEmpty()) details.put("kind", kind);
        return e.cause(reason, message, field);
    }

    static ApiException methodNotAllowed(ResourceType type, String verb) {
        ApiException e = of(
                405,
                "MethodNotAllowed",
                verb + " is not supported on resources of kind \"" + type.groupResource() + "\"");
        return e.about(type, "");
    }

    static final String MEDIA_TYPES = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

    static ApiException notAcceptable(String accepted) {
        return of(406, "NotAcceptable", "only the following media types are accepted: " + accepted);
    }

    static ApiException unsupportedMediaType(String accepted) {
        return of(
                415,
                "UnsupportedMediaType",
                "the body of the request was in an unknown format - accepted media types include: " + accepted);
    }

    static ApiException expired(String message) {
        return of(410, "Expired", message);
    }

    /** The list changed too much since its first page; {@code token} goes on with the list of now. */
    static ApiException continueExpired(String token) {
        ApiException e =
                expired("The provided continue parameter is too old to display a consistent list result. You can"
                        + " start a new list without the continue parameter, or use the continue token in this response to"
                        + " retrieve the remainder of the results. Continuing with the provided token results in an"
                        + " inconsistent list - objects that were created, modified, or deleted between the time the first"
                        + " chunk was returned and now may show up in the list.");
        ((ObjectNode) e.status.path("metadata")).put("continue", token);
        return e;
    }

    static ApiException tooLargeRevision(long asked, long current) {
        ApiException e = of(504, "Timeout", "Timeout: Too large resource version: " + asked + ", current: " + current);
        e.details().put("retryAfterSeconds", 1);
        return e.cause("ResourceVersionTooLarge", "Too large resource version", "");
    }

    static ApiException bodyTooLarge(int max) {
        return of(413, "RequestEntityTooLarge", "Request entity too large: limit is " + max);
    }

    static ApiException tooMany() {
        ApiException e = of(429, "TooManyRequests", "Too many requests, please try again later.");
        e.details().put("retryAfterSeconds", 1);
        return e;
    }

    static ApiException timeout(String message) {
        return of(504, "Timeout", "Timeout: " + message);
    }

    static ApiException internal(String message) {
        return of(500, "InternalError", "Internal error occurred: " + message);
    }

    /** A watch by WebSocket: fabric8 tries one first and then streams when told 503. */
    static ApiException noWebSocket() {
        return of(503, "ServiceUnavailable", "this server streams watches and speaks no WebSocket");
    }
}
