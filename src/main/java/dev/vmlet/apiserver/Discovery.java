package dev.vmlet.apiserver;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.vmlet.apiserver.schema.ResourceType;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** The documents by which clients learn which kinds there are, in the old form and in the aggregated one. */
final class Discovery {
    /** The Kubernetes whose behaviour is imitated. */
    private static final String MINOR = "36";

    private static final List<String> VERBS =
            List.of("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch");
    /** In the order in which a real server tells them for custom resources. */
    private static final List<String> CUSTOM_VERBS =
            List.of("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch");

    private static final List<String> STATUS_VERBS = List.of("get", "patch", "update");

    private final Collection<ResourceType> types;
    private final String address;

    /** @param address host and port, which clients are told */
    Discovery(Collection<ResourceType> types, String address) {
        this.types = types;
        this.address = address;
    }

    static ObjectNode version() {
        ObjectNode version = Json.object();
        version.put("major", "1").put("minor", MINOR).put("gitVersion", "v1." + MINOR + ".0+vmlet");
        version.put("gitCommit", "").put("gitTreeState", "clean").put("buildDate", "1970-01-01T00:00:00Z");
        version.put("goVersion", "none").put("compiler", "javac").put("platform", "linux/amd64");
        return version;
    }

    /** {@code /api}. */
    ObjectNode core() {
        ObjectNode versions = Json.object().put("kind", "APIVersions");
        versions.putArray("versions").add("v1");
        versions.putArray("serverAddressByClientCIDRs")
                .addObject()
                .put("clientCIDR", "0.0.0.0/0")
                .put("serverAddress", address);
        return versions;
    }

    /** {@code /apis}. */
    ObjectNode groups() {
        ObjectNode list = Json.object().put("kind", "APIGroupList").put("apiVersion", "v1");
        ArrayNode groups = list.putArray("groups");
        byGroup().forEach((group, versions) -> {
            if (!group.isEmpty()) groups.add(group(group, versions));
        });
        return list;
    }

    /** {@code /apis/<group>}. */
    Optional<ObjectNode> group(String group) {
        Set<String> versions = byGroup().get(group);
        if (versions == null || group.isEmpty()) return Optional.empty();
        ObjectNode document = Json.object().put("kind", "APIGroup").put("apiVersion", "v1");
        document.setAll(group(group, versions));
        return Optional.of(document);
    }

    private static ObjectNode group(String group, Set<String> versions) {
        ObjectNode node = Json.object().put("name", group);
        ArrayNode list = node.putArray("versions");
        for (String version : versions) {
            list.addObject().put("groupVersion", group + "/" + version).put("version", version);
        }
        node.set("preferredVersion", list.get(0).deepCopy());
        return node;
    }

    private Map<String, Set<String>> byGroup() {
        Map<String, Set<String>> groups = new LinkedHashMap<>();
        for (ResourceType type : types) {
            groups.computeIfAbsent(type.group(), g -> new LinkedHashSet<>()).add(type.version());
        }
        return groups;
    }

    /** {@code /api/v1} and {@code /apis/<group>/<version>}. */
    Optional<ObjectNode> resources(String group, String version) {
        ObjectNode list = Json.object().put("kind", "APIResourceList").put("apiVersion", "v1");
        list.put("groupVersion", group.isEmpty() ? version : group + "/" + version);
        ArrayNode resources = list.putArray("resources");
        for (ResourceType type : types) {
            if (!type.group().equals(group) || !type.version().equals(version)) continue;
            ObjectNode resource = resources.addObject();
            resource.put("name", type.plural()).put("singularName", type.singular());
            resource.put("namespaced", type.namespaced()).put("kind", type.kind());
            strings(resource, "verbs", type.custom() ? CUSTOM_VERBS : VERBS);
            strings(resource, "shortNames", type.shortNames());
            strings(resource, "categories", type.categories());
            if (type.statusSubresource()) {
                ObjectNode status = resources.addObject();
                status.put("name", type.plural() + "/status").put("singularName", "");
                status.put("namespaced", type.namespaced()).put("kind", type.kind());
                strings(status, "verbs", STATUS_VERBS);
            }
        }
        return resources.isEmpty() ? Optional.empty() : Optional.of(list);
    }

    /** {@code /api} or {@code /apis} in one document for all groups (apidiscovery.k8s.io/v2). */
    ObjectNode aggregated(boolean core) {
        ObjectNode list =
                Json.object().put("kind", "APIGroupDiscoveryList").put("apiVersion", "apidiscovery.k8s.io/v2");
        list.putObject("metadata");
        ArrayNode items = list.putArray("items");
        byGroup().forEach((group, versions) -> {
            if (group.isEmpty() != core) return;
            ObjectNode item = items.addObject();
            item.putObject("metadata").put("name", group).putNull("creationTimestamp");
            ArrayNode served = item.putArray("versions");
            for (String version : versions) {
                ObjectNode node = served.addObject().put("version", version);
                ArrayNode resources = node.putArray("resources");
                types.stream()
                        .filter(type ->
                                type.group().equals(group) && type.version().equals(version))
                        .forEach(type -> resources.add(aggregated(type)));
                node.put("freshness", "Current");
            }
        });
        return list;
    }

    private static ObjectNode aggregated(ResourceType type) {
        ObjectNode resource = Json.object().put("resource", type.plural());
        resource.set("responseKind", kind(type));
        resource.put("scope", type.namespaced() ? "Namespaced" : "Cluster");
        resource.put("singularResource", type.singular());
        strings(resource, "verbs", type.custom() ? CUSTOM_VERBS : VERBS);
        strings(resource, "shortNames", type.shortNames());
        strings(resource, "categories", type.categories());
        if (type.statusSubresource()) {
            ObjectNode status = resource.putArray("subresources").addObject().put("subresource", "status");
            status.set("responseKind", kind(type));
            strings(status, "verbs", STATUS_VERBS);
        }
        return resource;
    }

    private static ObjectNode kind(ResourceType type) {
        return Json.object()
                .put("group", type.group())
                .put("version", type.version())
                .put("kind", type.kind());
    }

    private static void strings(ObjectNode node, String field, List<String> values) {
        if (values.isEmpty()) return;
        ArrayNode array = node.putArray(field);
        values.forEach(array::add);
    }
}
