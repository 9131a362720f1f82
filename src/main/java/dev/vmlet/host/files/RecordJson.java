package dev.vmlet.host.files;

import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.databind.DeserializationContext;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonDeserializer;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.JsonSerializer;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.SerializerProvider;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.module.SimpleModule;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.datatype.jdk8.Jdk8Module;
import com.fasterxml.jackson.datatype.jsr310.JavaTimeModule;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.MacAddress;
import dev.vmlet.model.Mark;
import java.io.IOException;
import java.util.function.Function;

/**
 * The form of records on disk: JSON with a version, addresses and names as people write them. A field this version does
 * not know is passed over, so that an older agent reads what a newer one of the same version wrote.
 */
final class RecordJson {
    static final int VERSION = 1;

    private static final ObjectMapper MAPPER = JsonMapper.builder()
            .addModule(new Jdk8Module())
            .addModule(new JavaTimeModule())
            .addModule(values())
            .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
            .enable(DeserializationFeature.FAIL_ON_NULL_CREATOR_PROPERTIES)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .disable(SerializationFeature.WRITE_DATES_AS_TIMESTAMPS)
            .enable(SerializationFeature.INDENT_OUTPUT)
            .build();

    private RecordJson() {}

    static byte[] write(Object record) throws IOException {
        ObjectNode tree = MAPPER.createObjectNode();
        tree.put("version", VERSION);
        tree.setAll(MAPPER.<ObjectNode>valueToTree(record));
        return MAPPER.writeValueAsBytes(tree);
    }

    /** @throws IOException when the content is not a JSON object */
    static JsonNode tree(byte[] content) throws IOException {
        JsonNode tree = MAPPER.readTree(content);
        if (tree == null || !tree.isObject()) {
            throw new IOException("it is not a JSON object" + (content.length == 0 ? " but empty" : ""));
        }
        return tree;
    }

    /** @throws IOException when the version is newer than ours or a field is missing or nonsense; the message says which */
    static <T> T read(JsonNode tree, Class<T> type) throws IOException {
        int version = tree.path("version").asInt(0);
        if (version > VERSION) {
            throw new IOException("it has format version " + version + " and this vmlet knows " + VERSION
                    + "; run the vmlet that wrote it, or a newer one");
        }
        if (version < 1) {
            throw new IOException("it has no format version");
        }
        try {
            return MAPPER.treeToValue(tree, type);
        } catch (IllegalArgumentException e) {
            throw new IOException(e.getMessage(), e);
        }
    }

    private static SimpleModule values() {
        SimpleModule module = new SimpleModule();
        text(module, LinkName.class, LinkName::new);
        text(module, Mark.class, Mark::new);
        text(module, MacAddress.class, MacAddress::new);
        text(module, Ipv4Address.class, Ipv4Address::parse);
        text(module, Ipv4Prefix.class, Ipv4Prefix::parse);
        return module;
    }

    private static <T> void text(SimpleModule module, Class<T> type, Function<String, T> parse) {
        module.addSerializer(type, new JsonSerializer<T>() {
            @Override
            public void serialize(T value, JsonGenerator out, SerializerProvider provider) throws IOException {
                out.writeString(value.toString());
            }
        });
        module.addDeserializer(type, new JsonDeserializer<T>() {
            @Override
            public T deserialize(JsonParser in, DeserializationContext context) throws IOException {
                String text = in.getValueAsString("");
                try {
                    return parse.apply(text);
                } catch (IllegalArgumentException e) {
                    throw context.weirdStringException(text, type, String.valueOf(e.getMessage()));
                }
            }
        });
    }
}
