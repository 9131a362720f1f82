package dev.vmlet.apiserver.schema;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.Collection;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * One thing that is wrong with one field, worded as k8s.io/apimachinery's validation/field does.
 *
 * @param field path such as {@code spec.disks[0].name}
 * @param shown the offending value as the message shows it; empty where it is not shown
 */
record FieldError(Type type, String field, Optional<String> shown, String detail) {
    enum Type {
        REQUIRED("FieldValueRequired", "Required value"),
        INVALID("FieldValueInvalid", "Invalid value"),
        TYPE_INVALID("FieldValueTypeInvalid", "Invalid value"),
        NOT_SUPPORTED("FieldValueNotSupported", "Unsupported value"),
        DUPLICATE("FieldValueDuplicate", "Duplicate value"),
        FORBIDDEN("FieldValueForbidden", "Forbidden"),
        TOO_LONG("FieldValueTooLong", "Too long"),
        TOO_MANY("FieldValueTooMany", "Too many");

        private final String reason;
        private final String words;

        Type(String reason, String words) {
            this.reason = reason;
            this.words = words;
        }
    }

    static FieldError required(String field, String detail) {
        return new FieldError(Type.REQUIRED, field, Optional.empty(), detail);
    }

    static FieldError forbidden(String field, String detail) {
        return new FieldError(Type.FORBIDDEN, field, Optional.empty(), detail);
    }

    static FieldError invalid(String field, JsonNode value, String detail) {
        return new FieldError(Type.INVALID, field, Optional.of(GoText.value(value)), detail);
    }

    static FieldError invalid(String field, String value, String detail) {
        return new FieldError(Type.INVALID, field, Optional.of(GoText.quote(value)), detail);
    }

    static FieldError duplicate(String field, JsonNode value) {
        return new FieldError(Type.DUPLICATE, field, Optional.of(GoText.value(value)), "");
    }

    static FieldError notSupported(String field, JsonNode value, Collection<String> supported) {
        String list = supported.stream().map(GoText::quote).collect(Collectors.joining(", "));
        String detail = supported.isEmpty() ? "" : "supported values: " + list;
        return new FieldError(Type.NOT_SUPPORTED, field, Optional.of(GoText.value(value)), detail);
    }

    /** The value is too long to be shown. */
    static FieldError tooLong(String field, long bytesMax) {
        String detail = "may not be more than " + bytesMax + (bytesMax == 1 ? " byte" : " bytes");
        return new FieldError(Type.TOO_LONG, field, Optional.empty(), detail);
    }

    static FieldError tooMany(String field, long actual, long max) {
        String detail = "must have at most " + max + (max == 1 ? " item" : " items");
        return new FieldError(Type.TOO_MANY, field, Optional.of(Long.toString(actual)), detail);
    }

    /** How a client may compare it: {@code FieldValueInvalid}. */
    String reason() {
        return type.reason;
    }

    /** The message without the field. */
    String body() {
        StringBuilder out = new StringBuilder(type.words);
        shown.ifPresent(value -> out.append(": ").append(value));
        if (!detail.isEmpty()) out.append(": ").append(detail);
        return out.toString();
    }

    String sentence() {
        return field + ": " + body();
    }

    /** Where the schema's types hold no more, rules are not evaluated: they could only add confusion. */
    boolean blocksRules() {
        return switch (type) {
            case NOT_SUPPORTED, REQUIRED, TOO_LONG, TOO_MANY, TYPE_INVALID -> true;
            case INVALID, DUPLICATE, FORBIDDEN -> false;
        };
    }
}
