package dev.vmlet.plan;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.model.Given;
import dev.vmlet.model.GuestProcess.Ended;
import dev.vmlet.model.Reason;
import dev.vmlet.model.RunStrategy;
import dev.vmlet.model.VmRecord;
import dev.vmlet.model.VmRecord.Exit;
import dev.vmlet.model.VmRecord.Launch;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class ExitsTest {
    private static final Instant NOW = Given.NOW.plusSeconds(60);
    private static final Launch RAN = Given.launch();
    private static final Launch NEVER_RAN = new Launch(RAN.spec(), Given.BOOT, Given.NOW, Optional.empty(), "");
    private static final VmRecord RECORD = Given.record().withLaunch(RAN, 0);

    private static String classify(VmRecord record, Launch launch, Ended ended, String boot) {
        Exit exit = Exits.classify(record, launch, ended, boot, NOW);
        assertThat(exit.at()).isEqualTo(NOW);
        assertThat(exit.generation()).isEqualTo(3);
        return exit.reason() + ": " + exit.message();
    }

    private static VmRecord stopping(Reason reason) {
        return RECORD.withStop(new VmRecord.Stop(Given.NOW, reason, VmRecord.Rung.POWER_BUTTON, Given.NOW, Given.NOW));
    }

    @Test
    void namesTheCauseOfDeath() {
        Ended clean = new Ended(0, 0, false, Optional.empty(), "", "");
        assertThat(List.of(
                        classify(RECORD, RAN, clean, "boot-2"),
                        classify(RECORD, RAN, new Ended(137, 9, true, Optional.empty(), "", ""), Given.BOOT),
                        classify(stopping(Reason.StoppedOnRequest), RAN, clean, Given.BOOT),
                        classify(
                                stopping(Reason.GuestPoweredOff),
                                RAN,
                                new Ended(0, 0, false, Optional.empty(), "", "Power down\n"),
                                Given.BOOT),
                        classify(
                                stopping(Reason.GuestPanic),
                                RAN,
                                new Ended(0, 0, false, Optional.empty(), "", "oops\n"),
                                Given.BOOT),
                        classify(
                                RECORD, RAN, new Ended(159, 31, false, Optional.empty(), "bad call\n", ""), Given.BOOT),
                        classify(RECORD, RAN, new Ended(139, 11, false, Optional.empty(), "", "boot ok"), Given.BOOT),
                        classify(
                                RECORD, NEVER_RAN, new Ended(1, 0, false, Optional.empty(), "no disk", ""), Given.BOOT),
                        classify(RECORD, RAN, new Ended(-1, 0, false, Optional.empty(), "", "login: "), Given.BOOT)))
                .isEqualTo(List.of(
                        "HostRebooted: The host was rebooted.",
                        "OutOfMemory: The guest process exceeded its memory limit and was killed.",
                        "StoppedOnRequest: The guest was stopped because it was asked for.",
                        "GuestPoweredOff: The guest powered itself off. Last on its console: Power down",
                        "GuestPanic: The guest's kernel panicked. Last on its console: oops",
                        "SeccompViolation: The VMM used a system call its filter forbids. Its last words: bad call",
                        "VmmKilled: The VMM was killed by signal 11. Last on its console: boot ok",
                        "StartFailed: The VMM ended with exit code 1 before the guest ran. Its last words: no disk",
                        "VmmExited: The VMM ended with an exit code nobody could record. Last on its console: login:"));
    }

    private static Instant at(Instant noted) {
        return Exits.classify(RECORD, RAN, new Ended(1, 0, false, Optional.of(noted), "", ""), Given.BOOT, NOW)
                .at();
    }

    @Test
    void aGuestEndedWhenItsLauncherNotedItNotWhenTheAgentCameBack() {
        assertThat(at(NOW.minusSeconds(50))).isEqualTo(NOW.minusSeconds(50));
        assertThat(at(NOW.plusSeconds(1))).as("a clock that was set back").isEqualTo(NOW);
        assertThat(at(Given.NOW.minusSeconds(1)))
                .as("a clock that was set forward")
                .isEqualTo(Given.NOW);
    }

    private static Exit exit(Reason reason, String token) {
        return new Exit(reason, "", NOW, 3, token);
    }

    private static String again(Reason reason) {
        StringBuilder text = new StringBuilder();
        for (RunStrategy strategy : RunStrategy.values()) {
            text.append(Exits.startsAgain(strategy, exit(reason, ""), "") ? 'y' : 'n');
        }
        return text.toString();
    }

    /** Always, RerunOnFailure, Once, Halted. */
    @Test
    void startsAgainByStrategyAndCause() {
        assertThat(List.of(
                        again(Reason.GuestPoweredOff),
                        again(Reason.GuestPanic),
                        again(Reason.VmmKilled),
                        again(Reason.HostRebooted),
                        again(Reason.StoppedOnRequest),
                        again(Reason.TapLost)))
                .isEqualTo(List.of("ynnn", "yynn", "yynn", "yynn", "yyyn", "yyyn"));
    }

    @Test
    void aNewRestartTokenStartsWhatHasEnded() {
        Exit ended = exit(Reason.GuestPoweredOff, "monday");
        assertThat(Exits.startsAgain(RunStrategy.ONCE, ended, "monday")).isFalse();
        assertThat(Exits.startsAgain(RunStrategy.ONCE, ended, "tuesday")).isTrue();
        assertThat(Exits.startsAgain(RunStrategy.ONCE, ended, "")).isFalse();
        assertThat(Exits.startsAgain(RunStrategy.HALTED, ended, "tuesday")).isFalse();
    }

    @Test
    void countsEndsInARowAndForgetsThemAfterTenMinutes() {
        VmRecord thrice = RECORD.withFailures(3);
        assertThat(Exits.failures(thrice, RAN, exit(Reason.VmmKilled, ""))).isEqualTo(4);
        assertThat(Exits.failures(thrice, NEVER_RAN, exit(Reason.StartFailed, "")))
                .isEqualTo(4);
        assertThat(Exits.failures(thrice, RAN, exit(Reason.StoppedOnRequest, "")))
                .isZero();
        assertThat(Exits.failures(thrice, RAN, exit(Reason.HostRebooted, ""))).isZero();
        Exit late = new Exit(Reason.VmmKilled, "", Given.NOW.plus(Duration.ofMinutes(10)), 3, "");
        assertThat(Exits.failures(thrice, RAN, late)).isEqualTo(1);
    }

    @Test
    void onlyAStartThatAGuestCameOfIsWorthRepeating() {
        Exit ended = exit(Reason.StartFailed, "");
        assertThat(RECORD.withExit(ended, 1).lastRun()).contains(RAN.spec());
        assertThat(Given.record().withLaunch(NEVER_RAN, 0).withExit(ended, 1).lastRun())
                .isEmpty();
        VmRecord again = RECORD.withExit(ended, 1)
                .withLaunch(new Launch(RAN.spec().withRestartToken("x"), Given.BOOT, NOW, Optional.empty(), ""), 1)
                .withExit(ended, 2);
        assertThat(again.lastRun()).contains(RAN.spec());
    }

    @Test
    void pausesDoubleUpToFiveMinutes() {
        assertThat(IntStream.of(0, 1, 2, 3, 4, 9, 10, 100)
                        .mapToObj(n -> Exits.pause(n).toSeconds())
                        .toList())
                .isEqualTo(List.of(0L, 1L, 2L, 4L, 8L, 256L, 300L, 300L));
    }
}
