package dev.vmlet.apiserver;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.vmlet.apiserver.schema.CoreTypes;
import dev.vmlet.apiserver.schema.Refused;
import dev.vmlet.apiserver.schema.ResourceType;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Every kind that the server serves. */
final class Types {
    private record Name(String group, String version, String plural) {}

    private final Map<Name, ResourceType> byName = new LinkedHashMap<>();
    private final Map<String, ResourceType> stored = new LinkedHashMap<>();

    Types(Collection<ObjectNode> crds) throws Refused {
        List<ResourceType> all = new ArrayList<>(CoreTypes.all());
        for (ObjectNode crd : crds) {
            all.addAll(ResourceType.ofAcceptedCrd(crd));
        }
        for (ResourceType type : all) {
            byName.put(new Name(type.group(), type.version(), type.plural()), type);
            if (type.storage() && Versions.storedResource(type).equals(type.groupResource())) {
                stored.put(type.groupResource(), type);
            }
        }
    }

    Collection<ResourceType> all() {
        return byName.values();
    }

    /** The types in whose version objects are kept. */
    Collection<ResourceType> stored() {
        return stored.values();
    }

    Optional<ResourceType> find(String group, String version, String plural) {
        return Optional.ofNullable(byName.get(new Name(group, version, plural)));
    }

    /** By the name under which the store keeps its objects. */
    Optional<ResourceType> ofStore(String groupResource) {
        return Optional.ofNullable(stored.get(groupResource));
    }

    /** The type that an owner reference or an Event names. */
    Optional<ResourceType> ofKind(String apiVersion, String kind) {
        return byName.values().stream()
                .filter(type -> type.kind().equals(kind) && type.apiVersion().equals(apiVersion))
                .findFirst();
    }
}
