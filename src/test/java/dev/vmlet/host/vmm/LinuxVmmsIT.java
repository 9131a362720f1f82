package dev.vmlet.host.vmm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.vmlet.host.vmm.qemu.Qemu;
import dev.vmlet.model.DesiredDisk;
import dev.vmlet.model.GuestProcess;
import dev.vmlet.model.GuestState;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostNames;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.LaunchSpec;
import dev.vmlet.model.Seen;
import dev.vmlet.model.Tampering;
import dev.vmlet.model.Testimony;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmRecord;
import dev.vmlet.model.VmmKind;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Queue;
import java.util.UUID;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Real processes, cgroups and users, with QEMU booting nothing but its BIOS. */
class LinuxVmmsIT {
    private static final Cgroups.Place NOWHERE = new Cgroups.Place(List.of(), Optional.empty(), List.of(), List.of());

    private static final Path QEMU = Path.of("/usr/bin/qemu-system-x86_64");
    private static final InstallationId INSTALLATION = new InstallationId("testtest");

    private final Queue<String> woken = new ConcurrentLinkedQueue<>();
    private final VmId id = new VmId("default", "web", UUID.randomUUID().toString());
    private final LaunchSpec launch = Hosts.bare(VmmKind.QEMU, id, Hosts.USER);
    private Path dir;
    private String boot;
    private LinuxVmms vmms;
    private VmRecord record;

    @BeforeEach
    void prepare() throws Exception {
        assumeTrue(Hosts.isRootOfTheMachine(), "needs root of the machine: setpriv to other users, and cgroups");
        assumeTrue(Files.isExecutable(QEMU), "needs qemu-system-x86_64");
        dir = Hosts.directory();
        boot = LinuxVmms.currentBootId();
        record = Hosts.record(launch, boot);
        vmms = open();
    }

