package dev.vmlet.host.vmm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.vmlet.host.console.ConsoleVisit;
import dev.vmlet.host.console.Frame;
import dev.vmlet.host.vmm.cloudhypervisor.CloudHypervisor;
import dev.vmlet.host.vmm.cloudhypervisor.CloudHypervisorBinary;
import dev.vmlet.model.DesiredDisk.Role;
import dev.vmlet.model.GuestProcess;
import dev.vmlet.model.GuestState;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostNames;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.LaunchSpec;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmRecord;
import dev.vmlet.model.VmmKind;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Queue;
import java.util.UUID;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The stand-in under the launcher, with real users and cgroups: what has nothing to do with a real guest. */
class CloudHypervisorIT {
    private final Queue<String> woken = new ConcurrentLinkedQueue<>();
    private final VmId id = new VmId("default", "web", UUID.randomUUID().toString());
    private Path dir;
    private VmFiles files;
    private LaunchSpec launch;
    private VmRecord record;
    private LinuxVmms vmms;

    @BeforeEach
    void prepare() throws Exception {
        assumeTrue(Hosts.isRootOfTheMachine(), "needs root of the machine: setpriv to other users, and cgroups");
        dir = Hosts.directory();
        files = new VmFiles(Hosts.paths(dir), id.uid());
        // Stands for /dev/kvm of a distribution: open to a group of its own.
        Path kvm = Files.createFile(dir.resolve("kvm"));
        Files.setAttribute(kvm, "unix:gid", 60107);
        Files.setPosixFilePermissions(kvm, PosixFilePermissions.fromString("rw-rw----"));
        Path firmware = Files.createFile(dir.resolve("CLOUDHV.fd"));
        launch = Hosts.with(
                Hosts.bare(VmmKind.CLOUD_HYPERVISOR, id, Hosts.USER),
                List.of(Hosts.drive("firmware", Role.FIRMWARE, firmware.toString(), true)),
                "");
        String boot = LinuxVmms.currentBootId();
        record = Hosts.record(launch, boot);
        vmms = new LinuxVmms(
                new LinuxVmms.Config(Hosts.paths(dir), new HostNames(new InstallationId("testtest")), boot, woken::add),
                Map.of(VmmKind.CLOUD_HYPERVISOR, standIn()),
                new Preflight(dir.resolve("tun"), kvm));
    }

    private CloudHypervisor standIn() throws Exception {
        Path script = dir.resolve("cloud-hypervisor");
        return new CloudHypervisor(Files.exists(script) ? script : CloudHypervisorBinary.standIn(dir, ""));
    }

    @AfterEach
    void clear() throws Exception {
        if (vmms != null) {
            vmms.kill(record);
            vmms.release(id);
            vmms.close();
            Hosts.delete(dir);
        }
    }

    private void awaitState(GuestState.Kind kind) {
        Awaitility.await()
                .atMost(Duration.ofSeconds(20))
                .until(() -> vmms.guest(record).kind() == kind);
    }

    private GuestProcess.Ended awaitEnd() {
        Awaitility.await()
                .atMost(Duration.ofSeconds(10))
                .until(() -> vmms.process(record) instanceof Seen.Present<GuestProcess>(GuestProcess.Ended _));
        return vmms.process(record) instanceof Seen.Present<GuestProcess>(GuestProcess.Ended ended)
                ? ended
                : new GuestProcess.Ended(-2, 0, false, Optional.empty(), "", "");
    }

    private void tell(String word) throws Exception {
        Files.writeString(dir.resolve("ctl"), word);
    }

    @Test
    void runsInTheGroupOfKvmAndNoOther() throws Exception {
        vmms.spawn(launch);
        awaitState(GuestState.Kind.RUNNING);
        if (vmms.process(record) instanceof Seen.Present<GuestProcess>(GuestProcess.Alive alive)) {
            assertThat(Files.readString(Path.of("/proc/" + alive.pid() + "/status")))
                    .containsPattern("Groups:\t60107 \n")
                    .contains("CapEff:\t0000000000000000\n")
                    .contains("NoNewPrivs:\t1\n");
        }
    }

