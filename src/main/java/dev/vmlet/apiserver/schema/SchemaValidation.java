package dev.vmlet.apiserver.schema;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.vmlet.apiserver.schema.SchemaNode.Limits;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Types and limits of a value. An error in a part that an update left as it was is forgiven: a schema may have become
 * stricter since, and who changes a label need not mend a disk.
 */
final class SchemaValidation {
    /** Field of a message about a combination of schemas; kube-apiserver knows no better one. */
    private static final String NO_FIELD = "<nil>";

    private SchemaValidation() {}

    /** @param old the value before; empty on create, or where it cannot be told which old value corresponds */
    static List<FieldError> validate(JsonNode value, Optional<JsonNode> old, SchemaNode schema, String path) {
        Walk walk = new Walk(path);
        walk.visit(value, old, schema);
        return walk.errors;
    }

    /** The walk stands at one path; each deeper value gets a walk of its own. */
    private record Walk(String path, List<FieldError> errors) {
        Walk(String path) {
            this(path, new ArrayList<>());
        }

        private void visit(JsonNode value, Optional<JsonNode> old, SchemaNode schema) {
            Walk here = new Walk(path);
            here.check(value, old, schema);
            boolean unchanged = old.isPresent() && Json.same(old.get(), value);
            if (!unchanged) errors.addAll(here.errors);
        }

        private void check(JsonNode value, Optional<JsonNode> old, SchemaNode schema) {
            checkType(value, schema);
            if (value.isNull()) {
                checkAllowed(value, schema.limits);
                return;
            }
            checkBranches(value, schema);
            if (value.isTextual()) checkText(value.textValue(), schema);
            if (value.isNumber()) checkNumber(value, schema);
            if (value instanceof ArrayNode array) checkItems(array, old, schema);
            checkAllowed(value, schema.limits);
            if (value instanceof ObjectNode object) checkFields(object, old, schema);
        }

        private void checkType(JsonNode value, SchemaNode schema) {
            if (value.isNull()) {
                if (!schema.nullable && !typeName(schema).isEmpty()) wrongType(typeName(schema), "null");
                return;
            }
            if (schema.isFreeForm()) return;
            String actual = typeOf(value);
            boolean fits = schema.intOrString
                    ? actual.equals("integer") || actual.equals("string")
                    : actual.equals(schema.type)
                            || (schema.type.equals("number") && actual.equals("integer"))
                            || (schema.type.equals("integer") && isWhole(value));
            if (fits) return;
            String format = Formats.ofType(schema.type, schema.limits.format());
            if (!format.isEmpty() && !value.isTextual() && !value.isArray()) {
                wrongType(format, actual.equals("integer") ? "int64" : actual.equals("number") ? "float64" : "");
            } else {
                wrongType(typeName(schema), actual);
            }
        }

        private void wrongType(String expected, String actual) {
            String detail = path + " in body must be of type " + expected + ": " + GoText.quote(actual);
            errors.add(new FieldError(FieldError.Type.TYPE_INVALID, path, Optional.of(GoText.quote(actual)), detail));
        }

        /** Combinations may hold limits only; where one fails, so do the limits of the best candidate. */
        private void checkBranches(JsonNode value, SchemaNode schema) {
            if (!schema.anyOf.isEmpty()) {
                List<List<FieldError>> tries = attempts(value, schema.anyOf);
                if (tries.stream().noneMatch(List::isEmpty)) {
                    combination(" must validate at least one schema (anyOf)");
                    errors.addAll(fewest(tries));
                }
            }
            if (!schema.oneOf.isEmpty()) {
                List<List<FieldError>> tries = attempts(value, schema.oneOf);
                long valid = tries.stream().filter(List::isEmpty).count();
                if (valid != 1) {
                    combination(" must validate one and only one schema (oneOf). "
                            + (valid == 0 ? "Found none valid" : "Found " + valid + " valid alternatives"));
                    if (valid == 0) errors.addAll(fewest(tries));
                }
            }
            if (!schema.allOf.isEmpty()) {
                List<List<FieldError>> tries = attempts(value, schema.allOf);
                tries.forEach(errors::addAll);
                if (!tries.stream().allMatch(List::isEmpty)) {
                    boolean none = tries.stream().noneMatch(List::isEmpty);
                    combination(" must validate all the schemas (allOf)" + (none ? ". None validated" : ""));
                }
            }
            if (schema.not.isPresent()
                    && attempts(value, List.of(schema.not.get())).getFirst().isEmpty()) {
                combination(" must not validate the schema (not)");
            }
        }

