package dev.vmlet.host.vmm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.vmlet.model.HostException;
import dev.vmlet.model.Seen;
import dev.vmlet.model.Tampering;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Limits put back, on plain files; what a kernel makes of them, LinuxVmmsIT shows. */
class RestraintsTest {
    private static final Cgroups.Limits LIMITS = new Cgroups.Limits(1 << 30, 3, 288);
    private static final String MEMORY = "1073741824";
    private static final int PID = 4711;

    @TempDir
    Path temp;

    private Path first;
    private Path second;

    @BeforeEach
    void aProcessLives() throws IOException {
        first = Files.createDirectory(temp.resolve("first"));
        second = Files.createDirectory(temp.resolve("second"));
        Path proc = Files.createDirectories(temp.resolve("proc/" + PID));
        Files.writeString(proc.resolve("oom_score_adj"), "0\n");
        Files.writeString(proc.resolve("stat"), PID + " (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 777 0 0");
        Files.writeString(first.resolve("cgroup.procs"), PID + "\n");
        Files.writeString(second.resolve("cgroup.procs"), PID + "\n");
    }

    private Restraints restraints() {
        return new Restraints(temp.resolve("proc"), PID, List.of(first, second), LIMITS);
    }

    private static void files(Path leaf, String... namesAndContents) throws IOException {
        for (int i = 0; i < namesAndContents.length; i += 2) {
            Files.writeString(leaf.resolve(namesAndContents[i]), namesAndContents[i + 1]);
        }
    }

    @Test
    void aMemoryLimitBelowWhatTheGuestUsesIsToldAndLeft() throws Exception {
        files(first, "memory.max", "max\n", "memory.current", "2147483648\n", "pids.max", "max\n");
        files(second, "memory.limit_in_bytes", "9223372036854771712\n", "memory.usage_in_bytes", "2147483648\n");
        String why = ": the guest uses more than the " + MEMORY + " of its launch, and would be killed; restart it";
        Tampering kept = new Tampering(
                false,
                List.of(),
                List.of("memory.limit_in_bytes stays at 9223372036854771712" + why, "memory.max stays at max" + why));
        assertThat(restraints().look())
                .isEqualTo(Seen.present(
                        new Tampering(false, List.of("pids.max is max, at its launch it was 288"), kept.kept())));
        restraints().restore();
        assertThat(first.resolve("memory.max")).hasContent("max");
        assertThat(second.resolve("memory.limit_in_bytes")).hasContent("9223372036854771712");
        assertThat(first.resolve("pids.max")).hasContent("288");
        assertThat(restraints().look()).isEqualTo(Seen.present(kept));
    }

    @Test
    void cleanPageCacheIsNoUseOfTheGuests() throws Exception {
        files(first, "memory.max", "max\n", "memory.current", "2147483648\n");
        files(second, "memory.limit_in_bytes", "9223372036854771712\n", "memory.usage_in_bytes", "2147483648\n");
        files(first, "memory.stat", "anon 1\nactive_file 600000000\ninactive_file 600000000\nfile_dirty 1000000\n");
        // The counters of version 1 without "total_" leave out what is below.
        files(second, "memory.stat", "active_file 0\ntotal_active_file 600000000\ntotal_inactive_file 600000000\n");
        assertThat(restraints().look())
                .isEqualTo(Seen.present(new Tampering(
                        false,
                        List.of(
                                "memory.limit_in_bytes is 9223372036854771712, at its launch it was " + MEMORY,
                                "memory.max is max, at its launch it was " + MEMORY))));
        restraints().restore();
        assertThat(first.resolve("memory.max")).hasContent(MEMORY);
        assertThat(second.resolve("memory.limit_in_bytes")).hasContent(MEMORY);
    }

    @Test
    void whatIsOnItsWayToADiskIsNotGivenBackInTime() throws Exception {
        files(first, "memory.max", "max\n", "memory.current", "2147483648\n");
        files(first, "memory.stat", "active_file 600000000\ninactive_file 600000000\nfile_writeback 400000000\n");
        restraints().restore();
        assertThat(first.resolve("memory.max")).hasContent("max");
    }

    @Test
    void aMemoryLimitThatTheGuestFitsIntoIsPutBack() throws Exception {
        files(first, "memory.max", "max\n", "memory.current", "1073741824\n");
        // Raised again: that kills nobody, whatever is in use.
        files(second, "memory.limit_in_bytes", "4096\n", "memory.usage_in_bytes", "2147483648\n");
        restraints().restore();
        assertThat(first.resolve("memory.max")).hasContent(MEMORY);
        assertThat(second.resolve("memory.limit_in_bytes")).hasContent(MEMORY);
        assertThat(restraints().look()).isEqualTo(Seen.present(Tampering.NONE));
    }

    @Test
    void afterARefusalTheRestIsPutBackAndTheFirstIsTold() throws Exception {
        // A file that takes no write, of root neither.
        Files.createSymbolicLink(first.resolve("pids.max"), Path.of("/proc/version"));
        files(first, "memory.max", "max\n", "memory.current", "1\n");
        Files.createSymbolicLink(second.resolve("cpu.cfs_quota_us"), Path.of("/proc/version"));
        files(second, "freezer.state", "FROZEN\n", "cgroup.procs", "1\n");
        files(temp.resolve("proc/" + PID), "oom_score_adj", "777\n");
        assertThatThrownBy(() -> restraints().restore())
                .isInstanceOf(HostException.Refused.class)
                .hasMessage("set " + first.resolve("pids.max") + " to 288");
        assertThat(first.resolve("memory.max")).hasContent(MEMORY);
        assertThat(second.resolve("freezer.state")).hasContent("THAWED");
        assertThat(second.resolve("cgroup.procs")).hasContent(String.valueOf(PID));
        assertThat(temp.resolve("proc/" + PID + "/oom_score_adj")).hasContent("0");
    }

    @Test
    void memoryIsSetAfterAllElse() {
        assertThat(CgroupLimits.ORDER.reversed()).startsWith("memory.limit_in_bytes", "memory.max", "memory.oom.group");
        assertThat(CgroupLimits.ORDER).containsExactlyInAnyOrderElementsOf(new CgroupLimits(LIMITS).names());
    }

    @Test
    void aProcessThatLeftTheQuotaOfCgroupV1IsToldAndMovedBack() throws Exception {
        files(first, "cpu.cfs_quota_us", "300000\n", "cgroup.procs", "1\n");
        assertThat(restraints().look())
                .isEqualTo(Seen.present(new Tampering(false, List.of("process " + PID + " is not in " + first))));
        restraints().restore();
        assertThat(first.resolve("cgroup.procs")).hasContent(String.valueOf(PID));
    }
}
