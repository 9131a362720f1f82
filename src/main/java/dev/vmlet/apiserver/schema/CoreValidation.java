package dev.vmlet.apiserver.schema;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.MissingNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** What kube-apiserver demands of its own kinds beyond types. */
final class CoreValidation {
    private static final int DATA_BYTES_MAX = 1024 * 1024;
    private static final String IMMUTABLE = "field is immutable when `immutable` is set";

    /** Keys that a Secret of a type must have. */
    private static final Map<String, List<String>> SECRET_KEYS = Map.of(
            "kubernetes.io/dockercfg", List.of(".dockercfg"),
            "kubernetes.io/dockerconfigjson", List.of(".dockerconfigjson"),
            "kubernetes.io/ssh-auth", List.of("ssh-privatekey"),
            "kubernetes.io/tls", List.of("tls.crt", "tls.key"));

    private final ObjectNode object;
    private final Optional<ObjectNode> old;
    private final List<FieldError> errors = new ArrayList<>();

    private CoreValidation(ObjectNode object, Optional<ObjectNode> old) {
        this.object = object;
        this.old = old;
    }

    static List<FieldError> validate(ResourceType type, ObjectNode object, Optional<ObjectNode> old) {
        CoreValidation validation = new CoreValidation(object, old);
        switch (type.groupResource()) {
            case "secrets" -> validation.secret();
            case "configmaps" -> validation.configMap();
            case "events" -> validation.coreEvent();
            case "events.events.k8s.io" -> validation.newEvent();
            case "leases.coordination.k8s.io" -> validation.lease();
            case "namespaces" -> validation.namespace();
            default -> {}
        }
        return validation.errors;
    }

    private void secret() {
        String type = Json.text(object, "type");
        old.ifPresent(before -> {
            if (!type.equals(Json.text(before, "type"))) invalid("type", type, "field is immutable");
            if (before.path("immutable").asBoolean()) keepsWhatIsImmutable(before, List.of("data"));
        });
        JsonNode data = object.path("data");
        keys("data");
        if (base64Bytes(data) > DATA_BYTES_MAX) errors.add(FieldError.tooLong("data", DATA_BYTES_MAX));
        for (String key : SECRET_KEYS.getOrDefault(type, List.of())) {
            if (!data.has(key)) errors.add(FieldError.required("data[" + key + "]", ""));
        }
        if (type.equals("kubernetes.io/basic-auth") && !data.has("username") && !data.has("password")) {
            errors.add(FieldError.required("data[username]", ""));
            errors.add(FieldError.required("data[password]", ""));
        }
        String account = "kubernetes.io/service-account.name";
        boolean named = object.path("metadata").path("annotations").has(account);
        if (type.equals("kubernetes.io/service-account-token") && !named) {
            errors.add(FieldError.required("metadata.annotations[" + account + "]", ""));
        }
    }

    private void configMap() {
        old.ifPresent(before -> {
            if (before.path("immutable").asBoolean()) keepsWhatIsImmutable(before, List.of("data", "binaryData"));
        });
        keys("data");
        keys("binaryData");
        object.path("data").properties().forEach(entry -> {
            if (object.path("binaryData").has(entry.getKey())) {
                invalid("data[" + entry.getKey() + "]", entry.getKey(), "duplicate of key present in binaryData");
            }
        });
        long bytes = base64Bytes(object.path("binaryData"));
        for (JsonNode text : object.path("data")) bytes += text.asText().getBytes(StandardCharsets.UTF_8).length;
        if (bytes > DATA_BYTES_MAX) errors.add(FieldError.tooLong("", DATA_BYTES_MAX));
    }

    private void keys(String field) {
        object.path(field)
                .properties()
                .forEach(entry -> Names.configKey(entry.getKey())
                        .forEach(wrong -> invalid(field + "[" + entry.getKey() + "]", entry.getKey(), wrong)));
    }

