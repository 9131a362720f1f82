package dev.vmlet.host.vmm.cloudhypervisor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import dev.vmlet.host.vmm.Hosts;
import dev.vmlet.host.vmm.VmFiles;
import dev.vmlet.model.DesiredDisk.Role;
import dev.vmlet.model.GuestState;
import dev.vmlet.model.HostException;
import dev.vmlet.model.LaunchSpec;
import dev.vmlet.model.VmmKind;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The driver against the stand-in, as any user. */
class CloudHypervisorTest {
    private Path dir;
    private VmFiles files;
    private CloudHypervisor vmm;
    private LaunchSpec launch;
    private final List<Process> started = new ArrayList<>();

    @BeforeEach
    void prepare() throws IOException {
        dir = Hosts.directory();
        files = Hosts.files(dir);
        Files.createDirectories(files.sockets());
        Files.createFile(files.events());
        Path firmware = Files.createFile(dir.resolve("CLOUDHV.fd"));
        vmm = new CloudHypervisor(CloudHypervisorBinary.standIn(dir, ""), true);
        launch = Hosts.with(
                Hosts.bare(VmmKind.CLOUD_HYPERVISOR, Hosts.WEB, Hosts.USER),
                List.of(Hosts.drive("firmware", Role.FIRMWARE, firmware.toString(), true)),
                "");
    }

    @AfterEach
    void clear() throws Exception {
        for (Process process : started) {
            process.destroyForcibly();
            assertThat(process.waitFor(10, TimeUnit.SECONDS)).isTrue();
        }
        Hosts.delete(dir);
    }

    private Process start() throws Exception {
        Process process = new ProcessBuilder(vmm.command(launch, files))
                .redirectErrorStream(true)
                .redirectOutput(dir.resolve("log").toFile())
                .start();
        started.add(process);
        return process;
    }

    private GuestState state(boolean ran) {
        return vmm.ask(files, Optional.of(Hosts.launched(launch, "boot", ran))).state();
    }

    private void awaitState(GuestState.Kind kind) {
        Awaitility.await()
                .atMost(Duration.ofSeconds(15))
                .until(() -> state(false).kind() == kind);
    }

    private void tell(String word) throws IOException {
        Files.writeString(dir.resolve("ctl"), word);
    }

    @Test
    void seesAGuestFromStartToPowerOff() throws Exception {
        assertThat(state(false)).isEqualTo(GuestState.of(GuestState.Kind.STARTING));
        assertThat(state(true)).isEqualTo(GuestState.of(GuestState.Kind.BUSY));
        Process process = start();
        awaitState(GuestState.Kind.RUNNING);
        assertThat(state(false)).isEqualTo(new GuestState(GuestState.Kind.RUNNING, false, "53.0"));
        assertThat(vmm.ask(files, Optional.of(Hosts.launched(launch, "boot", false)))
                        .uuid())
                .isEqualTo(Hosts.WEB.uid());

        vmm.pressPowerButton(files);
        assertThat(state(false).kind()).isEqualTo(GuestState.Kind.POWERED_OFF);
        assertThat(process.isAlive()).as("--no-shutdown keeps the process").isTrue();
        assertThatThrownBy(() -> vmm.pressPowerButton(files))
                .isInstanceOf(HostException.Refused.class)
                .rootCause()
                .hasMessage("vm.power-button: 500 Error from API: The VM could not be reached: VM is not running");

        vmm.powerOff(files);
        assertThat(process.waitFor(10, TimeUnit.SECONDS)).isTrue();
        assertThat(process.exitValue()).isZero();
    }

