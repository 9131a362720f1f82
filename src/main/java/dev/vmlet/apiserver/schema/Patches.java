package dev.vmlet.apiserver.schema;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.fabric8.zjsonpatch.JsonPatch;
import io.fabric8.zjsonpatch.JsonPatchException;

/** The kinds of patch beside server-side apply. All return a changed copy and leave the target alone. */
public final class Patches {
    private static final int OPERATIONS_MAX = 10_000;

    private Patches() {}

    /**
     * RFC 6902, application/json-patch+json.
     *
     * @throws Refused 400 for what is no list of operations, 422 for operations that do not fit the target, 413 for more
     *     than 10000 of them
     */
    public static ObjectNode json(ResourceType type, ObjectNode target, JsonNode patch) throws Refused {
        if (!(patch instanceof ArrayNode operations)) {
            throw Refused.badRequest(
                    "error decoding patch: json: cannot unmarshal object into Go value of type" + " jsonpatch.Patch");
        }
        if (operations.size() > OPERATIONS_MAX) {
            throw Refused.tooLarge("The allowed maximum operations in a JSON patch is " + OPERATIONS_MAX + ", got "
                    + operations.size());
        }
        JsonNode patched = target.deepCopy();
        for (JsonNode operation : operations) patched = step(patched, operation);
        if (patched instanceof ObjectNode object) return object;
        throw Refused.patchDoesNotFit();
    }

    /** One at a time: the library takes the removal of what is not there for done, and Kubernetes does not. */
    private static JsonNode step(JsonNode target, JsonNode operation) throws Refused {
        String path = Json.text(operation, "path");
        try {
            if (Json.text(operation, "op").equals("remove") && target.at(path).isMissingNode()) {
                throw Refused.patchDoesNotFit();
            }
            return JsonPatch.apply(JsonNodeFactory.instance.arrayNode().add(operation), target);
        } catch (JsonPatchException | IllegalArgumentException e) {
            throw Refused.patchDoesNotFit();
        }
    }

    /**
     * RFC 7386, application/merge-patch+json.
     *
     * @throws Refused 400 unless the patch is an object
     */
    public static ObjectNode merge(ResourceType type, ObjectNode target, JsonNode patch) throws Refused {
        ObjectNode wanted = object(type, patch);
        ObjectNode merged = target.deepCopy();
        mergeInto(merged, wanted);
        return merged;
    }

    private static void mergeInto(ObjectNode target, ObjectNode patch) {
        patch.properties().forEach(field -> {
            JsonNode wanted = field.getValue();
            String name = field.getKey();
            if (wanted.isNull()) {
                target.remove(name);
            } else if (wanted instanceof ObjectNode object) {
                mergeInto(target.get(name) instanceof ObjectNode into ? into : target.putObject(name), object);
            } else {
                target.set(name, wanted.deepCopy());
            }
        });
    }

    /**
     * application/strategic-merge-patch+json: as a merge patch, but lists that say so are merged by key.
     *
     * @throws Refused 415 for custom resources, 400 for a malformed patch
     */
    public static ObjectNode strategic(ResourceType type, ObjectNode target, JsonNode patch) throws Refused {
        if (type.custom()) {
            throw Refused.unsupportedMediaType(
                    "the body of the request was in an unknown format - accepted media types"
                            + " include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml");
        }
        ObjectNode patched = target.deepCopy();
        new StrategicMerge(type).into(patched, object(type, patch));
        return patched;
    }

    private static ObjectNode object(ResourceType type, JsonNode patch) throws Refused {
        if (patch instanceof ObjectNode object) return object;
        String given = patch.isArray() ? "array" : patch.isTextual() ? "string" : "value";
        throw Refused.badRequest("error decoding patch: json: cannot unmarshal " + given + " into Go value of type "
                + "map[string]interface {} for " + type.kind());
    }
}
