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
import dev.vmlet.model.NetworkPolicy;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * The form of records on disk: JSON with a format and a digest, addresses and names as people write them.
 *
 * <pre>
 * format 1   version, fields                    read, and written as format 2 when it is next written
 * format 2   version, digest, fields            this one
 * newer      version above ours                 refused, and never touched
 * </pre>
 *
 * The digest is the head of the SHA-256 over the file with its own place zeroed: a byte that rots, or that a person
 * changes, could otherwise turn one address into another. A field this version does not know is passed over, so that an
 * older agent reads what a newer one of the same format wrote.
 */
final class RecordJson {
    private static final int FIRST_WITH_DIGEST = 2;
    private static final String VERSION_HEAD = "\"version\" : ";
    private static final String DIGEST_HEAD = "\"digest\" : \"";
    private static final String NO_DIGEST = "0".repeat(32);

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

    /** It was written by a vmlet that knows more than this one. */
    static final class Newer extends IOException {
        Newer(String message) {
            super(message);
        }
    }

    /** Its content is not what was written: torn, rotten or edited. */
    static final class Damaged extends IOException {
        Damaged(String message, @Nullable Throwable cause) {
            super(message, cause);
        }
    }

    static byte[] write(Object record) throws IOException {
        ObjectNode tree = MAPPER.createObjectNode();
        tree.put("version", StateFormat.CURRENT);
        tree.put("digest", NO_DIGEST);
        tree.setAll(MAPPER.<ObjectNode>valueToTree(record));
        return seal(MAPPER.writeValueAsString(tree));
    }

    /** Puts the right digest into a text that has one. */
    static byte[] seal(String text) {
        int at = text.indexOf(DIGEST_HEAD) + DIGEST_HEAD.length();
        String blank = text.substring(0, at) + NO_DIGEST + text.substring(at + NO_DIGEST.length());
        String digest = digest(blank);
        return (blank.substring(0, at) + digest + blank.substring(at + digest.length()))
                .getBytes(StandardCharsets.UTF_8);
    }

    private static String digest(String blank) {
        try {
            byte[] sum = MessageDigest.getInstance("SHA-256").digest(blank.getBytes(StandardCharsets.UTF_8));
            return HexFormat.of().formatHex(sum).substring(0, NO_DIGEST.length());
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has SHA-256", e);
        }
    }

    /** @throws Damaged when the content is not a JSON object */
    static JsonNode tree(byte[] content) throws Damaged {
        JsonNode tree;
        try {
            tree = MAPPER.readTree(content);
        } catch (IOException e) {
            throw new Damaged(firstLine(e), e);
        }
        if (tree == null || !tree.isObject()) {
            throw new Damaged(content.length == 0 ? "it is empty" : "it is not a JSON object", null);
        }
        return tree;
    }

    /**
     * @param content what {@code tree} was read from
     * @throws Newer when a newer vmlet wrote it
     * @throws Damaged when a field is missing or nonsense, or the digest is another; the message says which
     */
    static <T> T read(byte[] content, JsonNode tree, Class<T> type) throws Newer, Damaged {
        int version = tree.path("version").asInt(0);
        if (version > StateFormat.CURRENT) {
            requireNewer(content, tree, version);
            throw new Newer(StateFormat.newer(version));
        }
        if (version < 1) {
            throw new Damaged("it has no format version", null);
        }
        if (version >= FIRST_WITH_DIGEST) {
            checkDigest(content, tree.path("digest").asText());
        }
        addLater(tree);
        try {
            return MAPPER.treeToValue(tree, type);
        } catch (IOException | IllegalArgumentException e) {
            throw new Damaged(firstLine(e), e);
        }
    }

    /** Fields that came later in the same format; what an older vmlet wrote means the plain case of each. */
    private static void addLater(JsonNode tree) {
        for (JsonNode nic : tree.path("nics")) {
            if (nic instanceof ObjectNode object && !object.has("ports")) {
                object.put("isolated", false).putArray("ports");
            }
        }
        if (tree.path("realised") instanceof ObjectNode network && !network.has("policy")) {
            network.set("policy", MAPPER.valueToTree(NetworkPolicy.PLAIN));
        }
    }

    /** One bit makes a 6 of a 2. By its digest the record tells which format it was written in, if it is one of ours. */
    private static void requireNewer(byte[] content, JsonNode tree, int version) throws Damaged {
        String text = new String(content, StandardCharsets.UTF_8);
        for (int ours = FIRST_WITH_DIGEST; ours <= StateFormat.CURRENT; ours++) {
            String as = text.replaceFirst(VERSION_HEAD + version + "\\b", VERSION_HEAD + ours);
            if (fits(as, tree.path("digest").asText())) {
                throw new Damaged(
                        "its format reads " + version + ", and its digest is that of format " + ours
                                + ": something else than vmlet has changed it",
                        null);
            }
        }
    }

    private static void checkDigest(byte[] content, String found) throws Damaged {
        if (!fits(new String(content, StandardCharsets.UTF_8), found)) {
            throw new Damaged("its digest does not fit: something else than vmlet has changed it", null);
        }
    }

    private static boolean fits(String text, String digest) {
        return digest.length() == NO_DIGEST.length()
                && text.contains(DIGEST_HEAD + digest)
                && new String(seal(text), StandardCharsets.UTF_8).equals(text);
    }

    /** A JSON error carries an excerpt of several lines. */
    private static String firstLine(Exception e) {
        return String.valueOf(e.getMessage()).lines().findFirst().orElse("");
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
