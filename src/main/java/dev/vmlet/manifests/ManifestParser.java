package dev.vmlet.manifests;

import com.fasterxml.jackson.core.JsonLocation;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import io.fabric8.kubernetes.api.model.GenericKubernetesResource;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * The text of a file into the objects it asks for: YAML, of which JSON is a part, one or several documents, {@code List}s
 * unfolded. All of a file or nothing: half of a broken file may be the half that makes no sense alone.
 */
final class ManifestParser {
    private static final ObjectMapper YAML = new ObjectMapper(YAMLFactory.builder()
            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            .build());
    private static final ObjectMapper PLAIN = new ObjectMapper();

    private ManifestParser() {}

    /** What is wrong with a file, and where. The message is a sentence that begins with {@code <file>:<line>: }. */
    static final class Broken extends Exception {
        Broken(String file, int line, String what) {
            super(file + ":" + line + ": " + what);
        }
    }

    static List<Manifest> parse(String file, byte[] text) throws Broken {
        List<Manifest> found = new ArrayList<>();
        try (JsonParser parser = YAML.createParser(text)) {
            for (JsonToken token = parser.nextToken(); token != null; token = parser.nextToken()) {
                int line = Math.max(1, parser.currentTokenLocation().getLineNr());
                JsonNode document = YAML.readTree(parser);
                if (!isEmpty(document)) {
                    unfold(file, line, document, found);
                }
            }
            return List.copyOf(found);
        } catch (JsonProcessingException e) {
            JsonLocation where = e.getLocation();
            String what = e.getOriginalMessage().lines().findFirst().orElse("it cannot be read");
            throw new Broken(file, where == null ? 1 : Math.max(1, where.getLineNr()), "this is no YAML: " + what);
        } catch (IOException e) {
            throw new Broken(file, 1, "this is no YAML: " + e.getMessage());
        }
    }

    /** Between two separators there may be nothing, or comments only. */
    private static boolean isEmpty(JsonNode document) {
        return document.isNull()
                || document.isMissingNode()
                || (document.isTextual() && document.asText().isEmpty());
    }

    private static void unfold(String file, int line, JsonNode document, List<Manifest> found) throws Broken {
        if (!document.isObject()) {
            throw new Broken(file, line, "a document is a mapping with apiVersion, kind and metadata, this is not one");
        }
        if (document.path("kind").asText().equals("List")
                && document.path("items").isArray()) {
            for (JsonNode item : document.path("items")) {
                unfold(file, line, item, found);
            }
            return;
        }
        for (Map.Entry<String, String> field :
                Map.of("apiVersion", "/apiVersion", "kind", "/kind", "metadata.name", "/metadata/name")
                        .entrySet()
                        .stream()
                        .sorted(Map.Entry.comparingByKey())
                        .toList()) {
            JsonNode value = document.at(field.getValue());
            if (!value.isTextual() || value.asText().isBlank()) {
                throw new Broken(file, line, field.getKey() + " is missing or not a text");
            }
        }
        try {
            found.add(new Manifest(file, line, PLAIN.treeToValue(document, GenericKubernetesResource.class)));
        } catch (JsonProcessingException e) {
            throw new Broken(file, line, "its metadata cannot be read: " + e.getOriginalMessage());
        }
    }
}