    @Test
    void aPausedGuestIsSeenAndResumed() throws Exception {
        Process _ = start();
        awaitState(GuestState.Kind.RUNNING);
        new ApiClient(files.control()).put("vm.pause", Duration.ofSeconds(5));
        assertThat(state(true).kind()).isEqualTo(GuestState.Kind.PAUSED);
        vmm.resume(files);
        assertThat(state(true).kind()).isEqualTo(GuestState.Kind.RUNNING);
        assertThatThrownBy(() -> vmm.resume(files))
                .as("somebody else was quicker")
                .isInstanceOf(HostException.Refused.class);
    }

    @Test
    void cutsThePowerOfADeafGuest() throws Exception {
        tell("deaf");
        Process process = start();
        awaitState(GuestState.Kind.RUNNING);
        vmm.pressPowerButton(files);
        assertThat(state(false).kind()).isEqualTo(GuestState.Kind.RUNNING);
        vmm.powerOff(files);
        assertThat(process.waitFor(10, TimeUnit.SECONDS)).isTrue();
        assertThat(process.exitValue()).isZero();
    }

    @Test
    void noticesAPanicWhileTheVmmSaysRunning() throws Exception {
        Process _ = start();
        awaitState(GuestState.Kind.RUNNING);
        tell("panic");
        Awaitility.await()
                .atMost(Duration.ofSeconds(5))
                .until(() -> state(false).panicked());
        assertThat(state(false).kind()).isEqualTo(GuestState.Kind.RUNNING);
    }

    @Test
    void aSilentServerIsBusyNotDead() throws Exception {
        Process _ = start();
        awaitState(GuestState.Kind.RUNNING);
        tell("hang");
        assertThat(state(true)).isEqualTo(GuestState.of(GuestState.Kind.BUSY));
        assertThatThrownBy(() -> vmm.pressPowerButton(files)).isInstanceOf(HostException.TimedOut.class);
    }

    @Test
    void anEleventhConnectionIsBusy() throws Exception {
        Process _ = start();
        awaitState(GuestState.Kind.RUNNING);
        List<SocketChannel> idle = new ArrayList<>();
        // One more at each look: the server may still count a call of ours that has ended, and refuse an early one.
        Awaitility.await()
                .pollInterval(Duration.ofMillis(20))
                .during(Duration.ofMillis(400))
                .atMost(Duration.ofSeconds(10))
                .until(() -> {
                    SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
                    boolean _ = channel.connect(UnixDomainSocketAddress.of(files.control()));
                    idle.add(channel);
                    return state(true).kind() == GuestState.Kind.BUSY;
                });
        assertThatThrownBy(() -> vmm.pressPowerButton(files)).isInstanceOf(HostException.Busy.class);
        for (SocketChannel channel : idle) {
            channel.close();
        }
        awaitState(GuestState.Kind.RUNNING);
    }

    @Test
    void aStaleSerialSocketRefusesTheStart() throws Exception {
        Files.createFile(files.serial());
        Process process = start();
        assertThat(process.waitFor(15, TimeUnit.SECONDS)).isTrue();
        assertThat(process.exitValue()).isEqualTo(1);
        assertThat(dir.resolve("log")).content().contains("Error creating console device: Address already in use");
    }

    @Test
    void callsWhatTheServersOwnDescriptionKnows() throws Exception {
        Path description = Path.of("..", "shared/reference/cloud-hypervisor-v53-openapi.yaml");
        if (!Files.exists(description)) {
            description = Path.of("..").resolve(description);
        }
        assumeTrue(Files.exists(description), "the API description of cloud-hypervisor v53 is not on this machine");
        Map<String, String> described = new TreeMap<>();
        JsonNode paths = new YAMLMapper().readTree(description.toFile()).path("paths");
        paths.properties()
                .forEach(path -> path.getValue()
                        .fieldNames()
                        .forEachRemaining(method ->
                                described.put(path.getKey().substring(1), method.toUpperCase(java.util.Locale.ROOT))));
        // Only in builds with guest_debug.
        described.remove("vm.coredump");
        assertThat(new TreeMap<>(StandInCloudHypervisor.CALLS)).isEqualTo(described);
    }
}
