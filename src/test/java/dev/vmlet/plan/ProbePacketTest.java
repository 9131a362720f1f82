package dev.vmlet.plan;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.model.DesiredNetwork;
import dev.vmlet.model.Destination;
import dev.vmlet.model.Egress;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.MacAddress;
import dev.vmlet.model.Mark;
import dev.vmlet.model.NetworkId;
import dev.vmlet.model.NetworkPolicy;
import dev.vmlet.model.Protocol;
import dev.vmlet.model.ServicePort;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** What a probe looks like, and by what it is told from everything else on the host. */
class ProbePacketTest {
    private static final int COOKIE = 0xcafe_1234;
    private static final MacAddress GATEWAY = new MacAddress("52:00:00:00:aa:01");

    private static DesiredNetwork network(String subnet, Egress egress, Destination... allowed) {
        return new DesiredNetwork(
                new NetworkId("lab", "lab", "net-1"),
                new LinkName("vmb-lab"),
                GATEWAY,
                Mark.ofNetwork(new InstallationId("aaaaaaaa"), "net-1"),
                Ipv4Prefix.parse(subnet),
                1500,
                egress,
                new NetworkPolicy(false, List.of(), List.of(allowed), List.of()));
    }

    private static Ipv4Address ip(String address) {
        return Ipv4Address.parse(address);
    }

    @Test
    void comesFromTheHighestAddressThatNoGuestHas() {
        DesiredNetwork network = network("10.77.0.0/29", Egress.MASQUERADE);
        assertThat(ProbePacket.of(network, Set.of(ip("10.77.0.6"), ip("10.77.0.5")), COOKIE))
                .contains(new ProbePacket(
                        network.bridge(), GATEWAY, ip("10.77.0.4"), ip("198.41.0.4"), Protocol.TCP, 443, COOKIE));
        Set<Ipv4Address> all =
                Set.of(ip("10.77.0.2"), ip("10.77.0.3"), ip("10.77.0.4"), ip("10.77.0.5"), ip("10.77.0.6"));
        assertThat(ProbePacket.of(network, all, COOKIE).orElseThrow().source()).isEqualTo(ip("10.77.0.6"));
    }

    @Test
    void goesWhereTheNetworkMayGo() {
        Destination dns =
                new Destination(Ipv4Prefix.parse("192.0.2.0/24"), Optional.of(new ServicePort(Protocol.UDP, 53)));
        DesiredNetwork network = network("10.77.0.0/24", Egress.MASQUERADE, dns);
        assertThat(ProbePacket.of(network, Set.of(), COOKIE))
                .contains(new ProbePacket(
                        network.bridge(), GATEWAY, ip("10.77.0.254"), ip("192.0.2.1"), Protocol.UDP, 53, COOKIE));
        assertThat(ProbePacket.of(network("10.77.0.0/24", Egress.NONE), Set.of(), COOKIE))
                .isEmpty();
    }

    /** What the kernel checks: the sum over a packet with its checksum is all ones (RFC 1071). */
    @Test
    void hasChecksumsThatAreRight() {
        for (Protocol protocol : Protocol.values()) {
            ProbePacket packet = packet(protocol);
            byte[] frame = packet.frame();
            byte[] ip = Arrays.copyOfRange(frame, 14, 34);
            byte[] rest = Arrays.copyOfRange(frame, 34, frame.length);
            assertThat(sum(ip, 0)).isEqualTo(0xffff);
            int pseudo =
                    sum(packet.source().bytes(), 0) + sum(packet.destination().bytes(), 0);
            assertThat(sum(rest, pseudo + protocol.number() + rest.length)).isEqualTo(0xffff);
            assertThat(packet.isIn(ip, rest)).isTrue();
            assertThat(packet.isIn(ip, Arrays.copyOf(rest, 20))).isTrue();
            // Addresses, ports and hop count may change on the way.
            Arrays.fill(ip, 10, 20, (byte) 7);
            ip[8]--;
            Arrays.fill(rest, 0, 4, (byte) 7);
            assertThat(packet.isIn(ip, rest)).isTrue();
        }
    }

    @Test
    void isTakenForNoOther() {
        byte[] tcp = packet(Protocol.TCP).frame();
        byte[] ip = Arrays.copyOfRange(tcp, 14, 34);
        byte[] rest = Arrays.copyOfRange(tcp, 34, tcp.length);
        assertThat(packet(Protocol.UDP).isIn(ip, rest)).isFalse();
        assertThat(packet(Protocol.TCP).isIn(ip, new byte[0])).isFalse();
        rest[5]++;
        assertThat(packet(Protocol.TCP).isIn(ip, rest)).isFalse();
        rest[5]--;
        ip[5]++;
        assertThat(packet(Protocol.TCP).isIn(ip, rest)).isFalse();
    }

    @Test
    void everyRuleOfItsNamesItAlone() {
        for (Protocol protocol : Protocol.values()) {
            String rules = packet(protocol).rules("vmlet_aaaaaaaa_probe", true);
            String itself = protocol == Protocol.TCP
                    ? "ip id 55498 tcp sequence 3405648436 "
                    : "ip id 55498 meta l4proto udp @th,64,32 3405648436 ";
            List<String> others = rules.lines()
                    .map(String::strip)
                    .filter(line -> line.contains(" drop") || line.contains("nftrace"))
                    .filter(line -> !line.contains(itself))
                    .toList();
            assertThat(others)
                    .containsExactly(
                            "ip daddr 10.77.0.9 meta l4proto " + protocol.text() + " th dport 37428 drop",
                            "ip daddr 10.77.0.9 icmp type destination-unreachable drop");
        }
    }

    private static ProbePacket packet(Protocol protocol) {
        return new ProbePacket(
                new LinkName("vmb-lab"), GATEWAY, ip("10.77.0.9"), ip("198.41.0.4"), protocol, 443, COOKIE);
    }

    private static int sum(byte[] bytes, int start) {
        int sum = start;
        for (int i = 0; i < bytes.length; i += 2) {
            sum += (bytes[i] & 0xff) << 8 | bytes[i + 1] & 0xff;
        }
        while (sum >>> 16 != 0) {
            sum = (sum & 0xffff) + (sum >>> 16);
        }
        return sum;
    }
}
