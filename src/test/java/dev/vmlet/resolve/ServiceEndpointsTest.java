package dev.vmlet.resolve;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.api.Condition;
import dev.vmlet.api.OpenPort;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineSpec;
import dev.vmlet.api.VirtualMachineSpec.NetworkInterface;
import dev.vmlet.api.VirtualMachineSpec.Published;
import dev.vmlet.api.VirtualMachineStatus;
import dev.vmlet.model.Reason;
import dev.vmlet.resolve.ServiceEndpoints.Answer;
import dev.vmlet.resolve.ServiceEndpoints.Problem;
import io.fabric8.kubernetes.api.model.IntOrString;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.api.model.Service;
import io.fabric8.kubernetes.api.model.ServiceBuilder;
import io.fabric8.kubernetes.api.model.discovery.v1.EndpointConditions;
import io.fabric8.kubernetes.api.model.discovery.v1.EndpointSlice;
import io.fabric8.kubernetes.api.model.discovery.v1.EndpointSliceBuilder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** What a Service gets that names VMs, and each row of what it is told instead. */
class ServiceEndpointsTest {
    private static final Published WEB = new Published("web", 8081, 8080, OpenPort.Protocol.TCP);

    private final List<VirtualMachine> vms = new ArrayList<>();
    private final List<EndpointSlice> there = new ArrayList<>();
    private final Map<String, String> addresses = new HashMap<>(Map.of("a", "192.0.2.1", "b", "192.0.2.2"));

    private Answer of(Service service) {
        return ServiceEndpoints.of(service, vms, there, node -> Optional.ofNullable(addresses.get(node)));
    }

    private static ServiceBuilder selecting(@Nullable String selector) {
        return new ServiceBuilder()
                .withNewMetadata()
                .withName("front")
                .withNamespace("shop")
                .withUid("service-uid")
                .withAnnotations(selector == null ? Map.of() : Map.of("vmlet.dev/selector", selector))
                .endMetadata()
                .withNewSpec()
                .withClusterIP("10.96.0.10")
                .endSpec();
    }

    private static Service front(@Nullable Integer number, @Nullable String name, String protocol) {
        return selecting("app=web")
                .editSpec()
                .addNewPort()
                .withName("http")
                .withPort(80)
                .withProtocol(protocol)
                .withTargetPort(name != null ? new IntOrString(name) : number != null ? new IntOrString(number) : null)
                .endPort()
                .endSpec()
                .build();
    }

    private static Service front() {
        return front(null, "web", "TCP");
    }

    /** Ready, labelled app=web, and published as asked. */
    private VirtualMachine vm(String name, @Nullable String node, Published... ports) {
        VirtualMachine vm = new VirtualMachine();
        vm.setMetadata(new ObjectMetaBuilder()
                .withName(name)
                .withNamespace("shop")
                .withUid("uid-" + name)
                .withLabels(Map.of("app", "web"))
                .build());
        vm.setSpec(new VirtualMachineSpec(
                node,
                null,
                null,
                null,
                null,
                List.of(new NetworkInterface("lab", null, null, List.of(ports))),
                null,
                null,
                null,
                null));
        status(
                vm,
                Condition.Status.True,
                Arrays.stream(ports)
                        .map(p -> (p.protocol() == OpenPort.Protocol.UDP ? "udp/" : "tcp/") + p.hostPort())
                        .toList());
        vms.add(vm);
        return vm;
    }

    private static void status(VirtualMachine vm, Condition.Status ready, List<String> published) {
        vm.setStatus(new VirtualMachineStatus(
                null,
                List.of(new VirtualMachineStatus.Address(
                        "lab", "10.77.0.2", "52:00:00:00:00:07", "vmt-x", null, published)),
                null,
                null,
                null,
                null,
                null,
                null,
                null,
                null,
                List.of(new Condition("Ready", ready, "AsExpected", "", 1L, "2026-01-01T12:00:00Z"))));
    }

