package dev.vmlet.apiserver.schema;

import com.google.common.collect.ImmutableCollection;
import com.google.common.collect.ImmutableMap;
import com.google.re2j.Pattern;
import dev.cel.common.types.CelType;
import dev.cel.common.types.CelTypeProvider;
import dev.cel.common.types.ListType;
import dev.cel.common.types.MapType;
import dev.cel.common.types.NullableType;
import dev.cel.common.types.SimpleType;
import dev.cel.common.types.StructType;
import dev.cel.common.types.StructTypeReference;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * The types that a schema's values have in rules, so that a rule that names a field the schema does not have is found when
 * the schema is loaded. Places that the schema says nothing about have none, and rules cannot name them.
 */
final class CelTypes {
    private static final Set<String> RESERVED = Set.of(
            "true",
            "false",
            "null",
            "in",
            "as",
            "break",
            "const",
            "continue",
            "else",
            "for",
            "function",
            "if",
            "import",
            "let",
            "loop",
            "package",
            "namespace",
            "return",
            "var",
            "void",
            "while");
    private static final Pattern IDENTIFIER = Pattern.compile("[a-zA-Z_][a-zA-Z0-9_]*");

    private final Map<String, CelType> structs = new LinkedHashMap<>();

    private CelTypes() {}

    /** The type of {@code self} in one place, and all types below it. */
    record Scope(CelType self, Provider provider) {}

    /** @param path names the struct types */
    static Scope of(SchemaNode schema, String path, boolean isResource) {
        CelTypes types = new CelTypes();
        CelType self = isResource
                ? types.resourceType(schema, path)
                : types.typeOf(schema, path).orElse(SimpleType.DYN);
        return new Scope(self, new Provider(ImmutableMap.copyOf(types.structs)));
    }

    record Provider(ImmutableMap<String, CelType> structs) implements CelTypeProvider {
        @Override
        public ImmutableCollection<CelType> types() {
            return structs.values();
        }

        @Override
        public Optional<CelType> findType(String name) {
            return Optional.ofNullable(structs.get(name));
        }
    }

    private Optional<CelType> typeOf(SchemaNode schema, String path) {
        if (schema.intOrString) return Optional.of(SimpleType.DYN);
        Optional<CelType> type = switch (schema.type) {
            case "array" ->
                schema.items.flatMap(items -> typeOf(items, path + ".@idx")).map(ListType::create);
            case "object" -> objectType(schema, path);
            case "string" -> Optional.of(textType(schema.limits.format()));
            case "boolean" -> Optional.of(SimpleType.BOOL);
            case "number" -> Optional.of(SimpleType.DOUBLE);
            case "integer" -> Optional.of(SimpleType.INT);
            default -> schema.embeddedResource ? objectType(schema, path) : Optional.empty();
        };
        return type.map(found -> schema.nullable ? NullableType.create(found) : found);
    }

    private Optional<CelType> objectType(SchemaNode schema, String path) {
        if (schema.embeddedResource) return Optional.of(resourceType(schema, path));
        if (schema.additional.isPresent()) {
            return typeOf(schema.additional.get(), path + ".@elem")
                    .map(value -> MapType.create(SimpleType.STRING, value));
        }
        return Optional.of(struct(path, fields(schema, path)));
    }

    private Map<String, CelType> fields(SchemaNode schema, String path) {
        Map<String, CelType> fields = new LinkedHashMap<>();
        schema.properties.forEach((name, property) -> escape(name)
                .ifPresent(
                        escaped -> typeOf(property, path + "." + name).ifPresent(type -> fields.put(escaped, type))));
        return fields;
    }

    /** At the top of an object, and of one within another, rules see its type and name, but no other metadata. */
    private CelType resourceType(SchemaNode schema, String path) {
        Map<String, CelType> fields = fields(schema, path);
        fields.put("apiVersion", SimpleType.STRING);
        fields.put("kind", SimpleType.STRING);
        fields.put(
                "metadata",
                struct(path + ".@metadata", Map.of("name", SimpleType.STRING, "generateName", SimpleType.STRING)));
        return struct(path, fields);
    }

    private CelType struct(String name, Map<String, CelType> fields) {
        ImmutableMap<String, CelType> known = ImmutableMap.copyOf(fields);
        structs.put(name, StructType.create(name, known.keySet(), field -> Optional.ofNullable(known.get(field))));
        return StructTypeReference.create(name);
    }

    private static CelType textType(String format) {
        return switch (format) {
            case "byte" -> SimpleType.BYTES;
            case "duration" -> SimpleType.DURATION;
            case "date", "date-time" -> SimpleType.TIMESTAMP;
            default -> SimpleType.STRING;
        };
    }

    /** The name of a field in rules; empty where it cannot be written there. */
    static Optional<String> escape(String name) {
        if (RESERVED.contains(name)) return Optional.of("__" + name + "__");
        String escaped = name.replace("__", "\u0000")
                .replace(".", "__dot__")
                .replace("-", "__dash__")
                .replace("/", "__slash__")
                .replace("\u0000", "__underscores__");
        return IDENTIFIER.matches(escaped) ? Optional.of(escaped) : Optional.empty();
    }
}
