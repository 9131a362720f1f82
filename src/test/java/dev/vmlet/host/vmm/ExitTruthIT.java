package dev.vmlet.host.vmm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.vmlet.host.Applier;
import dev.vmlet.host.FakeDisks;
import dev.vmlet.host.FakeHost;
import dev.vmlet.host.FakeProbes;
import dev.vmlet.host.FakeRecords;
import dev.vmlet.host.Host;
import dev.vmlet.host.Observer;
import dev.vmlet.host.vmm.qemu.Qemu;
import dev.vmlet.model.DesiredDisk;
import dev.vmlet.model.GuestProcess;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostNames;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.LaunchSpec;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Resolution;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmObservation;
import dev.vmlet.model.VmRecord;
import dev.vmlet.model.VmmKind;
import dev.vmlet.plan.Outcome;
import dev.vmlet.plan.VmPlanner;
import java.lang.reflect.Proxy;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * How a guest ended, from the real end of a real process to what is written down of it: observed, planned and applied as
 * the agent does. The object cannot be followed here, so that nothing is started.
 */
class ExitTruthIT {
    private static final Path QEMU = Path.of("/usr/bin/qemu-system-x86_64");
    private static final InstallationId INSTALLATION = new InstallationId("exittest");
    private static final HostNames NAMES = new HostNames(INSTALLATION);
    private static final Resolution<dev.vmlet.model.DesiredVm> NOT_FOLLOWED =
            new Resolution.Unresolved<>(Reason.NetworkNotFound, "no Network");

    private final VmId id = new VmId("default", "web", UUID.randomUUID().toString());
    private final FakeRecords records = new FakeRecords();
    private Path dir;
    private String boot;
    private LinuxVmms vmms;
    private Observer observer;
    private Applier applier;

    @BeforeEach
    void prepare() throws Exception {
        assumeTrue(Hosts.isRootOfTheMachine(), "needs root of the machine: setpriv to other users, and cgroups");
        assumeTrue(Files.isExecutable(QEMU), "needs qemu-system-x86_64");
        dir = Hosts.directory();
        boot = LinuxVmms.currentBootId();
        open(new Qemu(QEMU));
    }

    private void open(Vmm vmm) throws HostException {
        vmms = new LinuxVmms(new LinuxVmms.Config(Hosts.paths(dir), NAMES, boot, _ -> {}), Map.of(VmmKind.QEMU, vmm));
        FakeHost links = new FakeHost(INSTALLATION);
        Host host = new Host(links, links, vmms, new FakeDisks(), records, new FakeProbes());
        observer = new Observer(host, NAMES);
        applier = new Applier(host, (_, _, _) -> {}, () -> {});
    }

    @AfterEach
    void clear() throws Exception {
        if (vmms != null) {
            vmms.kill(Hosts.record(Hosts.bare(VmmKind.QEMU, id, Hosts.USER), boot));
            vmms.release(id);
            vmms.close();
            Hosts.delete(dir);
        }
    }

    // ---- the loop of the agent ----

    private void spawn(LaunchSpec launch, String bootId) throws HostException {
        records.write(VmRecord.of(id, Hosts.USER, List.of(), List.of(), Duration.ZERO)
                .withLaunch(new VmRecord.Launch(launch, bootId, Instant.now(), java.util.Optional.empty(), ""), 0));
        if (bootId.equals(boot)) {
            vmms.spawn(launch);
        }
    }

    private void pass() {
        VmObservation seen = observer.observeVm(id, java.util.Optional.empty());
        Outcome outcome = applier.apply(
                id.toString(),
                new VmPlanner(NAMES, Hosts.paths(dir), boot).plan(id, NOT_FOLLOWED, seen, Instant.now()));
        assertThat(outcome.failed()).isEmpty();
    }

    private VmRecord.Exit exit() {
        Awaitility.await().atMost(Duration.ofSeconds(60)).until(() -> {
            pass();
            return record().lastExit().isPresent();
        });
        return record().lastExit().orElseThrow();
    }

    private VmRecord record() {
        return java.util.Objects.requireNonNull(records.all().get(id.uid()));
    }