    private static EndpointSlice slice(
            String vm, String node, String address, String port, String protocol, int number) {
        return new EndpointSliceBuilder()
                .withNewMetadata()
                .withName("front." + vm)
                .withNamespace("shop")
                .addToLabels("kubernetes.io/service-name", "front")
                .addToLabels("endpointslice.kubernetes.io/managed-by", "controller.vmlet.dev")
                .addNewOwnerReference()
                .withApiVersion("v1")
                .withKind("Service")
                .withName("front")
                .withUid("service-uid")
                .withController(true)
                .withBlockOwnerDeletion(true)
                .endOwnerReference()
                .endMetadata()
                .withAddressType("IPv4")
                .addNewEndpoint()
                .withAddresses(address)
                .withNodeName(node)
                .withNewConditions(true, true, false)
                .withNewTargetRef()
                .withApiVersion("vmlet.dev/v1alpha1")
                .withKind("VirtualMachine")
                .withNamespace("shop")
                .withName(vm)
                .withUid("uid-" + vm)
                .endTargetRef()
                .endEndpoint()
                .addNewPort()
                .withName(port)
                .withProtocol(protocol)
                .withPort(number)
                .endPort()
                .build();
    }

    private EndpointConditions conditions() {
        return of(front())
                .slices()
                .orElseThrow()
                .getFirst()
                .getEndpoints()
                .getFirst()
                .getConditions();
    }

    @Test
    void eachVmHasASliceWithItsNodesAddressAndItsOwnPort() {
        vm("two", "b", new Published("web", 9000, 8080, null));
        vm("one", "a", WEB);
        vm("other", "a", WEB).getMetadata().setLabels(Map.of("app", "db"));
        assertThat(of(front()))
                .isEqualTo(new Answer(
                        Optional.of(List.of(
                                slice("one", "a", "192.0.2.1", "http", "TCP", 8081),
                                slice("two", "b", "192.0.2.2", "http", "TCP", 9000))),
                        List.of()));
    }

    @Test
    void aPortIsFoundByTheGuestsNumberAndByTheServicesWithoutTargetPort() {
        vm("one", "a", WEB, new Published(null, 8053, 80, OpenPort.Protocol.UDP), new Published(null, 8082, 80, null));
        assertThat(of(front(8080, null, "TCP")).slices())
                .contains(List.of(slice("one", "a", "192.0.2.1", "http", "TCP", 8081)));
        assertThat(of(front(80, null, "UDP")).slices())
                .contains(List.of(slice("one", "a", "192.0.2.1", "http", "UDP", 8053)));
        assertThat(of(front(null, null, "TCP")).slices())
                .contains(List.of(slice("one", "a", "192.0.2.1", "http", "TCP", 8082)));
    }

    @Test
    void aVmThatIsNotReadyStaysAndIsNotReady() {
        status(vm("one", "a", WEB), Condition.Status.False, List.of("tcp/8081"));
        assertThat(conditions()).isEqualTo(new EndpointConditions(false, false, false));
    }

    @Test
    void aVmOfALostNodeStaysAndIsNotReady() {
        status(vm("one", "a", WEB), Condition.Status.Unknown, List.of("tcp/8081"));
        assertThat(conditions()).isEqualTo(new EndpointConditions(false, false, false));
    }

    @Test
    void aVmThatIsDeletedServesAsLongAsItDoesAndIsNotReady() {
        vm("one", "a", WEB).getMetadata().setDeletionTimestamp("2026-01-01T12:00:00Z");
        assertThat(conditions()).isEqualTo(new EndpointConditions(false, true, true));
    }

    /** The port may be another VM's: whoever asked second is refused, and goes on asking. */
    @Test
    void aPortThatIsOnlyAskedForIsNotReady() {
        status(vm("one", "a", WEB), Condition.Status.True, List.of("tcp/9999", "udp/8081"));
        assertThat(conditions()).isEqualTo(new EndpointConditions(false, false, false));
    }

