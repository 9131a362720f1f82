package dev.vmlet.apiserver.schema;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Collection;
import java.util.HashSet;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Predicate;

/** A set of paths. Immutable; a path in it says nothing of those above or below. */
record FieldSet(Set<FieldPath> paths) {
    static final FieldSet EMPTY = new FieldSet(Set.of());

    FieldSet {
        paths = Set.copyOf(paths);
    }

    static FieldSet of(FieldPath... paths) {
        return new FieldSet(Set.of(paths));
    }

    boolean isEmpty() {
        return paths.isEmpty();
    }

    boolean has(FieldPath path) {
        return paths.contains(path);
    }

    FieldSet plus(FieldSet other) {
        if (other.isEmpty()) return this;
        Set<FieldPath> sum = new HashSet<>(paths);
        sum.addAll(other.paths);
        return new FieldSet(sum);
    }

    FieldSet minus(FieldSet other) {
        return other.isEmpty() ? this : where(path -> !other.has(path));
    }

    FieldSet and(FieldSet other) {
        return where(other::has);
    }

    FieldSet where(Predicate<FieldPath> condition) {
        Set<FieldPath> rest = new HashSet<>();
        for (FieldPath path : paths) if (condition.test(path)) rest.add(path);
        return new FieldSet(rest);
    }

    /** Every path above one in the set, the set's own only where another is below it. */
    Set<FieldPath> ancestors() {
        Set<FieldPath> ancestors = new HashSet<>();
        for (FieldPath path : paths) {
            for (int length = path.steps().size() - 1; length >= 0; length--) {
                if (!ancestors.add(new FieldPath(path.steps().subList(0, length)))) break;
            }
        }
        return ancestors;
    }

    /** The tree of fieldsV1, where {@code "."} marks a member that has members below it. */
    ObjectNode toFieldsV1() {
        ObjectNode root = JsonNodeFactory.instance.objectNode();
        Set<FieldPath> ancestors = ancestors();
        for (FieldPath path : new TreeSet<>(paths)) {
            ObjectNode node = root;
            for (String step : path.steps()) node = node.withObjectProperty(step);
            if (ancestors.contains(path) && !path.steps().isEmpty()) node.putObject(".");
        }
        return root;
    }

    static FieldSet ofFieldsV1(JsonNode tree) {
        Set<FieldPath> paths = new HashSet<>();
        tree.properties().forEach(entry -> {
            if (!entry.getKey().equals(".")) collect(entry.getValue(), FieldPath.ROOT, entry.getKey(), paths);
        });
        return new FieldSet(paths);
    }

    private static void collect(JsonNode tree, FieldPath above, String step, Collection<FieldPath> paths) {
        FieldPath path = above.step(FieldPath.canonical(step));
        if (tree.isEmpty() || tree.has(".")) paths.add(path);
        tree.properties().forEach(entry -> {
            if (!entry.getKey().equals(".")) collect(entry.getValue(), path, entry.getKey(), paths);
        });
    }
}