    /** The guest was seen to run; with a plan that never starts anything, the record has to be told so here. */
    private void awaitRunning() {
        Awaitility.await().atMost(Duration.ofSeconds(60)).until(() -> {
            VmRecord record = record();
            return vmms.process(record) instanceof Seen.Present<GuestProcess>(GuestProcess.Alive _)
                    && observer.observeVm(id, java.util.Optional.empty())
                                    .guest()
                                    .kind()
                            == dev.vmlet.model.GuestState.Kind.RUNNING;
        });
        try {
            VmRecord record = record();
            records.write(
                    record.withLaunch(record.launch().orElseThrow().withRan(Instant.now(), ""), record.restarts()));
        } catch (HostException e) {
            throw new AssertionError(e);
        }
    }

    private int pid() {
        return vmms.process(record()) instanceof Seen.Present<GuestProcess>(GuestProcess.Alive alive)
                ? alive.pid()
                : -1;
    }

    private static void signal(String signal, int pid) throws Exception {
        assertThat(pid).isPositive();
        assertThat(new ProcessBuilder("kill", "-" + signal, Integer.toString(pid))
                        .start()
                        .waitFor())
                .isZero();
    }

    // ---- guests of a few bytes ----

    /** Fifteen seconds by the BIOS's clock: until its low word is 273 ticks further, also when that wraps. */
    private static final String WAIT = "30e4cd1a89d330e4cd1a29da81fa110172f4";

    /** A disk whose boot sector writes this to the first serial port, waits, and then does that. */
    private LaunchSpec guest(String says, String deed) throws Exception {
        StringBuilder code = new StringBuilder("baf803");
        for (byte c : says.getBytes(StandardCharsets.US_ASCII)) {
            code.append("b0").append(HexFormat.of().toHexDigits(c)).append("ee");
        }
        byte[] program = HexFormat.of().parseHex(code + WAIT + deed + "f4ebfd");
        byte[] disk = new byte[1 << 20];
        System.arraycopy(program, 0, disk, 0, program.length);
        disk[510] = 0x55;
        disk[511] = (byte) 0xaa;
        Path file = dir.resolve("guest.raw");
        Files.write(file, disk);
        Files.setAttribute(file, "unix:uid", Hosts.USER);
        return Hosts.with(
                Hosts.bare(VmmKind.QEMU, id, Hosts.USER),
                List.of(Hosts.drive("root", DesiredDisk.Role.DISK, file.toString(), false)),
                "");
    }

    /** PM1a control of q35: SLP_EN. */
    private static final String POWER_OFF = "ba0406b80020ef";
    /** pvpanic: PVPANIC_PANICKED. */
    private static final String PANIC = "ba0505b001ee";

    // ---- how they end ----

    @Test
    void aGuestThatPowersItselfOff() throws Exception {
        spawn(guest("bye\n", POWER_OFF), boot);
        awaitRunning();
        VmRecord.Exit exit = exit();
        assertThat(exit.reason()).isEqualTo(Reason.GuestPoweredOff);
        assertThat(exit.message())
                .startsWith("The guest powered itself off. Last on its console: ")
                .endsWith("bye");
    }

    @Test
    void aGuestWhoseKernelPanics() throws Exception {
        spawn(guest("oops: all is lost\n", PANIC), boot);
        awaitRunning();
        VmRecord.Exit exit = exit();
        assertThat(exit.reason()).isEqualTo(Reason.GuestPanic);
        assertThat(exit.message())
                .startsWith("The guest's kernel panicked. Last on its console: ")
                .endsWith("oops: all is lost");
    }

    /** Reset control register of q35: full reset. */
    private static final String RESET = "baf90cb006ee";

    @Test
    void aGuestThatStartsOverHasNotEnded() throws Exception {
        spawn(guest("again\n", RESET), boot);
        awaitRunning();
        int pid = pid();
        Awaitility.await()
                .atMost(Duration.ofMinutes(3))
                .until(() -> observer.observeVm(id, java.util.Optional.empty())
                                .guest()
                                .reboots()
                        >= 2);
        assertThat(pid()).isEqualTo(pid);
        pass();
        assertThat(record().lastExit()).isEmpty();
        assertThat(record().restarts()).isZero();
        assertThat(record().launch()).isPresent();
    }

