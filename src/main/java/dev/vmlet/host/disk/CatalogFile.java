package dev.vmlet.host.disk;

import com.fasterxml.jackson.core.JsonLocation;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import dev.vmlet.host.files.DurableFiles;
import dev.vmlet.model.Architecture;
import dev.vmlet.model.HostException;
import dev.vmlet.model.ImageCatalog;
import dev.vmlet.model.ImageFormat;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * Image catalogs as YAML: {@code images}, and beneath each name a list of files with {@code architecture}, {@code url},
 * {@code format} and {@code sha256} or {@code sha512} or both. Our own comes with the program; an operator's is added to
 * it, or with {@code builtIn: false} stands for it.
 */
public final class CatalogFile {
    private static final String BUILT_IN = "/image-catalog.yaml";
    private static final int BYTES_MAX = 1 << 20;
    /** What the schema lets an object ask for. */
    private static final String NAME = "(?=.{1,63}$)[a-z0-9]([-a-z0-9.]*[a-z0-9])?";

    private static final Set<String> FILE_FIELDS = Set.of("images", "builtIn");
    private static final Set<String> PIN_FIELDS = Set.of("architecture", "url", "format", "sha256", "sha512");
    private static final YAMLMapper YAML = YAMLMapper.builder()
            .enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION)
            .build();

    /** Something in the file is not as it must be. */
    private static final class Wrong extends Exception {
        Wrong(String message) {
            super(message);
        }
    }

    private CatalogFile() {}

    /**
     * @param file the operator's
     * @throws HostException when it cannot be read; the message names the file, the field or line, and what to write
     */
    public static ImageCatalog load(Optional<Path> file) throws HostException {
        return file.isPresent() ? load(file.get()) : builtIn();
    }

    private static ImageCatalog load(Path file) throws HostException {
        String what = "image catalog " + file;
        try {
            if (Files.size(file) > BYTES_MAX) {
                throw new HostException.Refused(what + ": larger than " + Bytes.text(BYTES_MAX), null);
            }
            JsonNode top = YAML.readTree(Files.readAllBytes(file));
            ImageCatalog own = read(top);
            return onlyOwn(top) ? own : builtIn().with(own);
        } catch (Wrong e) {
            throw new HostException.Refused(what + ": " + e.getMessage(), e);
        } catch (JsonProcessingException e) {
            JsonLocation at = e.getLocation();
            throw new HostException.Refused(
                    what + ": no valid YAML" + (at == null ? "" : " at line " + at.getLineNr()) + ": "
                            + e.getOriginalMessage().lines().findFirst().orElse(""),
                    e);
        } catch (IOException e) {
            throw DurableFiles.refusal("read " + what, e);
        }
    }

    /** That of the program. */
    public static ImageCatalog builtIn() {
        try (InputStream in = CatalogFile.class.getResourceAsStream(BUILT_IN)) {
            if (in == null) {
                throw new IllegalStateException("the program lacks " + BUILT_IN);
            }
            return read(YAML.readTree(in));
        } catch (IOException | Wrong e) {
            throw new IllegalStateException("the program's own image catalog: " + e.getMessage(), e);
        }
    }

    private static boolean onlyOwn(JsonNode top) throws Wrong {
        JsonNode builtIn = top.path("builtIn");
        if (!builtIn.isMissingNode() && !builtIn.isBoolean()) {
            throw new Wrong("builtIn: true or false expected, not " + builtIn);
        }
        return !builtIn.asBoolean(true);
    }

    private static ImageCatalog read(JsonNode top) throws Wrong {
        checkFields("the file", top, FILE_FIELDS);
        JsonNode images = top.path("images");
        if (!images.isObject()) {
            throw new Wrong("images: a mapping of names to files expected");
        }
        SortedMap<String, SortedMap<String, ImageCatalog.Pin>> catalog = new TreeMap<>();
        for (Map.Entry<String, JsonNode> image : images.properties()) {
            String name = image.getKey();
            if (!name.matches(NAME)) {
                throw new Wrong("images." + name
                        + ": a name has at most 63 lower-case letters, digits, '-' and '.', with a letter or digit at"
                        + " both ends");
            }
            catalog.put(name, pins("images." + name, image.getValue()));
        }
        return new ImageCatalog(catalog);
    }

    private static SortedMap<String, ImageCatalog.Pin> pins(String field, JsonNode list) throws Wrong {
        if (!list.isArray() || list.isEmpty()) {
            throw new Wrong(field + ": a list of files expected, one for each architecture");
        }
        SortedMap<String, ImageCatalog.Pin> pins = new TreeMap<>();
        for (int i = 0; i < list.size(); i++) {
            String at = field + "[" + i + "]";
            JsonNode entry = list.get(i);
            checkFields(at, entry, PIN_FIELDS);
            String architecture = Architecture.of(text(at, entry, "architecture"));
            if (pins.putIfAbsent(architecture, pin(at, entry)) != null) {
                throw new Wrong(at + ".architecture: " + architecture + " is there already; one file for each");
            }
        }
        return pins;
    }

    private static ImageCatalog.Pin pin(String at, JsonNode entry) throws Wrong {
        String url = text(at, entry, "url");
        if (!isUrl(url)) {
            throw new Wrong(at + ".url: http:// or https://, a host and a path expected, not " + url);
        }
        ImageFormat format = switch (text(at, entry, "format")) {
            case "raw" -> ImageFormat.RAW;
            case "qcow2" -> ImageFormat.QCOW2;
            case String other -> throw new Wrong(at + ".format: raw or qcow2 expected, not " + other);
        };
        try {
            return new ImageCatalog.Pin(
                    url,
                    format,
                    entry.has("sha256") ? text(at, entry, "sha256") : "",
                    entry.has("sha512") ? text(at, entry, "sha512") : "");
        } catch (IllegalArgumentException e) {
            throw new Wrong(at + ": " + e.getMessage());
        }
    }

    private static boolean isUrl(String text) {
        try {
            URI uri = URI.create(text);
            return ("http".equals(uri.getScheme()) || "https".equals(uri.getScheme()))
                    && uri.getHost() != null
                    && uri.getRawUserInfo() == null
                    && uri.getRawFragment() == null;
        } catch (IllegalArgumentException e) {
            return false;
        }
    }

    private static String text(String at, JsonNode entry, String field) throws Wrong {
        JsonNode value = entry.path(field);
        if (!value.isTextual()) {
            throw new Wrong(at + "." + field + (value.isMissingNode() ? " is missing" : ": a text expected; quote it"));
        }
        return value.asText();
    }

    /** A word that is spelt wrong must not be taken for one that is left out. */
    private static void checkFields(String at, JsonNode node, Set<String> known) throws Wrong {
        if (!node.isObject()) {
            throw new Wrong(at + ": a mapping expected");
        }
        for (Map.Entry<String, JsonNode> field : node.properties()) {
            if (!known.contains(field.getKey())) {
                throw new Wrong(at + ": " + field.getKey() + " is not known here; there are "
                        + String.join(", ", new java.util.TreeSet<>(known)));
            }
        }
    }
}
