package dev.vmlet.controller;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.vmlet.api.OpenPort;
import dev.vmlet.api.RunStrategy;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineSpec;
import dev.vmlet.api.VirtualMachineSpec.NetworkInterface;
import dev.vmlet.api.VirtualMachineSpec.Published;
import dev.vmlet.resolve.ServiceEndpoints;
import io.fabric8.kubernetes.api.model.OwnerReference;
import io.fabric8.kubernetes.api.model.Service;
import io.fabric8.kubernetes.api.model.ServiceBuilder;
import io.fabric8.kubernetes.api.model.apiextensions.v1.CustomResourceDefinition;
import io.fabric8.kubernetes.api.model.discovery.v1.EndpointSlice;
import io.fabric8.kubernetes.api.model.discovery.v1.EndpointSliceBuilder;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.dsl.Resource;
import io.fabric8.kubernetes.client.http.Interceptor;
import java.io.File;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * Twenty-five nodes and 1,000 races for slices against a real kube-apiserver.
 *
 * <p>Run it with {@code VMLET_TEST_KUBECONFIG=… ./mvnw test -Dtest=ManyNodesE2E}; it replaces the CRDs in that cluster,
 * leaves its namespaces behind, and needs to be allowed everything.
 */
class ManyNodesE2E extends ManyNodesContract {
    private static final String KUBECONFIG = System.getenv("VMLET_TEST_KUBECONFIG");

    @Override
    @BeforeEach
    void startController() {
        assumeTrue(
                KUBECONFIG != null && !KUBECONFIG.isEmpty(),
                "SKIPPED: many nodes were not tried, VMLET_TEST_KUBECONFIG names no kubeconfig of an API server");
        try (KubernetesClient client = connect()) {
            install(client);
        }
        super.startController();
    }

    /** The kinds of this build, whatever was there. */
    static void install(KubernetesClient client) {
        for (File file : Objects.requireNonNull(new File("crd").listFiles((_, name) -> name.endsWith(".yaml")))) {
            CustomResourceDefinition crd = client.apiextensions()
                    .v1()
                    .customResourceDefinitions()
                    .load(file)
                    .item();
            var applied = client.resource(crd);
            applied.forceConflicts().serverSideApply();
            // Not by a watch: this client lacks what EscapedWatches does, and the message of a rule has an ellipsis.
            await().atMost(PATIENCE).until(() -> isEstablished(applied.get()));
        }
    }

    private static boolean isEstablished(CustomResourceDefinition crd) {
        return crd.getStatus() != null
                && crd.getStatus().getConditions().stream()
                        .anyMatch(c -> "Established".equals(c.getType()) && "True".equals(c.getStatus()));
    }

    @Override
    @AfterEach
    void stopAll() throws Exception {
        super.stopAll();
    }

    @Override
    KubernetesClient connect(Interceptor... between) {
        return ManyNodesTest.connect(Config.fromKubeconfig(new File(KUBECONFIG)), between);
    }

    private Service service(Map<String, String> annotations) {
        return new ServiceBuilder()
                .withNewMetadata()
                .withName("front")
                .withNamespace(run)
                .withAnnotations(annotations)
                .endMetadata()
                .withNewSpec()
                .addNewPort()
                .withName("http")
                .withPort(80)
                .withNewTargetPort("web")
                .endPort()
                .endSpec()
                .build();
    }

    private void annotate(@Nullable String selector) {
        client.services().inNamespace(run).withName("front").edit(s -> {
            s.getMetadata().setAnnotations(selector == null ? Map.of() : Map.of(ServiceEndpoints.SELECTOR, selector));
            return s;
        });
    }

    private VirtualMachine web(String name, SimulatedNode node, int hostPort) {
        VirtualMachine vm = vm(name, node.name());
        VirtualMachineSpec given = Objects.requireNonNull(vm.getSpec());
        vm.getMetadata().setLabels(Map.of("app", "web"));
        vm.setSpec(new VirtualMachineSpec(
                given.nodeName(),
                given.runStrategy(),
                given.cpu(),
                given.memory(),
                given.disks(),
                List.of(new NetworkInterface(
                        "net", null, null, List.of(new Published("web", hostPort, 8080, OpenPort.Protocol.TCP)))),
                given.cloudInit(),
                null,
                null,
                0));
        return client.resource(vm).create();
    }

    /** As the API server has it when it is edited. */
    private Resource<VirtualMachine> fresh(VirtualMachine vm) {
        return client.resources(VirtualMachine.class)
                .inNamespace(run)
                .withName(vm.getMetadata().getName());
    }

