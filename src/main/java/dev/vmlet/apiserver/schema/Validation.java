package dev.vmlet.apiserver.schema;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Judges an object that is about to be stored: its metadata, its schema's types and limits, and its rules. Call it after
 * pruning and defaulting.
 */
public final class Validation {
    private static final String RULES_NOT_CHECKED = "some validation rules were not checked because the object was"
            + " invalid; correct the existing errors to complete validation";

    private Validation() {}

    /**
     * Types that cannot even be decoded. Call it on what a client sent, or what a patch came to, before anything else.
     *
     * @throws Refused 400
     */
    public static void decodable(ResourceType type, ObjectNode object) throws Refused {
        Decoding.check(type, object);
    }

    /**
     * fieldValidation=Strict.
     *
     * @throws Refused 400, naming every field that the schema does not know
     */
    public static void strict(ResourceType type, ObjectNode object) throws Refused {
        List<String> unknown = type.schema().unknownFields(object);
        if (unknown.isEmpty()) return;
        throw Refused.badRequest(type.kind() + " in version " + GoText.quote(type.version())
                + " cannot be handled as a " + type.kind() + ": strict decoding error: " + String.join(", ", unknown));
    }

    /**
     * @param object with name and, if namespaced, namespace filled in.
     * @throws Refused 422, with every cause
     */
    public static void create(ResourceType type, ObjectNode object) throws Refused {
        List<FieldError> errors = new ArrayList<>(typeErrors(type, object));
        if (errors.isEmpty()) {
            errors.addAll(MetadataValidation.create(type, object));
            errors.addAll(contents(type, object, Optional.empty(), false));
        }
        refuse(type, object, errors);
    }

    /**
     * @param object with resourceVersion and the other metadata that the server sets, as it will be stored
     * @throws Refused 422, with every cause
     */
    public static void update(ResourceType type, ObjectNode object, ObjectNode old) throws Refused {
        change(type, object, old, false);
    }

    /** As {@link #update}, through {@code /status}: only that part's limits are looked at, but all rules. */
    public static void updateStatus(ResourceType type, ObjectNode object, ObjectNode old) throws Refused {
        change(type, object, old, true);
    }

    private static void change(ResourceType type, ObjectNode object, ObjectNode old, boolean statusOnly)
            throws Refused {
        List<FieldError> errors = new ArrayList<>(typeErrors(type, object));
        if (errors.isEmpty()) {
            errors.addAll(MetadataValidation.update(object, old));
            errors.addAll(contents(type, object, Optional.of(old), statusOnly));
        }
        refuse(type, object, errors);
    }

    private static List<FieldError> contents(
            ResourceType type, ObjectNode object, Optional<ObjectNode> old, boolean statusOnly) {
        if (!type.custom()) return CoreValidation.validate(type, object, old);
        ObjectSchema schema = type.schema();
        List<FieldError> errors = new ArrayList<>(limits(schema, object, old, statusOnly));
        boolean hadDuplicates = old.isPresent()
                && !ListTypes.duplicates(old.get(), schema.given()).isEmpty();
        if (!hadDuplicates) errors.addAll(ListTypes.duplicates(object, schema.given()));
        if (!schema.given().hasRules) return errors;
        if (errors.stream().anyMatch(FieldError::blocksRules)) {
            errors.add(FieldError.invalid("<nil>", JsonNodeFactory.instance.nullNode(), RULES_NOT_CHECKED));
        } else {
            errors.addAll(schema.rules().violations(object, old));
        }
        return errors;
    }

    private static List<FieldError> limits(
            ObjectSchema schema, ObjectNode object, Optional<ObjectNode> old, boolean statusOnly) {
        Optional<JsonNode> before = old.map(each -> each);
        if (!statusOnly) return SchemaValidation.validate(object, before, schema.given(), "");
        JsonNode status = object.get("status");
        Optional<SchemaNode> statusSchema = schema.given().child("status");
        if (status == null || statusSchema.isEmpty()) return List.of();
        Optional<JsonNode> oldStatus = old.map(each -> each.get("status"));
        return SchemaValidation.validate(status, oldStatus, statusSchema.get(), "status");
    }

    private static List<FieldError> typeErrors(ResourceType type, ObjectNode object) {
        List<FieldError> errors = new ArrayList<>();
        expect("kind", object, type.kind(), errors);
        expect("apiVersion", object, type.apiVersion(), errors);
        return errors;
    }

    private static void expect(String field, ObjectNode object, String expected, List<FieldError> errors) {
        String actual = Json.text(object, field);
        if (!actual.equals(expected)) errors.add(FieldError.invalid(field, actual, "must be " + expected));
    }

    private static void refuse(ResourceType type, ObjectNode object, List<FieldError> errors) throws Refused {
        if (errors.isEmpty()) return;
        String name = Json.text(object.path("metadata"), "name");
        throw Refused.invalid(type.group(), type.kind(), name, errors);
    }
}
