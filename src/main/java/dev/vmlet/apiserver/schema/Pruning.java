package dev.vmlet.apiserver.schema;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** Removes in place what a schema does not know, and tells the paths of what it removed. */
final class Pruning {
    private static final Set<String> TYPE_AND_METADATA = Set.of("apiVersion", "kind", "metadata");

    private final List<String> unknown = new ArrayList<>();

    private Pruning() {}

    /** Paths such as {@code spec.disks[0].nosuch}, sorted. */
    static List<String> prune(ObjectNode object, SchemaNode root) {
        Pruning pruning = new Pruning();
        pruning.visit(object, Optional.of(root), "");
        return pruning.unknown.stream().sorted().toList();
    }

    /** Without a schema nothing is known: every field goes. */
    private void visit(JsonNode value, Optional<SchemaNode> schema, String path) {
        boolean keep = schema.isPresent() && schema.get().preservesUnknown;
        switch (value) {
            case ObjectNode object -> visitFields(object, schema, path, keep);
            case ArrayNode array -> visitItems(array, schema, path, keep);
            default -> {}
        }
    }

    private void visitFields(ObjectNode object, Optional<SchemaNode> schema, String path, boolean keep) {
        Iterator<Map.Entry<String, JsonNode>> fields = object.properties().iterator();
        while (fields.hasNext()) {
            Map.Entry<String, JsonNode> field = fields.next();
            String name = field.getKey();
            if (schema.isPresent() && schema.get().embeddedResource && TYPE_AND_METADATA.contains(name)) continue;
            String below = path.isEmpty() ? name : path + "." + name;
            Optional<SchemaNode> child = schema.flatMap(known -> known.child(name));
            if (child.isPresent()) {
                visit(field.getValue(), child, below);
            } else if (!keep) {
                unknown.add(below);
                fields.remove();
            }
        }
    }

    private void visitItems(ArrayNode array, Optional<SchemaNode> schema, String path, boolean keep) {
        Optional<SchemaNode> items = schema.flatMap(known -> known.items);
        if (items.isEmpty() && keep) return;
        for (int i = 0; i < array.size(); i++) visit(array.get(i), items, path + "[" + i + "]");
    }
}
