package dev.vmlet.apiserver.schema;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.MissingNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;

/** Rules that hold for the metadata of every kind. Types of its fields were looked at before. */
final class MetadataValidation {
    private static final int ANNOTATIONS_BYTES_MAX = 256 * 1024;
    private static final List<String> IMMUTABLE =
            List.of("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds");

    private final ObjectNode metadata;
    private final List<FieldError> errors = new ArrayList<>();

    private MetadataValidation(ObjectNode metadata) {
        this.metadata = metadata;
    }

    static List<FieldError> create(ResourceType type, ObjectNode object) {
        MetadataValidation validation = new MetadataValidation(Json.object(object, "metadata"));
        validation.names(type);
        validation.common(true);
        return validation.errors;
    }

    static List<FieldError> update(ObjectNode object, ObjectNode old) {
        MetadataValidation validation = new MetadataValidation(Json.object(object, "metadata"));
        validation.changes(Json.object(old, "metadata"));
        validation.common(false);
        return validation.errors;
    }

    private void names(ResourceType type) {
        String prefix = Json.text(metadata, "generateName");
        String name = Json.text(metadata, "name");
        String namespace = Json.text(metadata, "namespace");
        if (!prefix.isEmpty()) {
            nameErrors(type, Names.withoutTrailingDash(prefix))
                    .forEach(wrong -> invalid("metadata.generateName", prefix, wrong));
        }
        if (name.isEmpty()) {
            errors.add(FieldError.required("metadata.name", "name or generateName is required"));
        } else {
            nameErrors(type, name).forEach(wrong -> invalid("metadata.name", name, wrong));
        }
        if (type.namespaced() && namespace.isEmpty()) errors.add(FieldError.required("metadata.namespace", ""));
        if (type.namespaced() && !namespace.isEmpty()) {
            Names.label(namespace).forEach(wrong -> invalid("metadata.namespace", namespace, wrong));
        }
        if (!type.namespaced() && !namespace.isEmpty()) {
            errors.add(FieldError.forbidden("metadata.namespace", "not allowed on this type"));
        }
        if (metadata.path("generation").asLong() < 0) {
            errors.add(FieldError.invalid(
                    "metadata.generation", metadata.path("generation"), "must be greater than or equal to 0"));
        }
    }

    private static List<String> nameErrors(ResourceType type, String name) {
        // Whoever writes Events names them by what they are about, with a generateName that ends in a dot.
        if (type.kind().equals("Event")) return Names.pathSegment(name);
        boolean namespace = type.kind().equals("Namespace") && type.group().isEmpty();
        return namespace ? Names.label(name) : Names.subdomain(name);
    }

    private void changes(ObjectNode old) {
        if (old.hasNonNull("deletionTimestamp")) noNewFinalizers(old);
        if (Json.text(metadata, "resourceVersion").isEmpty()) {
            invalid("metadata.resourceVersion", "", "must be specified for an update");
        }
        if (metadata.path("generation").asLong() < old.path("generation").asLong()) {
            errors.add(
                    FieldError.invalid("metadata.generation", metadata.path("generation"), "must not be decremented"));
        }
        for (String field : IMMUTABLE) {
            JsonNode now = orMissing(metadata.get(field));
            if (!Json.same(now, orMissing(old.get(field)))) {
                errors.add(
                        now.isMissingNode()
                                ? FieldError.invalid("metadata." + field, absent(field), "field is immutable")
                                : FieldError.invalid("metadata." + field, now, "field is immutable"));
            }
        }
    }

    private JsonNode absent(String field) {
        return field.startsWith("deletion") || field.equals("creationTimestamp")
                ? metadata.nullNode()
                : metadata.textNode("");
    }

    private static JsonNode orMissing(JsonNode value) {
        boolean absent = value == null
                || value.isNull()
                || (value.isTextual() && value.textValue().isEmpty());
        return absent ? MissingNode.getInstance() : value;
    }