    @Test
    void aServiceMayAskForThoseThatAreNotReady() {
        status(vm("one", "a", WEB), Condition.Status.False, List.of("tcp/8081"));
        Service early = new ServiceBuilder(front())
                .editSpec()
                .withPublishNotReadyAddresses(true)
                .endSpec()
                .build();
        assertThat(of(early)
                        .slices()
                        .orElseThrow()
                        .getFirst()
                        .getEndpoints()
                        .getFirst()
                        .getConditions())
                .isEqualTo(new EndpointConditions(true, false, false));
    }

    /** Else a tenant could put a port that the node keeps for itself behind a load balancer of his. */
    @Test
    void noServiceMayAskForAPortThatTheNodeDoesNotLeadToTheVm() {
        status(vm("one", "a", new Published("web", 10250, 8080, null)), Condition.Status.False, List.of());
        Service early = new ServiceBuilder(front())
                .editSpec()
                .withPublishNotReadyAddresses(true)
                .endSpec()
                .build();
        assertThat(of(early)
                        .slices()
                        .orElseThrow()
                        .getFirst()
                        .getEndpoints()
                        .getFirst()
                        .getConditions())
                .isEqualTo(new EndpointConditions(false, false, false));
    }

    @Test
    void aPortWithoutANameHasTheEmptyOneThatTheServerGivesIt() {
        vm("one", "a", WEB);
        Service unnamed = new ServiceBuilder(front())
                .editSpec()
                .editFirstPort()
                .withName(null)
                .endPort()
                .endSpec()
                .build();
        assertThat(of(unnamed).slices()).contains(List.of(slice("one", "a", "192.0.2.1", "", "TCP", 8081)));
    }

    @Test
    void aServiceWithoutAnAddressOfItsOwnIsLeftToDns() {
        vm("one", "a", WEB);
        Service headless = new ServiceBuilder(front())
                .editSpec()
                .withClusterIP("None")
                .endSpec()
                .build();
        assertThat(of(headless).slices().orElseThrow().getFirst().getMetadata().getLabels())
                .containsEntry("service.kubernetes.io/headless", "");
    }

    @Test
    void whatOthersWroteOnASliceStays() {
        vm("one", "a", WEB);
        EndpointSlice before = slice("one", "a", "192.0.2.77", "http", "TCP", 1);
        before.getMetadata().getLabels().put("team", "shop");
        before.getMetadata().setResourceVersion("42");
        there.add(before);
        EndpointSlice expected = slice("one", "a", "192.0.2.1", "http", "TCP", 8081);
        expected.getMetadata().getLabels().put("team", "shop");
        expected.getMetadata().setResourceVersion("42");
        assertThat(of(front()).slices()).contains(List.of(expected));
    }

    @Test
    void withoutTheAnnotationThereAreNoSlices() {
        vm("one", "a", WEB);
        there.add(slice("one", "a", "192.0.2.1", "http", "TCP", 8081));
        assertThat(of(selecting(null).build())).isEqualTo(new Answer(Optional.of(List.of()), List.of()));
    }

    @Test
    void aVmWithoutANodeHasNoSliceAndNothingIsSaid() {
        vm("one", null, WEB);
        assertThat(of(front())).isEqualTo(new Answer(Optional.of(List.of()), List.of()));
    }

    // ---- what is told ----

    private List<String> told(Service service) {
        return of(service).problems().stream().map(Problem::message).toList();
    }

    @Test
    void aPortThatTheVmDoesNotPublishIsNamedWithTheRemedy() {
        vm("one", "a", WEB);
        assertThat(of(front(null, "http", "TCP")))
                .isEqualTo(new Answer(
                        Optional.of(List.of()),
                        List.of(new Problem(
                                Reason.NotPublished,
                                "one",
                                "spec.ports[http]: VM one publishes no TCP port of the name http and is not behind it;"
                                        + " add {name: http, hostPort: ..., port: ...} to spec.networks[].ports of the"
                                        + " VM, or change targetPort"))));
        assertThat(told(front(53, null, "UDP")))
                .containsExactly(
                        "spec.ports[http]: VM one publishes no UDP port 53 and is not behind it; add {hostPort:"
                                + " ..., port: 53, protocol: UDP} to spec.networks[].ports of the VM, or change targetPort");
        assertThat(told(front(53, null, "SCTP")))
                .containsExactly("spec.ports[http].protocol is SCTP, and VMs publish TCP and UDP only; VM one is not"
                        + " behind it");
    }

