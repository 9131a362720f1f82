package dev.vmlet.resolve;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.api.Disk;
import dev.vmlet.api.Image;
import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSlice;
import dev.vmlet.api.NetworkSliceStatus;
import dev.vmlet.api.NetworkSpec;
import dev.vmlet.api.OpenPort;
import dev.vmlet.api.RunStrategy;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineSpec;
import dev.vmlet.api.VirtualMachineSpec.NetworkInterface;
import dev.vmlet.api.VirtualMachineStatus;
import dev.vmlet.model.DesiredDisk;
import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.DesiredVm;
import dev.vmlet.model.Given;
import dev.vmlet.model.HostFacts;
import dev.vmlet.model.HostNames;
import dev.vmlet.model.ImageCatalog;
import dev.vmlet.model.ImageFormat;
import dev.vmlet.model.ImageSource;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Link;
import dev.vmlet.model.MacAddress;
import dev.vmlet.model.Mebibytes;
import dev.vmlet.model.NetworkId;
import dev.vmlet.model.Protocol;
import dev.vmlet.model.PublishedPort;
import dev.vmlet.model.Readiness;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Reservation;
import dev.vmlet.model.Resolution;
import dev.vmlet.model.ServicePort;
import dev.vmlet.model.UserData;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmRecord;
import dev.vmlet.model.VmmKind;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** What a VirtualMachine comes to on this node, and each row of what it is refused for. */
class VmResolverTest {
    private final List<Network> networks = new ArrayList<>(List.of(Given.network()));
    private final List<NetworkSlice> slices = new ArrayList<>(List.of(Given.slice()));
    private HostFacts facts = Given.facts(List.of());

    private Resolution<DesiredVm> resolve(VirtualMachine vm) {
        return VmResolver.resolve(vm, networks, slices, new UserData.NotAsked(), facts);
    }

    private static VirtualMachineSpec spec(
            @Nullable RunStrategy strategy, String memory, List<Disk> disks, List<NetworkInterface> nics) {
        VirtualMachineSpec base = Given.spec();
        return new VirtualMachineSpec(
                base.nodeName(),
                strategy,
                base.cpu(),
                new VirtualMachineSpec.Memory(memory),
                disks,
                nics,
                base.cloudInit(),
                null,
                null,
                30);
    }

    private Resolution<DesiredVm> withNic(@Nullable String address, @Nullable String mac) {
        return resolve(Given.vm(
                "web",
                "vm-1",
                spec(
                        RunStrategy.Always,
                        "2Gi",
                        java.util.Objects.requireNonNull(Given.spec().disks()),
                        List.of(new NetworkInterface("net", address, mac, null)))));
    }

    private Resolution<DesiredVm> withDisk(Disk... disks) {
        return resolve(Given.vm("web", "vm-1", spec(RunStrategy.Always, "2Gi", List.of(disks), List.of())));
    }

    private static Resolution<DesiredVm> refused(Reason reason, String message) {
        return new Resolution.Unresolved<>(reason, message);
    }

    private static DesiredVm desired(Resolution<DesiredVm> resolution) {
        assertThat(resolution).isInstanceOf(Resolution.Desired.class);
        return ((Resolution.Desired<DesiredVm>) resolution).value();
    }

    private static VmRecord other(String uid, int userId, String ip) {
        DesiredNic nic = Given.nic(Given.NET, uid, ip);
        return VmRecord.of(new VmId("lab", uid, uid), userId, List.of(nic), List.of(), Duration.ZERO);
    }

    private void others(VmRecord... records) {
        facts = Given.facts(List.of(records));
    }

