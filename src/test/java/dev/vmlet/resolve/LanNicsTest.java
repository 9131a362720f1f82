package dev.vmlet.resolve;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSliceStatus;
import dev.vmlet.api.OpenPort;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineSpec;
import dev.vmlet.api.VirtualMachineSpec.NetworkInterface;
import dev.vmlet.model.DesiredNetwork;
import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.DesiredVm;
import dev.vmlet.model.Given;
import dev.vmlet.model.HostFacts;
import dev.vmlet.model.HostNames;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.Mark;
import dev.vmlet.model.NetworkId;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Reservation;
import dev.vmlet.model.Resolution;
import dev.vmlet.model.UserData;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmRecord;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** A VM on a bridge of the operator's: what it comes to, and each row of what it is refused for. */
class LanNicsTest {
    private static final NetworkSliceStatus READY =
            new NetworkSliceStatus("br0", 1400, null, true, "AsExpected", "Bridge br0 is there.", 1L, null);

    private Network lan = Given.lan("192.168.1.0/24", "192.168.1.1");
    private @Nullable NetworkSliceStatus seen = READY;
    private HostFacts facts = Given.facts(List.of());

    private Resolution<DesiredVm> asking(@Nullable String address) {
        return asking(new NetworkInterface("lan", address, null, null));
    }

    private Resolution<DesiredVm> asking(NetworkInterface... nics) {
        VirtualMachineSpec base = Given.spec();
        VirtualMachine vm = Given.vm(
                "web",
                "vm-1",
                new VirtualMachineSpec(
                        base.nodeName(),
                        base.runStrategy(),
                        base.cpu(),
                        base.memory(),
                        base.disks(),
                        List.of(nics),
                        base.cloudInit(),
                        null,
                        null,
                        30));
        return VmResolver.resolve(
                vm,
                List.of(Given.network(), lan),
                List.of(Given.slice(), Given.lanSlice(seen)),
                new UserData.NotAsked(),
                facts);
    }

    private static DesiredVm desired(Resolution<DesiredVm> resolution) {
        assertThat(resolution).isInstanceOf(Resolution.Desired.class);
        return ((Resolution.Desired<DesiredVm>) resolution).value();
    }

    private static Resolution<DesiredVm> refused(Reason reason, String message) {
        return new Resolution.Unresolved<>(reason, message);
    }

    private static VmRecord other(DesiredNic nic) {
        return VmRecord.of(new VmId("lab", "vm-2", "vm-2"), 200_001, List.of(nic), List.of(), Duration.ZERO);
    }

    @Test
    void hasTheAddressThatItAsksForAndTheMtuThatTheBridgeHas() {
        DesiredVm vm = desired(asking("192.168.1.50"));
        assertThat(vm.nics()).isEqualTo(List.of(Given.lanNic("vm-1", "192.168.1.50", 1400)));
        assertThat(vm.seed().networkConfig()).isEqualTo("""
                version: 2
                ethernets:
                  lan:
                    match:
                      macaddress: "%s"
                    dhcp4: false
                    addresses:
                    - "192.168.1.50/24"
                    routes:
                    - to: "0.0.0.0/0"
                      via: "192.168.1.1"
                    accept-ra: false
                    mtu: 1400
                """.formatted(
                        Given.lanNic("vm-1", "192.168.1.50", 1400).mac()));
    }

    @Test
    void asksTheLansDhcpWhereItNamesNone() {
        lan = Given.lan(null, null);
        DesiredVm vm = desired(asking((String) null));
        assertThat(vm.nics()).isEqualTo(List.of(Given.lanNic("vm-1", "0.0.0.0", 1400)));
        assertThat(vm.seed().networkConfig())
                .isEqualTo("""
                version: 2
                ethernets:
                  lan:
                    match:
                      macaddress: "%s"
                    dhcp4: true
                    dhcp-identifier: "mac"
                    accept-ra: false
                    mtu: 1400
                """.formatted(Given.lanNic("vm-1", "0.0.0.0", 1400).mac()));
    }

    @Test
    void hasOneDefaultRouteWhateverTheLansDhcpOffers() {
        DesiredVm vm = desired(
                asking(new NetworkInterface("net", null, null, null), new NetworkInterface("lan", null, null, null)));
        assertThat(vm.seed().networkConfig())
                .contains("via: \"10.77.4.1\"")
                .contains(
                        "    dhcp4: true\n    dhcp-identifier: \"mac\"\n    dhcp4-overrides:\n      use-routes: false\n");
    }

