package dev.vmlet.api;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.fabric8.kubernetes.api.model.Status;
import io.fabric8.kubernetes.api.model.WatchEvent;
import io.fabric8.kubernetes.client.utils.KubernetesSerialization;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

class SerializationTest {
    private final KubernetesSerialization lenient = Serialization.lenient();

    /** Whatever the file says comes back, so no field is misspelt in it and none is missing in the classes. */
    @TestFactory
    Stream<DynamicTest> writesWhatItRead() throws IOException {
        List<ValidationCase> cases = new ArrayList<>(ValidationCase.valid());
        cases.addAll(ValidationCase.in(Path.of("examples")));
        return cases.stream()
                .map(each -> DynamicTest.dynamicTest(each.name(), () -> {
                    for (JsonNode version : each.versions()) {
                        Object read = lenient.convertValue(version, each.kind());
                        // By way of text: a tree made from objects tells an int 1 from a long 1.
                        assertThat(new ObjectMapper().readTree(lenient.asJson(read)))
                                .isEqualTo(version);
                    }
                }));
    }

    @Test
    void skipsFieldsItDoesNotKnow() {
        VirtualMachine vm = lenient.unmarshal("""
                apiVersion: vmlet.dev/v1alpha1
                kind: VirtualMachine
                metadata: {name: web}
                later: 1
                spec:
                  later: {a: [1]}
                  cpu: {cores: 2, threadsPerCore: 2}
                  disks: [{name: root, bus: scsi}]
                """, VirtualMachine.class);

        VirtualMachineSpec spec = requireNonNull(vm.getSpec());
        assertThat(spec.cpu()).isEqualTo(new VirtualMachineSpec.Cpu(2));
        assertThat(spec.disks()).containsExactly(new Disk("root", null, null, null));
    }

    @Test
    void readsEnumConstantsItDoesNotKnowAsNull() {
        VirtualMachine vm = lenient.unmarshal("""
                apiVersion: vmlet.dev/v1alpha1
                kind: VirtualMachine
                metadata: {name: web}
                spec:
                  runStrategy: OnSundays
                  memory: {size: 1Gi}
                status: {phase: Migrating}
                """, VirtualMachine.class);

        assertThat(requireNonNull(vm.getSpec()).runStrategy()).isNull();
        assertThat(requireNonNull(vm.getStatus()).phase()).isNull();
    }

    @Test
    void understandsWhyAWatchCannotGoOn() {
        WatchEvent event = lenient.unmarshal("""
                {"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",
                "message":"too old resource version: 1 (2)","reason":"Expired","code":410}}""", WatchEvent.class);

        assertThat(event.getObject())
                .isInstanceOfSatisfying(
                        Status.class, status -> assertThat(status.getCode()).isEqualTo(410));
    }

    /** Server-side apply owns what is written: a status patch must not mention the spec. */
    @Test
    void writesNothingThatIsNull() {
        Network network = new Network();
        network.setStatus(new NetworkStatus("10.77.0.0/16", null, null));

        JsonNode written = lenient.convertValue(network, JsonNode.class);

        assertThat(written.has("spec")).isFalse();
        assertThat(written.path("status").toString()).isEqualTo("{\"cidr\":\"10.77.0.0/16\"}");
    }

    @Test
    void keepsEmptyObjects() {
        assertThat(lenient.asJson(new Readiness(null, null, new Readiness.None())))
                .isEqualTo("{\"none\":{}}");
        assertThat(lenient.asJson(new VmNodeSpec(null, null))).isEqualTo("{}");
    }

    @Test
    void keepsUserDataOutOfText() {
        assertThat(new CloudInit(null, "password: hunter2", null).toString()).doesNotContain("hunter2");
    }
}