    @Test
    void aVmmThatIsKilledBySomebody() throws Exception {
        spawn(guest("working\n", ""), boot);
        awaitRunning();
        Path log = Path.of(Hosts.paths(dir).serialLog(id.uid()));
        Awaitility.await()
                .atMost(Duration.ofSeconds(60))
                .until(() -> Files.exists(log) && Files.readString(log).contains("working"));
        signal("KILL", pid());
        VmRecord.Exit exit = exit();
        assertThat(exit.reason()).isEqualTo(Reason.VmmKilled);
        assertThat(exit.message()).startsWith("The VMM was killed by signal 9.").contains("working");
    }

    @Test
    void aVmmThatUsesAForbiddenSystemCall() throws Exception {
        spawn(Hosts.bare(VmmKind.QEMU, id, Hosts.USER), boot);
        awaitRunning();
        // What seccomp sends; nothing makes a healthy QEMU break its own filter.
        signal("SYS", pid());
        assertThat(exit().reason()).isEqualTo(Reason.SeccompViolation);
    }

    @Test
    void aVmmThatCannotStart() throws Exception {
        spawn(
                Hosts.with(
                        Hosts.bare(VmmKind.QEMU, id, Hosts.USER),
                        List.of(Hosts.drive("root", DesiredDisk.Role.DISK, dir + "/none.raw", false)),
                        ""),
                boot);
        VmRecord.Exit exit = exit();
        assertThat(exit.reason()).isEqualTo(Reason.StartFailed);
        assertThat(exit.message())
                .startsWith("The VMM ended with exit code 1 before the guest ran. Its last words: ")
                .contains("none.raw");
        assertThat(record().lastRun()).as("nothing to go back to").isEmpty();
    }

    @Test
    void aVmmThatEndsWithoutBeingAsked() throws Exception {
        spawn(Hosts.bare(VmmKind.QEMU, id, Hosts.USER), boot);
        awaitRunning();
        signal("TERM", pid());
        VmRecord.Exit exit = exit();
        assertThat(exit.reason()).isEqualTo(Reason.VmmExited);
        assertThat(exit.message()).startsWith("The VMM ended with exit code 0.").contains("terminating on signal 15");
    }

    @Test
    void aVmmThatNeedsMoreMemoryThanItsLimit() throws Exception {
        List<String> unlimited = vmms.limitsNotEnforced().stream()
                .filter(s -> s.contains("memory"))
                .toList();
        assumeTrue(unlimited.isEmpty(), "needs the memory controller: " + unlimited);
        vmms.close();
        // tail keeps the last line, and this one never ends.
        open((Vmm) Proxy.newProxyInstance(
                Vmm.class.getClassLoader(), new Class<?>[] {Vmm.class}, (_, method, _) -> switch (method.getName()) {
                    case "command" -> List.of("tail", "/dev/zero");
                    case "overheadBytes" -> 0L;
                    case "needsKvm", "serialNeedsReader" -> false;
                    case "events", "machineOf", "sizeOf" -> java.util.Optional.empty();
                    case "ask" -> Vmm.Answer.of(dev.vmlet.model.GuestState.Kind.BUSY);
                    case "binary" -> Path.of("/usr/bin/tail");
                    default -> throw new UnsupportedOperationException(method.getName());
                }));
        spawn(Hosts.bare(VmmKind.QEMU, id, Hosts.USER), boot);
        VmRecord.Exit exit = exit();
        assertThat(exit.reason()).isEqualTo(Reason.OutOfMemory);
        assertThat(exit.message()).startsWith("The guest process exceeded its memory limit and was killed.");
    }

    @Test
    void aGuestOfAnotherBootOfTheHost() throws Exception {
        spawn(Hosts.bare(VmmKind.QEMU, id, Hosts.USER), "another-boot");
        assertThat(exit().reason()).isEqualTo(Reason.HostRebooted);
    }
}
