package dev.vmlet.status;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.model.DesiredDisk;
import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.DesiredVm;
import dev.vmlet.model.DiskState;
import dev.vmlet.model.Given;
import dev.vmlet.model.GuestProcess;
import dev.vmlet.model.GuestState;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.LaunchSpec;
import dev.vmlet.model.MacAddress;
import dev.vmlet.model.Mebibytes;
import dev.vmlet.model.NetworkId;
import dev.vmlet.model.Reach;
import dev.vmlet.model.RunStrategy;
import dev.vmlet.model.Seed;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmObservation;
import dev.vmlet.model.VmRecord;
import dev.vmlet.model.VmmKind;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** Which fields of a changed object wait for the guest's next start, and what is no change. */
class PendingChangesTest {
    private static final DesiredVm AS_LAUNCHED = Given.desiredVm();
    private static final long GIB = 1L << 30;

    private final Map<String, DiskState> disks = new HashMap<>(Map.of("root", new DiskState.Ready(1000)));
    private Seen<String> seed = Seen.present(AS_LAUNCHED.seed().fingerprint());
    private VmRecord record = Given.record();
    private LaunchSpec launched = Given.launch().spec();

    private List<String> changes(DesiredVm desired) {
        VmObservation seen = new VmObservation(
                Seen.present(record),
                Map.of(),
                Seen.present(Map.of()),
                disks,
                seed,
                Seen.present(new GuestProcess.Alive(4711, 9)),
                Seen.present(dev.vmlet.model.Tampering.NONE),
                GuestState.of(GuestState.Kind.RUNNING),
                Reach.OPEN,
                Seen.present(true));
        return PendingChanges.of(desired, record, launched, seen);
    }

    /** The VM of {@link Given} with another generation and what is changed. */
    private static DesiredVm vm(
            long generation,
            int cores,
            long memory,
            List<DesiredDisk> disks,
            String cmdline,
            Seed seed,
            List<DesiredNic> nics) {
        DesiredVm v = AS_LAUNCHED;
        return new DesiredVm(
                v.id(),
                generation,
                RunStrategy.HALTED,
                "tuesday",
                v.vmm(),
                cores,
                new Mebibytes(memory),
                disks,
                cmdline,
                seed,
                nics,
                v.userId(),
                new dev.vmlet.model.Readiness.None(),
                Duration.ofSeconds(1));
    }

    private static DesiredVm withNics(DesiredNic... nics) {
        return vm(4, 2, 2048, AS_LAUNCHED.disks(), "", new Seed("m", "u", "other nics"), List.of(nics));
    }

    private static DesiredVm withDisks(DesiredDisk... disks) {
        return vm(4, 2, 2048, List.of(disks), "", AS_LAUNCHED.seed(), AS_LAUNCHED.nics());
    }

    private static DesiredDisk disk(String name, DesiredDisk.Role role, long size) {
        return new DesiredDisk(
                name,
                role,
                role == DesiredDisk.Role.DISK
                        ? Optional.empty()
                        : Optional.of(new dev.vmlet.model.ImageSource.Host("/k", dev.vmlet.model.ImageFormat.RAW, "")),
                size,
                false);
    }

    private static DesiredNic nic(NetworkId network, String ip, String mac, int mtu) {
        DesiredNic n = Given.nic(network, "vm-1", ip);
        return new DesiredNic(
                n.network(),
                n.bridge(),
                n.bridgeMark(),
                n.tap(),
                n.mark(),
                mac.isEmpty() ? n.mac() : new MacAddress(mac),
                Ipv4Address.parse(ip),
                mtu);
    }

    @Test
    void nothingWaitsWhereNothingWasChanged() {
        assertThat(changes(AS_LAUNCHED)).isEmpty();
    }

    @Test
    void whatAppliesToARunningGuestTooDoesNotWait() {
        assertThat(changes(vm(9, 2, 2048, AS_LAUNCHED.disks(), "", AS_LAUNCHED.seed(), AS_LAUNCHED.nics())))
                .as("runStrategy, readiness, grace and the restart annotation")
                .isEmpty();
    }

    @Test
    void namesProcessorsAndMemoryWithBothValues() {
        List<String> changes = changes(vm(4, 4, 4096, AS_LAUNCHED.disks(), "", AS_LAUNCHED.seed(), AS_LAUNCHED.nics()));
        assertThat(changes).containsExactly("spec.cpu.cores 2 to 4", "spec.memory.size 2048 MiB to 4096 MiB");
        assertThat(PendingChanges.sentence(changes))
                .isEqualTo("spec.cpu.cores 2 to 4 and spec.memory.size 2048 MiB to 4096 MiB wait for the next start");
        assertThat(PendingChanges.sentence(List.of("a"))).isEqualTo("a waits for the next start");
        assertThat(PendingChanges.sentence(List.of("a", "b", "c"))).isEqualTo("a, b and c wait for the next start");
    }

