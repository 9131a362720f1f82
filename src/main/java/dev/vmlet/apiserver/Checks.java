package dev.vmlet.apiserver;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.vmlet.apiserver.schema.ResourceType;
import java.util.ArrayList;
import java.util.List;

/** Whether a write is about the object that it was sent to, and may be done at all. Each throws what it is refused with. */
final class Checks {
    private Checks() {}

    /** Name, namespace, kind and version are those of the path. */
    static void identity(Call call, ObjectNode object) throws ApiException {
        String name = Json.text(object.path("metadata"), "name");
        if (!name.isEmpty() && !name.equals(call.name())) {
            throw ApiException.badRequest(
                    "the name of the object (" + name + ") does not match the name on the URL (" + call.name() + ")");
        }
        namespace(call, object);
        kind(call.type(), object);
    }

    static void namespace(Call call, ObjectNode object) throws ApiException {
        String namespace = Json.text(object.path("metadata"), "namespace");
        if (call.type().namespaced() && !namespace.isEmpty() && !namespace.equals(call.namespace())) {
            throw ApiException.badRequest(
                    "the namespace of the provided object does not match the namespace sent on the" + " request");
        }
    }

    static void kind(ResourceType type, ObjectNode object) throws ApiException {
        String apiVersion = Json.text(object, "apiVersion");
        if (!apiVersion.equals(type.apiVersion())) {
            throw ApiException.badRequest("the API version in the data (" + apiVersion
                    + ") does not match the expected API version (" + type.apiVersion() + ")");
        }
        String kind = Json.text(object, "kind");
        if (!kind.equals(type.kind())) {
            throw ApiException.badRequest(
                    "the kind in the data (" + kind + ") does not match the expected kind (" + type.kind() + ")");
        }
    }

    /** The uid and the version that an update speaks of, where it does. */
    static void preconditions(Call call, ObjectNode desired, ObjectNode old) throws ApiException {
        JsonNode wanted = desired.path("metadata");
        JsonNode is = old.path("metadata");
        String uid = Json.text(wanted, "uid");
        if (!uid.isEmpty() && !uid.equals(Json.text(is, "uid"))) {
            throw ApiException.conflict(
                    call.type(),
                    call.name(),
                    "Precondition failed: UID in precondition: " + uid + ", UID in object meta: "
                            + Json.text(is, "uid"));
        }
        String revision = Json.text(wanted, "resourceVersion");
        if (!revision.isEmpty() && !revision.equals("0") && !revision.equals(Json.text(is, "resourceVersion"))) {
            throw ApiException.modified(call.type(), call.name());
        }
    }

    /** What is being deleted gets no new finalizers. */
    static void finalizers(ResourceType type, ObjectNode old, ObjectNode next) throws ApiException {
        if (!next.path("metadata").has("deletionTimestamp")) return;
        List<String> before = new ArrayList<>();
        old.path("metadata").path("finalizers").forEach(each -> before.add(each.asText()));
        List<String> added = new ArrayList<>();
        next.path("metadata").path("finalizers").forEach(each -> {
            if (!before.contains(each.asText())) added.add('"' + each.asText() + '"');
        });
        if (added.isEmpty()) return;
        throw ApiException.invalid(
                type,
                Json.text(next.path("metadata"), "name"),
                "metadata.finalizers",
                "FieldValueForbidden",
                "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"
                        + String.join(", ", added) + "}");
    }

    /** The uid and the version that a deletion speaks of, where it does. */
    static void deletion(ResourceType type, String name, DeleteOptions options, ObjectNode old) throws ApiException {
        String uid = Json.text(old.path("metadata"), "uid");
        if (!options.uid().isEmpty() && !options.uid().equals(uid)) {
            throw ApiException.notTheOne(
                    type,
                    name,
                    "the UID in the precondition (" + options.uid() + ") does not match the UID in record (" + uid
                            + "). The object might have been deleted and then recreated");
        }
        String revision = Json.text(old.path("metadata"), "resourceVersion");
        if (!options.resourceVersion().isEmpty() && !options.resourceVersion().equals(revision)) {
            throw ApiException.notTheOne(
                    type,
                    name,
                    "the ResourceVersion in the precondition (" + options.resourceVersion()
                            + ") does not match the ResourceVersion in record (" + revision
                            + "). The object might have been modified");
        }
    }
}
