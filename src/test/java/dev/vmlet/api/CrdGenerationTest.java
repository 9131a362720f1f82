package dev.vmlet.api;

import static org.assertj.core.api.Assertions.assertThat;

import io.fabric8.kubernetes.api.model.apiextensions.v1.CustomResourceDefinition;
import io.fabric8.kubernetes.api.model.apiextensions.v1.JSONSchemaProps;
import io.fabric8.kubernetes.api.model.apiextensions.v1.ValidationRule;
import io.fabric8.kubernetes.client.utils.KubernetesSerialization;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.BiConsumer;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** The YAML in {@code crd/} is what the classes say; {@code -Dgolden=update} rewrites it. */
class CrdGenerationTest {
    private static final Path DIRECTORY = Path.of("crd");
    /** Helm takes files of a chart's own directory only. */
    private static final Path IN_CHART = Path.of("helm/vmlet/crd");

    private static final Map<String, String> GENERATED = Crds.generate();

    @Test
    void theFilesAreWhatTheClassesSay() throws IOException {
        if ("update".equals(System.getProperty("golden"))) {
            for (Path directory : List.of(DIRECTORY, IN_CHART)) {
                Files.createDirectories(directory);
                for (String stale : read(directory).keySet()) Files.delete(directory.resolve(stale));
                for (var file : GENERATED.entrySet())
                    Files.writeString(directory.resolve(file.getKey()), file.getValue());
            }
        }
        for (Path directory : List.of(DIRECTORY, IN_CHART)) {
            assertThat(read(directory))
                    .as("%s against the classes; rewrite it with -Dgolden=update and read the difference", directory)
                    .isEqualTo(GENERATED);
        }
    }

    @Test
    void everyFieldIsDescribed() {
        List<String> undescribed = new ArrayList<>();
        visit((path, schema) -> {
            boolean item = path.endsWith("[]");
            if (!item
                    && (schema.getDescription() == null
                            || schema.getDescription().isBlank())) undescribed.add(path);
        });
        assertThat(undescribed).isEmpty();
    }

    /** Without limits the API server takes the worst case for the cost of a rule, and refuses the CRD. */
    @Test
    void everyListAndEveryTextHasALimit() {
        List<String> unlimited = new ArrayList<>();
        visit((path, schema) -> {
            if ("array".equals(schema.getType()) && schema.getMaxItems() == null) unlimited.add(path);
            boolean text = "string".equals(schema.getType())
                    && (schema.getEnum() == null || schema.getEnum().isEmpty());
            if (text && schema.getMaxLength() == null) unlimited.add(path);
        });
        assertThat(unlimited).isEmpty();
    }

    @Test
    void everyRuleSaysWhatIsWrong() {
        List<String> silent = new ArrayList<>();
        visit((path, schema) -> schema.getXKubernetesValidations().stream()
                .filter(rule -> rule.getMessage() == null || rule.getMessage().isBlank())
                .forEach(rule -> silent.add(path + ": " + rule.getRule())));
        assertThat(silent).isEmpty();
    }

    /** What CrdValidationE2E tries against a real API server must leave no rule out. */
    @Test
    void everyRuleHasACaseThatBreaksIt() throws IOException {
        Set<String> expected = ValidationCase.invalid().stream()
                .flatMap(each -> each.expected().stream())
                .collect(Collectors.toSet());
        Set<String> untried = new TreeSet<>();
        visit((path, schema) -> schema.getXKubernetesValidations().stream()
                .map(ValidationRule::getMessage)
                .filter(message -> !expected.contains(message))
                .forEach(untried::add));
        assertThat(untried)
                .as("messages without a case in src/test/resources/validation/invalid")
                .isEmpty();
    }

    @Test
    void listsOfNamedThingsAreMaps() {
        Map<String, List<String>> keys = new TreeMap<>();
        visit((path, schema) -> {
            if ("map".equals(schema.getXKubernetesListType())) keys.put(path, schema.getXKubernetesListMapKeys());
        });
        assertThat(keys)
                .isEqualTo(new TreeMap<>(Map.of(
                        "VirtualMachine.spec.disks", List.of("name"),
                        "VirtualMachine.spec.networks", List.of("name"),
                        "VirtualMachine.status.addresses", List.of("network"),
                        "VirtualMachine.status.conditions", List.of("type"),
                        "Network.status.conditions", List.of("type"),
                        "NetworkSlice.status.conditions", List.of("type"),
                        "VmNode.spec.tombstones", List.of("uid"),
                        "VmNode.status.conditions", List.of("type"))));
    }

    private static void visit(BiConsumer<String, JSONSchemaProps> visitor) {
        KubernetesSerialization serialization = new KubernetesSerialization();
        for (String yaml : GENERATED.values()) {
            CustomResourceDefinition crd = serialization.unmarshal(yaml, CustomResourceDefinition.class);
            visit(
                    crd.getSpec().getNames().getKind(),
                    crd.getSpec().getVersions().getFirst().getSchema().getOpenAPIV3Schema(),
                    visitor);
        }
    }

    private static void visit(String path, JSONSchemaProps schema, BiConsumer<String, JSONSchemaProps> visitor) {
        visitor.accept(path, schema);
        schema.getProperties().forEach((name, property) -> visit(path + "." + name, property, visitor));
        if (schema.getItems() != null) visit(path + "[]", schema.getItems().getSchema(), visitor);
    }

    private static Map<String, String> read(Path directory) throws IOException {
        Map<String, String> files = new TreeMap<>();
        if (!Files.isDirectory(directory)) return files;
        try (Stream<Path> paths = Files.list(directory)) {
            for (Path path : paths.toList()) files.put(path.getFileName().toString(), Files.readString(path));
        }
        return files;
    }
}