    @Test
    void keepsTheOrderOfNicsAndGivesEachWhatItsOwnNetworkSays() {
        Network blue = Given.network("blue", "net-2", "10.78.0.0/16", NetworkSpec.Egress.None);
        blue.setSpec(new NetworkSpec(
                "10.78.0.0/16",
                24,
                NetworkSpec.Egress.None,
                9000,
                null,
                null,
                NetworkSpec.Isolation.Members,
                null,
                null,
                null));
        Network red = Given.network("red", "net-3", "10.79.0.0/16", NetworkSpec.Egress.None);
        networks.addAll(List.of(blue, red));
        slices.addAll(List.of(Given.slice(blue, "10.78.4.0/24"), Given.slice(red, "10.79.4.0/24")));
        List<DesiredNic> nics = desired(resolve(Given.vm(
                        "web",
                        "vm-1",
                        spec(
                                RunStrategy.Always,
                                "2Gi",
                                java.util.Objects.requireNonNull(Given.spec().disks()),
                                List.of(
                                        new NetworkInterface("red", null, null, null),
                                        new NetworkInterface("blue", "10.78.4.9", "52:00:00:00:00:09", null),
                                        new NetworkInterface("net", null, null, null))))))
                .nics();
        assertThat(nics.stream()
                        .map(nic -> nic.network().name() + " " + nic.ip() + " mtu " + nic.mtu()
                                + (nic.isolated() ? " isolated" : "")))
                .containsExactly(
                        "red 10.79.4.2 mtu 1500", "blue 10.78.4.9 mtu 9000 isolated", "net 10.77.4.2 mtu 1500");
        assertThat(nics.get(1).mac()).isEqualTo(new MacAddress("52:00:00:00:00:09"));
        assertThat(nics.stream().map(DesiredNic::tap).distinct()).hasSize(3);
        assertThat(nics.stream().map(DesiredNic::mac).distinct()).hasSize(3);
    }

    @Test
    void choosesEveryDefaultNameAndAddress() {
        DesiredVm vm = desired(resolve(Given.vm()));
        assertThat(vm)
                .isEqualTo(new DesiredVm(
                        Given.WEB,
                        1,
                        dev.vmlet.model.RunStrategy.ALWAYS,
                        "",
                        VmmKind.CLOUD_HYPERVISOR,
                        2,
                        new Mebibytes(2048),
                        List.of(
                                new DesiredDisk(
                                        "root",
                                        DesiredDisk.Role.DISK,
                                        Optional.of(new ImageSource.Url(
                                                "https://images.example/debian-13.qcow2",
                                                ImageFormat.QCOW2,
                                                Given.SHA256)),
                                        20L << 30,
                                        false),
                                new DesiredDisk(
                                        "boot.firmware",
                                        DesiredDisk.Role.FIRMWARE,
                                        Optional.of(new ImageSource.Host("/usr/share/fw", ImageFormat.RAW, "")),
                                        0,
                                        false)),
                        "",
                        vm.seed(),
                        List.of(Given.nic()),
                        200_000,
                        new Readiness.TcpPort(22, Duration.ofMinutes(5)),
                        Duration.ofSeconds(30)));
    }

    @Test
    void refusesAnUnknownNetwork() {
        networks.clear();
        assertThat(resolve(Given.vm()))
                .isEqualTo(refused(
                        Reason.NetworkNotFound,
                        "spec.networks[net]: there is no Network net in namespace lab; create it or correct the name"));
    }

    @Test
    void refusesANetworkThatIsBeingDeletedUnlessTheVmIsOnItAlready() {
        networks.get(0).getMetadata().setDeletionTimestamp("2026-01-01T00:00:00Z");
        assertThat(resolve(Given.vm()))
                .isEqualTo(refused(
                        Reason.NetworkBeingDeleted,
                        "spec.networks[net]: the Network is being deleted and takes no new VM; it goes when no VM names it"
                                + " any more, so delete this VM too, or name another Network"));
        others(Given.record());
        assertThat(desired(resolve(Given.vm())).nics()).containsExactly(Given.nic());
    }

    @Test
    void waitsForCidrAndSlice() {
        networks.get(0).setStatus(null);
        assertThat(resolve(Given.vm()))
                .isEqualTo(
                        refused(
                                Reason.WaitingForCidr,
                                "Network net has no CIDR yet: the controller has not chosen one; is vmlet controller running?"));
        networks.set(0, Given.network());
        slices.clear();
        assertThat(resolve(Given.vm()))
                .isEqualTo(refused(Reason.NetworkNotReady, "Network net has no slice for this node yet"));
    }

    @Test
    void refusesAddressesOutsideTheSlice() {
        assertThat(withNic("10.77.5.9", null))
                .isEqualTo(refused(
                        Reason.AddressOutsideSlice,
                        "spec.networks[net].address 10.77.5.9 lies outside 10.77.4.0/24, this node's slice of Network"
                                + " net; choose one inside or leave it out"));
    }