    @Test
    void namesNewRemovedAndGrownDisks() {
        disks.put("root", new DiskState.Ready(GIB));
        assertThat(changes(withDisks(
                        disk("root", DesiredDisk.Role.DISK, 2 * GIB), disk("data", DesiredDisk.Role.DISK, GIB))))
                .containsExactly("spec.disks[root].size 1024 MiB to 2048 MiB", "new spec.disks[data]");
        assertThat(changes(withDisks(disk("data", DesiredDisk.Role.DISK, GIB))))
                .containsExactly("new spec.disks[data]", "removed spec.disks[root]");
        disks.put("root", new DiskState.Ready(3 * GIB));
        assertThat(changes(withDisks(disk("root", DesiredDisk.Role.DISK, 2 * GIB))))
                .as("an image may be larger than was asked for")
                .isEmpty();
    }

    @Test
    void namesNewAndRemovedNicsOnceAndNotTheirSeed() {
        DesiredNic blue = nic(new NetworkId("lab", "blue", "net-2"), "10.78.4.2", "", 1500);
        assertThat(changes(withNics(Given.nic(), blue))).containsExactly("new spec.networks[blue]");
        assertThat(changes(withNics())).containsExactly("removed spec.networks[net]");
    }

    @Test
    void namesWhatIsChangedOfANic() {
        assertThat(changes(withNics(nic(Given.NET, "10.77.4.9", "52:00:00:00:00:09", 1400))))
                .containsExactly(
                        "spec.networks[net].macAddress " + Given.nic().mac() + " to 52:00:00:00:00:09",
                        "spec.networks[net].address 10.77.4.2 to 10.77.4.9",
                        "spec.mtu of Network net 1500 to 1400");
        DesiredNic another = nic(new NetworkId("lab", "net", "net-9"), "10.77.4.2", "", 1500);
        assertThat(changes(withNics(another)))
                .containsExactly("spec.networks[net], which is another Network of that name now,");
    }

    @Test
    void namesTheOrderOfNics() {
        DesiredNic blue = nic(new NetworkId("lab", "blue", "net-2"), "10.78.4.2", "", 1500);
        record = record.withAsked(200_000, List.of(Given.nic(), blue), List.of(), Duration.ofSeconds(30));
        List<LaunchSpec.Nic> nics = new ArrayList<>(launched.nics());
        nics.add(new LaunchSpec.Nic("blue", blue.tap(), blue.mac()));
        launched = new LaunchSpec(
                launched.id(), VmmKind.QEMU, 3, "", 200_000, 2, new Mebibytes(2048), launched.drives(), "", nics);
        assertThat(changes(withNics(Given.nic(), blue))).isEqualTo(List.of("spec.cloudInit"));
        assertThat(changes(withNics(blue, Given.nic()))).containsExactly("the order of spec.networks");
    }

    @Test
    void namesCloudInitOnlyWithAnotherGeneration() {
        Seed other = new Seed("meta", "another user", "net");
        assertThat(changes(vm(4, 2, 2048, AS_LAUNCHED.disks(), "", other, AS_LAUNCHED.nics())))
                .containsExactly("spec.cloudInit");
        assertThat(changes(vm(3, 2, 2048, AS_LAUNCHED.disks(), "", other, AS_LAUNCHED.nics())))
                .as("a newer agent writes the same wish in other words")
                .isEmpty();
        seed = Seen.unknown("busy");
        assertThat(changes(vm(4, 2, 2048, AS_LAUNCHED.disks(), "", other, AS_LAUNCHED.nics())))
                .isEmpty();
    }

    @Test
    void namesBootFilesAndTheKernelsCommandLineOnlyWithAnotherGeneration() {
        DesiredDisk root = disk("root", DesiredDisk.Role.DISK, 1000);
        DesiredDisk kernel = disk("boot.kernel", DesiredDisk.Role.KERNEL, 0);
        assertThat(changes(withDisks(root, kernel))).containsExactly("spec.boot");
        launched = new LaunchSpec(
                launched.id(),
                VmmKind.QEMU,
                3,
                "",
                200_000,
                2,
                new Mebibytes(2048),
                List.of(
                        launched.drives().get(0),
                        new LaunchSpec.Drive("boot.kernel", DesiredDisk.Role.KERNEL, "/k", true)),
                "quiet",
                launched.nics());
        disks.put("boot.kernel", new DiskState.Ready(10));
        assertThat(changes(vm(4, 2, 2048, List.of(root, kernel), "verbose", AS_LAUNCHED.seed(), AS_LAUNCHED.nics())))
                .containsExactly("spec.boot.kernel.cmdline \"quiet\" to \"verbose\"");
        disks.put("boot.kernel", new DiskState.Missing());
        assertThat(changes(vm(4, 2, 2048, List.of(root, kernel), "quiet", AS_LAUNCHED.seed(), AS_LAUNCHED.nics())))
                .as("another image for it")
                .containsExactly("spec.boot");
        assertThat(changes(vm(3, 2, 2048, List.of(root, kernel), "verbose", AS_LAUNCHED.seed(), AS_LAUNCHED.nics())))
                .as("a newer agent brings another one")
                .isEmpty();
    }
}
