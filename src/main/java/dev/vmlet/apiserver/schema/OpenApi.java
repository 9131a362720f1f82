package dev.vmlet.apiserver.schema;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * The documents under {@code /openapi/v3}: one for each group and version, with the paths that we serve and the schemas.
 * kubectl reads them for explain, and to see that the server validates fields. Immutable.
 */
public final class OpenApi {
    private static final String META = "io.k8s.apimachinery.pkg.apis.meta.v1.";
    private static final String SCHEMAS = "#/components/schemas/";
    private static final String GVK = "x-kubernetes-group-version-kind";
    private static final List<String> PATCHES = List.of(
            "application/apply-patch+yaml",
            "application/json-patch+json",
            "application/merge-patch+json",
            "application/strategic-merge-patch+json");

    private final Map<String, ObjectNode> documents;

    private OpenApi(Map<String, ObjectNode> documents) {
        this.documents = documents;
    }

    public static OpenApi of(Collection<ResourceType> types) {
        Map<String, List<ResourceType>> groups = new TreeMap<>();
        for (ResourceType type : types) {
            groups.computeIfAbsent(path(type), _ -> new ArrayList<>()).add(type);
        }
        Map<String, ObjectNode> documents = new TreeMap<>();
        groups.forEach((path, members) -> documents.put(path, document(path, members)));
        return new OpenApi(Collections.unmodifiableMap(documents));
    }

    /** {@code /openapi/v3}: the path of each document, with a URL that changes with its content. */
    public ObjectNode index() {
        ObjectNode index = JsonNodeFactory.instance.objectNode();
        ObjectNode paths = index.putObject("paths");
        documents.forEach((path, document) ->
                paths.putObject(path).put("serverRelativeURL", "/openapi/v3/" + path + "?hash=" + hash(document)));
        return index;
    }

    /**
     * @param path as in the index, for example {@code api/v1} or {@code apis/vmlet.dev/v1alpha1}
     */
    public Optional<ObjectNode> document(String path) {
        return Optional.ofNullable(documents.get(path)).map(ObjectNode::deepCopy);
    }

    private static String path(ResourceType type) {
        return type.group().isEmpty() ? "api/" + type.version() : "apis/" + type.apiVersion();
    }

    private static ObjectNode document(String path, List<ResourceType> types) {
        ObjectNode document = JsonNodeFactory.instance.objectNode();
        document.put("openapi", "3.0.0");
        document.putObject("info").put("title", "Kubernetes").put("version", "unversioned");
        ObjectNode paths = document.putObject("paths");
        ObjectNode schemas = document.putObject("components").putObject("schemas");
        schemas.set(META + "ObjectMeta", ObjectMeta.schema());
        schemas.set(META + "ListMeta", listMeta());
        for (ResourceType type : types) {
            addPaths(paths, "/" + path, type);
            schemas.set(component(type, type.kind()), schema(type));
            schemas.set(component(type, type.listKind()), listSchema(type));
        }
        return document;
    }

    private static ObjectNode listMeta() {
        ObjectNode schema = JsonNodeFactory.instance.objectNode().put("type", "object");
        schema.put("description", "What every list has.");
        ObjectNode properties = schema.putObject("properties");
        for (String name : List.of("continue", "resourceVersion", "selfLink")) {
            properties.putObject(name).put("type", "string");
        }
        properties.putObject("remainingItemCount").put("type", "integer").put("format", "int64");
        return schema;
    }

    /** {@code dev.vmlet.v1alpha1.VirtualMachine}, {@code io.k8s.api.core.v1.Secret}. */
    private static String component(ResourceType type, String kind) {
        if (!type.custom()) {
            String group = type.group().isEmpty() ? "core" : type.group().replaceFirst("\\..*", "");
            boolean extensions = group.equals("apiextensions");
            String prefix = extensions ? "io.k8s.apiextensions-apiserver.pkg.apis." : "io.k8s.api.";
            return prefix + group + "." + type.version() + "." + kind;
        }
        List<String> parts = Arrays.asList(type.group().split("\\."));
        Collections.reverse(parts);
        return String.join(".", parts) + "." + type.version() + "." + kind;
    }

    private static ObjectNode schema(ResourceType type) {
        ObjectNode given = type.schema().openApi();
        ObjectNode schema = given.objectNode();
        schema.put("type", "object");
        given.properties().forEach(field -> schema.set(field.getKey(), field.getValue()));
        ObjectNode properties = schema.objectNode();
        properties.set("apiVersion", ObjectMeta.apiVersion());
        properties.set("kind", ObjectMeta.kind());
        properties.set("metadata", reference(META + "ObjectMeta", "Name, labels, owners and history of the object."));
        given.path("properties").properties().forEach(property -> {
            if (!properties.has(property.getKey())) properties.set(property.getKey(), property.getValue());
        });
        schema.set("properties", properties);
        schema.set(GVK, gvks(type, type.kind()));
        return schema;
    }

