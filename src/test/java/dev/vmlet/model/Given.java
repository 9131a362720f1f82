package dev.vmlet.model;

import dev.vmlet.api.CloudInit;
import dev.vmlet.api.Disk;
import dev.vmlet.api.Image;
import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSlice;
import dev.vmlet.api.NetworkSliceSpec;
import dev.vmlet.api.NetworkSpec;
import dev.vmlet.api.NetworkStatus;
import dev.vmlet.api.RunStrategy;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineSpec;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;

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
        network.setSpec(new NetworkSpec(cidr, 24, egress, 1500, null, null));
        network.setStatus(new NetworkStatus(cidr, 1L, List.of()));
        return network;
    }

    public static Network network() {
        return network("net", "net-1", "10.77.0.0/16", NetworkSpec.Egress.Masquerade);
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
                        .map(n -> new VirtualMachineSpec.NetworkInterface(n, null, null))
                        .toList(),
                new CloudInit(List.of("ssh-ed25519 AAAA me"), null, null),
                null,
                null,
                30);
    }

    public static HostFacts facts(List<VmRecord> records) {
        return new HostFacts(
                NODE,
                INSTALLATION,
                BOOT,
                8,
                new Mebibytes(16_384),
                Map.of(VmmKind.CLOUD_HYPERVISOR, "/usr/bin/cloud-hypervisor"),
                Reason.NoVirtualization,
                "KVM does not work here",
                Optional.of(new ImageSource.Host("/usr/share/fw", ImageFormat.RAW, "")),
                200_000,
                100,
                true,
                records);
    }
}