    @Test
    void refusesReservedAddresses() {
        for (String reserved : List.of("10.77.4.0", "10.77.4.1", "10.77.4.255")) {
            assertThat(withNic(reserved, null))
                    .isEqualTo(refused(
                            Reason.AddressReserved,
                            "spec.networks[net].address " + reserved + " is the gateway's, the network's or the"
                                    + " broadcast address of 10.77.4.0/24; choose another"));
        }
    }

    @Test
    void refusesTakenAddressesAndNamesTheHolder() {
        others(other("vm-2", 200_001, "10.77.4.9"));
        assertThat(withNic("10.77.4.9", null))
                .isEqualTo(refused(
                        Reason.AddressTaken,
                        "spec.networks[net].address 10.77.4.9 belongs to VM lab/vm-2; choose another"));
    }

    private static Reservation kept(boolean complete) {
        return new Reservation(
                "vm-2",
                "/state/vms/vm-2/record.json",
                "The record /state/vms/vm-2/record.json cannot be read",
                complete ? OptionalInt.of(200_000) : OptionalInt.empty(),
                complete ? List.of(new Reservation.Nic("net-1", "10.77.4.2", "52:00:00:00:00:02")) : List.of(),
                complete);
    }

    @Test
    void leavesTheFormerNetworkThatStandsInTheWayOfTheNewOne() {
        slices.set(0, Given.slice());
        slices.getFirst()
                .setStatus(
                        new NetworkSliceStatus(null, null, null, false, "CidrOverlaps", "it overlaps net-0", 1L, null));
        assertThat(resolve(Given.vm()))
                .isEqualTo(refused(
                        Reason.NetworkNotReady, "Network net cannot be realised on this node: it overlaps net-0"));
        NetworkId former = new NetworkId("lab", "net", "net-0");
        facts = Given.facts(List.of(VmRecord.of(
                Given.WEB,
                200_000,
                List.of(Given.nic(former, "vm-1", "10.77.4.2")),
                List.of(),
                Duration.ofSeconds(30))));
        assertThat(desired(resolve(Given.vm())).nics()).isEqualTo(List.of(Given.nic()));
    }

    @Test
    void choosesOthersThanWhatAnUnreadableRecordKeeps() {
        facts = Given.facts(List.of(), List.of(kept(true)));
        DesiredVm vm = desired(resolve(Given.vm()));
        assertThat(vm.userId()).isEqualTo(200_001);
        assertThat(vm.nics()).isEqualTo(List.of(Given.nic(Given.NET, "vm-1", "10.77.4.3")));
    }

    private static VirtualMachine told(String ip) {
        VirtualMachine vm = Given.vm();
        vm.setStatus(new VirtualMachineStatus(
                null,
                List.of(new VirtualMachineStatus.Address("net", ip, "52:00:00:00:00:07", "vmt-x", null, null)),
                null,
                null,
                null,
                null,
                null,
                null,
                null,
                null,
                null));
        return vm;
    }

    private static Reservation damaged(String vmUid, OptionalInt userId) {
        return new Reservation(
                vmUid, "/f", "The record of VM uid " + vmUid + " was damaged", userId, List.of(), false, true);
    }

    @Test
    void aVmWhoseRecordIsLostKeepsTheAddressThatItsStatusNamesAndItsUserId() {
        facts = Given.facts(List.of(), List.of(damaged("vm-1", OptionalInt.of(200_007))));
        DesiredVm vm = desired(resolve(told("10.77.4.44")));
        assertThat(vm.nics()).isEqualTo(List.of(Given.nic(Given.NET, "vm-1", "10.77.4.44")));
        assertThat(vm.userId()).isEqualTo(200_007);
        // Also while another's is lost: it is its own, and nothing new.
        facts = Given.facts(
                List.of(), List.of(damaged("vm-1", OptionalInt.of(200_007)), damaged("vm-2", OptionalInt.empty())));
        assertThat(desired(resolve(told("10.77.4.44"))).nics()).isEqualTo(vm.nics());
        assertThat(resolve(told("10.99.0.1"))).isInstanceOf(Resolution.Unresolved.class);
        // One that somebody else holds by now is not, and neither is one that lies elsewhere.
        others(other("vm-2", 200_001, "10.77.4.44"));
        assertThat(desired(resolve(told("10.77.4.44"))).nics())
                .isEqualTo(List.of(Given.nic(Given.NET, "vm-1", "10.77.4.2")));
        assertThat(desired(resolve(told("10.77.4.1"))).nics())
                .isEqualTo(List.of(Given.nic(Given.NET, "vm-1", "10.77.4.2")));
        assertThat(desired(resolve(told("nonsense"))).nics())
                .isEqualTo(List.of(Given.nic(Given.NET, "vm-1", "10.77.4.2")));
    }