        private List<List<FieldError>> attempts(JsonNode value, List<SchemaNode> branches) {
            return branches.stream()
                    .map(branch -> validate(value, Optional.empty(), branch, path))
                    .toList();
        }

        private static List<FieldError> fewest(List<List<FieldError>> tries) {
            List<FieldError> best = tries.getFirst();
            for (List<FieldError> each : tries) if (each.size() < best.size()) best = each;
            return best;
        }

        private void combination(String detail) {
            errors.add(FieldError.invalid(NO_FIELD, "", GoText.quote(path) + detail));
        }

        private void checkText(String text, SchemaNode schema) {
            Limits limits = schema.limits;
            long length = text.codePointCount(0, text.length());
            if (limits.maxLength() != null && length > limits.maxLength()) {
                errors.add(FieldError.tooLong(path, limits.maxLength()));
            } else if (limits.minLength() != null && length < limits.minLength()) {
                invalid(text, "should be at least " + limits.minLength() + " chars long");
            } else if (limits.pattern() != null
                    && !limits.pattern().matcher(text).find()) {
                invalid(text, "should match '" + limits.pattern().pattern() + "'");
            }
            String format = Formats.ofType(schema.type, limits.format());
            if (!schema.type.equals("string") && !schema.isFreeForm()) return;
            if (!format.isEmpty() && !Formats.matches(format, text)) {
                String detail = path + " in body must be of type " + limits.format() + ": " + GoText.quote(text);
                errors.add(new FieldError(FieldError.Type.TYPE_INVALID, path, Optional.of(GoText.quote(text)), detail));
            }
        }

        private void checkNumber(JsonNode value, SchemaNode schema) {
            Limits limits = schema.limits;
            BigDecimal number = value.decimalValue();
            if (schema.type.equals("integer") && !inRange(number, limits.format())) {
                String format = limits.format().isEmpty() ? " (default format)" : " with format " + limits.format();
                String detail = "Checked value must be of type integer" + format + " in " + path;
                errors.add(FieldError.invalid(NO_FIELD, "", detail));
            }
            if (limits.multipleOf() != null
                    && number.remainder(limits.multipleOf()).signum() != 0) {
                invalid(value, "should be a multiple of " + shown(limits.multipleOf(), value));
            }
            if (limits.minimum() != null) {
                int order = number.compareTo(limits.minimum());
                if (order < 0 || (order == 0 && limits.exclusiveMinimum())) {
                    String words = limits.exclusiveMinimum() ? "greater than " : "greater than or equal to ";
                    invalid(value, "should be " + words + shown(limits.minimum(), value));
                }
            }
            if (limits.maximum() != null) {
                int order = number.compareTo(limits.maximum());
                if (order > 0 || (order == 0 && limits.exclusiveMaximum())) {
                    String words = limits.exclusiveMaximum() ? "less than " : "less than or equal to ";
                    invalid(value, "should be " + words + shown(limits.maximum(), value));
                }
            }
        }

        private static boolean inRange(BigDecimal number, String format) {
            BigDecimal max = BigDecimal.valueOf(format.equals("int32") ? Integer.MAX_VALUE : Long.MAX_VALUE);
            BigDecimal min = BigDecimal.valueOf(format.equals("int32") ? Integer.MIN_VALUE : Long.MIN_VALUE);
            return number.compareTo(min) >= 0 && number.compareTo(max) <= 0;
        }