    @Test
    void aNodeWhoseAddressIsNotKnownIsNamed() {
        vm("one", "c", WEB);
        assertThat(of(front()))
                .isEqualTo(new Answer(
                        Optional.of(List.of()),
                        List.of(new Problem(
                                Reason.NotPublished,
                                "one",
                                "VM one is left out: VmNode c shows no status.addresses yet; look whether the agent of"
                                        + " that node runs, is of this version, and the node has a default route"))));
    }

    @Test
    void anAddressThatWasKnownIsKept() {
        vm("one", "a", WEB);
        there.add(slice("one", "a", "192.0.2.1", "http", "TCP", 1));
        addresses.clear();
        assertThat(of(front()))
                .isEqualTo(new Answer(
                        Optional.of(List.of(slice("one", "a", "192.0.2.1", "http", "TCP", 8081))), List.of()));
    }

    @Test
    void anAddressOfAnotherNodeIsNotKept() {
        vm("one", "b", WEB);
        there.add(slice("one", "a", "192.0.2.1", "http", "TCP", 8081));
        addresses.clear();
        assertThat(of(front()).slices()).contains(List.of());
    }

    @Test
    void aSelectorThatCannotBeReadChangesNothing() {
        vm("one", "a", WEB);
        Answer answer = of(new ServiceBuilder(front())
                .editMetadata()
                .withAnnotations(Map.of("vmlet.dev/selector", "app in web"))
                .endMetadata()
                .build());
        assertThat(answer)
                .isEqualTo(new Answer(
                        Optional.empty(),
                        List.of(new Problem(
                                Reason.ServiceRefused,
                                "",
                                "the annotation vmlet.dev/selector is no label selector, so its endpoints stay as they"
                                        + " are: found 'web' expected: '('; write it as for kubectl get -l, for example"
                                        + " app=web"))));
    }

    @Test
    void anEmptySelectorTakesNobody() {
        vm("one", "a", WEB);
        assertThat(of(selecting(" ").build()))
                .isEqualTo(new Answer(
                        Optional.empty(),
                        List.of(new Problem(
                                Reason.ServiceRefused,
                                "",
                                "the annotation vmlet.dev/selector is empty, so its endpoints stay as they are; name"
                                        + " labels, for example app=web, or take it away"))));
    }

    @Test
    void aServiceThatSelectsPodsIsLeftToTheCluster() {
        vm("one", "a", WEB);
        Service both = new ServiceBuilder(front())
                .editSpec()
                .addToSelector("app", "web")
                .endSpec()
                .build();
        assertThat(of(both).slices()).contains(List.of());
        assertThat(told(both))
                .containsExactly(
                        "spec.selector selects Pods, and the annotation vmlet.dev/selector VMs, for which there"
                                + " is room only without it; remove one of the two");
    }

    @Test
    void servicesThatCannotLeadToAnIpv4EndpointAreTold() {
        vm("one", "a", WEB);
        assertThat(told(new ServiceBuilder(front())
                        .editSpec()
                        .withType("ExternalName")
                        .endSpec()
                        .build()))
                .containsExactly("spec.type ExternalName leads to a DNS name and to no endpoint; use another type, or"
                        + " remove the annotation vmlet.dev/selector");
        assertThat(told(new ServiceBuilder(front())
                        .editSpec()
                        .withIpFamilies("IPv6")
                        .endSpec()
                        .build()))
                .containsExactly("spec.ipFamilies lacks IPv4, and nodes publish ports of VMs by IPv4 only; add it");
    }
}
