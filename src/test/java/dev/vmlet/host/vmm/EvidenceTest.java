package dev.vmlet.host.vmm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.model.GuestProcess;
import dev.vmlet.model.Seen;
import java.time.Instant;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** The table of {@link Evidence#judge}, row by row. */
class EvidenceTest {
    private static final PidFile FILE = new PidFile(4711, 100, "boot", 4700, 90);
    private static final Seen<ProcStat> LIVES = Seen.present(new ProcStat('S', 100));
    private static final Seen<ProcStat> GONE = Seen.missing();
    private static final Seen<Set<Integer>> NO_CGROUP = Seen.missing();
    private static final Seen<Set<Integer>> EMPTY = Seen.present(Set.of());
    private static final Instant NOTED = Instant.parse("2026-01-01T12:00:00Z");
    private static final Optional<String> LAUNCHED = Optional.of("boot");

    private static Seen<GuestProcess> judge(
            Optional<String> launch, Seen<PidFile> file, Seen<ProcStat> stat, Seen<Set<Integer>> members) {
        boolean runFiles = !(file instanceof Seen.Missing<PidFile>);
        return new Evidence("boot", launch, file, stat, members, runFiles, Seen.missing()).judge();
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
        assertThat(judge(LAUNCHED, Seen.present(FILE), Seen.present(new ProcStat('S', 101)), EMPTY))
                .isEqualTo(ended(-1, 0));
        assertThat(judge(LAUNCHED, Seen.present(FILE), Seen.present(new ProcStat('Z', 100)), EMPTY))
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
        for (Seen<GuestProcess> seen : java.util.List.of(
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
        return new Evidence(
                        "boot",
                        launch,
                        Seen.present(file),
                        GONE,
                        EMPTY,
                        true,
                        Seen.present(new RunFiles.Exit(code, NOTED)))
                .judge();
    }

    @Test
    void aNameCannotForgeAStartTime() {
        String fields = "S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 777 0 0";
        assertThat(ProcStat.parse("12 (a) Z (b) " + fields)).isEqualTo(new ProcStat('S', 777));
    }
}
