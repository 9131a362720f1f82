package dev.vmlet.model;

import dev.vmlet.api.CloudInit;
import dev.vmlet.api.Disk;
import dev.vmlet.api.Image;
import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSlice;
import dev.vmlet.api.NetworkSliceSpec;
import dev.vmlet.api.NetworkSliceStatus;
import dev.vmlet.api.NetworkSpec;
import dev.vmlet.api.NetworkStatus;
import dev.vmlet.api.RunStrategy;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineSpec;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import java.time.Duration;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Objects and facts that tests begin with: node {@code a}, namespace {@code lab}, a Network of 10.77.0.0/16. */
public final class Given {
    public static final InstallationId INSTALLATION = new InstallationId("inst2345");
    public static final HostNames NAMES = new HostNames(INSTALLATION);
    public static final HostPaths PATHS = new HostPaths("/var/lib/vmlet", "/run/vmlet");
    public static final String NODE = "a";
    public static final String NAMESPACE = "lab";
    public static final String BOOT = "boot-1";
    public static final Instant NOW = Instant.parse("2026-01-01T12:00:00Z");
    public static final String SHA256 = "0123456789abcdef".repeat(4);

    private Given() {}

    public static Network network(String name, String uid, String cidr, NetworkSpec.Egress egress) {
        Network network = new Network();
        network.setMetadata(new ObjectMetaBuilder()
                .withNamespace(NAMESPACE)
                .withName(name)
                .withUid(uid)
                .withGeneration(1L)
                .build());
        network.setSpec(
                new NetworkSpec(cidr, 24, egress, 1500, null, null, NetworkSpec.Isolation.None, null, null, null));
        network.setStatus(new NetworkStatus(cidr, 1L, List.of()));
        return network;
    }

    public static Network network() {
        return network("net", "net-1", "10.77.0.0/16", NetworkSpec.Egress.Masquerade);
    }

    public static final NetworkId LAN = new NetworkId(NAMESPACE, "lan", "lan-1");

    /** On bridge br0 of the operator's, 192.168.1.0/24 with its gateway. */
    public static Network lan(@Nullable String cidr, @Nullable String gateway) {
        Network network = network("lan", "lan-1", "192.168.1.0/24", NetworkSpec.Egress.Masquerade);
        network.setSpec(new NetworkSpec(
                cidr,
                24,
                NetworkSpec.Egress.Masquerade,
                1500,
                null,
                null,
                NetworkSpec.Isolation.None,
                null,
                null,
                null,
                "br0",
                gateway));
        network.setStatus(new NetworkStatus(cidr, 1L, List.of()));
        return network;
    }

    /** As this node's agent saw it. */
    public static NetworkSlice lanSlice(@Nullable NetworkSliceStatus status) {
        NetworkSlice slice = slice(lan(null, null), "192.168.1.0/24");
        slice.setSpec(new NetworkSliceSpec("lan", NODE, null));
        slice.setStatus(status);
        return slice;
    }

    /** A NIC on br0, with an address of the LAN or none. */
    public static DesiredNic lanNic(String vmUid, String ip, int mtu) {
        return new DesiredNic(
                LAN,
                new LinkName("br0"),
                new Mark(""),
                NAMES.tap(vmUid, "lan"),
                Mark.ofNic(INSTALLATION, vmUid, "lan-1"),
                HostNames.nicMac(vmUid, "lan"),
                Ipv4Address.parse(ip),
                mtu);
    }

    /** The operator's, with a text of the operator's on it. */
    public static Link br0() {
        return new Link(
                5, new LinkName("br0"), "bridge", "02:00:00:00:00:05", 1500, true, new Mark("the office"), 0, -1, 0);
    }

    public static NetworkSlice slice(Network network, String cidr) {
        NetworkSlice slice = new NetworkSlice();
        slice.setMetadata(new ObjectMetaBuilder()
                .withNamespace(NAMESPACE)
                .withName(network.getMetadata().getName() + "-4")
                .withUid(network.getMetadata().getUid() + "-slice")
                .withGeneration(1L)
                .addNewOwnerReference()
                .withApiVersion("vmlet.dev/v1alpha1")
                .withKind("Network")
                .withName(network.getMetadata().getName())
                .withUid(network.getMetadata().getUid())
                .endOwnerReference()
                .build());
        slice.setSpec(new NetworkSliceSpec(network.getMetadata().getName(), NODE, cidr));
        // Looked at: a VM gets no address of a slice that its node has not judged.
        slice.setStatus(new NetworkSliceStatus(null, null, null, true, "AsExpected", "", 1L, null));
        return slice;
    }

    public static NetworkSlice slice() {
        return slice(network(), "10.77.4.0/24");
    }

    public static VirtualMachine vm(String name, String uid, VirtualMachineSpec spec) {
        VirtualMachine vm = new VirtualMachine();
        vm.setMetadata(new ObjectMetaBuilder()
                .withNamespace(NAMESPACE)
                .withName(name)
                .withUid(uid)
                .withGeneration(1L)
                .build());
        vm.setSpec(spec);
        return vm;
    }

