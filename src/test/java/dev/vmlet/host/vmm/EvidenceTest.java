package dev.vmlet.host.vmm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import dev.vmlet.host.vmm.cloudhypervisor.CloudHypervisor;
import dev.vmlet.host.vmm.qemu.Qemu;
import dev.vmlet.model.GuestProcess;
import dev.vmlet.model.Seen;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The table of {@link Evidence#judge}, row by row. */
class EvidenceTest {
    private static final String UID = "3f2a9c1e-5b7d-4e8f-9a0b-1c2d3e4f5a6b";
    private static final PidFile FILE = new PidFile(4711, 100, "boot", 4700, 90);
    private static final Seen<ProcStat> LIVES = Seen.present(new ProcStat('S', 1, 100));
    private static final Seen<ProcStat> GONE = Seen.missing();
    private static final Seen<Set<Integer>> NO_CGROUP = Seen.missing();
    private static final Seen<Set<Integer>> EMPTY = Seen.present(Set.of());
    private static final Instant NOTED = Instant.parse("2026-01-01T12:00:00Z");
    private static final Optional<String> LAUNCHED = Optional.of("boot");

    private static Seen<GuestProcess> judge(
            Optional<String> launch, Seen<PidFile> file, Seen<ProcStat> stat, Seen<Set<Integer>> members) {
        boolean runFiles = !(file instanceof Seen.Missing<PidFile>);
        return evidence(launch, file, stat, members, Set.of(), "", Set.of(), runFiles, Seen.missing())
                .judge();
    }

    private static Evidence evidence(
            Optional<String> launch,
            Seen<PidFile> file,
            Seen<ProcStat> stat,
            Seen<Set<Integer>> members,
            Set<Integer> strays,
            String machine,
            Set<Integer> twins,
            boolean runFiles,
            Seen<RunFiles.Exit> exit) {
        return new Evidence(UID, "boot", launch, file, stat, members, strays, machine, twins, runFiles, exit);
    }

    /** A living process of which all agree but what is given here. */
    private static Seen<GuestProcess> lives(Set<Integer> strays, String machine, Set<Integer> twins) {
        Seen<Set<Integer>> members = strays.isEmpty() ? members(4711) : members(4711, 4712);
        return evidence(LAUNCHED, Seen.present(FILE), LIVES, members, strays, machine, twins, true, Seen.missing())
                .judge();
    }

    private static Seen<Set<Integer>> members(Integer... pids) {
        return Seen.present(Set.of(pids));
    }

    private static Seen<GuestProcess> ended(int code, int signal) {
        Optional<Instant> at = code < 0 ? Optional.empty() : Optional.of(NOTED);
        return Seen.present(new GuestProcess.Ended(code, signal, false, at, "", ""));
    }

    @Test
    void livesWhenPidStartTimeBootAndCgroupAgree() {
        Seen<GuestProcess> alive = Seen.present(new GuestProcess.Alive(4711, 100));
        assertThat(judge(LAUNCHED, Seen.present(FILE), LIVES, members(4711))).isEqualTo(alive);
        // Children of it do not make it another.
        assertThat(judge(LAUNCHED, Seen.present(FILE), LIVES, members(4711, 4712)))
                .isEqualTo(alive);
    }

    @Test
    void aReusedPidACorpseAndAnotherBootAreNotAlive() {
        assertThat(judge(LAUNCHED, Seen.present(FILE), Seen.present(new ProcStat('S', 1, 101)), EMPTY))
                .isEqualTo(ended(-1, 0));
        assertThat(judge(LAUNCHED, Seen.present(FILE), Seen.present(new ProcStat('Z', 1, 100)), EMPTY))
                .isEqualTo(ended(-1, 0));
        PidFile old = new PidFile(4711, 100, "before", 4700, 90);
        assertThat(judge(Optional.of("before"), Seen.present(old), LIVES, NO_CGROUP))
                .isEqualTo(ended(-1, 0));
    }

    @Test
    void missingNeedsNoLaunchAndNoTrace() {
        assertThat(judge(Optional.empty(), Seen.missing(), GONE, NO_CGROUP)).isEqualTo(Seen.missing());
        assertThat(judge(Optional.empty(), Seen.missing(), GONE, EMPTY)).isEqualTo(ended(-1, 0));
        assertThat(judge(Optional.empty(), Seen.present(FILE), GONE, NO_CGROUP)).isEqualTo(ended(-1, 0));
        assertThat(judge(LAUNCHED, Seen.missing(), GONE, NO_CGROUP)).isEqualTo(ended(-1, 0));
    }

    @Test
    void whatDisagreesIsUnknown() {
        for (Seen<GuestProcess> seen : List.of(
                judge(Optional.empty(), Seen.present(FILE), LIVES, members(4711)),
                judge(Optional.of("before"), Seen.present(FILE), LIVES, members(4711)),
                judge(LAUNCHED, Seen.present(FILE), LIVES, EMPTY),
                judge(LAUNCHED, Seen.present(FILE), GONE, members(4712)),
                judge(LAUNCHED, Seen.missing(), GONE, members(4712)),
                judge(Optional.empty(), Seen.missing(), GONE, members(4712)))) {
            assertThat(seen).isInstanceOf(Seen.Unknown.class);
        }
    }

    @Test
    void aVmmThatSaysNothingIsBusyAndOneThatIsThisVmAgrees() {
        Seen<GuestProcess> alive = Seen.present(new GuestProcess.Alive(4711, 100));
        assertThat(lives(Set.of(), "", Set.of())).isEqualTo(alive);
        assertThat(lives(Set.of(), UID, Set.of())).isEqualTo(alive);
        assertThat(lives(Set.of(), UID.toUpperCase(Locale.ROOT), Set.of())).isEqualTo(alive);
    }

    @Test
    void twoProcessesForOneVmAreUnknownWhereverTheSecondIs() {
        assertThat(lives(Set.of(4712), UID, Set.of()))
                .isEqualTo(
                        Seen.unknown("process 4711 lives as this VM, and process 4712 in its cgroup does not come from"
                                + " it. The witnesses say: record: started in this boot; pid file: process 4711, start 100, in"
                                + " this boot; /proc: process 4711 lives, start 100; cgroup: holds 4711, 4712; VMM: machine "
                                + UID + "; elsewhere: nothing. Nothing is touched until they agree"));
        assertThat(lives(Set.of(), UID, Set.of(4900)))
                .isEqualTo(
                        Seen.unknown(
                                "another VMM runs as this VM: process 4900. The witnesses say: record: started in"
                                        + " this boot; pid file: process 4711, start 100, in this boot; /proc: process 4711 lives, start"
                                        + " 100; cgroup: holds 4711; VMM: machine " + UID
                                        + "; elsewhere: process 4900 bears the VM's uuid. Nothing is touched until they agree"));
        // All that we know of has ended, or never was: one that runs all the same must not meet a second on its disks.
        for (Optional<String> launch : List.of(LAUNCHED, Optional.<String>empty())) {
            assertThat(evidence(
                                    launch,
                                    Seen.missing(),
                                    GONE,
                                    NO_CGROUP,
                                    Set.of(),
                                    "",
                                    Set.of(4900),
                                    false,
                                    Seen.missing())
                            .judge())
                    .isInstanceOf(Seen.Unknown.class);
        }
    }

    @Test
    void aVmmThatIsAnotherMachineIsUnknown() {
        assertThat(lives(Set.of(), "00000000-5b7d-4e8f-9a0b-1c2d3e4f5a6b", Set.of()))
                .isEqualTo(
                        Seen.unknown("process 4711 answers as machine 00000000-5b7d-4e8f-9a0b-1c2d3e4f5a6b, and this is"
                                + " VM uid " + UID
                                + ". The witnesses say: record: started in this boot; pid file: process 4711,"
                                + " start 100, in this boot; /proc: process 4711 lives, start 100; cgroup: holds 4711; VMM:"
                                + " machine 00000000-5b7d-4e8f-9a0b-1c2d3e4f5a6b; elsewhere: nothing. Nothing is touched until"
                                + " they agree"));
    }

    @Test
    void saysOfAReusedNumberThatItIsAnothersAndOfACorpseThatItIsOne() {
        assertThat(judge(LAUNCHED, Seen.present(FILE), Seen.present(new ProcStat('S', 1, 101)), members(4712)))
                .isEqualTo(Seen.unknown("the pid file's process has ended, and the VM's cgroup holds process 4712. The"
                        + " witnesses say: record: started in this boot; pid file: process 4711, start 100, in this boot;"
                        + " /proc: process 4711 lives, start 101: the number is another's by now; cgroup: holds 4712; VMM:"
                        + " no answer; elsewhere: nothing. Nothing is touched until they agree"));
        assertThat(judge(
                        Optional.of("before"), Seen.present(FILE), Seen.present(new ProcStat('Z', 1, 100)), members(9)))
                .isInstanceOfSatisfying(
                        Seen.Unknown.class,
                        unknown -> assertThat(unknown.cause())
                                .contains(
                                        "record: started in another boot",
                                        "/proc: process 4711 is a corpse, start 100"));
    }

    @Test
    void readsTheMachineFromTheCommandLinesOfVmmsAlone(@TempDir Path proc) throws Exception {
        String machine = "-uuid\0" + UID + "\0";
        for (String[] process : new String[][] {
            {"10", "/usr/bin/qemu-system-x86_64\0-nodefaults\0" + machine},
            {"11", "sh\0/var/lib/vmlet/bin/launcher.sh\0--\0setpriv\0qemu-system-x86_64\0" + machine},
            {"12", "setpriv\0--reuid\060001\0/usr/bin/qemu-system-x86_64\0" + machine},
            {"13", "/var/lib/vmlet/bin/cloud-hypervisor-53\0--platform\0num_pci_segments=1,system_uuid=" + UID + "\0"},
            {"14", "vim\0/var/lib/vmlet/vms/" + UID + "/record.json\0"},
            {"15", ""},
            {"16", "/usr/bin/qemu-system-x86_64\0-uuid\0"}
        }) {
            Files.writeString(Files.createDirectory(proc.resolve(process[0])).resolve("cmdline"), process[1]);
            Files.writeString(proc.resolve(process[0] + "/comm"), comm(process[1]));
        }
        Files.createDirectory(proc.resolve("sys"));
        for (String pid : List.of("10", "13")) {
            runs(proc, pid, EXECUTABLE, "0");
        }
        Machines machines = new Machines(
                proc,
                List.of(new Qemu(EXECUTABLE), new CloudHypervisor(Path.of("/bin/cloud-hypervisor-53"))),
                proc.resolve("bin"));
        assertThat(machines.of(UID, Duration.ofHours(1))).containsExactlyInAnyOrder(10, 13);
        // One that has ended since is told from one that has not, although the look is old.
        Files.writeString(proc.resolve("13/cmdline"), "sleep\09\0");
        assertThat(machines.of(UID, Duration.ofHours(1))).containsExactlyInAnyOrder(10, 13);
        assertThat(machines.confirmed(UID, Set.of(10, 13), -1, Set.of())).containsExactly(10);
        assertThat(machines.of(UID, Duration.ZERO)).containsExactly(10);
    }

    private static final Path EXECUTABLE =
            Path.of(ProcessHandle.current().info().command().orElseThrow());

    /** As the kernel names a process that was started so. */
    private static String comm(String commandLine) {
        String name = commandLine.split("\0", 2)[0].replaceAll(".*/", "");
        return name.substring(0, Math.min(15, name.length())) + "\n";
    }

    @Test
    void aProcessThatHangsKeepsNobodyFromLooking(@TempDir Path proc) throws Exception {
        Map<String, String> comms = Map.of("30", "bash", "31", "qemu-system-x86", "32", "qemu-system-x86");
        for (Map.Entry<String, String> process : comms.entrySet()) {
            Path folder = Files.createDirectory(proc.resolve(process.getKey()));
            Files.writeString(folder.resolve("comm"), process.getValue() + "\n");
            runs(proc, process.getKey(), EXECUTABLE, "0");
        }
        // Whoever opens a pipe that nobody writes to waits as long as the kernel does here.
        for (String pid : List.of("30", "31")) {
            assertThat(new ProcessBuilder(
                                    "mkfifo", proc.resolve(pid + "/cmdline").toString())
                            .start()
                            .waitFor(10, TimeUnit.SECONDS))
                    .isTrue();
        }
        Files.writeString(proc.resolve("32/cmdline"), "qemu-system-x86_64\0-uuid\0" + UID + "\0");
        Machines machines = new Machines(proc, List.of(new Qemu(Path.of("/usr/bin/qemu-system-x86_64"))), proc);
        for (int look = 0; look < 3; look++) {
            assertThat(assertTimeoutPreemptively(Duration.ofSeconds(20), () -> machines.of(UID, Duration.ZERO)))
                    .containsExactly(32);
        }
        assertThat(readers()).as("one hangs with 31, and nobody has asked 30").isEqualTo(1);
        Files.writeString(proc.resolve("31/cmdline"), "qemu-system-x86_64\0-uuid\0" + UID + "\0");
        Files.delete(proc.resolve("31/cmdline"));
        Files.writeString(proc.resolve("31/cmdline"), "qemu-system-x86_64\0-uuid\0" + UID + "\0");
        await().atMost(Duration.ofSeconds(20))
                .untilAsserted(() -> assertThat(machines.of(UID, Duration.ZERO)).containsExactlyInAnyOrder(31, 32));
    }

    /** Threads that wait in the kernel for a command line. */
    private static long readers() {
        return Thread.getAllStackTraces().entrySet().stream()
                .filter(thread -> thread.getKey().getName().startsWith("command-line-")
                        && Arrays.stream(thread.getValue())
                                .anyMatch(frame -> frame.getMethodName().equals("readAllBytes")))
                .count();
    }

    private static void runs(Path proc, String pid, Path exe, String user) throws IOException {
        Files.createDirectories(proc.resolve(pid));
        Files.createSymbolicLink(proc.resolve(pid + "/exe"), exe);
        Files.writeString(proc.resolve(pid + "/status"), "Name:\tx\nUid:\t" + user + "\t0\t0\t0\n");
    }

    @Test
    void countsOnlyVmmsWhoseUserCouldOpenTheDisks(@TempDir Path proc) throws Exception {
        Path bin = Files.createDirectory(proc.resolve("bin"));
        Path former = Files.createFile(bin.resolve("cloud-hypervisor-52"));
        Path wrapped = Files.createFile(proc.resolve("qemu-wrapped"));
        Path other = Files.createFile(proc.resolve("sleep"));
        runs(proc, "20", EXECUTABLE, "0");
        runs(proc, "21", former, "60001");
        runs(proc, "22", other, "0");
        runs(proc, "23", EXECUTABLE, "1000");
        runs(proc, "24", Path.of(bin + "/cloud-hypervisor-51 (deleted)"), "0");
        runs(proc, "25", Path.of(EXECUTABLE + " (deleted)"), "0");
        runs(proc, "26", Path.of(other + " (deleted)"), "0");
        runs(proc, "27", wrapped, "0");
        runs(proc, "28", wrapped, "60001");
        // A kernel thread has no executable.
        Files.createDirectory(proc.resolve("29"));
        Set<Integer> all = Set.of(20, 21, 22, 23, 24, 25, 26, 27, 28, 29);
        for (int pid : all) {
            Files.writeString(proc.resolve(pid + "/cmdline"), "qemu-system-x86_64\0-uuid\0" + UID + "\0");
            Files.writeString(proc.resolve(pid + "/comm"), "qemu-system-x86\n");
        }
        Machines machines = new Machines(proc, List.of(new Qemu(EXECUTABLE)), bin);
        assertThat(machines.of(UID, Duration.ZERO)).isEqualTo(all);
        assertThat(machines.confirmed(UID, all, -1, Set.of(60_001))).containsExactlyInAnyOrder(20, 21, 24, 25);
        assertThat(machines.confirmed(UID, all, 28, Set.of(60_001)))
                .as("a script starts it: what the VM's own process runs is its VMM")
                .containsExactlyInAnyOrder(20, 21, 24, 25, 27, 28);
        assertThat(machines.confirmed(UID, all, -1, Set.of())).containsExactlyInAnyOrder(20, 24, 25);
    }

    @Test
    void childrenOfTheVmmAreNoStraysAndOthersAre(@TempDir Path proc) throws Exception {
        for (int[] pidAndParent : new int[][] {{20, 1}, {21, 20}, {22, 21}, {23, 1}, {24, 23}}) {
            Files.writeString(
                    Files.createDirectory(proc.resolve(Integer.toString(pidAndParent[0])))
                            .resolve("stat"),
                    pidAndParent[0] + " (x) S " + pidAndParent[1] + " 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 777 0 0");
        }
        Machines machines = new Machines(proc, List.of(), proc);
        assertThat(machines.strays(20, Set.of(20, 21, 22, 23, 24))).containsExactlyInAnyOrder(23, 24);
        assertThat(machines.strays(20, Set.of(20, 21))).isEmpty();
    }

    @Test
    void whatCannotBeReadIsUnknown() {
        assertThat(judge(LAUNCHED, Seen.unknown("a"), GONE, EMPTY)).isEqualTo(Seen.unknown("a"));
        assertThat(judge(LAUNCHED, Seen.present(FILE), Seen.unknown("b"), EMPTY))
                .isEqualTo(Seen.unknown("b"));
        assertThat(judge(LAUNCHED, Seen.present(FILE), GONE, Seen.unknown("c"))).isEqualTo(Seen.unknown("c"));
    }

    @Test
    void theCodeCountsOnlyForTheLaunchItBelongsTo() {
        assertThat(code(LAUNCHED, FILE, 1)).isEqualTo(ended(1, 0));
        assertThat(code(LAUNCHED, FILE, 137)).isEqualTo(ended(137, 9));
        assertThat(code(LAUNCHED, FILE, 255)).isEqualTo(ended(255, 0));
        assertThat(code(Optional.of("before"), FILE, 0)).isEqualTo(ended(-1, 0));
        assertThat(code(LAUNCHED, new PidFile(4711, 100, "before", 1, 1), 0)).isEqualTo(ended(-1, 0));
    }

    private static Seen<GuestProcess> code(Optional<String> launch, PidFile file, int code) {
        Seen<RunFiles.Exit> exit = Seen.present(new RunFiles.Exit(code, NOTED));
        return evidence(launch, Seen.present(file), GONE, EMPTY, Set.of(), "", Set.of(), true, exit)
                .judge();
    }

    @Test
    void aNameCannotForgeAStartTime() {
        String fields = "S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 777 0 0";
        assertThat(ProcStat.parse("12 (a) Z (b) " + fields)).isEqualTo(new ProcStat('S', 1, 777));
    }
}
