package dev.vmlet.apiserver.schema;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.List;

/**
 * One kind in one version, as the server serves it.
 *
 * @param group empty for the core group
 * @param custom made by a CustomResourceDefinition: names are DNS-1123 subdomains, and there is no strategic merge patch
 * @param storage whether objects are kept in this version; true for exactly one version of a kind
 * @param statusSubresource whether status is written through {@code /status} alone
 * @param selectableFields dotted, without a leading dot; metadata.name and metadata.namespace are selectable beside them
 * @param columns what kubectl get prints, the name among them
 */
public record ResourceType(
        String group,
        String version,
        String kind,
        String listKind,
        String plural,
        String singular,
        List<String> shortNames,
        List<String> categories,
        boolean namespaced,
        boolean custom,
        boolean storage,
        boolean statusSubresource,
        List<String> selectableFields,
        List<PrinterColumn> columns,
        ObjectSchema schema) {

    /**
     * A column of a table.
     *
     * @param format empty, or {@code name} for the column of the name
     * @param priority 0 always shown, above that only with {@code -o wide}
     * @param jsonPath empty where built-in kinds compute the cell
     */
    public record PrinterColumn(
            String name, String type, String format, String description, int priority, String jsonPath) {}

    /**
     * All served versions of a CustomResourceDefinition, with every rule compiled.
     *
     * @throws Refused 422, naming each thing in it that cannot be served
     */
    public static List<ResourceType> ofCrd(ObjectNode crd) throws Refused {
        List<ResourceType> types = CrdReader.read(crd);
        CrdReader.compileRules(crd, types);
        return types;
    }

    /** As {@link #ofCrd}, for a definition that was accepted before: rules compile when they are first needed. */
    public static List<ResourceType> ofAcceptedCrd(ObjectNode crd) throws Refused {
        return CrdReader.read(crd);
    }

    /** {@code v1} or {@code vmlet.dev/v1alpha1}. */
    public String apiVersion() {
        return group.isEmpty() ? version : group + "/" + version;
    }

    /** {@code virtualmachines.vmlet.dev}, or {@code secrets} in the core group: how messages name the resource. */
    public String groupResource() {
        return group.isEmpty() ? plural : plural + "." + group;
    }

    /** The value that a field selector compares: empty where the object has none. */
    public String fieldValue(ObjectNode object, String selectableField) {
        JsonNode value = object;
        for (String name : selectableField.split("\\.")) value = value.path(name);
        if (selectableField.equals("source")) return value.path("component").asText("");
        if (selectableField.equals("spec.unschedulable")) return value.asText("false");
        return value.isContainerNode() ? "" : value.asText("");
    }

    static List<PrinterColumn> columns(JsonNode list, boolean nameFirst) {
        List<PrinterColumn> columns = new ArrayList<>();
        if (nameFirst) {
            String description = "Name of the object, unique for its kind within the namespace.";
            columns.add(new PrinterColumn("Name", "string", "name", description, 0, ".metadata.name"));
        }
        for (JsonNode json : list) {
            columns.add(new PrinterColumn(
                    json.path("name").asText(),
                    json.path("type").asText(),
                    json.path("format").asText(""),
                    json.path("description").asText(""),
                    json.path("priority").asInt(0),
                    json.path("jsonPath").asText("")));
        }
        return List.copyOf(columns);
    }

    static List<String> texts(JsonNode list) {
        List<String> texts = new ArrayList<>();
        for (JsonNode text : list) texts.add(text.asText());
        return List.copyOf(texts);
    }
}