    /** The former address is nobody's promise: a VM that names none any more asks the LAN, at its next start. */
    @Test
    void doesNotKeepAnAddressThatItAsksForNoMore() {
        VmRecord record = VmRecord.of(
                Given.WEB, 200_000, List.of(Given.lanNic("vm-1", "192.168.1.50", 1500)), List.of(), Duration.ZERO);
        facts = Given.facts(List.of(record));
        assertThat(desired(asking((String) null)).nics()).isEqualTo(List.of(Given.lanNic("vm-1", "0.0.0.0", 1400)));
    }

    @Test
    void waitsForTheBridgeAndSaysSoInTheWordsOfTheSlice() {
        seen = null;
        assertThat(asking("192.168.1.50"))
                .isEqualTo(refused(Reason.NetworkNotReady, "Network lan has not been looked at on this node yet"));
        seen = new NetworkSliceStatus(
                null, null, null, false, "BridgeMissing", "This node has no bridge br0.", 1L, null);
        assertThat(asking("192.168.1.50"))
                .isEqualTo(refused(
                        Reason.BridgeMissing, "Network lan cannot be used on this node: This node has no bridge br0."));
    }

    @Test
    void aVmThatWasThereGoesOnWhileTheBridgeIsAway() {
        DesiredNic nic = Given.lanNic("vm-1", "192.168.1.50", 1300);
        facts = Given.facts(List.of(VmRecord.of(Given.WEB, 200_000, List.of(nic), List.of(), Duration.ZERO)));
        seen = new NetworkSliceStatus(
                null, null, null, false, "BridgeMissing", "This node has no bridge br0.", 1L, null);
        assertThat(desired(asking("192.168.1.50")).nics()).isEqualTo(List.of(nic));
    }

    @Test
    void refusesAnAddressThatTheLanCannotHave() {
        assertThat(asking("192.168.2.50"))
                .isEqualTo(refused(
                        Reason.AddressOutsideSlice,
                        "spec.networks[lan].address 192.168.2.50 lies outside 192.168.1.0/24, the LAN of Network lan;"
                                + " choose one inside, or leave it to the LAN's DHCP"));
        for (String reserved : List.of("192.168.1.0", "192.168.1.1", "192.168.1.255")) {
            assertThat(asking(reserved))
                    .isEqualTo(refused(
                            Reason.AddressReserved,
                            "spec.networks[lan].address " + reserved + " is the gateway's, the network's or the"
                                    + " broadcast address of 192.168.1.0/24; choose another"));
        }
        lan = Given.lan(null, null);
        assertThat(asking("192.168.1.50"))
                .isEqualTo(refused(
                        Reason.InvalidSpec,
                        "spec.networks[lan].address 192.168.1.50 needs the LAN's prefix length, and Network lan has no"
                                + " cidr; give the Network its LAN's cidr, or leave the address to the LAN's DHCP"));
    }

    @Test
    void refusesAnAddressOfAnotherVmWhateverItsNetwork() {
        DesiredNic there = Given.nic(new NetworkId("shop", "lan", "lan-2"), "vm-2", "192.168.1.50");
        facts = Given.facts(List.of(other(there)));
        assertThat(asking("192.168.1.50"))
                .isEqualTo(refused(
                        Reason.AddressTaken,
                        "spec.networks[lan].address 192.168.1.50 belongs to VM lab/vm-2 on bridge " + there.bridge()
                                + ", and a node tells its guests apart by address, also where they are on different LANs;"
                                + " choose another, or put one of the two VMs on another node"));
        facts = Given.facts(List.of(other(Given.lanNic("vm-2", "192.168.1.50", 1500))));
        assertThat(asking("192.168.1.50"))
                .isEqualTo(refused(
                        Reason.AddressTaken,
                        "spec.networks[lan].address 192.168.1.50 belongs to VM lab/vm-2; choose another"));
        facts = Given.facts(
                List.of(),
                List.of(new Reservation(
                        "vm-2",
                        "vm-2/record.json",
                        "torn",
                        OptionalInt.of(200_001),
                        List.of(new Reservation.Nic("lan-2", "192.168.1.50", "52:00:00:00:00:09")),
                        true)));
        assertThat(asking("192.168.1.50"))
                .isEqualTo(refused(
                        Reason.AddressTaken,
                        "spec.networks[lan].address 192.168.1.50 belongs to the VM of the unreadable record"
                                + " vm-2/record.json; choose another"));
    }