    private LinuxVmms open() throws HostException {
        return new LinuxVmms(
                new LinuxVmms.Config(Hosts.paths(dir), new HostNames(INSTALLATION), boot, woken::add),
                Map.of(VmmKind.QEMU, new Qemu(QEMU)));
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

    private GuestProcess.Alive alive() {
        return (GuestProcess.Alive) present(vmms.process(record));
    }

    private static GuestProcess present(Seen<GuestProcess> seen) {
        assertThat(seen).isInstanceOf(Seen.Present.class);
        return ((Seen.Present<GuestProcess>) seen).value();
    }

    private GuestProcess.Ended awaitEnd() {
        Awaitility.await()
                .atMost(Duration.ofSeconds(10))
                .until(() -> vmms.process(record) instanceof Seen.Present<GuestProcess>(GuestProcess.Ended _));
        return (GuestProcess.Ended) present(vmms.process(record));
    }

    private void awaitState(GuestState.Kind kind) {
        Awaitility.await()
                .atMost(Duration.ofSeconds(20))
                .until(() -> vmms.guest(record).kind() == kind);
    }

    @Test
    void startsAGuestThatHasNoPrivilege() throws Exception {
        assertThat(vmms.process(Hosts.recordWithoutLaunch(id))).isEqualTo(Seen.missing());
        vmms.spawn(launch);
        awaitState(GuestState.Kind.RUNNING);
        assertThat(vmms.guest(record).version()).isNotEmpty();

        String status = Files.readString(Path.of("/proc/" + alive().pid() + "/status"));
        assertThat(status)
                .contains("Uid:\t60001\t60001\t60001\t60001\n")
                .contains("Gid:\t60001\t60001\t60001\t60001\n")
                .containsPattern("Groups:\t ?\n")
                .contains("NoNewPrivs:\t1\n")
                .contains("Seccomp:\t2\n");
        for (String set : List.of("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")) {
            assertThat(status).contains(set + ":\t0000000000000000\n");
        }
        Path proc = Path.of("/proc/" + alive().pid());
        assertThat(Files.readString(proc.resolve("oom_score_adj"))).isEqualTo("0\n");
        assertThat(Files.readString(proc.resolve("environ")))
                .isEqualTo("PATH=/usr/sbin:/usr/bin:/sbin:/bin\0LC_ALL=C\0PWD=/\0");
        // Every hierarchy but those that know no directories.
        assertThat(Files.readAllLines(proc.resolve("cgroup")))
                .allMatch(line -> line.endsWith("/vmlet-testtest/" + id.uid()));
        assertThat(Files.readAllLines(Path.of("/proc/" + launcher() + "/cgroup")))
                .allMatch(line -> line.endsWith("/vmlet-testtest/launchers"));
        assertThat(openPaths(alive().pid())).noneMatch(path -> path.endsWith(".jar") || path.contains("gate"));
        assertThat(vmms.traces()).contains(id.uid());
    }

    private int launcher() {
        return PidFile.read(new VmFiles(Hosts.paths(dir), id.uid()).pid()) instanceof Seen.Present<PidFile>(var file)
                ? file.launcherPid()
                : -1;
    }

    private static List<String> openPaths(int pid) throws IOException {
        List<String> paths = new ArrayList<>();
        try (DirectoryStream<Path> fds = Files.newDirectoryStream(Path.of("/proc/" + pid + "/fd"))) {
            for (Path fd : fds) {
                paths.add(Files.readSymbolicLink(fd).toString());
            }
        }
        return paths;
    }

    @Test
    void refusesASecondProcessOfOneVm() throws Exception {
        vmms.spawn(launch);
        GuestProcess.Alive first = alive();
        assertThatThrownBy(() -> vmms.spawn(launch))
                .isInstanceOf(HostException.Busy.class)
                .hasMessageContaining("process " + first.pid() + " lives");
        assertThatThrownBy(() -> vmms.release(id)).isInstanceOf(HostException.Busy.class);
        assertThat(alive()).isEqualTo(first);
    }

    @Test
    void recordsTheExitCodeAndTellsAtOnce() throws Exception {
        vmms.spawn(launch);
        awaitState(GuestState.Kind.RUNNING);
        woken.clear();
        vmms.powerOff(record);
        Awaitility.await().atMost(Duration.ofSeconds(5)).until(() -> woken.contains(id.uid()));
        GuestProcess.Ended ended = awaitEnd();
        assertThat(ended.code()).isZero();
        assertThat(ended.signal()).isZero();
        assertThat(vmms.guest(record)).isEqualTo(GuestState.of(GuestState.Kind.NONE));
        vmms.release(id);
        assertThat(vmms.process(Hosts.recordWithoutLaunch(id))).isEqualTo(Seen.missing());
        assertThat(vmms.traces()).doesNotContain(id.uid());
    }

    /** Waits fifteen seconds by the BIOS's clock, then powers the machine off as ACPI does (PM1a control of q35). */
    private static byte[] diskThatPowersOff() {
        // Of some size: SeaBIOS boots no disk of a single sector.
        byte[] sector = new byte[1 << 20];
        byte[] code = HexFormat.of()
                .parseHex(
                        "30e4cd1a89d3" // ticks since midnight, of which dx has the low word, into bx
                                + "30e4cd1a29da81fa110172f4" // again until dx - bx >= 273, whichever of them wrapped
                                + "ba0406b80020ef" // out 0x604, SLP_EN
                                + "f4ebfd");
        System.arraycopy(code, 0, sector, 0, code.length);
        sector[510] = 0x55;
        sector[511] = (byte) 0xaa;
        return sector;
    }

    @Test
    void tellsThatTheGuestPoweredItselfOffWithoutBeingAsked() throws Exception {
        Path disk = dir.resolve("off.raw");
        Files.write(disk, diskThatPowersOff());
        Files.setAttribute(disk, "unix:uid", Hosts.USER);
        LaunchSpec off =
                Hosts.with(launch, List.of(Hosts.drive("root", DesiredDisk.Role.DISK, disk.toString(), false)), "");
        record = Hosts.record(off, boot);
        vmms.spawn(off);
        awaitState(GuestState.Kind.RUNNING);
        // From its connection; what comes after is the guest's doing.
        Awaitility.await().atMost(Duration.ofSeconds(5)).until(() -> !woken.isEmpty());
        Awaitility.await().pollDelay(Duration.ofMillis(500)).until(() -> true);
        woken.clear();
        assertThat(vmms.guest(record).kind()).isEqualTo(GuestState.Kind.RUNNING);
        Awaitility.await().atMost(Duration.ofSeconds(60)).until(() -> woken.contains(id.uid()));
        assertThat(vmms.guest(record).kind()).isEqualTo(GuestState.Kind.POWERED_OFF);
    }

    @Test
    void tellsAKilledVmmAndWhenItEndedHoweverLateItIsAsked() throws Exception {
        Instant before = Instant.now().minusSeconds(1);
        vmms.spawn(launch);
        vmms.kill(record);
        GuestProcess.Ended ended = awaitEnd();
        Instant after = Instant.now().plusSeconds(1);
        assertThat(ended.at()).hasValueSatisfying(at -> assertThat(at).isBetween(before, after));
        Files.setLastModifiedTime(
                new VmFiles(Hosts.paths(dir), id.uid()).exit(), FileTime.from(before.minusSeconds(3600)));
        assertThat(awaitEnd().at()).contains(before.minusSeconds(3600));
        assertThat(ended.code()).isEqualTo(128 + 9);
        assertThat(ended.signal()).isEqualTo(9);
    }

    @Test
    void terminatesAfterCheckingTheStartTime() throws Exception {
        vmms.spawn(launch);
        awaitState(GuestState.Kind.RUNNING);
        vmms.terminate(record);
        assertThat(awaitEnd().code()).isZero();
        // Nothing is left to signal, and nothing is.
        vmms.terminate(record);
    }

    @Test
    void aNewAgentAdoptsWhatTheLastOneStarted() throws Exception {
        vmms.spawn(launch);
        GuestProcess.Alive before = alive();
        vmms.close();
        vmms = open();
        assertThat(alive()).isEqualTo(before);
        awaitState(GuestState.Kind.RUNNING);
        woken.clear();
        vmms.powerOff(record);
        Awaitility.await().atMost(Duration.ofSeconds(5)).until(() -> woken.contains(id.uid()));
        assertThat(awaitEnd().code()).isZero();
    }

    @Test
    void aGuestOutlivesItsAgentsKillAndCgroup() throws Exception {
        Process agent = new ProcessBuilder(
                        System.getProperty("java.home") + "/bin/java",
                        "--enable-native-access=ALL-UNNAMED",
                        "-cp",
                        System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                        "dev.vmlet.host.vmm.ShortLivedAgent",
                        dir.toString(),
                        id.uid(),
                        QEMU.toString())
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        try (BufferedReader said = agent.inputReader()) {
            Awaitility.await().atMost(Duration.ofSeconds(30)).until(() -> "spawned".equals(said.readLine()));
        } finally {
            agent.destroyForcibly();
        }
        assertThat(agent.waitFor(10, TimeUnit.SECONDS)).isTrue();
        awaitState(GuestState.Kind.RUNNING);
        vmms.powerOff(record);
        assertThat(awaitEnd().code())
                .as("recorded by the launcher the dead agent left")
                .isZero();
    }

    @Test
    void aVmmWhosePidCannotBeWrittenDownNeverRuns() throws Exception {
        VmFiles files = new VmFiles(Hosts.paths(dir), id.uid());
        new RunFiles().prepare(files, Hosts.USER);
        // In the way of the launcher's note.
        Files.createDirectory(files.run().resolve("pid.new"));
        Path marker = files.sockets().resolve("ran");
        Launcher launcher = new Launcher(dir.resolve("state/bin"), boot);
        Launcher.Credentials user = new Launcher.Credentials(Hosts.USER, OptionalInt.empty());
        assertThatThrownBy(() -> launcher.launch(files, NOWHERE, user, List.of("touch", marker.toString())))
                .isInstanceOf(HostException.Refused.class)
                .hasMessageContaining("cannot write " + files.run() + "/pid");
        assertThat(Waiting.until(Duration.ofMillis(500), () -> Files.exists(marker)))
                .isFalse();
        // The same without the obstacle, so that the test above means something.
        Files.delete(files.run().resolve("pid.new"));
        launcher.launch(files, NOWHERE, user, List.of("touch", marker.toString()));
        assertThat(Waiting.until(Duration.ofSeconds(5), () -> Files.exists(marker)))
                .isTrue();
        assertThat(awaitEnd().code()).isZero();
    }

    @Test
    void limitsAreSetAndWhatCannotBeIsSaid() throws Exception {
        vmms.spawn(launch);
        assertThat(vmms.limitsNotEnforced()).allMatch(sentence -> sentence.contains("is not enforced"));
        String memory = Long.toString(launch.memory().bytes() + new Qemu(QEMU).overheadBytes(launch));
        List<Path> leaves = new Cgroups(CgroupMounts.find(), "vmlet-testtest").leaves(id.uid());
        for (Path leaf : leaves) {
            for (String file : List.of("memory.max", "memory.limit_in_bytes")) {
                if (Files.exists(leaf.resolve(file))) {
                    assertThat(leaf.resolve(file)).hasContent(memory);
                }
            }
        }
    }

    private Tampering tampering() {
        assertThat(vmms.tampering(record, alive())).isInstanceOf(Seen.Present.class);
        return vmms.tampering(record, alive()) instanceof Seen.Present<Tampering>(Tampering seen)
                ? seen
                : Tampering.NONE;
    }

    /** The VM's leaf in the hierarchy whose leaves have this file; empty where there is none. */
    private Optional<Path> leafWith(String file) throws IOException {
        return new Cgroups(CgroupMounts.find(), "vmlet-testtest")
                .leaves(id.uid()).stream()
                        .filter(leaf -> Files.exists(leaf.resolve(file)))
                        .findFirst();
    }

    /** Somebody writes to a limit: it is told, seen, put back, and then nothing is left to do. */
    private void isPutBack(String file, String vandal) throws Exception {
        Optional<Path> leaf = leafWith(file);
        if (leaf.isEmpty()) {
            return;
        }
        Path path = leaf.get().resolve(file);
        String before = Files.readString(path);
        woken.clear();
        Files.writeString(path, vandal);
        Awaitility.await().atMost(Duration.ofSeconds(5)).until(() -> woken.contains(id.uid()));
        assertThat(tampering().limits())
                .singleElement()
                .asString()
                .matches(Pattern.quote(file) + " is .+, at its launch it was " + Pattern.quote(before.strip()));
        vmms.restoreLimits(launch);
        assertThat(path).hasContent(before);
        assertThat(tampering()).isEqualTo(Tampering.NONE);
    }

    @Test
    void limitsThatSomebodyChangedAreToldAndPutBack() throws Exception {
        vmms.spawn(launch);
        awaitState(GuestState.Kind.RUNNING);
        assertThat(tampering()).isEqualTo(Tampering.NONE);
        assertThat(leafWith("memory.limit_in_bytes").or(() -> leafOrNone("memory.max")))
                .as("a limit that this host enforces, so that the test means something")
                .isPresent();
        isPutBack("memory.max", "4294967296");
        isPutBack("memory.limit_in_bytes", "4294967296");
        isPutBack("memory.oom.group", "0");
        isPutBack("pids.max", "max");
        isPutBack("cpu.max", "max 100000");
        isPutBack("cpu.cfs_quota_us", "-1");
        isPutBack("cgroup.freeze", "1");
        isPutBack("freezer.state", "FROZEN");
    }

    private Optional<Path> leafOrNone(String file) {
        try {
            return leafWith(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Test
    void aProcessThatWasMovedOutOfALimitIsMovedBack() throws Exception {
        vmms.spawn(launch);
        Path leaf = leafWith("memory.limit_in_bytes").orElse(null);
        assumeTrue(
                leaf != null, "needs hierarchies of cgroup v1: with v2 alone such a process is in no cgroup of its VM");
        int pid = alive().pid();
        Path elsewhere = leaf.resolveSibling("launchers");
        Files.writeString(elsewhere.resolve("cgroup.procs"), String.valueOf(pid));
        assertThat(tampering().limits()).containsExactly("process " + pid + " is not in " + leaf);
        vmms.restoreLimits(launch);
        assertThat(tampering()).isEqualTo(Tampering.NONE);
        assertThat(leaf.resolve("cgroup.procs")).content().contains(String.valueOf(pid));
    }

    @Test
    void anOomScoreThatSomebodyChangedIsPutBack() throws Exception {
        vmms.spawn(launch);
        Path score = Path.of("/proc/" + alive().pid() + "/oom_score_adj");
        Files.writeString(score, "777");
        assertThat(tampering().limits()).containsExactly("oom_score_adj is 777, at its launch it was 0");
        vmms.restoreLimits(launch);
        assertThat(score).hasContent("0");
    }

    @Test
    void aVmmThatSomebodyStoppedIsContinuedAndNobodyWaitsForItMeanwhile() throws Exception {
        vmms.spawn(launch);
        awaitState(GuestState.Kind.RUNNING);
        GuestProcess.Alive before = alive();
        assertThat(new ProcessBuilder("kill", "-STOP", String.valueOf(before.pid()))
                        .start()
                        .waitFor())
                .isZero();
        Awaitility.await().atMost(Duration.ofSeconds(5)).until(() -> tampering().stopped());
        long asked = System.nanoTime();
        assertThat(vmms.guest(record)).isEqualTo(GuestState.of(GuestState.Kind.BUSY));
        assertThat(Duration.ofNanos(System.nanoTime() - asked))
                .as("a VMM that is asked and cannot answer would take two seconds")
                .isLessThan(Duration.ofSeconds(2));
        vmms.continueProcess(record);
        awaitState(GuestState.Kind.RUNNING);
        assertThat(alive()).isEqualTo(before);
        assertThat(tampering()).isEqualTo(Tampering.NONE);
    }

    @Test
    void aGuestThatSomebodyPausedIsToldAndResumed() throws Exception {
        vmms.spawn(launch);
        awaitState(GuestState.Kind.RUNNING);
        Awaitility.await().atMost(Duration.ofSeconds(5)).until(() -> !woken.isEmpty());
        woken.clear();
        qmp("stop");
        Awaitility.await().atMost(Duration.ofSeconds(5)).until(() -> woken.contains(id.uid()));
        assertThat(vmms.guest(record).kind()).isEqualTo(GuestState.Kind.PAUSED);
        vmms.resume(record);
        assertThat(vmms.guest(record).kind()).isEqualTo(GuestState.Kind.RUNNING);
        // Somebody may have been quicker.
        vmms.resume(record);
    }

    private void qmp(String command) throws IOException {
        Path control = new VmFiles(Hosts.paths(dir), id.uid()).control();
        try (SocketChannel socket = SocketChannel.open(UnixDomainSocketAddress.of(control))) {
            socket.write(ByteBuffer.wrap(("{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"" + command + "\"}\n")
                    .getBytes(StandardCharsets.US_ASCII)));
            ByteBuffer answers = ByteBuffer.allocate(4096);
            Awaitility.await()
                    .atMost(Duration.ofSeconds(5))
                    .until(() -> socket.read(answers) > 0
                            && new String(answers.array(), 0, answers.position(), StandardCharsets.US_ASCII)
                                            .split("\"return\"", -1)
                                            .length
                                    > 2);
        }
    }

    @Test
    void aLiveProcessWithoutALaunchInTheRecordIsUnknown() throws Exception {
        vmms.spawn(launch);
        assertThat(vmms.process(Hosts.recordWithoutLaunch(id))).isInstanceOf(Seen.Unknown.class);
        assertThat(vmms.process(Hosts.record(launch, "another-boot"))).isInstanceOf(Seen.Unknown.class);
    }

    private VmFiles files() {
        return new VmFiles(Hosts.paths(dir), id.uid());
    }

    private void assertUnknown(String... words) {
        assertThat(vmms.process(record))
                .isInstanceOfSatisfying(
                        Seen.Unknown.class,
                        unknown -> assertThat(unknown.cause()).asString().contains(words));
        assertThatThrownBy(() -> vmms.spawn(launch)).isInstanceOf(HostException.Busy.class);
        assertThatThrownBy(() -> vmms.release(id)).isInstanceOf(HostException.Busy.class);
    }

    /** The same command line once more, outside of every cgroup of ours. */
    private Process twin() throws Exception {
        Files.createDirectories(dir.resolve("twin"));
        return new ProcessBuilder(
                        QEMU.toString(), "-nodefaults", "-display", "none", "-S", "-m", "16M", "-uuid", id.uid())
                .directory(dir.resolve("twin").toFile())
                .redirectErrorStream(true)
                .start();
    }

    @Test
    void aVmmThatDoesNotAnswerInTimeIsBusyAndNotDead() throws Exception {
        vmms.spawn(launch);
        GuestProcess.Alive before = alive();
        awaitState(GuestState.Kind.RUNNING);
        signal(before.pid(), "STOP");
        assertThat(vmms.guest(record).kind()).isEqualTo(GuestState.Kind.BUSY);
        assertThat(alive()).isEqualTo(before);
        signal(before.pid(), "CONT");
        awaitState(GuestState.Kind.RUNNING);
    }

    private static void signal(int pid, String name) throws Exception {
        assertThat(new ProcessBuilder("kill", "-" + name, Integer.toString(pid))
                        .start()
                        .waitFor())
                .isZero();
    }

    @Test
    void aPidThatIsAnothersByNowIsNotItsProcessAndIsNotSignalled() throws Exception {
        vmms.spawn(launch);
        vmms.kill(record);
        awaitEnd();
        Process another = new ProcessBuilder("sleep", "60").start();
        try {
            String[] words = Files.readString(files().pid()).split(" ");
            words[0] = Long.toString(another.pid());
            Files.writeString(files().pid(), String.join(" ", words));
            assertThat(present(vmms.process(record))).isInstanceOf(GuestProcess.Ended.class);
            vmms.terminate(record);
            vmms.kill(record);
            assertThat(another.waitFor(300, TimeUnit.MILLISECONDS)).isFalse();
        } finally {
            another.destroyForcibly();
        }
    }

    @Test
    void aCorpseIsNotAlive() throws Exception {
        vmms.spawn(launch);
        GuestProcess.Alive before = alive();
        // Its parent, which would bury it, stands still.
        signal(launcher(), "STOP");
        try {
            signal(before.pid(), "KILL");
            Awaitility.await()
                    .atMost(Duration.ofSeconds(5))
                    .until(() ->
                            ProcStat.read(before.pid()) instanceof Seen.Present<ProcStat>(var stat) && stat.dead());
            assertThat(present(vmms.process(record))).isInstanceOf(GuestProcess.Ended.class);
        } finally {
            signal(launcher(), "CONT");
        }
        assertThat(awaitEnd().signal()).isEqualTo(9);
    }

    @Test
    void aRecordedStartWithoutAnyProcessHasEnded() throws Exception {
        assertThat(vmms.process(record)).isEqualTo(Seen.present(GuestProcess.Ended.WITHOUT_TRACE));
    }

    @Test
    void aProcessWhosePidFileIsLostIsHeldByItsCgroupAndAdoptedWhenTheFileIsBack() throws Exception {
        vmms.spawn(launch);
        GuestProcess.Alive before = alive();
        String pidFile = Files.readString(files().pid());
        Files.delete(files().pid());
        assertUnknown(
                "the VM's cgroup holds process " + before.pid() + ", and there is no pid file",
                "record: started in this boot",
                "pid file: none",
                "cgroup: holds " + before.pid());
        Files.writeString(files().pid(), "torn");
        assertThat(vmms.process(record)).isInstanceOf(Seen.Unknown.class);
        Files.writeString(files().pid(), pidFile);
        assertThat(alive()).isEqualTo(before);
    }

    @Test
    void aGuestTellsOfItselfWhereNoRecordCan() throws Exception {
        assertThat(vmms.testimony(id)).isEqualTo(Seen.missing());
        Instant before = Instant.now().minusSeconds(1);
        vmms.spawn(launch);
        awaitState(GuestState.Kind.RUNNING);
        assertThat(vmms.testimony(id)).isInstanceOfSatisfying(Seen.Present.class, present -> {
            Testimony said = (Testimony) present.value();
            assertThat(said.process()).isEqualTo(alive());
            assertThat(said.userId()).hasValue(Hosts.USER);
            assertThat(said.vmm()).contains(VmmKind.QEMU);
            assertThat(said.guest().kind()).isEqualTo(GuestState.Kind.RUNNING);
            assertThat(said.startedAt()).hasValueSatisfying(at -> assertThat(at).isBetween(before, Instant.now()));
        });
        signal(alive().pid(), "STOP");
        assertThat(vmms.testimony(id))
                .isEqualTo(Seen.unknown("process " + alive().pid() + " bears its uuid and does not answer yet"));
        signal(alive().pid(), "CONT");
        vmms.kill(record);
        awaitEnd();
        assertThat(vmms.testimony(id))
                .isInstanceOfSatisfying(
                        Seen.Present.class,
                        present -> assertThat(((Testimony) present.value()).process())
                                .isInstanceOf(GuestProcess.Ended.class));
    }

    @Test
    void aSecondProcessInTheCgroupIsUnknownUntilItIsGone() throws Exception {
        vmms.spawn(launch);
        GuestProcess.Alive before = alive();
        Process second = new ProcessBuilder("sleep", "60").start();
        try {
            for (Path leaf : new Cgroups(CgroupMounts.find(), "vmlet-testtest").leaves(id.uid())) {
                Files.writeString(leaf.resolve("cgroup.procs"), Long.toString(second.pid()));
            }
            assertUnknown("process " + second.pid() + " in its cgroup does not come from it");
        } finally {
            second.destroyForcibly().waitFor();
        }
        assertThat(alive()).isEqualTo(before);
    }

    @Test
    void aSecondVmmWithTheVmsUuidIsUnknownUntilItIsGoneAndNoThirdIsStarted() throws Exception {
        Process twin = twin();
        try {
            // Of none that we started: a record that was lost with its run files.
            Awaitility.await()
                    .atMost(Duration.ofSeconds(5))
                    .untilAsserted(() -> assertThatThrownBy(() -> vmms.spawn(launch))
                            .isInstanceOf(HostException.Busy.class)
                            .hasMessageContaining("another VMM runs as this VM: process " + twin.pid()));
            assertThat(vmms.process(record)).isInstanceOf(Seen.Unknown.class);
            assertThat(vmms.process(Hosts.recordWithoutLaunch(id))).isInstanceOf(Seen.Unknown.class);
            assertThat(twin.isAlive()).isTrue();
        } finally {
            twin.destroyForcibly().waitFor();
        }
        vmms.spawn(launch);
        GuestProcess.Alive before = alive();
        Process second = twin();
        LinuxVmms next = open();
        try {
            Awaitility.await()
                    .atMost(Duration.ofSeconds(5))
                    .until(() -> !new Machines(Path.of("/proc"), List.of(new Qemu(QEMU)), dir)
                            .of(id.uid(), Duration.ZERO)
                            .equals(java.util.Set.of(before.pid())));
            assertThat(next.process(record))
                    .isInstanceOfSatisfying(
                            Seen.Unknown.class,
                            unknown -> assertThat(unknown.cause())
                                    .asString()
                                    .contains("elsewhere: process " + second.pid() + " bears the VM's uuid"));
            second.destroyForcibly().waitFor();
            // Without waiting for the next look at all processes.
            assertThat(next.process(record)).isEqualTo(Seen.present(before));
        } finally {
            second.destroyForcibly().waitFor();
            next.close();
        }
    }

    @Test
    void aProcessThatAnswersAsAnotherMachineIsUnknown() throws Exception {
        vmms.spawn(launch);
        awaitState(GuestState.Kind.RUNNING);
        VmId other = new VmId("default", "other", UUID.randomUUID().toString());
        // The other VM's files are taken for this one's: what a copied run directory would look like.
        VmFiles files = new VmFiles(Hosts.paths(dir), other.uid());
        Files.createSymbolicLink(files.run(), new VmFiles(Hosts.paths(dir), id.uid()).run());
        VmRecord strange = Hosts.record(Hosts.bare(VmmKind.QEMU, other, Hosts.USER), boot);
        assertThat(vmms.guest(strange).kind()).isEqualTo(GuestState.Kind.BUSY);
        assertThat(vmms.process(strange))
                .isInstanceOfSatisfying(
                        Seen.Unknown.class,
                        unknown -> assertThat(unknown.cause()).asString().contains("answers as machine " + id.uid()));
        // It heals without a restart when the right one answers.
        Files.delete(files.run());
        LaunchSpec right = Hosts.bare(VmmKind.QEMU, other, Hosts.USER);
        vmms.spawn(right);
        Awaitility.await()
                .atMost(Duration.ofSeconds(20))
                .until(() -> vmms.guest(strange).kind() == GuestState.Kind.RUNNING);
        assertThat(vmms.process(strange)).isInstanceOf(Seen.Present.class);
        vmms.kill(strange);
        vmms.release(other);
    }
}
