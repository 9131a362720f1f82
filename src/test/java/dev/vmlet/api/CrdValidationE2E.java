package dev.vmlet.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.fabric8.kubernetes.api.model.GenericKubernetesResource;
import io.fabric8.kubernetes.api.model.NamespaceBuilder;
import io.fabric8.kubernetes.api.model.apiextensions.v1.CustomResourceDefinition;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.dsl.FieldValidateable;
import io.fabric8.kubernetes.client.dsl.Resource;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.TestInstance;

/**
 * The CRDs in a real API server, which alone evaluates their rules: it must take them, refuse what is wrong in the words
 * we chose, and accept what is right.
 *
 * <p>Run it with {@code VMLET_TEST_KUBECONFIG=… ./mvnw test -Dtest=CrdValidationE2E}; it replaces the CRDs in that
 * cluster, and needs to be allowed everything.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class CrdValidationE2E {
    private KubernetesClient client;
    private final String namespace = "validation-" + UUID.randomUUID();

    @BeforeAll
    void applyCrds() throws IOException {
        String kubeconfig = System.getenv("VMLET_TEST_KUBECONFIG");
        if (kubeconfig == null || kubeconfig.isEmpty()) return;
        client = new KubernetesClientBuilder()
                .withConfig(Config.fromKubeconfig(Path.of(kubeconfig).toFile()))
                .withKubernetesSerialization(Serialization.lenient())
                .build();
        for (String yaml : Crds.generate().values()) {
            CustomResourceDefinition crd =
                    client.getKubernetesSerialization().unmarshal(yaml, CustomResourceDefinition.class);
            Resource<CustomResourceDefinition> resource = client.resource(crd);
            resource.forceConflicts().serverSideApply();
            resource.waitUntilCondition(CrdValidationE2E::isEstablished, 30, TimeUnit.SECONDS);
        }
        client.resource(new NamespaceBuilder()
                        .withNewMetadata()
                        .withName(namespace)
                        .endMetadata()
                        .build())
                .create();
    }

    /** For each test, not once for all: a class that is skipped as a whole shows up in no count. */
    @BeforeEach
    void needsAnApiServer() {
        assumeTrue(
                client != null,
                "SKIPPED: the CRDs' rules were not checked, VMLET_TEST_KUBECONFIG names no kubeconfig of an API server");
    }

    @AfterAll
    void deleteNamespace() {
        if (client == null) return;
        // By hand: an API server alone has no controller that empties a namespace.
        client.resources(VirtualMachine.class).inNamespace(namespace).delete();
        client.resources(Network.class).inNamespace(namespace).delete();
        client.namespaces().withName(namespace).delete();
        client.close();
    }

    @TestFactory
    Stream<DynamicTest> acceptsWhatIsRight() throws IOException {
        return ValidationCase.valid().stream().map(each -> DynamicTest.dynamicTest(each.name(), () -> accept(each)));
    }

    @TestFactory
    Stream<DynamicTest> acceptsTheExamples() throws IOException {
        return ValidationCase.in(Path.of("examples")).stream()
                .map(each -> DynamicTest.dynamicTest(each.name(), () -> accept(each)));
    }

    @TestFactory
    Stream<DynamicTest> refusesWhatIsWrong() throws IOException {
        return ValidationCase.invalid().stream().map(each -> DynamicTest.dynamicTest(each.name(), () -> refuse(each)));
    }

    @Test
    void fillsInTheDefaults() {
        GenericKubernetesResource vm = create("""
                apiVersion: vmlet.dev/v1alpha1
                kind: VirtualMachine
                metadata: {generateName: defaults-}
                spec:
                  memory: {size: 1Gi}
                  disks: [{name: root, size: 1Gi}]
                  readiness: {}
                  cloudInit: {userDataSecretRef: {name: s}}
                """);
        assertThat(client.getKubernetesSerialization().convertValue(vm.get("spec"), VirtualMachineSpec.class))
                .isEqualTo(new VirtualMachineSpec(
                        null,
                        RunStrategy.Always,
                        new VirtualMachineSpec.Cpu(1),
                        new VirtualMachineSpec.Memory("1Gi"),
                        List.of(new Disk("root", "1Gi", null, Disk.ReclaimPolicy.Delete)),
                        null,
                        new CloudInit(null, null, new CloudInit.SecretKey("s", "userData")),
                        null,
                        new Readiness(null, 300, null),
                        30));

        GenericKubernetesResource network = create("""
                apiVersion: vmlet.dev/v1alpha1
                kind: Network
                metadata: {generateName: defaults-}
                spec: {}
                """);
        assertThat(client.getKubernetesSerialization().convertValue(network.get("spec"), NetworkSpec.class))
                .isEqualTo(new NetworkSpec(
                        null,
                        24,
                        NetworkSpec.Egress.Masquerade,
                        1500,
                        null,
                        NetworkSpec.Realize.WhenUsed,
                        NetworkSpec.Isolation.None,
                        null,
                        null,
                        null));
    }

    @Test
    void selectsMachinesByNode() {
        for (String node : List.of("selected-a", "selected-b")) {
            create("""
                    apiVersion: vmlet.dev/v1alpha1
                    kind: VirtualMachine
                    metadata: {name: on-%1$s}
                    spec: {nodeName: %1$s, memory: {size: 1Gi}, disks: [{name: root, size: 1Gi}]}
                    """.formatted(node));
        }
        assertThat(client.resources(VirtualMachine.class)
                        .inNamespace(namespace)
                        .withField("spec.nodeName", "selected-a")
                        .list()
                        .getItems())
                .extracting(vm -> vm.getMetadata().getName())
                .containsExactly("on-selected-a");
    }

    private GenericKubernetesResource create(String yaml) {
        return client.resource(client.getKubernetesSerialization().unmarshal(yaml, GenericKubernetesResource.class))
                .inNamespace(namespace)
                .create();
    }

    private void accept(ValidationCase each) {
        @Nullable Resource<GenericKubernetesResource> last = null;
        try {
            for (JsonNode version : each.versions()) last = store(version, last);
        } finally {
            if (last != null) last.delete();
        }
    }

    private void refuse(ValidationCase each) {
        assertThat(each.expected()).as("# expect: lines in " + each.name()).isNotEmpty();
        @Nullable Resource<GenericKubernetesResource> before = null;
        try {
            for (JsonNode version : each.versions().subList(0, each.versions().size() - 1)) {
                before = store(version, before);
            }
            @Nullable Resource<GenericKubernetesResource> last = before;
            assertThatThrownBy(() -> store(each.versions().getLast(), last))
                    .isInstanceOf(KubernetesClientException.class)
                    .satisfies(refusal -> assertThat(refusal.getMessage()).contains(each.expected()));
        } finally {
            if (before != null) before.delete();
        }
    }

    /** Creates the object, or updates it after its older version; then its status, where the file gives one. */
    private Resource<GenericKubernetesResource> store(
            JsonNode version, @Nullable Resource<GenericKubernetesResource> older) {
        GenericKubernetesResource object =
                client.getKubernetesSerialization().convertValue(version, GenericKubernetesResource.class);
        Object status = object.getAdditionalProperties().get("status");
        if (older != null) {
            object.getMetadata().setResourceVersion(older.get().getMetadata().getResourceVersion());
        }
        Resource<GenericKubernetesResource> resource = at(object);
        var strict = resource.fieldValidation(FieldValidateable.Validation.STRICT);
        GenericKubernetesResource stored = older == null ? strict.create() : strict.update();
        if (status != null) {
            stored.setAdditionalProperty("status", status);
            at(stored).fieldValidation(FieldValidateable.Validation.STRICT).updateStatus();
        }
        return resource;
    }

    private Resource<GenericKubernetesResource> at(GenericKubernetesResource object) {
        return "VmNode".equals(object.getKind())
                ? client.resource(object)
                : client.resource(object).inNamespace(namespace);
    }

    private static boolean isEstablished(CustomResourceDefinition crd) {
        return crd != null
                && crd.getStatus() != null
                // A definition that was applied a moment ago has a status before it has conditions.
                && crd.getStatus().getConditions() != null
                && crd.getStatus().getConditions().stream()
                        .anyMatch(condition ->
                                "Established".equals(condition.getType()) && "True".equals(condition.getStatus()));
    }
}
