package dev.vmlet.apiserver;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.cfg.JsonNodeFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.MissingNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLGenerator;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Objects as JSON trees. Jackson's own limits on depth and number length guard against hostile bodies. */
final class Json {
    private static final ObjectMapper MAPPER = new JsonMapper();
    private static final ObjectMapper SORTING =
            JsonMapper.builder().enable(JsonNodeFeature.WRITE_PROPERTIES_SORTED).build();

    /** YAML is rare here: its mapper is made when the first of it comes. */
    private static final class Yaml {
        static final ObjectMapper MAPPER = YAMLMapper.builder()
                .disable(YAMLGenerator.Feature.WRITE_DOC_START_MARKER)
                .build();
    }

    /**
     * A tree as it was read.
     *
     * @param duplicates paths of fields that were given twice; the last of them counts
     */
    record Parsed(JsonNode tree, List<String> duplicates) {}

    private Json() {}

    static ObjectNode object() {
        return MAPPER.createObjectNode();
    }

    /** As Go prints a map: fields in the order of their names, at every depth. */
    static String sorted(JsonNode node) {
        try {
            return SORTING.writeValueAsString(node);
        } catch (JsonProcessingException e) {
            throw new UncheckedIOException(e);
        }
    }

    static byte[] bytes(JsonNode node) {
        try {
            return MAPPER.writeValueAsBytes(node);
        } catch (JsonProcessingException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** What we wrote ourselves. */
    static ObjectNode own(byte[] json) {
        try {
            return (ObjectNode) MAPPER.readTree(json);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** @throws ApiException 400 for what cannot be read */
    static Parsed read(byte[] body, boolean yaml) throws ApiException {
        List<String> duplicates = new ArrayList<>();
        try (JsonParser parser = (yaml ? Yaml.MAPPER : MAPPER).createParser(body)) {
            JsonNode tree = parser.nextToken() == null ? MissingNode.getInstance() : tree(parser, "", duplicates);
            if (parser.nextToken() != null) throw unreadable(yaml, "something follows the object");
            return new Parsed(tree, duplicates);
        } catch (JsonProcessingException e) {
            throw unreadable(yaml, e.getOriginalMessage());
        } catch (IOException e) {
            throw unreadable(yaml, String.valueOf(e.getMessage()));
        }
    }

    private static ApiException unreadable(boolean yaml, String why) {
        return ApiException.badRequest("the body of the request is not " + (yaml ? "YAML" : "JSON") + ": " + why);
    }

    /** What begins at the parser's token. Jackson limits how deep it goes. */
    private static JsonNode tree(JsonParser parser, String path, List<String> duplicates) throws IOException {
        if (parser.currentToken() == JsonToken.START_ARRAY) {
            ArrayNode array = MAPPER.createArrayNode();
            while (parser.nextToken() != JsonToken.END_ARRAY) {
                array.add(tree(parser, path + "[" + array.size() + "]", duplicates));
            }
            return array;
        }
        if (parser.currentToken() != JsonToken.START_OBJECT) return MAPPER.readTree(parser);
        ObjectNode object = MAPPER.createObjectNode();
        while (parser.nextToken() != JsonToken.END_OBJECT) {
            String name = parser.currentName();
            String below = path.isEmpty() ? name : path + "." + name;
            parser.nextToken();
            if (object.replace(name, tree(parser, below, duplicates)) != null) duplicates.add(below);
        }
        return object;
    }

    static byte[] yaml(JsonNode node) {
        try {
            return Yaml.MAPPER.writeValueAsBytes(node);
        } catch (JsonProcessingException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The same tree as if it had been read from its text, so that numbers of one value are equal. */
    static ObjectNode normal(ObjectNode node) {
        return own(bytes(node));
    }

    static ObjectNode metadata(ObjectNode object) {
        return object.get("metadata") instanceof ObjectNode metadata ? metadata : object.putObject("metadata");
    }

    static String text(JsonNode object, String field) {
        return object.path(field).asText("");
    }

    /** A map of texts, as labels and annotations are. */
    static Map<String, String> texts(JsonNode map) {
        Map<String, String> texts = new LinkedHashMap<>();
        map.properties()
                .forEach(entry -> texts.put(entry.getKey(), entry.getValue().asText("")));
        return texts;
    }
}
