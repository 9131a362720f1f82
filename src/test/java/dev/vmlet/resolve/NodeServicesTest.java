package dev.vmlet.resolve;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.api.OpenPort;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineSpec;
import dev.vmlet.api.VirtualMachineSpec.NetworkInterface;
import dev.vmlet.api.VirtualMachineSpec.Published;
import dev.vmlet.api.VmNode;
import dev.vmlet.api.VmNodeSpec;
import dev.vmlet.api.VmNodeSpec.Backend;
import dev.vmlet.api.VmNodeSpec.ServedPort;
import io.fabric8.kubernetes.api.model.IntOrString;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.api.model.Service;
import io.fabric8.kubernetes.api.model.ServiceBuilder;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** What a node is told of the cluster's Services. */
class NodeServicesTest {
    private static final String OLD = "2026-01-01T00:00:00Z";
    private static final String YOUNG = "2026-02-01T00:00:00Z";

    private final List<Service> services = new ArrayList<>();
    private final List<VirtualMachine> vms = new ArrayList<>();
    private VmNode node = new VmNode();

    private List<ServedPort> told() {
        return answer().ports();
    }

    private NodeServices.Told answer() {
        return NodeServices.of(
                node,
                services,
                namespace -> vms.stream()
                        .filter(vm -> namespace.equals(vm.getMetadata().getNamespace()))
                        .toList());
    }

    private static ServiceBuilder service(String name, String ip) {
        return new ServiceBuilder()
                .withNewMetadata()
                .withName(name)
                .withNamespace("shop")
                .withCreationTimestamp(OLD)
                .addToAnnotations("vmlet.dev/selector", "app=web")
                .endMetadata()
                .withNewSpec()
                .withClusterIP(ip)
                .addNewPort()
                .withName("http")
                .withPort(80)
                .withProtocol("TCP")
                .withTargetPort(new IntOrString("web"))
                .endPort()
                .endSpec();
    }

    private void vm(String name, int hostPort) {
        VirtualMachine vm = new VirtualMachine();
        vm.setMetadata(new ObjectMetaBuilder()
                .withName(name)
                .withNamespace("shop")
                .withUid("uid-" + name)
                .withLabels(Map.of("app", "web"))
                .build());
        Published port = new Published("web", hostPort, 8080, OpenPort.Protocol.TCP);
        vm.setSpec(new VirtualMachineSpec(
                "a",
                null,
                null,
                null,
                null,
                List.of(new NetworkInterface("lab", null, null, List.of(port))),
                null,
                null,
                null,
                null));
        vms.add(vm);
    }

    private static ServedPort plain(List<String> addresses, Backend... backends) {
        return new ServedPort("shop/front", addresses, 80, null, OpenPort.Protocol.TCP, null, null, List.of(backends));
    }

    @Test
    void eachPortWithItsAddressesAndTheVmsBehindItReadyOrNot() {
        vm("y", 8082);
        vm("x", 8081);
        services.add(service("front", "10.96.0.10")
                .editSpec()
                .withClusterIPs("10.96.0.10", "fd00::10")
                .withType("LoadBalancer")
                .withExternalIPs("203.0.113.7", "fd00::7", "no address")
                .withSessionAffinity("ClientIP")
                .withPublishNotReadyAddresses(true)
                .editFirstPort()
                .withNodePort(30_080)
                .endPort()
                .endSpec()
                .withNewStatus()
                .withNewLoadBalancer()
                .addNewIngress()
                .withIp("198.51.100.1")
                .endIngress()
                .addNewIngress()
                .withIp("198.51.100.2")
                .withIpMode("Proxy")
                .endIngress()
                .addNewIngress()
                .withHostname("balancer.example")
                .endIngress()
                .endLoadBalancer()
                .endStatus()
                .build());

        assertThat(answer())
                .isEqualTo(new NodeServices.Told(
                        List.of(new ServedPort(
                                "shop/front",
                                List.of("10.96.0.10", "198.51.100.1", "203.0.113.7"),
                                80,
                                30_080,
                                OpenPort.Protocol.TCP,
                                true,
                                true,
                                List.of(new Backend("uid-x", "x", 8081), new Backend("uid-y", "y", 8082)))),
                        0));
    }

    @Test
    void nothingOfServicesWithoutVmsOfTheNodeOrWithoutAnAddress() {
        services.add(service("front", "10.96.0.10").build());
        assertThat(told()).as("no VM here").isEmpty();

        vm("x", 8081);
        services.set(
                0,
                service("front", "None")
                        .editSpec()
                        .withExternalIPs("203.0.113.7")
                        .endSpec()
                        .build());
        assertThat(told()).as("headless").isEmpty();

        services.set(
                0,
                service("front", "10.96.0.10")
                        .editMetadata()
                        .removeFromAnnotations("vmlet.dev/selector")
                        .endMetadata()
                        .build());
        assertThat(told()).as("not asked").isEmpty();

        services.set(
                0,
                service("front", "10.96.0.10")
                        .editMetadata()
                        .withDeletionTimestamp(YOUNG)
                        .endMetadata()
                        .build());
        assertThat(told()).as("being deleted").isEmpty();

        services.set(
                0,
                service("front", "10.96.0.10")
                        .editSpec()
                        .addToSelector("app", "web")
                        .endSpec()
                        .build());
        assertThat(told()).as("its Pods are behind it").isEmpty();
    }