    @Test
    void aGuestThatPowersItselfOffWakesTheAgentAndKeepsItsProcess() throws Exception {
        vmms.spawn(launch);
        awaitState(GuestState.Kind.RUNNING);
        woken.clear();
        tell("poweroff");
        Awaitility.await().atMost(Duration.ofSeconds(10)).until(() -> woken.contains(id.uid()));
        awaitState(GuestState.Kind.POWERED_OFF);
        assertThat(vmms.process(record)).isInstanceOf(Seen.Present.class);
        vmms.powerOff(record);
        assertThat(awaitEnd().code()).isZero();
    }

    @Test
    void recordsTheConsoleFromItsFirstWordAcrossAReboot() throws Exception {
        vmms.spawn(launch);
        awaitState(GuestState.Kind.RUNNING);
        tell("reboot");
        Awaitility.await()
                .atMost(Duration.ofSeconds(10))
                .untilAsserted(() -> assertThat(files.serialLog())
                        .content()
                        .isEqualTo("stand-in booted\nreboot: Restarting system\nstand-in rebooted\n"));
        tell("panic");
        Awaitility.await()
                .atMost(Duration.ofSeconds(5))
                .until(() -> vmms.guest(record).panicked());
        vmms.kill(record);
        GuestProcess.Ended ended = awaitEnd();
        assertThat(ended.signal()).isEqualTo(9);
        assertThat(ended.lastSerial()).endsWith("Kernel panic - not syncing");
        // The sockets of a killed VMM stay behind, and would refuse the next start.
        assertThat(files.serial()).exists();
        Files.delete(dir.resolve("ctl"));
        vmms.spawn(launch);
        awaitState(GuestState.Kind.RUNNING);
    }

    @Test
    @Timeout(60)
    void aVisitorTalksToTheGuestAndOneWhoOnlyLooksDisturbsNobody() throws Exception {
        vmms.spawn(launch);
        awaitState(GuestState.Kind.RUNNING);
        Awaitility.await().atMost(Duration.ofSeconds(10)).until(() -> Files.exists(files.console()));
        try (ConsoleVisit visit = ConsoleVisit.join(files.console(), Frame.Wish.WRITE, "test")) {
            visit.type("hello\r".getBytes(StandardCharsets.UTF_8), 6);
            awaitText(visit, "stand-in heard hello\n");
            // As `vmlet inventory` does, beside the agent; a second reader would put ours out of the door.
            LinuxVmms.Config config = new LinuxVmms.Config(
                    Hosts.paths(dir),
                    new HostNames(new InstallationId("testtest")),
                    LinuxVmms.currentBootId(),
                    _ -> {});
            try (LinuxVmms looking = LinuxVmms.toLook(config, Map.of(VmmKind.CLOUD_HYPERVISOR, standIn()))) {
                assertThat(looking.process(record)).isEqualTo(vmms.process(record));
                assertThat(looking.guest(record).kind()).isEqualTo(GuestState.Kind.RUNNING);
                visit.type("still\r".getBytes(StandardCharsets.UTF_8), 6);
                awaitText(visit, "stand-in heard still\n");
            }
            tell("reboot");
            awaitText(visit, "stand-in rebooted\n");
            visit.type("again\r".getBytes(StandardCharsets.UTF_8), 6);
            awaitText(visit, "stand-in heard again\n");
        }
        assertThat(files.serialLog()).content().endsWith("stand-in heard again\n");
    }

    private static void awaitText(ConsoleVisit visit, String text) throws Exception {
        StringBuilder shown = new StringBuilder();
        while (!shown.toString().endsWith(text)) {
            shown.append(visit.read().orElseThrow().text());
        }
    }

    @Test
    void tellsWhyAVmmDiedAtStart() throws Exception {
        tell("die");
        vmms.spawn(launch);
        GuestProcess.Ended ended = awaitEnd();
        assertThat(ended.code()).isEqualTo(1);
        assertThat(ended.lastLog()).contains("told to die");
    }

    @Test
    void refusesAnUnreachableDiskByName() throws Exception {
        Path locked = Files.createDirectory(
                dir.resolve("locked"),
                PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
        LaunchSpec unreachable = Hosts.with(
                launch,
                List.of(Hosts.drive(
                        "root", Role.DISK, locked.resolve("root.raw").toString(), false)),
                "");
        assertThat(catchRefusal(unreachable))
                .isInstanceOf(HostException.NotPermitted.class)
                .hasMessageContaining("chmod o+x " + locked);
    }

    private Throwable catchRefusal(LaunchSpec refused) {
        return org.assertj.core.api.Assertions.catchThrowable(() -> vmms.spawn(refused));
    }
}
