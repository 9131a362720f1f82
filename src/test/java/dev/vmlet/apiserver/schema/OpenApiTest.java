package dev.vmlet.apiserver.schema;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class OpenApiTest {
    private static final OpenApi OPEN_API = OpenApi.of(types());

    private static List<ResourceType> types() {
        List<ResourceType> types = new ArrayList<>(CoreTypes.all());
        types.add(Samples.virtualMachine());
        return types;
    }

    @Test
    void namesADocumentForEachGroupAndVersion() {
        assertThat(OPEN_API.index().path("paths").properties())
                .extracting(path -> path.getKey() + " "
                        + path.getValue().path("serverRelativeURL").asText().replaceAll("[0-9A-F]{64}", "HASH"))
                .containsExactly(
                        "api/v1 /openapi/v3/api/v1?hash=HASH",
                        "apis/apiextensions.k8s.io/v1 /openapi/v3/apis/apiextensions.k8s.io/v1?hash=HASH",
                        "apis/coordination.k8s.io/v1 /openapi/v3/apis/coordination.k8s.io/v1?hash=HASH",
                        "apis/events.k8s.io/v1 /openapi/v3/apis/events.k8s.io/v1?hash=HASH",
                        "apis/vmlet.dev/v1alpha1 /openapi/v3/apis/vmlet.dev/v1alpha1?hash=HASH");
    }

    @Test
    void describesTheKindAndItsOperations() {
        ObjectNode document = OPEN_API.document("apis/vmlet.dev/v1alpha1").orElseThrow();
        JsonNode schema = document.at("/components/schemas/dev.vmlet.v1alpha1.VirtualMachine");
        assertThat(schema.path("x-kubernetes-group-version-kind"))
                .isEqualTo(Samples.json("[{group: vmlet.dev, kind: VirtualMachine, version: v1alpha1}]"));
        assertThat(schema.at("/properties/metadata/allOf/0/$ref").asText())
                .isEqualTo("#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
        assertThat(schema.at("/properties/spec/properties/disks/items/properties/image/description")
                        .asText())
                .startsWith("What the disk starts with");
        JsonNode patch = document.at(
                "/paths/~1apis~1vmlet.dev~1v1alpha1~1namespaces~1{namespace}~1virtualmachines~1{name}/patch");
        assertThat(patch.path("parameters"))
                .extracting(parameter -> parameter.path("name").asText())
                .contains("fieldValidation", "fieldManager", "dryRun", "force");
        assertThat(patch.path("x-kubernetes-group-version-kind"))
                .isEqualTo(Samples.json("{group: vmlet.dev, kind: VirtualMachine, version: v1alpha1}"));
    }

    @Test
    void everyReferenceLeadsSomewhere() {
        OPEN_API.index().path("paths").fieldNames().forEachRemaining(path -> {
            ObjectNode document = OPEN_API.document(path).orElseThrow();
            for (String reference : document.findValuesAsText("$ref")) {
                assertThat(document.at(reference.substring(1)).isObject())
                        .as(reference)
                        .isTrue();
            }
        });
    }
}