    @Test
    void whomTheBalancerLetsInOnlyKubeProxyAsks() {
        vm("x", 8081);
        services.add(service("front", "10.96.0.10")
                .editSpec()
                .withLoadBalancerSourceRanges("192.0.2.0/24")
                .endSpec()
                .withNewStatus()
                .withNewLoadBalancer()
                .addNewIngress()
                .withIp("198.51.100.1")
                .endIngress()
                .endLoadBalancer()
                .endStatus()
                .build());

        assertThat(told()).containsExactly(plain(List.of("10.96.0.10"), new Backend("uid-x", "x", 8081)));
    }

    /** One of the two asks for what the other is asked by, or was asked by first. */
    @Test
    void noServiceTakesAnAddressThatIsAnothers() {
        vm("x", 8081);
        Backend backend = new Backend("uid-x", "x", 8081);
        Service api = new ServiceBuilder()
                .withNewMetadata()
                .withName("kubernetes")
                .withNamespace("default")
                .withCreationTimestamp(YOUNG)
                .endMetadata()
                .withNewSpec()
                .withClusterIP("10.96.0.1")
                .addNewPort()
                .withPort(443)
                .endPort()
                .endSpec()
                .build();
        services.add(api);
        services.add(service("front", "10.96.0.10")
                .editSpec()
                .withExternalIPs("10.96.0.1", "203.0.113.7")
                .endSpec()
                .build());
        assertThat(told())
                .as("another Service's own, at whatever port")
                .containsExactly(plain(List.of("10.96.0.10", "203.0.113.7"), backend));

        Service pods = service("pods", "10.96.0.11")
                .editMetadata()
                .withAnnotations(Map.of())
                .withCreationTimestamp("2025-01-01T00:00:00Z")
                .endMetadata()
                .editSpec()
                .withExternalIPs("203.0.113.7")
                .endSpec()
                .build();
        services.add(pods);
        assertThat(told()).as("an older one's").containsExactly(plain(List.of("10.96.0.10"), backend));

        pods.getSpec().getPorts().getFirst().setPort(81);
        assertThat(told())
                .as("another port of one address")
                .containsExactly(plain(List.of("10.96.0.10", "203.0.113.7"), backend));
    }

    @Test
    void aSelectorThatNobodyCanReadLeavesWhatTheNodeWasTold() {
        vm("x", 8081);
        ServedPort before = plain(List.of("10.96.0.10"), new Backend("uid-x", "x", 8081));
        node.setSpec(new VmNodeSpec(
                null,
                List.of(
                        before,
                        new ServedPort("shop/gone", List.of("10.96.0.99"), 80, null, null, null, null, List.of()))));
        services.add(service("front", "10.96.0.10")
                .editMetadata()
                .addToAnnotations("vmlet.dev/selector", "app in web")
                .endMetadata()
                .build());

        assertThat(told()).containsExactly(before);
    }

    @Test
    void aSelectorThatNobodyCanReadKeepsNoPlaceThatTheServiceHasNoLonger() {
        vm("x", 8081);
        Backend backend = new Backend("uid-x", "x", 8081);
        node.setSpec(new VmNodeSpec(
                null,
                List.of(new ServedPort(
                        "shop/front",
                        List.of("10.96.0.10", "10.96.0.11"),
                        80,
                        30_080,
                        null,
                        null,
                        null,
                        List.of(backend)))));
        services.add(service("front", "10.96.0.10")
                .editMetadata()
                .addToAnnotations("vmlet.dev/selector", "app in web")
                .endMetadata()
                .build());

        assertThat(told())
                .containsExactly(new ServedPort(
                        "shop/front", List.of("10.96.0.10"), 80, null, null, null, null, List.of(backend)));
    }

    @Test
    void whatHasNoRoomIsCountedAndTheFirstStay() {
        vm("x", 8081);
        IntStream.range(0, NodeServices.PORTS_MAX + 2)
                .forEach(i -> services.add(service("s%03d".formatted(i), "10.96.%d.%d".formatted(i / 200, i % 200))
                        .build()));

        NodeServices.Told told = answer();

        assertThat(told.beyond()).isEqualTo(2);
        assertThat(told.ports()).hasSize(NodeServices.PORTS_MAX);
        assertThat(told.ports().getLast().service()).isEqualTo("shop/s255");
    }
}
