package dev.vmlet.apiserver;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.vmlet.apiserver.schema.Refused;
import dev.vmlet.apiserver.schema.ResourceType;
import dev.vmlet.apiserver.schema.Validation;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/** What clients send, made fit to be kept: read, typed, without unknown fields, with defaults. */
final class Bodies {
    private static final Set<String> MEDIA_TYPES =
            Set.of("", "application/json", "application/yaml", Protobuf.MEDIA_TYPE);

    private Bodies() {}

    /** A whole object, and the warnings that belong to it. */
    record Body(ObjectNode object, List<String> warnings) {}

    /** The object of a create or an update, without the fields that its schema does not know. */
    static Body object(Call call, WriteOptions options) throws ApiException, Refused {
        if (!MEDIA_TYPES.contains(call.body().mediaType())) {
            throw ApiException.unsupportedMediaType(ApiException.MEDIA_TYPES);
        }
        Json.Parsed parsed = call.body().read();
        if (!(parsed.tree() instanceof ObjectNode object)) {
            throw ApiException.badRequest("the body of the request must be an object");
        }
        if (object.has("metadata") && !object.path("metadata").isObject()) {
            throw ApiException.badRequest("metadata must be an object");
        }
        if (Json.text(object, "kind").isEmpty()) {
            throw ApiException.badRequest("Object 'Kind' is missing in the body of the request");
        }
        Checks.kind(call.type(), object);
        Checks.namespace(call, object);
        if (call.type().namespaced()) Json.metadata(object).put("namespace", call.namespace());
        Validation.decodable(call.type(), object);
        List<String> strange = new ArrayList<>();
        parsed.duplicates().forEach(path -> strange.add("duplicate field \"" + path + "\""));
        strange.addAll(call.type().schema().unknownFields(object));
        ResourceType type = call.type();
        return new Body(
                type.schema().prune(object),
                judged(
                        strange,
                        options,
                        all -> ApiException.badRequest(type.kind() + " in version \"" + type.version()
                                + "\" cannot be handled as a " + type.kind() + ": strict decoding error: " + all)));
    }

    /** What a patch came to, without the fields that its schema does not know. */
    static Body patched(Call call, WriteOptions options, ObjectNode object) throws ApiException, Refused {
        Validation.decodable(call.type(), object);
        return new Body(
                call.type().schema().prune(object),
                judged(
                        call.type().schema().unknownFields(object),
                        options,
                        all -> ApiException.strictPatch(Json.sorted(object), all)));
    }

    private interface Refusal {
        ApiException of(String all);
    }

    private static List<String> judged(List<String> strange, WriteOptions options, Refusal refusal)
            throws ApiException {
        return switch (options.unknownFields()) {
            case IGNORE -> List.of();
            case WARN -> strange;
            case STRICT -> {
                if (!strange.isEmpty()) throw refusal.of(String.join(", ", strange));
                yield strange;
            }
        };
    }

    /** With defaults, and without the empty things in metadata that Kubernetes does not keep. */
    static ObjectNode shaped(ResourceType type, ObjectNode object) {
        ObjectNode shaped = type.schema().withDefaults(object);
        ObjectNode metadata = Json.metadata(shaped);
        List<String> empty = new ArrayList<>();
        metadata.properties().forEach(field -> {
            boolean nothing = field.getValue().isNull()
                    || (field.getValue().isContainerNode() && field.getValue().isEmpty());
            if (nothing) empty.add(field.getKey());
        });
        metadata.remove(empty);
        return shaped;
    }
}