    private void noNewFinalizers(ObjectNode old) {
        Set<String> added = new TreeSet<>(ResourceType.texts(metadata.path("finalizers")));
        ResourceType.texts(old.path("finalizers")).forEach(added::remove);
        if (added.isEmpty()) return;
        String list = added.stream().map(GoText::quote).collect(Collectors.joining(", ", "[]string{", "}"));
        errors.add(FieldError.forbidden(
                "metadata.finalizers",
                "no new finalizers can be added if the object is being deleted, found new finalizers " + list));
    }

    private void common(boolean create) {
        metadata.path("labels").properties().forEach(label -> {
            Names.qualified(label.getKey()).forEach(wrong -> invalid("metadata.labels", label.getKey(), wrong));
            String value = label.getValue().asText();
            Names.labelValue(value).forEach(wrong -> invalid("metadata.labels", value, wrong));
        });
        annotations();
        owners();
        if (create) finalizers();
        managedFields();
    }

    private void annotations() {
        long bytes = 0;
        for (var annotation : metadata.path("annotations").properties()) {
            String key = annotation.getKey();
            Names.qualified(key.toLowerCase(Locale.ROOT)).forEach(wrong -> invalid("metadata.annotations", key, wrong));
            bytes += key.getBytes(StandardCharsets.UTF_8).length;
            bytes += annotation.getValue().asText().getBytes(StandardCharsets.UTF_8).length;
        }
        if (bytes > ANNOTATIONS_BYTES_MAX) {
            errors.add(FieldError.tooLong("metadata.annotations", ANNOTATIONS_BYTES_MAX));
        }
    }

    private void owners() {
        String controller = "";
        JsonNode owners = metadata.path("ownerReferences");
        for (JsonNode owner : owners) {
            if (Json.text(owner, "apiVersion").isEmpty()) {
                invalid("metadata.ownerReferences.apiVersion", "", "version must not be empty");
            }
            for (String field : List.of("kind", "name", "uid")) {
                if (Json.text(owner, field).isEmpty()) {
                    invalid("metadata.ownerReferences." + field, "", "must not be empty");
                }
            }
            if (!owner.path("controller").asBoolean()) continue;
            String name = Json.text(owner, "kind") + "/" + Json.text(owner, "name");
            if (!controller.isEmpty()) {
                errors.add(FieldError.invalid(
                        "metadata.ownerReferences",
                        owners,
                        "Only one reference can have Controller set to true. Found \"true\" in references for "
                                + controller + " and " + name));
            }
            controller = controller.isEmpty() ? name : controller;
        }
    }

    private void finalizers() {
        List<String> finalizers = ResourceType.texts(metadata.path("finalizers"));
        for (String finalizer : finalizers) {
            Names.qualified(finalizer).forEach(wrong -> invalid("metadata.finalizers", finalizer, wrong));
        }
        if (finalizers.containsAll(List.of("orphan", "foregroundDeletion"))) {
            errors.add(FieldError.invalid(
                    "metadata.finalizers",
                    metadata.path("finalizers"),
                    "finalizer orphan and foregroundDeletion cannot be both set"));
        }
    }

    private void managedFields() {
        JsonNode entries = metadata.path("managedFields");
        for (int i = 0; i < entries.size(); i++) {
            String path = "metadata.managedFields[" + i + "]";
            String operation = Json.text(entries.get(i), "operation");
            String fieldsType = Json.text(entries.get(i), "fieldsType");
            if (!Set.of("Apply", "Update").contains(operation)) {
                invalid(path + ".operation", operation, "must be `Apply` or `Update`");
            }
            if (!fieldsType.isEmpty() && !fieldsType.equals("FieldsV1")) {
                invalid(path + ".fieldsType", fieldsType, "must be `FieldsV1`");
            }
        }
    }

    private void invalid(String field, String value, String detail) {
        errors.add(FieldError.invalid(field, value, detail));
    }
}
