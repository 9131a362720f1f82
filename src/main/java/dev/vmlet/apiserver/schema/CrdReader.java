package dev.vmlet.apiserver.schema;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.vmlet.apiserver.schema.ResourceType.PrinterColumn;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** Makes types of a CustomResourceDefinition, or says why it cannot be served. */
final class CrdReader {
    private final ObjectNode crd;
    private final JsonNode spec;
    private final JsonNode names;
    private final List<FieldError> wrong = new ArrayList<>();

    private CrdReader(ObjectNode crd) {
        this.crd = crd;
        this.spec = crd.path("spec");
        this.names = spec.path("names");
    }

    /** @throws Refused 422 */
    static List<ResourceType> read(ObjectNode crd) throws Refused {
        CrdReader reader = new CrdReader(crd);
        reader.checkSpec();
        List<ResourceType> types = new ArrayList<>();
        JsonNode versions = reader.spec.path("versions");
        for (int i = 0; i < versions.size(); i++) {
            ResourceType type = reader.version(versions.get(i), "spec.versions[" + i + "]");
            if (versions.get(i).path("served").asBoolean()) types.add(type);
        }
        reader.refuse();
        return List.copyOf(types);
    }

    /** @throws Refused 422, naming every rule that does not compile */
    static void compileRules(ObjectNode crd, List<ResourceType> types) throws Refused {
        CrdReader reader = new CrdReader(crd);
        JsonNode versions = reader.spec.path("versions");
        for (int i = 0; i < versions.size(); i++) {
            String path = "spec.versions[" + i + "].schema.openAPIV3Schema";
            String name = Json.text(versions.get(i), "name");
            types.stream()
                    .filter(type -> type.version().equals(name))
                    .forEach(type -> reader.wrong.addAll(type.schema().rules().compileAll(path)));
        }
        reader.refuse();
    }

    private void refuse() throws Refused {
        if (wrong.isEmpty()) return;
        String name = Json.text(crd.path("metadata"), "name");
        throw Refused.invalid("apiextensions.k8s.io", "CustomResourceDefinition", name, wrong);
    }

    private void checkSpec() {
        for (String field : List.of("group", "scope", "versions")) {
            JsonNode given = spec.path(field);
            if (given.isTextual() ? given.textValue().isEmpty() : given.isEmpty()) {
                wrong.add(FieldError.required("spec." + field, ""));
            }
        }
        for (String field : List.of("plural", "kind")) {
            if (Json.text(names, field).isEmpty()) wrong.add(FieldError.required("spec.names." + field, ""));
        }
        String scope = Json.text(spec, "scope");
        if (!scope.isEmpty() && !List.of("Cluster", "Namespaced").contains(scope)) {
            wrong.add(FieldError.notSupported("spec.scope", spec.path("scope"), List.of("Cluster", "Namespaced")));
        }
        String expected = Json.text(names, "plural") + "." + Json.text(spec, "group");
        String name = Json.text(crd.path("metadata"), "name");
        if (!name.equals(expected)) {
            wrong.add(FieldError.invalid("metadata.name", name, "must be spec.names.plural+\".\"+spec.group"));
        }
        if (spec.path("preserveUnknownFields").asBoolean()) {
            String detail = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in"
                    + " spec.versions[*].schema instead";
            wrong.add(FieldError.invalid("spec.preserveUnknownFields", spec.path("preserveUnknownFields"), detail));
        }
        checkVersions();
    }

    private void checkVersions() {
        long storage = 0;
        for (JsonNode version : spec.path("versions"))
            if (version.path("storage").asBoolean()) storage++;
        if (storage != 1 && !spec.path("versions").isEmpty()) {
            String detail = "must have exactly one version marked as storage version";
            wrong.add(FieldError.invalid("spec.versions", spec.path("versions"), detail));
        }
        String strategy = spec.path("conversion").path("strategy").asText("None");
        if (!strategy.equals("None")) {
            wrong.add(FieldError.notSupported(
                    "spec.conversion.strategy", spec.path("conversion").path("strategy"), List.of("None")));
        }
    }

    private ResourceType version(JsonNode version, String path) {
        String schemaPath = path + ".schema.openAPIV3Schema";
        String kind = Json.text(names, "kind");
        ObjectNode given = version.path("schema").path("openAPIV3Schema") instanceof ObjectNode schema
                ? schema
                : missingSchema(schemaPath);
        StructuralCheck.check(given, schemaPath, wrong);
        return new ResourceType(
                Json.text(spec, "group"),
                Json.text(version, "name"),
                kind,
                names.path("listKind").asText(kind + "List"),
                Json.text(names, "plural"),
                names.path("singular").asText(kind.toLowerCase(Locale.ROOT)),
                ResourceType.texts(names.path("shortNames")),
                ResourceType.texts(names.path("categories")),
                Json.text(spec, "scope").equals("Namespaced"),
                true,
                version.path("storage").asBoolean(),
                version.path("subresources").has("status"),
                selectable(version),
                columns(version),
                ObjectSchema.read(given, schemaPath, wrong));
    }

    private ObjectNode missingSchema(String path) {
        wrong.add(FieldError.required(path, "schemas are required"));
        return crd.objectNode().put("type", "object");
    }

    private static List<String> selectable(JsonNode version) {
        List<String> fields = new ArrayList<>();
        for (JsonNode field : version.path("selectableFields")) {
            fields.add(Json.text(field, "jsonPath").replaceFirst("^\\.", ""));
        }
        return List.copyOf(fields);
    }

    private static List<PrinterColumn> columns(JsonNode version) {
        List<PrinterColumn> columns = ResourceType.columns(version.path("additionalPrinterColumns"), true);
        if (columns.size() > 1) return columns;
        return List.of(
                columns.getFirst(),
                new PrinterColumn("Age", "date", "", "Time since its creation.", 0, ".metadata.creationTimestamp"));
    }
}