    private static ObjectNode listSchema(ResourceType type) {
        ObjectNode schema = JsonNodeFactory.instance.objectNode();
        schema.put("type", "object").put("description", "A list of " + type.kind() + ".");
        schema.putArray("required").add("items");
        ObjectNode properties = schema.putObject("properties");
        properties.set("apiVersion", ObjectMeta.apiVersion());
        properties.set("kind", ObjectMeta.kind());
        properties.set("metadata", reference(META + "ListMeta", "What every list has."));
        ObjectNode items = properties.putObject("items").put("type", "array").put("description", "The objects.");
        items.putObject("items").put("$ref", SCHEMAS + component(type, type.kind()));
        schema.set(GVK, gvks(type, type.listKind()));
        return schema;
    }

    private static ObjectNode reference(String component, String description) {
        ObjectNode reference = JsonNodeFactory.instance.objectNode().put("description", description);
        reference.putObject("default");
        reference.putArray("allOf").addObject().put("$ref", SCHEMAS + component);
        return reference;
    }

    private static ArrayNode gvks(ResourceType type, String kind) {
        ArrayNode list = JsonNodeFactory.instance.arrayNode();
        list.add(gvk(type, kind));
        return list;
    }

    private static ObjectNode gvk(ResourceType type, String kind) {
        ObjectNode gvk = JsonNodeFactory.instance.objectNode();
        return gvk.put("group", type.group()).put("kind", kind).put("version", type.version());
    }

    private static void addPaths(ObjectNode paths, String root, ResourceType type) {
        String collection = root + (type.namespaced() ? "/namespaces/{namespace}/" : "/") + type.plural();
        addOperations(paths, collection, type, List.of("get", "post", "delete"));
        addOperations(paths, collection + "/{name}", type, List.of("get", "put", "patch", "delete"));
        if (type.namespaced()) addOperations(paths, root + "/" + type.plural(), type, List.of("get"));
        if (type.statusSubresource()) {
            addOperations(paths, collection + "/{name}/status", type, List.of("get", "put", "patch"));
        }
    }

    private static void addOperations(ObjectNode paths, String path, ResourceType type, List<String> verbs) {
        ObjectNode item = paths.putObject(path);
        ArrayNode shared = item.putArray("parameters");
        if (path.contains("{namespace}")) parameter(shared, "namespace", "path", true);
        if (path.contains("{name}")) parameter(shared, "name", "path", true);
        for (String verb : verbs) {
            ObjectNode operation = item.putObject(verb);
            operation.put("operationId", verb + path.replaceAll("[^A-Za-z0-9]+", "_"));
            ArrayNode parameters = operation.putArray("parameters");
            if (!verb.equals("get")) {
                for (String name : List.of("dryRun", "fieldManager", "fieldValidation")) {
                    parameter(parameters, name, "query", false);
                }
            }
            if (verb.equals("patch")) {
                parameter(parameters, "force", "query", false);
                body(operation, PATCHES.subList(0, type.custom() ? PATCHES.size() - 1 : PATCHES.size()));
            }
            if (verb.equals("put") || verb.equals("post")) body(operation, List.of("application/json"));
            operation.putObject("responses").putObject("200").put("description", "OK");
            operation.set(GVK, gvk(type, type.kind()));
        }
    }

    private static void parameter(ArrayNode parameters, String name, String in, boolean required) {
        ObjectNode parameter = parameters.addObject().put("name", name).put("in", in);
        if (required) parameter.put("required", true);
        parameter.putObject("schema").put("type", name.equals("force") ? "boolean" : "string");
    }

    private static void body(ObjectNode operation, List<String> mediaTypes) {
        ObjectNode content =
                operation.putObject("requestBody").put("required", true).putObject("content");
        for (String mediaType : mediaTypes)
            content.putObject(mediaType).putObject("schema").put("type", "object");
    }

    private static String hash(JsonNode document) {
        try {
            byte[] bytes = document.toString().getBytes(StandardCharsets.UTF_8);
            byte[] digest = MessageDigest.getInstance("SHA-256").digest(bytes);
            return HexFormat.of().formatHex(digest).toUpperCase(Locale.ROOT);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has SHA-256", e);
        }
    }
}
