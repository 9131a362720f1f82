package dev.vmlet.resolve;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.api.Condition;
import dev.vmlet.api.OpenPort;
import dev.vmlet.api.Serialization;
import dev.vmlet.api.VirtualMachineStatus;
import dev.vmlet.api.VmNode;
import dev.vmlet.api.VmNodeSpec;
import dev.vmlet.api.VmNodeSpec.Backend;
import dev.vmlet.api.VmNodeSpec.ServedPort;
import dev.vmlet.api.VmNodeStatus;
import dev.vmlet.model.Fitness;
import dev.vmlet.model.Frontend;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Protocol;
import dev.vmlet.model.ReservedPorts;
import dev.vmlet.model.ServicePort;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class LocalFrontendsTest {
    private static final ReservedPorts RESERVED = ReservedPorts.parse(ReservedPorts.DEFAULT);
    private static final List<Backend> X = List.of(new Backend("uid-x", "x", 8081));
    private static final Fitness UNFIT = new Fitness(false, Set.of());

    private static List<Frontend> of(ServedPort... ports) {
        VmNode node = new VmNode();
        node.setSpec(new VmNodeSpec(null, List.of(ports)));
        node.setStatus(Serialization.lenient().unmarshal("{\"addresses\": [\"192.0.2.1\"]}", VmNodeStatus.class));
        return LocalFrontends.of(node, RESERVED);
    }

    private static ServedPort tcp(String service, int port, @Nullable Integer nodePort, String... addresses) {
        return new ServedPort(service, List.of(addresses), port, nodePort, null, null, null, X);
    }

    private static Frontend front(String service, Optional<String> address, int port) {
        return new Frontend(
                service,
                address.map(Ipv4Address::parse),
                new ServicePort(Protocol.TCP, port),
                false,
                false,
                Map.of("uid-x", 8081));
    }

    @Test
    void aNodeThatWasToldNothingLeadsNobody() {
        assertThat(LocalFrontends.of(new VmNode(), RESERVED)).isEmpty();
    }

    @Test
    void eachAddressIsAFrontendAndTheNodePortOneForAllTheNodesOwn() {
        assertThat(of(tcp("shop/front", 80, 30_080, "10.96.0.10", "203.0.113.7")))
                .containsExactly(
                        front("shop/front", Optional.of("10.96.0.10"), 80),
                        front("shop/front", Optional.of("203.0.113.7"), 80),
                        front("shop/front", Optional.empty(), 30_080));
        assertThat(of(new ServedPort(
                        "shop/dns", List.of("10.96.0.11"), 53, null, OpenPort.Protocol.UDP, true, true, X)))
                .containsExactly(new Frontend(
                        "shop/dns",
                        Optional.of(Ipv4Address.parse("10.96.0.11")),
                        new ServicePort(Protocol.UDP, 53),
                        true,
                        true,
                        Map.of("uid-x", 8081)));
    }

    @Test
    void ofTwoAtOnePlaceTheFirstHasIt() {
        assertThat(of(
                        tcp("shop/a", 80, 30_080, "203.0.113.7"),
                        tcp("shop/b", 80, 30_080, "203.0.113.7"),
                        tcp("shop/c", 81, null, "203.0.113.7")))
                .containsExactly(
                        front("shop/a", Optional.of("203.0.113.7"), 80),
                        front("shop/a", Optional.empty(), 30_080),
                        front("shop/c", Optional.of("203.0.113.7"), 81));
    }

    @Test
    void portsThatTheNodeKeepsToItselfAreNotLedAtItsOwnAddress() {
        assertThat(of(tcp("shop/a", 22, null, "192.0.2.1", "203.0.113.7"), tcp("shop/b", 80, null, "192.0.2.1")))
                .containsExactly(
                        front("shop/a", Optional.of("203.0.113.7"), 22), front("shop/b", Optional.of("192.0.2.1"), 80));
    }

    @Test
    void whatIsNoPlaceOfAServiceIsLeftOut() {
        assertThat(of(tcp("shop/a", 80, 70_000, "127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "fd00::1")))
                .isEmpty();
        assertThat(of(tcp("shop/a", 0, null, "10.96.0.10"))).isEmpty();
    }

    @Test
    void thereIsRoomForSoManyAndNoMore() {
        ServedPort[] ports = IntStream.range(0, 300)
                .mapToObj(i -> tcp("shop/a" + i, 80, 30_000 + i, "10.96." + i / 200 + "." + (i % 200 + 1)))
                .toArray(ServedPort[]::new);
        assertThat(of(ports))
                .hasSize(LocalFrontends.FRONTENDS_MAX)
                .startsWith(of(ports[0], ports[1]).toArray(Frontend[]::new));
    }

    private static VirtualMachineStatus status(Condition.Status ready, String... published) {
        return new VirtualMachineStatus(
                null,
                List.of(new VirtualMachineStatus.Address(
                        "lab", "10.77.0.2", "52:00:00:00:00:07", "vmt-x", null, List.of(published))),
                null,
                null,
                null,
                null,
                null,
                null,
                null,
                null,
                List.of(new Condition("Ready", ready, "AsExpected", "", 1L, "2026-01-01T12:00:00Z")));
    }

    @Test
    void aVmIsAsFitAsItsStatusSays() {
        Set<ServicePort> ports = Set.of(new ServicePort(Protocol.TCP, 8081), new ServicePort(Protocol.UDP, 53));
        assertThat(LocalFrontends.fitness(status(Condition.Status.True, "tcp/8081", "udp/53", "sctp/1", "x"), UNFIT))
                .isEqualTo(new Fitness(true, ports));
        Fitness ready = new Fitness(true, ports);
        assertThat(LocalFrontends.fitness(status(Condition.Status.False, "tcp/8081", "udp/53"), ready))
                .isEqualTo(new Fitness(false, ports));
        assertThat(LocalFrontends.fitness(status(Condition.Status.Unknown, "tcp/8081", "udp/53"), ready))
                .as("nobody could look")
                .isEqualTo(ready);
        assertThat(LocalFrontends.fitness(null, ready)).isEqualTo(UNFIT);
    }
}
