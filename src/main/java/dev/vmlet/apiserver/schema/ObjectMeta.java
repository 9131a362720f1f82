package dev.vmlet.apiserver.schema;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.List;

/** What every object has, whatever its kind. */
final class ObjectMeta {
    static final SchemaNode NODE = node(schema());
    static final SchemaNode API_VERSION = node(apiVersion());
    static final SchemaNode KIND = node(kind());

    private ObjectMeta() {}

    static ObjectNode schema() {
        return CoreTypes.shared("objectMeta");
    }

    static ObjectNode apiVersion() {
        return text("Group and version of the API that the object is written in.");
    }

    static ObjectNode kind() {
        return text("Kind of the object, in CamelCase.");
    }

    private static ObjectNode text(String description) {
        return JsonNodeFactory.instance
                .objectNode()
                .put("description", description)
                .put("type", "string");
    }

    private static SchemaNode node(ObjectNode schema) {
        List<FieldError> wrong = new ArrayList<>();
        SchemaNode node = SchemaNode.read(schema, "metadata", wrong);
        if (!wrong.isEmpty()) throw new IllegalStateException(wrong.toString());
        return node;
    }
}