    /** Name, address and port, and whether it is ready, of each slice of the Service. */
    private List<String> slices() {
        return client.discovery().v1().endpointSlices().inNamespace(run).list().getItems().stream()
                .flatMap(slice -> slice.getEndpoints().stream()
                        .map(e -> slice.getMetadata().getName() + " " + e.getNodeName() + " " + e.getAddresses() + ":"
                                + slice.getPorts().getFirst().getPort()
                                + (Boolean.TRUE.equals(e.getConditions().getReady()) ? " ready" : " not ready")))
                .sorted()
                .toList();
    }

    private void awaitSlices(String... expected) {
        await().atMost(PATIENCE).untilAsserted(() -> assertThat(slices()).containsExactly(expected));
    }

    @Test
    void aServiceHasTheVmsBehindItThatItsAnnotationSelects() throws Exception {
        startNodes(2);
        nodes.sort(Comparator.comparing(SimulatedNode::name));
        String a = nodes.get(0).name();
        String b = nodes.get(1).name();
        client.resource(network("net", 1500)).create();
        Service front = client.resource(service(Map.of())).create();
        EndpointSlice foreign = client.resource(new EndpointSliceBuilder()
                        .withNewMetadata()
                        .withName("front-by-hand")
                        .withNamespace(run)
                        .addToLabels(ServiceEndpoints.SERVICE_NAME, "front")
                        .endMetadata()
                        .withAddressType("IPv4")
                        .addNewEndpoint()
                        .withAddresses("192.0.2.200")
                        .withNodeName("by-hand")
                        .withNewConditions(true, null, null)
                        .endEndpoint()
                        .addNewPort()
                        .withName("http")
                        .withPort(9)
                        .endPort()
                        .build())
                .create();
        String byHand = "front-by-hand by-hand [192.0.2.200]:9 ready";
        VirtualMachine one = web("one", nodes.get(0), 8081);
        VirtualMachine two = web("two", nodes.get(1), 8082);
        await().atMost(PATIENCE).until(() -> isReady(one) && isReady(two));
        awaitSlices(byHand);

        annotate("app=web");
        awaitSlices(byHand, "front.one " + a + " [192.0.2.1]:8081 ready", "front.two " + b + " [192.0.2.2]:8082 ready");
        EndpointSlice made = client.discovery()
                .v1()
                .endpointSlices()
                .inNamespace(run)
                .withName("front.one")
                .get();
        assertThat(made.getMetadata().getLabels())
                .isEqualTo(Map.of(
                        "kubernetes.io/service-name", "front",
                        "endpointslice.kubernetes.io/managed-by", "controller.vmlet.dev"));
        assertThat(made.getMetadata().getOwnerReferences())
                .extracting(OwnerReference::getUid)
                .containsExactly(front.getMetadata().getUid());

        // Somebody changes it by hand.
        client.resource(made).edit(slice -> {
            slice.getEndpoints().getFirst().setAddresses(List.of("192.0.2.99"));
            return slice;
        });
        awaitSlices(byHand, "front.one " + a + " [192.0.2.1]:8081 ready", "front.two " + b + " [192.0.2.2]:8082 ready");

        fresh(one).edit(vm -> {
            VirtualMachineSpec spec = Objects.requireNonNull(vm.getSpec());
            vm.setSpec(new VirtualMachineSpec(
                    spec.nodeName(),
                    RunStrategy.Halted,
                    spec.cpu(),
                    spec.memory(),
                    spec.disks(),
                    spec.networks(),
                    spec.cloudInit(),
                    spec.boot(),
                    spec.readiness(),
                    spec.terminationGracePeriodSeconds()));
            return vm;
        });
        awaitSlices(
                byHand, "front.one " + a + " [192.0.2.1]:8081 not ready", "front.two " + b + " [192.0.2.2]:8082 ready");

        fresh(two).edit(vm -> {
            vm.getMetadata().setLabels(Map.of());
            return vm;
        });
        awaitSlices(byHand, "front.one " + a + " [192.0.2.1]:8081 not ready");

        annotate("app in web");
        await().atMost(PATIENCE)
                .until(() -> client.v1().events().inNamespace(run).list().getItems().stream()
                        .anyMatch(e -> "Service".equals(e.getInvolvedObject().getKind())
                                && "ServiceRefused".equals(e.getReason())));
        awaitSlices(byHand, "front.one " + a + " [192.0.2.1]:8081 not ready");

        annotate("app=web");
        takeDown(List.of(one));
        awaitSlices(byHand);
        fresh(two).edit(vm -> {
            vm.getMetadata().setLabels(Map.of("app", "web"));
            return vm;
        });
        awaitSlices(byHand, "front.two " + b + " [192.0.2.2]:8082 ready");
        annotate(null);
        awaitSlices(byHand);
        assertThat(client.resource(foreign).get()).as("untouched").isEqualTo(foreign);
        takeDown(List.of(two));
    }

    @Override
    int nodes() {
        return 25;
    }

    @Override
    int racingNodes() {
        return 50;
    }

    @Override
    int racedNetworks() {
        return 20;
    }
}