    @Test
    void refusesWhatAnUnreadableRecordKeepsAndNamesTheFile() {
        facts = Given.facts(List.of(), List.of(kept(true)));
        assertThat(withNic("10.77.4.2", null))
                .isEqualTo(refused(
                        Reason.AddressTaken,
                        "spec.networks[net].address 10.77.4.2 belongs to the VM of the unreadable record"
                                + " /state/vms/vm-2/record.json; choose another"));
        assertThat(withNic(null, "52:00:00:00:00:02"))
                .isEqualTo(refused(
                        Reason.MacAddressTaken,
                        "spec.networks[net].macAddress 52:00:00:00:00:02 belongs to the VM of the unreadable record"
                                + " /state/vms/vm-2/record.json; choose another"));
    }

    @Test
    void givesNothingNewWhileARecordTellsNothing() {
        facts = Given.facts(List.of(), List.of(kept(false)));
        assertThat(resolve(Given.vm()))
                .isEqualTo(refused(
                        Reason.RecordUnreadable,
                        "no new address is given out on node a while nobody can tell which ones VM uid vm-2 holds."
                                + " The record /state/vms/vm-2/record.json cannot be read"));
        assertThat(withNic("10.77.4.9", null))
                .isInstanceOfSatisfying(
                        Resolution.Unresolved.class,
                        refusal -> assertThat(refusal.reason()).isEqualTo(Reason.RecordUnreadable));
        // What has its address and user id goes on; so does the VM whose own record it is, up to its planner.
        facts = Given.facts(List.of(Given.record()), List.of(kept(false)));
        assertThat(desired(resolve(Given.vm())).nics()).isEqualTo(List.of(Given.nic()));
    }

    private Resolution<DesiredVm> publishing(VirtualMachineSpec.Published... ports) {
        return resolve(Given.vm(
                "web",
                "vm-1",
                spec(
                        RunStrategy.Always,
                        "2Gi",
                        java.util.Objects.requireNonNull(Given.spec().disks()),
                        List.of(new NetworkInterface("net", null, null, List.of(ports))))));
    }

    private static PublishedPort tcp(int host, int guest) {
        return new PublishedPort(new ServicePort(Protocol.TCP, host), guest);
    }

    private static DesiredNic publishing(DesiredNic nic, PublishedPort... ports) {
        return new DesiredNic(
                nic.network(),
                nic.bridge(),
                nic.bridgeMark(),
                nic.tap(),
                nic.mark(),
                nic.mac(),
                nic.ip(),
                nic.mtu(),
                false,
                List.of(ports));
    }

    @Test
    void publishesPortsInTheOrderAsked() {
        assertThat(desired(publishing(
                                new VirtualMachineSpec.Published(null, 8080, 80, OpenPort.Protocol.TCP),
                                new VirtualMachineSpec.Published(null, 53, 5353, OpenPort.Protocol.UDP)))
                        .nics())
                .isEqualTo(List.of(publishing(
                        Given.nic(), tcp(8080, 80), new PublishedPort(new ServicePort(Protocol.UDP, 53), 5353))));
    }

    @Test
    void refusesAHostPortThatBelongsToAnotherVmAndNamesIt() {
        VmRecord other = other("vm-2", 200_001, "10.77.4.9");
        others(other.withAsked(
                other.userId(),
                List.of(publishing(other.nics().getFirst(), tcp(8080, 443))),
                List.of(),
                other.grace()));
        assertThat(publishing(new VirtualMachineSpec.Published(null, 8080, 80, OpenPort.Protocol.TCP)))
                .isEqualTo(refused(
                        Reason.HostPortTaken,
                        "spec.networks[net].ports: host port tcp/8080 of node a belongs to VM lab/vm-2; choose"
                                + " another"));
        assertThat(publishing(new VirtualMachineSpec.Published(null, 8080, 80, OpenPort.Protocol.UDP)))
                .as("another protocol")
                .isInstanceOf(Resolution.Desired.class);
    }