    public static VirtualMachine vm() {
        return vm("web", "vm-1", spec("net"));
    }

    public static VirtualMachineSpec spec(String... networks) {
        return new VirtualMachineSpec(
                NODE,
                RunStrategy.Always,
                new VirtualMachineSpec.Cpu(2),
                new VirtualMachineSpec.Memory("2Gi"),
                List.of(new Disk(
                        "root",
                        "20Gi",
                        new Image(null, "https://images.example/debian-13.qcow2", null, null, SHA256),
                        Disk.ReclaimPolicy.Delete)),
                Arrays.stream(networks)
                        .map(n -> new VirtualMachineSpec.NetworkInterface(n, null, null, null))
                        .toList(),
                new CloudInit(List.of("ssh-ed25519 AAAA me"), null, null),
                null,
                null,
                30);
    }

    public static HostFacts facts(List<VmRecord> records) {
        return facts(records, List.of());
    }

    public static HostFacts facts(List<VmRecord> records, List<Reservation> reservations) {
        return new HostFacts(
                NODE,
                INSTALLATION,
                BOOT,
                8,
                new Mebibytes(16_384),
                "x86_64",
                ImageCatalog.EMPTY,
                Map.of(VmmKind.CLOUD_HYPERVISOR, "/usr/bin/cloud-hypervisor"),
                Reason.NoVirtualization,
                "KVM does not work here",
                Optional.of(new ImageSource.Host("/usr/share/fw", ImageFormat.RAW, "")),
                200_000,
                100,
                true,
                records,
                reservations,
                ReservedPorts.parse(ReservedPorts.DEFAULT));
    }

    public static final NetworkId NET = new NetworkId(NAMESPACE, "net", "net-1");
    public static final VmId WEB = new VmId(NAMESPACE, "web", "vm-1");

    public static DesiredNetwork desiredNetwork(Egress egress) {
        return new DesiredNetwork(
                NET,
                NAMES.bridge("net-1"),
                NAMES.bridgeMac("net-1"),
                Mark.ofNetwork(INSTALLATION, "net-1"),
                Ipv4Prefix.parse("10.77.4.0/24"),
                1500,
                egress);
    }

    public static DesiredNic nic(NetworkId network, String vmUid, String ip) {
        return new DesiredNic(
                network,
                NAMES.bridge(network.uid()),
                Mark.ofNetwork(INSTALLATION, network.uid()),
                NAMES.tap(vmUid, network.name()),
                Mark.ofNic(INSTALLATION, vmUid, network.uid()),
                HostNames.nicMac(vmUid, network.name()),
                Ipv4Address.parse(ip),
                1500);
    }

    public static DesiredNic nic() {
        return nic(NET, "vm-1", "10.77.4.2");
    }

    public static DesiredVm desiredVm(dev.vmlet.model.RunStrategy strategy, List<DesiredNic> nics) {
        return new DesiredVm(
                WEB,
                3,
                strategy,
                "",
                VmmKind.QEMU,
                2,
                new Mebibytes(2048),
                List.of(new DesiredDisk("root", DesiredDisk.Role.DISK, Optional.empty(), 1000, false)),
                "",
                new Seed("meta", "user", "net"),
                nics,
                200_000,
                new Readiness.TcpPort(22, Duration.ofSeconds(300)),
                Duration.ofSeconds(30));
    }

    public static DesiredVm desiredVm() {
        return desiredVm(dev.vmlet.model.RunStrategy.ALWAYS, List.of(nic()));
    }

    public static VmRecord record() {
        return VmRecord.of(WEB, 200_000, List.of(nic()), List.of(), Duration.ofSeconds(30));
    }

    public static VmRecord.Launch launch() {
        DesiredNic nic = nic();
        return new VmRecord.Launch(
                new LaunchSpec(
                        WEB,
                        VmmKind.QEMU,
                        3,
                        "",
                        200_000,
                        2,
                        new Mebibytes(2048),
                        List.of(
                                new LaunchSpec.Drive(
                                        "root", DesiredDisk.Role.DISK, "/var/lib/vmlet/vms/vm-1/disks/root.raw", false),
                                new LaunchSpec.Drive(
                                        LaunchSpec.SEED,
                                        DesiredDisk.Role.DISK,
                                        "/var/lib/vmlet/vms/vm-1/seed.img",
                                        true)),
                        "",
                        List.of(new LaunchSpec.Nic("net", nic.tap(), nic.mac()))),
                BOOT,
                NOW,
                Optional.of(NOW),
                "1.0");
    }

    public static Link bridge(Mark mark, boolean up) {
        return new Link(
                7, NAMES.bridge("net-1"), "bridge", NAMES.bridgeMac("net-1").value(), 1500, up, mark, 0, -1, 0);
    }

    public static Link bridge() {
        return bridge(Mark.ofNetwork(INSTALLATION, "net-1"), true);
    }

    public static Link tap(Mark mark, boolean up, int master) {
        return new Link(8, nic().tap(), "tun", "fe:00:00:00:00:08", 1500, up, mark, master, 200_000, 0);
    }

    public static Link tap() {
        return tap(nic().mark(), true, 7);
    }
}