        /** A limit is shown as the value's own type: 1000000 beside integers, 1e+06 beside fractions. */
        private static String shown(BigDecimal limit, JsonNode value) {
            return value.isIntegralNumber() ? limit.toBigInteger().toString() : GoText.number(limit);
        }

        private void checkItems(ArrayNode array, Optional<JsonNode> old, SchemaNode schema) {
            Limits limits = schema.limits;
            if (schema.items.isPresent()) {
                Correlation correlation = Correlation.of(schema, old);
                for (int i = 0; i < array.size(); i++) {
                    JsonNode item = array.get(i);
                    below("[" + i + "]").visit(item, correlation.item(item), schema.items.get());
                }
            }
            if (limits.minItems() != null && array.size() < limits.minItems()) {
                invalid(array.size(), "should have at least " + limits.minItems() + " items");
            }
            if (limits.maxItems() != null && array.size() > limits.maxItems()) {
                errors.add(FieldError.tooMany(path, array.size(), limits.maxItems()));
            }
            if (limits.uniqueItems() && Json.firstDuplicate(array).isPresent()) {
                errors.add(FieldError.invalid(path, "", path + " in body shouldn't contain duplicates"));
            }
        }

        private void checkFields(ObjectNode object, Optional<JsonNode> old, SchemaNode schema) {
            Limits limits = schema.limits;
            if (limits.minProperties() != null && object.size() < limits.minProperties()) {
                invalid(object.size(), "should have at least " + limits.minProperties() + " properties");
            }
            if (limits.maxProperties() != null && object.size() > limits.maxProperties()) {
                errors.add(FieldError.tooMany(path, object.size(), limits.maxProperties()));
            }
            Correlation correlation = Correlation.of(schema, old);
            object.properties().forEach(field -> {
                String name = field.getKey();
                Optional<SchemaNode> child = schema.child(name);
                if (child.isPresent()) {
                    // What identifies a type cannot be forgiven: an update never shows it unchanged to us.
                    below("." + name).visit(field.getValue(), correlation.field(name), child.get());
                } else if (schema.forbidsAdditional) {
                    invalid("", path + "." + name + " in body is a forbidden property");
                }
            });
            for (String name : schema.required) {
                if (!object.has(name)) errors.add(FieldError.required(below("." + name).path, ""));
            }
        }

        private Walk below(String step) {
            return new Walk(path.isEmpty() && step.startsWith(".") ? step.substring(1) : path + step, errors);
        }

        private void invalid(JsonNode value, String detail) {
            errors.add(FieldError.invalid(path, value, path + " in body " + detail));
        }

        private void invalid(String value, String detail) {
            boolean whole = detail.startsWith(path + ".");
            errors.add(FieldError.invalid(path, value, whole ? detail : path + " in body " + detail));
        }

        private void invalid(long value, String detail) {
            invalid(JsonNodeFactory.instance.numberNode(value), detail);
        }

        private void checkAllowed(JsonNode value, Limits limits) {
            if (limits.allowed().isEmpty()) return;
            if (limits.allowed().stream().anyMatch(allowed -> Json.same(allowed, value))) return;
            List<String> shown = limits.allowed().stream()
                    .map(allowed -> allowed.isTextual() ? allowed.textValue() : allowed.toString())
                    .toList();
            errors.add(FieldError.notSupported(path, value, shown));
        }
    }

    private static String typeName(SchemaNode schema) {
        return schema.intOrString ? "integer,string" : schema.type;
    }

    private static boolean isWhole(JsonNode value) {
        return value.isNumber() && value.decimalValue().stripTrailingZeros().scale() <= 0;
    }

    private static String typeOf(JsonNode value) {
        return switch (value.getNodeType()) {
            case ARRAY -> "array";
            case OBJECT -> "object";
            case BOOLEAN -> "boolean";
            case STRING, BINARY -> "string";
            case NUMBER -> value.isIntegralNumber() ? "integer" : "number";
            case NULL, MISSING, POJO -> "null";
        };
    }
}