    @Test
    void refusesAHostPortThatTheNodeKeepsForItselfWhetherAnythingListensOrNot() {
        for (int port : List.of(22, 2379, 6443, 10_250, 30_080)) {
            assertThat(publishing(new VirtualMachineSpec.Published(null, port, 80, OpenPort.Protocol.TCP)))
                    .isEqualTo(refused(
                            Reason.HostPortTaken,
                            "spec.networks[net].ports: host port tcp/" + port + " is one that node a keeps for itself;"
                                    + " choose another, or take it out of the agent's --reserved-host-ports"));
        }
    }

    @Test
    void publishesNoNewHostPortWhileARecordTellsNothing() {
        VirtualMachineSpec.Published asked = new VirtualMachineSpec.Published(null, 8080, 80, OpenPort.Protocol.TCP);
        facts = Given.facts(List.of(Given.record()), List.of(kept(false)));
        assertThat(publishing(asked))
                .isEqualTo(refused(
                        Reason.RecordUnreadable,
                        "no new host port is given out on node a while nobody can tell which ones VM uid vm-2 holds."
                                + " The record /state/vms/vm-2/record.json cannot be read"));
        VmRecord own = Given.record();
        facts = Given.facts(
                List.of(own.withAsked(
                        own.userId(),
                        List.of(publishing(own.nics().getFirst(), tcp(8080, 80))),
                        List.of(),
                        own.grace())),
                List.of(kept(false)));
        assertThat(desired(publishing(asked)).nics())
                .as("what it has goes on")
                .isEqualTo(List.of(publishing(Given.nic(), tcp(8080, 80))));
    }

    @Test
    void refusesAHostPortOfARecordThatCannotBeRead() {
        facts = Given.facts(
                List.of(),
                List.of(new Reservation(
                        "vm-2",
                        "vm-2/record.json",
                        "torn",
                        OptionalInt.of(200_001),
                        List.of(new Reservation.Nic("net-9", "10.9.9.9", "52:00:00:00:00:09", List.of("tcp/8080"))),
                        true)));
        assertThat(publishing(new VirtualMachineSpec.Published(null, 8080, 80, OpenPort.Protocol.TCP)))
                .isEqualTo(refused(
                        Reason.HostPortTaken,
                        "spec.networks[net].ports: host port tcp/8080 of node a belongs to the VM of the unreadable"
                                + " record vm-2/record.json; choose another"));
    }

    @Test
    void refusesAProtocolItDoesNotKnow() {
        assertThat(publishing(new VirtualMachineSpec.Published(null, 8080, 80, null)))
                .isEqualTo(refused(
                        Reason.InvalidSpec,
                        "spec.networks[net].ports: an entry lacks its hostPort or port, or has a protocol newer than"
                                + " this agent; use TCP or UDP"));
    }

    @Test
    void refusesTheVmThatNoBridgePortIsLeftFor() {
        List<VmRecord> all = new ArrayList<>();
        for (int i = 0; i < Link.BRIDGE_PORTS_MAX; i++) {
            all.add(other("full-" + i, 300_000 + i, "10.77.8." + i % 250));
        }
        others(all.toArray(VmRecord[]::new));
        assertThat(withNic(null, null))
                .isEqualTo(refused(
                        Reason.BridgePortsExhausted,
                        "spec.networks[net]: all 1023 ports of the bridge of Network net on node a belong to VMs;"
                                + " delete one, or put this VM on another Network or another node"));
        others(all.subList(1, all.size()).toArray(VmRecord[]::new));
        assertThat(withNic(null, null)).isInstanceOf(Resolution.Desired.class);
    }

    @Test
    void refusesTakenMacs() {
        others(other("vm-2", 200_001, "10.77.4.9"));
        String mac = HostNames.nicMac("vm-2", "net").value();
        assertThat(withNic(null, mac))
                .isEqualTo(refused(
                        Reason.MacAddressTaken,
                        "spec.networks[net].macAddress " + mac + " belongs to VM lab/vm-2; choose another"));
    }

    @Test
    void refusesANetworkNamedTwice() {
        assertThat(resolve(Given.vm("web", "vm-1", Given.spec("net", "net"))))
                .isEqualTo(refused(Reason.InvalidSpec, "spec.networks names net twice; a VM is on a Network once"));
    }

