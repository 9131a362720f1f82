package dev.vmlet.apiserver;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.vmlet.apiserver.schema.ResourceType;
import dev.vmlet.apiserver.store.Key;
import dev.vmlet.apiserver.store.Store;
import dev.vmlet.apiserver.store.Stored;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** What selectors and the garbage collection will ask about an object. */
record Indexes(Types types) implements Store.Indexer {
    @Override
    public Stored.Index index(Key key, byte[] json) {
        ObjectNode object = Json.own(json);
        Map<String, String> fields = new HashMap<>();
        fields.put("metadata.name", key.name());
        fields.put("metadata.namespace", key.namespace());
        for (ResourceType type : types.all()) {
            if (!Versions.storedResource(type).equals(key.resource())) continue;
            ObjectNode spoken = Versions.fromStored(type, object.deepCopy());
            for (String field : type.selectableFields()) {
                fields.put(field, type.fieldValue(spoken, field));
            }
        }
        JsonNode metadata = object.path("metadata");
        List<String> owners = new ArrayList<>();
        metadata.path("ownerReferences").forEach(owner -> owners.add(Json.text(owner, "uid")));
        return new Stored.Index(Json.texts(metadata.path("labels")), fields, Json.text(metadata, "uid"), owners);
    }
}