    /** Both LANs are the office's old prefix: each may have guests, and the firewall has no set with one address twice. */
    @Test
    void twoLansOfOnePrefixHaveGuestsAtDifferentAddresses() {
        DesiredNic there = onBr1("192.168.1.50");
        facts = Given.facts(List.of(other(there)));
        assertThat(desired(asking("192.168.1.51")).nics())
                .isEqualTo(List.of(Given.lanNic("vm-1", "192.168.1.51", 1400)));
        assertThat(asking("192.168.1.50"))
                .isEqualTo(refused(
                        Reason.AddressTaken,
                        "spec.networks[lan].address 192.168.1.50 belongs to VM lab/vm-2 on bridge br1, and a node tells its"
                                + " guests apart by address, also where they are on different LANs; choose another, or put"
                                + " one of the two VMs on another node"));
        facts = Given.facts(List.of(other(onBr1("0.0.0.0"))));
        assertThat(asking((String) null)).isInstanceOf(Resolution.Desired.class);
    }

    @Test
    void aNetworkOfOursGivesNobodyAnAddressThatAGuestOnALanHas() {
        facts = Given.facts(List.of(other(onBr1("10.77.4.2"))));
        assertThat(desired(asking(new NetworkInterface("net", null, null, null)))
                        .nics())
                .extracting(nic -> nic.ip().toString())
                .containsExactly("10.77.4.3");
        assertThat(asking(new NetworkInterface("net", "10.77.4.2", null, null)))
                .isEqualTo(refused(
                        Reason.AddressTaken,
                        "spec.networks[net].address 10.77.4.2 belongs to VM lab/vm-2 on bridge br1, and a node tells its"
                                + " guests apart by address, also where they are on different LANs; choose another, or put"
                                + " one of the two VMs on another node"));
        facts = Given.facts(
                List.of(),
                List.of(new Reservation(
                        "vm-2",
                        "vm-2/record.json",
                        "torn",
                        OptionalInt.of(200_001),
                        List.of(new Reservation.Nic("lan-2", "10.77.4.2", "52:00:00:00:00:09")),
                        true)));
        assertThat(asking(new NetworkInterface("net", "10.77.4.2", null, null)))
                .isEqualTo(refused(
                        Reason.AddressTaken,
                        "spec.networks[net].address 10.77.4.2 belongs to the VM of the unreadable record"
                                + " vm-2/record.json; choose another"));
    }

    private static DesiredNic onBr1(String ip) {
        return new DesiredNic(
                new NetworkId("shop", "lan", "lan-2"),
                new LinkName("br1"),
                new Mark(""),
                Given.NAMES.tap("vm-2", "lan"),
                Mark.ofNic(Given.INSTALLATION, "vm-2", "lan-2"),
                HostNames.nicMac("vm-2", "lan"),
                Ipv4Address.parse(ip),
                1500);
    }

    @Test
    void twoVmsMayAskTheSameDhcp() {
        facts = Given.facts(List.of(other(Given.lanNic("vm-2", "0.0.0.0", 1500))));
        assertThat(asking((String) null)).isInstanceOf(Resolution.Desired.class);
    }

    @Test
    void refusesAMacAddressOfAnotherVmOnTheSameBridge() {
        DesiredNic there = Given.lanNic("vm-2", "0.0.0.0", 1500);
        facts = Given.facts(List.of(other(there)));
        assertThat(asking(new NetworkInterface("lan", null, there.mac().value(), null)))
                .isEqualTo(refused(
                        Reason.MacAddressTaken,
                        "spec.networks[lan].macAddress " + there.mac() + " belongs to VM lab/vm-2; choose another"));
    }

    @Test
    void publishesNothingOnTheNode() {
        assertThat(asking(new NetworkInterface(
                        "lan",
                        null,
                        null,
                        List.of(new VirtualMachineSpec.Published(null, 8080, 80, OpenPort.Protocol.TCP)))))
                .isEqualTo(refused(
                        Reason.InvalidSpec,
                        "spec.networks[lan].ports: Network lan is on bridge br0 of the operator's, where the guest is"
                                + " reached at an address of the LAN and nothing is published on the node; leave ports"
                                + " out"));
    }

    @Test
    void nothingOfTheNetworkIsMadeOnTheNode() {
        Resolution<DesiredNetwork> resolution = NetworkResolver.resolve(
                lan,
                List.of(lan),
                List.of(Given.lanSlice(seen)),
                Given.NODE,
                true,
                Optional.empty(),
                new NetworkResolver.HostAddressing(Map.of(), List.of(), List.of()),
                Given.INSTALLATION);
        assertThat(resolution).isEqualTo(new Resolution.Absent<>());
        assertThat(NetworkResolver.existingBridge(lan)).contains(new LinkName("br0"));
        assertThat(NetworkResolver.sliceOf(lan, List.of(Given.slice(), Given.lanSlice(seen)), Given.NODE))
                .map(slice -> slice.getMetadata().getName())
                .contains("lan-4");
    }
}