    @Test
    void refusesAnExhaustedSlice() {
        networks.set(0, Given.network("net", "net-1", "10.77.4.0/30", NetworkSpec.Egress.None));
        slices.set(0, Given.slice(networks.get(0), "10.77.4.0/30"));
        assertThat(desired(resolve(Given.vm())).nics().get(0).ip()).isEqualTo(Ipv4Address.parse("10.77.4.2"));
        others(other("vm-2", 200_001, "10.77.4.2"));
        assertThat(resolve(Given.vm()))
                .isEqualTo(refused(
                        Reason.AddressesExhausted,
                        "all addresses of 10.77.4.0/30, this node's slice of Network net, belong to VMs; delete one, or"
                                + " use a Network with larger slices (spec.nodePrefixLength)"));
    }

    @Test
    void givesTheLowestFreeAddress() {
        others(other("vm-2", 200_001, "10.77.4.2"), other("vm-3", 200_002, "10.77.4.4"));
        assertThat(desired(resolve(Given.vm())).nics().get(0).ip()).isEqualTo(Ipv4Address.parse("10.77.4.3"));
    }

    @Test
    void theKeptAddressWinsOverALowerFreeOne() {
        VmRecord mine = VmRecord.of(
                Given.WEB, 200_007, List.of(Given.nic(Given.NET, "vm-1", "10.77.4.77")), List.of(), Duration.ZERO);
        others(mine, other("vm-2", 200_001, "10.77.4.2"));
        DesiredVm vm = desired(resolve(Given.vm()));
        assertThat(vm.nics().get(0).ip()).isEqualTo(Ipv4Address.parse("10.77.4.77"));
        assertThat(vm.userId()).isEqualTo(200_007);
    }

    @Test
    void anAddressOfAnEarlierNetworkOfTheSameNameIsNotKept() {
        NetworkId earlier = new NetworkId("lab", "net", "net-0");
        others(VmRecord.of(
                Given.WEB, 200_000, List.of(Given.nic(earlier, "vm-1", "10.77.4.77")), List.of(), Duration.ZERO));
        assertThat(desired(resolve(Given.vm())).nics()).containsExactly(Given.nic());
    }

    @Test
    void takesAddressAndMacThatAreAskedFor() {
        DesiredNic nic =
                desired(withNic("10.77.4.50", "52:00:00:00:00:09")).nics().get(0);
        assertThat(nic.ip()).isEqualTo(Ipv4Address.parse("10.77.4.50"));
        assertThat(nic.mac()).isEqualTo(new MacAddress("52:00:00:00:00:09"));
    }

    @Test
    void refusesMoreMemoryThanTheHostHas() {
        assertThat(resolve(Given.vm(
                        "web",
                        "vm-1",
                        spec(
                                RunStrategy.Always,
                                "17Gi",
                                java.util.Objects.requireNonNull(Given.spec().disks()),
                                List.of()))))
                .isEqualTo(refused(
                        Reason.NotEnoughMemory,
                        "spec.memory.size asks for 17408 MiB, node a has 16384 MiB; ask for less or choose a larger"
                                + " node"));
    }

    @Test
    void memoryNearTheEndOfNumbersDoesNotWrapAround() {
        assertThat(resolve(Given.vm(
                        "web",
                        "vm-1",
                        spec(
                                RunStrategy.Always,
                                "9223372036854775807",
                                java.util.Objects.requireNonNull(Given.spec().disks()),
                                List.of()))))
                .isInstanceOfSatisfying(
                        Resolution.Unresolved.class, u -> assertThat(u.reason()).isEqualTo(Reason.InvalidSpec));
    }

    @Test
    void aGuestNeverGetsLessMemoryThanWasAskedFor() {
        assertThat(desired(resolve(Given.vm(
                                "web",
                                "vm-1",
                                spec(
                                        RunStrategy.Always,
                                        "1048577",
                                        java.util.Objects.requireNonNull(
                                                Given.spec().disks()),
                                        List.of()))))
                        .memory())
                .isEqualTo(new Mebibytes(2));
    }

