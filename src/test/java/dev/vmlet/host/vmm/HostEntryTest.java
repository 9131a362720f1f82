package dev.vmlet.host.vmm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.vmlet.model.HostException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The words for each kind of container, on a /proc of plain links; what they do, ContainerE2E shows. */
class HostEntryTest {
    @TempDir
    Path dir;

    private Path proc;

    @BeforeEach
    void processOneAndUs() throws IOException {
        proc = dir.resolve("proc");
        for (String process : List.of("1", "self")) {
            Files.createDirectories(proc.resolve(process).resolve("ns"));
        }
    }

    /** Namespaces of a process, by kind; of those not named it shares the host's. */
    private void lives(String process, Map<String, Integer> own) throws IOException {
        for (String kind : List.of("mnt", "cgroup", "ipc", "net", "uts", "pid")) {
            Files.createSymbolicLink(
                    proc.resolve(process).resolve("ns").resolve(kind),
                    Path.of(kind + ":[" + own.getOrDefault(kind, 1) + "]"));
        }
    }

    @Test
    void aPodEntersWhatDiffersFromTheHost() throws Exception {
        lives("1", Map.of());
        lives("self", Map.of("mnt", 2, "cgroup", 2, "ipc", 2, "uts", 2));
        assertThat(HostEntry.throughInit(proc))
                .isEqualTo(new HostEntry(
                        List.of("nsenter", "--target", "1", "--cgroup", "--ipc", "--mount", "--uts", "--"),
                        proc.resolve("1/root")));
    }

    @Test
    void whatIsSharedIsNotEntered() throws Exception {
        lives("1", Map.of());
        lives("self", Map.of("mnt", 2));
        assertThat(HostEntry.throughInit(proc).words()).containsExactly("nsenter", "--target", "1", "--mount", "--");
    }

    @Test
    void aProcessOneOfOurOwnIsNoHosts() throws Exception {
        lives("1", Map.of("mnt", 2));
        lives("self", Map.of("mnt", 2));
        assertThatThrownBy(() -> HostEntry.throughInit(proc))
                .isInstanceOf(HostException.Refused.class)
                .hasMessageContaining("give the pod hostPID: true; outside a container leave --enter-host away");
    }

    @Test
    void aNetworkOfItsOwnIsRefused() throws Exception {
        lives("1", Map.of());
        lives("self", Map.of("mnt", 2, "net", 2));
        assertThatThrownBy(() -> HostEntry.throughInit(proc))
                .isInstanceOf(HostException.Refused.class)
                .hasMessageEndingWith("give the pod hostNetwork: true");
    }

    @Test
    void namespacesThatCannotBeReadAreNotTakenForTheSame() throws Exception {
        lives("self", Map.of());
        assertThatThrownBy(() -> HostEntry.throughInit(proc))
                .isInstanceOf(HostException.NotPermitted.class)
                .hasMessageContaining("/1/ns/cgroup, which needs the capability SYS_PTRACE");
    }

    @Test
    void aPathOfTheHostIsSeenThroughProcessOne() {
        HostEntry entry = new HostEntry(List.of("nsenter"), Path.of("/proc/1/root"));
        assertThat(entry.seen(Path.of("/usr/bin/qemu-system-x86_64")))
                .isEqualTo(Path.of("/proc/1/root/usr/bin/qemu-system-x86_64"));
        assertThat(entry.seen(Path.of("/"))).isEqualTo(Path.of("/proc/1/root"));
        assertThat(HostEntry.none().seen(Path.of("/dev/kvm"))).isEqualTo(Path.of("/dev/kvm"));
    }

    @Test
    void aProgramOfTheContainerIsCarriedOntoTheHostUnderItsDigest() throws Exception {
        HostEntry entry = new HostEntry(List.of("nsenter"), Path.of("/proc/1/root"));
        Path state = dir.resolve("state");
        Path bin = state.resolve("bin");
        Path vmm = Files.writeString(dir.resolve("vmm"), "one");

        Path carried = entry.carry(vmm, state, bin);
        // sha256 of "one"
        assertThat(carried).isEqualTo(bin.resolve("vmm-7692c3ad3540"));
        assertThat(Files.readString(carried)).isEqualTo("one");
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(carried)))
                .isEqualTo("rwxr-xr-x");

        Files.writeString(vmm, "two");
        assertThat(entry.carry(vmm, state, bin)).isNotEqualTo(carried);
        assertThat(Files.readString(carried)).as("a running guest's own").isEqualTo("one");
        try (Stream<Path> files = Files.list(bin)) {
            assertThat(files).as("nothing half written").hasSize(2);
        }
    }

    @Test
    void whatIsOnTheHostAlreadyStaysWhereItIs() throws Exception {
        Path state = dir.resolve("state");
        Path there = state.resolve("bin/cloud-hypervisor-53.0");
        assertThat(new HostEntry(List.of("nsenter"), Path.of("/proc/1/root")).carry(there, state, state.resolve("bin")))
                .isEqualTo(there);
        Path local = dir.resolve("vmm");
        assertThat(HostEntry.none().carry(local, state, state.resolve("bin"))).isEqualTo(local);
    }
}
