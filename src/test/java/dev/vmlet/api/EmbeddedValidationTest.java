package dev.vmlet.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import dev.vmlet.apiserver.schema.Refused;
import dev.vmlet.apiserver.schema.ResourceType;
import dev.vmlet.apiserver.schema.Validation;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/** The cases that {@link CrdValidationE2E} runs on a real API server, on the embedded server's own engine. */
class EmbeddedValidationTest {
    private static final Map<String, ResourceType> TYPES = new HashMap<>();

    @BeforeAll
    static void readCrds() throws IOException, Refused {
        try (Stream<Path> files = Files.list(Path.of("crd"))) {
            for (Path file :
                    files.filter(each -> each.toString().endsWith(".yaml")).toList()) {
                ObjectNode crd = (ObjectNode) new YAMLMapper().readTree(file.toFile());
                for (ResourceType type : ResourceType.ofCrd(crd)) TYPES.put(type.kind(), type);
            }
        }
    }

    @TestFactory
    Stream<DynamicTest> acceptsWhatIsRight() throws IOException {
        return ValidationCase.valid().stream().map(each -> DynamicTest.dynamicTest(each.name(), () -> store(each)));
    }

    @TestFactory
    Stream<DynamicTest> acceptsTheExamples() throws IOException {
        return ValidationCase.in(Path.of("examples")).stream()
                .map(each -> DynamicTest.dynamicTest(each.name(), () -> store(each)));
    }

    @TestFactory
    Stream<DynamicTest> refusesWhatIsWrong() throws IOException {
        return ValidationCase.invalid().stream()
                .map(each -> DynamicTest.dynamicTest(
                        each.name(),
                        () -> assertThatThrownBy(() -> store(each))
                                .isInstanceOf(Refused.class)
                                .satisfies(refusal ->
                                        assertThat(refusal.getMessage()).contains(each.expected()))));
    }

    @Test
    void fillsInTheDefaults() throws IOException, Refused {
        JsonNode given = new YAMLMapper().readTree("""
                apiVersion: vmlet.dev/v1alpha1
                kind: VirtualMachine
                metadata: {name: defaults}
                spec:
                  memory: {size: 1Gi}
                  disks: [{name: root, size: 1Gi}]
                  readiness: {}
                  cloudInit: {userDataSecretRef: {name: s}}
                """);
        assertThat(type(given).schema().withDefaults((ObjectNode) given).path("spec"))
                .isEqualTo(new YAMLMapper().readTree("""
                        memory: {size: 1Gi}
                        disks: [{name: root, size: 1Gi, reclaimPolicy: Delete}]
                        readiness: {timeoutSeconds: 300}
                        cloudInit: {userDataSecretRef: {name: s, key: userData}}
                        cpu: {cores: 1}
                        runStrategy: Always
                        terminationGracePeriodSeconds: 30
                        """));
    }

    private static void store(ValidationCase each) throws Refused {
        Optional<ObjectNode> stored = Optional.empty();
        for (JsonNode version : each.versions()) stored = Optional.of(store((ObjectNode) version, stored));
    }

    /** What the server does with a body: unknown fields, defaults, then validation; status on its own. */
    private static ObjectNode store(ObjectNode body, Optional<ObjectNode> old) throws Refused {
        ResourceType type = type(body);
        Validation.strict(type, body);
        ObjectNode object = type.schema().withDefaults(body);
        Optional<JsonNode> status = Optional.ofNullable(object.remove("status"));
        ObjectNode metadata = object.withObjectProperty("metadata");
        if (type.namespaced()) metadata.put("namespace", "validation");
        metadata.put("resourceVersion", "1");
        Validation.decodable(type, object);
        old.map(before -> before.get("status")).ifPresent(kept -> object.set("status", kept));
        if (old.isPresent()) {
            Validation.update(type, object, old.get());
        } else {
            Validation.create(type, object);
        }
        if (status.isEmpty()) return object;
        ObjectNode withStatus = object.deepCopy();
        withStatus.set("status", status.get());
        Validation.updateStatus(type, withStatus, object);
        return withStatus;
    }

    private static ResourceType type(JsonNode object) {
        return Optional.ofNullable(TYPES.get(object.path("kind").asText())).orElseThrow();
    }
}