    @Test
    void refusesWhereNoVmmIsUsable() {
        HostFacts f = facts;
        facts = new HostFacts(
                f.nodeName(),
                f.installation(),
                f.bootId(),
                f.cores(),
                f.memory(),
                f.architecture(),
                f.catalog(),
                Map.of(),
                Reason.NoVirtualization,
                "KVM does not work here",
                f.defaultFirmware(),
                f.userIdFirst(),
                f.userIdCount(),
                true,
                List.of(),
                List.of(),
                f.reservedPorts());
        assertThat(resolve(Given.vm())).isEqualTo(refused(Reason.NoVirtualization, "KVM does not work here"));
    }

    @Test
    void refusesAUrlWithoutChecksum() {
        assertThat(withDisk(new Disk("root", null, new Image(null, "https://x/y.raw", null, null, null), null)))
                .isEqualTo(refused(
                        Reason.ImageRefused,
                        "spec.disks[root].image.sha256 is missing: an image from a URL is used only with its"
                                + " checksum"));
    }

    private static final String SHA512 = "5".repeat(128);
    private static final ImageCatalog.Pin TRIXIE =
            new ImageCatalog.Pin("https://publisher/trixie.qcow2", ImageFormat.QCOW2, "", SHA512);
    private static final ImageCatalog.Pin NOBLE =
            new ImageCatalog.Pin("https://publisher/noble.img", ImageFormat.QCOW2, Given.SHA256, "");

    /** An image of that name, with the catalog's debian-13 for both architectures and ubuntu for one. */
    private Resolution<DesiredVm> withImage(Image image) {
        HostFacts f = facts;
        facts = new HostFacts(
                f.nodeName(),
                f.installation(),
                f.bootId(),
                f.cores(),
                f.memory(),
                f.architecture(),
                new ImageCatalog(new TreeMap<>(Map.of(
                        "debian-13", new TreeMap<>(Map.of("x86_64", TRIXIE, "aarch64", TRIXIE)),
                        "ubuntu-24.04", new TreeMap<>(Map.of("x86_64", NOBLE)),
                        "arm-only", new TreeMap<>(Map.of("aarch64", NOBLE))))),
                f.vmms(),
                f.vmmReason(),
                f.vmmProblem(),
                f.defaultFirmware(),
                f.userIdFirst(),
                f.userIdCount(),
                f.sha256Required(),
                f.records(),
                f.reservations(),
                f.reservedPorts());
        return withDisk(new Disk("root", null, image, null));
    }

    @Test
    void findsAnImageByItsNameForThisArchitecture() {
        assertThat(desired(withImage(new Image("debian-13", null, null, null, null)))
                        .disks()
                        .getFirst()
                        .image())
                .contains(new ImageSource.Catalog(
                        "debian-13", "https://publisher/trixie.qcow2", ImageFormat.QCOW2, "", SHA512));
        // What the catalog says anyway may be said again.
        assertThat(desired(withImage(new Image("ubuntu-24.04", null, null, Image.Format.qcow2, Given.SHA256)))
                        .disks()
                        .getFirst()
                        .image())
                .contains(new ImageSource.Catalog("ubuntu-24.04", NOBLE));
    }

    @Test
    void namesTheImagesThatThereAreWhereOneIsUnknown() {
        assertThat(withImage(new Image("debian-14", null, null, null, null)))
                .isEqualTo(refused(
                        Reason.ImageNotFound,
                        "spec.disks[root].image.name debian-14 is not in the image catalog of node a, which has"
                                + " arm-only, debian-13, ubuntu-24.04; choose one of these, give url or path, or have"
                                + " the operator add it by --image-catalog"));
        assertThat(withDisk(new Disk("root", null, new Image("debian-13", null, null, null, null), null)))
                .isInstanceOf(Resolution.Desired.class);
    }

    @Test
    void saysForWhichArchitecturesTheCatalogHasAnImage() {
        assertThat(withImage(new Image("arm-only", null, null, null, null)))
                .isEqualTo(refused(
                        Reason.ImageNotFound,
                        "spec.disks[root].image.name arm-only: the image catalog has it for aarch64 and not for x86_64,"
                                + " which node a is; choose another node or image, or have the operator add it by"
                                + " --image-catalog"));
    }

