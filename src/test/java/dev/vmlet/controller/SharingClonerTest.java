package dev.vmlet.controller;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.api.NetworkSlice;
import dev.vmlet.api.NetworkSliceSpec;
import dev.vmlet.api.Serialization;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.model.Given;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.ManagedFieldsEntryBuilder;
import io.fabric8.kubernetes.api.model.ObjectMeta;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.api.model.SecretBuilder;
import io.fabric8.kubernetes.client.utils.KubernetesSerialization;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class SharingClonerTest {
    private final KubernetesSerialization serialization = Serialization.lenient();
    private final SharingCloner cloner = new SharingCloner(serialization);

    static Stream<HasMetadata> objects() {
        VirtualMachine vm = Given.vm("web", "vm-1", Given.spec("net"));
        vm.setMetadata(metadata());
        NetworkSlice slice = new NetworkSlice();
        slice.setMetadata(metadata());
        slice.setSpec(new NetworkSliceSpec("net", "a", "10.77.0.0/24"));
        return Stream.of(
                vm,
                slice,
                new SecretBuilder()
                        .withMetadata(metadata())
                        .withStringData(Map.of("a", "b"))
                        .build());
    }

    private static ObjectMeta metadata() {
        return new ObjectMetaBuilder()
                .withNamespace("lab")
                .withName("web")
                .withUid("u-1")
                .withResourceVersion("7")
                .withGeneration(3L)
                .withFinalizers("vmlet.dev/vm")
                .withAnnotations(Map.of("vmlet.dev/restartedAt", "now"))
                .withLabels(Map.of("app", "web"))
                .withManagedFields(
                        new ManagedFieldsEntryBuilder().withManager("kubectl").build())
                .build();
    }

    @ParameterizedTest
    @MethodSource("objects")
    void aCopySaysTheSameAndIsAnothersToChange(HasMetadata object) {
        String before = serialization.asJson(object);
        HasMetadata copy = cloner.clone(object);
        assertThat(copy).isNotSameAs(object).hasSameClassAs(object);
        assertThat(serialization.asJson(copy)).isEqualTo(before);

        copy.getMetadata().getFinalizers().add("another/finalizer");
        copy.getMetadata().getAnnotations().put("another", "annotation");
        copy.getMetadata().getLabels().clear();
        copy.getMetadata().setManagedFields(List.of());
        copy.getMetadata().setResourceVersion("8");
        assertThat(serialization.asJson(object)).isEqualTo(before);
    }
}
