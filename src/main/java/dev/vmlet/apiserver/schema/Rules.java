package dev.vmlet.apiserver.schema;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.vmlet.apiserver.schema.RuleCompiler.CompiledRule;
import dev.vmlet.apiserver.schema.SchemaNode.Rule;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * The x-kubernetes-validations of one schema. A rule compiles when it is first needed: a typical object meets a third of
 * a schema's rules. Safe for threads.
 */
final class Rules {
    private final SchemaNode root;
    private final RuleCompiler compiler;

    Rules(SchemaNode root) {
        this.root = root;
        this.compiler = new RuleCompiler(root);
    }

    /**
     * Compiles every rule.
     *
     * @param path of the schema
     * @return what does not compile, with the rule's path
     */
    List<FieldError> compileAll(String path) {
        return root.hasRules ? compiler.compileAll(path) : List.of();
    }

    /** @param object pruned, defaulted and of the schema's types */
    List<FieldError> violations(ObjectNode object, Optional<ObjectNode> old) {
        List<FieldError> errors = new ArrayList<>();
        if (!root.hasRules) return errors;
        Optional<JsonNode> before = old.map(each -> each);
        visit(new Place(object, before, root, "", RuleCompiler.ROOT), errors);
        return errors;
    }

    /** A value, the old one that it follows if one does, its path in the object, and its schema's name. */
    private record Place(JsonNode value, Optional<JsonNode> old, SchemaNode schema, String path, String schemaPath) {
        boolean isUnchanged() {
            return old.isPresent() && Json.same(old.get(), value);
        }
    }

    private void visit(Place place, List<FieldError> errors) {
        if (place.value.isNull() || !place.schema.hasRules) return;
        check(place, place.schema.rules, place.schemaPath, errors);
        List<SchemaNode> branches = place.schema.allOf;
        for (int i = 0; i < branches.size(); i++) {
            check(place, branches.get(i).rules, place.schemaPath + ".@allOf" + i, errors);
        }
        Correlation correlation = Correlation.of(place.schema, place.old);
        switch (place.value) {
            case ObjectNode object ->
                object.properties().forEach(field -> {
                    String name = field.getKey();
                    boolean named = place.schema.properties.containsKey(name);
                    String dot = place.path.isEmpty() ? name : place.path + "." + name;
                    String path = named ? dot : place.path + "[" + name + "]";
                    String schemaPath = place.schemaPath + "." + (named ? name : "@elem");
                    place.schema
                            .child(name)
                            .ifPresent(child -> visit(
                                    new Place(field.getValue(), correlation.field(name), child, path, schemaPath),
                                    errors));
                });
            case ArrayNode array ->
                place.schema.items.ifPresent(items -> {
                    for (int i = 0; i < array.size(); i++) {
                        JsonNode item = array.get(i);
                        String path = place.path + "[" + i + "]";
                        visit(new Place(item, correlation.item(item), items, path, place.schemaPath + ".@idx"), errors);
                    }
                });
            default -> {}
        }
    }

    private void check(Place place, List<Rule> rules, String rulesPath, List<FieldError> errors) {
        if (rules.isEmpty()) return;
        boolean isRoot = place.schemaPath.equals(RuleCompiler.ROOT) || place.schema.embeddedResource;
        Object self = celValue(place.value, place.schema, isRoot);
        Optional<Object> oldSelf =
                place.old.filter(before -> !before.isNull()).map(before -> celValue(before, place.schema, isRoot));
        for (int i = 0; i < rules.size(); i++) {
            Rule rule = rules.get(i);
            if (rule.rule().isEmpty()) continue;
            CompiledRule compiled = compiler.compiled(place.schema, place.schemaPath, rule, rulesPath, i);
            if (compiled.usesOldSelf() && oldSelf.isEmpty() && !rule.optionalOldSelf()) continue;
            // A rule that was broken before and looks at nothing new is no reason to refuse a change elsewhere.
            Optional<FieldError> violation = violation(place, rule, compiled, self, oldSelf);
            if (violation.isPresent() && (compiled.usesOldSelf() || !place.isUnchanged())) {
                errors.add(violation.get());
            }
        }
    }

    private static Object celValue(JsonNode value, SchemaNode schema, boolean isRoot) {
        return isRoot && value instanceof ObjectNode object
                ? CelValues.ofResource(object, schema)
                : CelValues.of(value, schema);
    }

    private static Optional<FieldError> violation(
            Place place, Rule rule, CompiledRule compiled, Object self, Optional<Object> oldSelf) {
        RuleCompiler.Outcome outcome = compiled.evaluate(self, oldSelf);
        String shownRule = rule.message().isEmpty() ? rule.rule() : rule.message();
        return switch (outcome) {
            case RuleCompiler.Outcome.Holds _ -> Optional.empty();
            case RuleCompiler.Outcome.Failed(String why)
            when why.startsWith("no such overload") -> {
                String detail = "'" + why + "': call arguments did not match a supported operator, function or macro"
                        + " signature for rule: " + shownRule;
                yield Optional.of(FieldError.invalid(place.path, place.schema.type, detail));
            }
            case RuleCompiler.Outcome.Failed(String why) ->
                Optional.of(FieldError.invalid(place.path, place.schema.type, why + " evaluating rule: " + shownRule));
            case RuleCompiler.Outcome.Broken(Optional<String> computed) -> {
                String message = rule.message().isEmpty() ? "failed rule: " + rule.rule() : rule.message();
                yield Optional.of(error(place, rule, computed.orElse(message)));
            }
        };
    }

    private static FieldError error(Place place, Rule rule, String detail) {
        String below = rule.fieldPath().startsWith(".") ? rule.fieldPath().substring(1) : rule.fieldPath();
        String path = below.isEmpty()
                ? place.path
                : place.path.isEmpty() || below.startsWith("[")
                        ? place.path + below.replace("'", "")
                        : place.path + "." + below.replace("'", "");
        // The whole object has no path; kube-apiserver writes that as Go does.
        String field = path.isEmpty() ? "<nil>" : path;
        Optional<String> shown =
                place.value.isContainerNode() ? Optional.empty() : Optional.of(GoText.value(place.value));
        FieldError.Type type = switch (rule.reason()) {
            case "FieldValueForbidden" -> FieldError.Type.FORBIDDEN;
            case "FieldValueRequired" -> FieldError.Type.REQUIRED;
            case "FieldValueDuplicate" -> FieldError.Type.DUPLICATE;
            default -> FieldError.Type.INVALID;
        };
        boolean shows = type == FieldError.Type.INVALID || type == FieldError.Type.DUPLICATE;
        return new FieldError(
                type, field, shows ? shown : Optional.empty(), type == FieldError.Type.DUPLICATE ? "" : detail);
    }
}