    private static long base64Bytes(JsonNode values) {
        long bytes = 0;
        for (JsonNode value : values) bytes += Base64.getDecoder().decode(value.asText()).length;
        return bytes;
    }

    private void keepsWhatIsImmutable(ObjectNode before, List<String> fields) {
        if (!object.path("immutable").asBoolean()) errors.add(FieldError.forbidden("immutable", IMMUTABLE));
        for (String field : fields) {
            if (!Json.same(orMissing(object, field), orMissing(before, field))) {
                errors.add(FieldError.forbidden(field, IMMUTABLE));
            }
        }
    }

    private static JsonNode orMissing(ObjectNode from, String field) {
        JsonNode value = from.path(field);
        return value.isEmpty() ? MissingNode.getInstance() : value;
    }

    private void coreEvent() {
        event("involvedObject", "reportingComponent", "message");
    }

    /** The newer API is strict where the older one, for the sake of old clients, cannot be. */
    private void newEvent() {
        event("regarding", "reportingController", "note");
        if (old.isPresent()) return;
        if (!object.hasNonNull("eventTime")) errors.add(FieldError.required("eventTime", ""));
        String type = Json.text(object, "type");
        if (!List.of("Normal", "Warning").contains(type)) invalid("type", "", "has invalid value: " + type);
    }

    private void event(String aboutField, String reporterField, String messageField) {
        String namespace = Json.text(object.path("metadata"), "namespace");
        String about = Json.text(object.path(aboutField), "namespace");
        if (!object.hasNonNull("eventTime")) {
            boolean agrees = about.isEmpty() ? namespace.equals("default") : about.equals(namespace);
            if (!agrees) invalid("involvedObject.namespace", about, "does not match event.namespace");
            return;
        }
        if (about.isEmpty() && !List.of("default", "kube-system").contains(namespace)) {
            invalid("involvedObject.namespace", about, "does not match event.namespace");
        }
        String reporter = Json.text(object, reporterField);
        if (reporter.isEmpty()) errors.add(FieldError.required(reporterField, ""));
        Names.qualified(reporter).forEach(wrong -> invalid(reporterField, reporter, wrong));
        limited("reportingInstance", "reportingInstance", 128, true);
        limited("action", "action", 128, true);
        limited("reason", "reason", 128, true);
        limited(messageField, "message", 1024, false);
    }

    private void limited(String field, String shown, int max, boolean required) {
        String text = Json.text(object, field);
        if (required && text.isEmpty()) errors.add(FieldError.required(shown, ""));
        if (text.getBytes(StandardCharsets.UTF_8).length > max) {
            invalid(shown, "", "can have at most " + max + " characters");
        }
    }

    private void lease() {
        JsonNode spec = object.path("spec");
        JsonNode seconds = spec.path("leaseDurationSeconds");
        if (seconds.isNumber() && seconds.asLong() <= 0) {
            errors.add(FieldError.invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0"));
        }
        JsonNode transitions = spec.path("leaseTransitions");
        if (transitions.isNumber() && transitions.asLong() < 0) {
            errors.add(FieldError.invalid("spec.leaseTransitions", transitions, "must be greater than or equal to 0"));
        }
        if (!Json.text(spec, "preferredHolder").isEmpty()
                && Json.text(spec, "strategy").isEmpty()) {
            errors.add(FieldError.forbidden("spec.preferredHolder", "may only be specified if `strategy` is defined"));
        }
    }

    private void namespace() {
        for (String finalizer : ResourceType.texts(object.path("spec").path("finalizers"))) {
            Names.qualified(finalizer).forEach(wrong -> invalid("spec.finalizers", finalizer, wrong));
            if (!finalizer.contains("/") && !finalizer.equals("kubernetes")) {
                String detail = "name is neither a standard finalizer name nor is it fully qualified";
                invalid("spec.finalizers", finalizer, detail);
            }
        }
    }

    private void invalid(String field, String value, String detail) {
        errors.add(FieldError.invalid(field, value, detail));
    }
}
