package dev.vmlet.apiserver.schema;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.yaml.snakeyaml.LoaderOptions;
import org.yaml.snakeyaml.Yaml;
import org.yaml.snakeyaml.constructor.SafeConstructor;

/**
 * The built-in kinds of the server: Namespace, Node, Secret, ConfigMap, Event (of two groups), Lease and
 * CustomResourceDefinition. Their schemas stand in {@code core.yaml} beside this class.
 */
public final class CoreTypes {
    private static final String FILE = "core.yaml";
    private static final ObjectNode DOCUMENT = load();

    private CoreTypes() {}

    public static List<ResourceType> all() {
        List<ResourceType> all = new ArrayList<>();
        for (JsonNode kind : DOCUMENT.path("kinds")) all.add(read(kind));
        return List.copyOf(all);
    }

    /**
     * What the server fills in itself before it looks at an object: a Secret's stringData moves into data, a Namespace gets
     * the label of its name, a CustomResourceDefinition its names. Others stay as they are.
     */
    public static ObjectNode normalized(ResourceType type, ObjectNode object) {
        ObjectNode normal = object.deepCopy();
        switch (type.groupResource()) {
            case "secrets" -> moveStringData(normal);
            case "namespaces" -> {
                String name = Json.text(normal.path("metadata"), "name");
                if (!name.isEmpty()) {
                    normal.withObjectProperty("metadata")
                            .withObjectProperty("labels")
                            .put("kubernetes.io/metadata.name", name);
                }
            }
            case "customresourcedefinitions.apiextensions.k8s.io" -> fillInNames(normal);
            default -> {}
        }
        return normal;
    }

    private static void moveStringData(ObjectNode secret) {
        if (secret.remove("stringData") instanceof ObjectNode texts && !texts.isEmpty()) {
            ObjectNode data = secret.get("data") instanceof ObjectNode given ? given : secret.putObject("data");
            texts.properties()
                    .forEach(entry -> data.put(
                            entry.getKey(),
                            Base64.getEncoder()
                                    .encodeToString(entry.getValue().asText().getBytes(StandardCharsets.UTF_8))));
        }
    }

    private static void fillInNames(ObjectNode crd) {
        if (!(crd.path("spec").path("names") instanceof ObjectNode names)) return;
        String kind = Json.text(names, "kind");
        if (kind.isEmpty()) return;
        if (!names.has("singular")) names.put("singular", kind.toLowerCase(Locale.ROOT));
        if (!names.has("listKind")) names.put("listKind", kind + "List");
    }

    /** A structure that kinds share; a copy. */
    static ObjectNode shared(String name) {
        return ((ObjectNode) DOCUMENT.path(name)).deepCopy();
    }

    private static ResourceType read(JsonNode json) {
        String kind = json.path("kind").asText();
        List<FieldError> wrong = new ArrayList<>();
        ObjectSchema schema = ObjectSchema.read((ObjectNode) json.path("schema"), kind, wrong);
        if (!wrong.isEmpty()) throw new IllegalStateException(FILE + ": " + wrong);
        return new ResourceType(
                json.path("group").asText(),
                json.path("version").asText(),
                kind,
                kind + "List",
                json.path("plural").asText(),
                json.path("singular").asText(),
                ResourceType.texts(json.path("shortNames")),
                ResourceType.texts(json.path("categories")),
                json.path("namespaced").asBoolean(),
                false,
                true,
                json.path("statusSubresource").asBoolean(),
                ResourceType.texts(json.path("selectableFields")),
                ResourceType.columns(
                        json.path("columns"), json.path("nameFirst").asBoolean(true)),
                schema);
    }

    /** By SnakeYAML itself: Jackson's reader knows no anchors. */
    private static ObjectNode load() {
        try (InputStream file = CoreTypes.class.getResourceAsStream(FILE)) {
            if (file == null) throw new IllegalStateException(FILE + " is not beside " + CoreTypes.class);
            Object document = new Yaml(new SafeConstructor(new LoaderOptions())).load(file);
            return (ObjectNode) json(document);
        } catch (IOException e) {
            throw new UncheckedIOException("read " + FILE, e);
        }
    }

    /** By hand: Jackson's way to a tree loads its whole serializer, which costs a cold JVM thrice as much as the file. */
    private static JsonNode json(Object value) {
        JsonNodeFactory json = JsonNodeFactory.instance;
        return switch (value) {
            case Map<?, ?> map -> {
                ObjectNode object = json.objectNode();
                map.forEach((key, each) -> object.set(String.valueOf(key), json(each)));
                yield object;
            }
            case List<?> list -> {
                ArrayNode array = json.arrayNode();
                list.forEach(each -> array.add(json(each)));
                yield array;
            }
            case Boolean flag -> json.booleanNode(flag);
            case Integer number -> json.numberNode(number);
            case String text -> json.textNode(text);
            default -> throw new IllegalStateException(FILE + ": " + value + " is a " + value.getClass());
        };
    }
}