    @Test
    void letsNobodySayOtherwiseThanTheCatalog() {
        assertThat(withImage(new Image("debian-13", null, null, Image.Format.raw, null)))
                .isEqualTo(refused(
                        Reason.InvalidSpec,
                        "spec.disks[root].image.format is raw and the catalog's debian-13 is not; leave it out"));
        String other = "1".repeat(64);
        assertThat(withImage(new Image("ubuntu-24.04", null, null, null, other)))
                .isEqualTo(refused(
                        Reason.ImageChecksumMismatch,
                        "spec.disks[root].image.sha256 is " + other + ", and the catalog pins ubuntu-24.04 by sha256 "
                                + Given.SHA256
                                + "; leave it out, or give the url of the file that you mean"));
        assertThat(withImage(new Image("debian-13", null, null, null, other)))
                .isEqualTo(refused(
                        Reason.ImageChecksumMismatch,
                        "spec.disks[root].image.sha256 is " + other + ", and the catalog pins debian-13 by sha512 "
                                + SHA512 + "; leave it out, or give the url of the file that you mean"));
    }

    @Test
    void refusesDisksThatCannotBeMade() {
        assertThat(withDisk(new Disk("root", null, null, null)))
                .isEqualTo(refused(Reason.InvalidSpec, "spec.disks[root] needs an image, or a size for a blank disk"));
        assertThat(withDisk(new Disk("root", "much", null, null)))
                .isEqualTo(refused(
                        Reason.InvalidSpec,
                        "spec.disks[root].size must be a quantity of bytes such as 20Gi, not much"));
        assertThat(withDisk(new Disk("root", "1Gi", null, null), new Disk("root", "1Gi", null, null)))
                .isEqualTo(refused(Reason.InvalidSpec, "spec.disks names root twice; give each its own name"));
        assertThat(withDisk())
                .isEqualTo(refused(Reason.InvalidSpec, "nothing to boot from: give at least one disk, or boot.kernel"));
        assertThat(withDisk(new Disk("../x", "1Gi", null, null)))
                .isEqualTo(refused(Reason.InvalidSpec, "disk name: letters, digits, - and _ expected, not: ../x"));
    }

    @Test
    void anUnknownRunStrategyStartsNothing() {
        assertThat(resolve(Given.vm(
                        "web",
                        "vm-1",
                        spec(
                                null,
                                "2Gi",
                                java.util.Objects.requireNonNull(Given.spec().disks()),
                                List.of()))))
                .isEqualTo(refused(
                        Reason.InvalidSpec,
                        "spec.runStrategy is missing or newer than this agent; use Always, RerunOnFailure, Once or"
                                + " Halted"));
    }

    @Test
    void saysWhenUserIdsAreUsedUp() {
        HostFacts f = facts;
        facts = new HostFacts(
                f.nodeName(),
                f.installation(),
                f.bootId(),
                f.cores(),
                f.memory(),
                f.architecture(),
                f.catalog(),
                f.vmms(),
                f.vmmReason(),
                f.vmmProblem(),
                f.defaultFirmware(),
                200_000,
                1,
                true,
                List.of(other("vm-2", 200_000, "10.77.4.2")),
                List.of(),
                f.reservedPorts());
        assertThat(resolve(Given.vm()))
                .isEqualTo(refused(
                        Reason.UserIdsExhausted,
                        "all 1 user ids from 200000 are in use; give the agent a larger --vm-user-ids range"));
    }

    @Test
    void namesOf63CharactersFit() {
        String name = "n".repeat(63);
        networks.set(0, Given.network(name, "net-1", "10.77.0.0/16", NetworkSpec.Egress.None));
        slices.set(0, Given.slice(networks.get(0), "10.77.4.0/24"));
        assertThat(desired(resolve(Given.vm("v".repeat(63), "vm-1", Given.spec(name))))
                        .nics())
                .extracting(nic -> nic.tap().value().length())
                .containsExactly(14);
    }

    @Test
    void tellsWhichDisksTheObjectKeeps() {
        Disk kept = new Disk("data", "1Gi", null, Disk.ReclaimPolicy.Retain);
        Disk gone = new Disk("tmp", "1Gi", null, Disk.ReclaimPolicy.Delete);
        VirtualMachine vm = Given.vm("web", "vm-1", spec(RunStrategy.Always, "1Gi", List.of(kept, gone), List.of()));
        assertThat(VmResolver.retained(vm)).containsExactly("data");
        vm.setSpec(null);
        assertThat(VmResolver.retained(vm)).isEmpty();
        assertThat(resolve(vm)).isEqualTo(refused(Reason.InvalidSpec, "spec is missing"));
    }
}
