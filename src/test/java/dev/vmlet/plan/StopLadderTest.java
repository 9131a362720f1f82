package dev.vmlet.plan;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.model.Given;
import dev.vmlet.model.GuestState;
import dev.vmlet.model.Reason;
import dev.vmlet.model.VmRecord;
import dev.vmlet.model.VmRecord.Rung;
import dev.vmlet.model.VmRecord.Stop;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import org.junit.jupiter.api.Test;

class StopLadderTest {
    private static final VmRecord RECORD = Given.record().withLaunch(Given.launch(), 0);
    private static final GuestState RUNS = GuestState.of(GuestState.Kind.RUNNING);
    private static final GuestState OFF = GuestState.of(GuestState.Kind.POWERED_OFF);

    private static VmRecord on(Rung rung, long secondsOnRung) {
        Instant since = Given.NOW.minusSeconds(secondsOnRung);
        return RECORD.withStop(new Stop(since, Reason.Deleting, rung, since, since));
    }

    private static String climb(VmRecord record, GuestState guest) {
        return Texts.of(StopLadder.climb(record, guest, Reason.Deleting, Given.NOW));
    }

    @Test
    void writesARungDownBeforeTryingIt() {
        Stop stop = new Stop(Given.NOW, Reason.Deleting, Rung.POWER_BUTTON, Given.NOW, Given.NOW);
        Plan plan = StopLadder.climb(RECORD, RUNS, Reason.Deleting, Given.NOW);
        assertThat(plan.steps().stream().map(PlannedStep::step).toList())
                .isEqualTo(List.of(
                        new Step.WriteVmRecord(RECORD.withStop(stop), "the next rung of its stop"),
                        new Step.PressPowerButton(Given.WEB)));
        assertThat(plan.waitingFor())
                .contains(new Plan.Wait(
                        Reason.Stopping, "stopping: press the power button of lab/web", Duration.ofMillis(500)));
    }

    @Test
    void cutsThePowerAtOnceWhereNobodyIsThereToHear() {
        assertThat(climb(RECORD, OFF)).contains("cut the power of lab/web");
        assertThat(Texts.of(StopLadder.climb(RECORD, RUNS, Reason.GuestPanic, Given.NOW)))
                .contains("cut the power of lab/web, because the guest's kernel has panicked");
        assertThat(climb(RECORD.withAsked(200_000, RECORD.nics(), List.of(), Duration.ZERO), RUNS))
                .contains("cut the power of lab/web");
    }

    @Test
    void pressesAgainEveryFiveSeconds() {
        assertThat(climb(on(Rung.POWER_BUTTON, 4), RUNS))
                .isEqualTo("wait PT0.5S for Stopping: waiting for the guest to shut down until 2026-01-01T12:00:26Z\n");
        assertThat(climb(on(Rung.POWER_BUTTON, 5), RUNS))
                .contains("press the power button of lab/web, because the guest has not shut down yet");
    }

    @Test
    void saysTheSameForAsLongAsItWaits() {
        VmRecord record = on(Rung.POWER_BUTTON, 1);
        assertThat(StopLadder.climb(record, RUNS, Reason.Deleting, Given.NOW))
                .isEqualTo(StopLadder.climb(record, RUNS, Reason.Deleting, Given.NOW.plusSeconds(2)));
    }

    @Test
    void cutsThePowerWhenTheGuestIsOffOrItsTimeIsOver() {
        assertThat(climb(on(Rung.POWER_BUTTON, 1), OFF))
                .contains("cut the power of lab/web, because the guest has shut down");
        assertThat(climb(on(Rung.POWER_BUTTON, 30), RUNS))
                .contains("cut the power of lab/web, because the guest did not shut down within 30 s");
    }

    @Test
    void goesOnToTermAndKillAndKillsAgain() {
        assertThat(climb(on(Rung.POWER_OFF, 4), RUNS))
                .isEqualTo("wait PT0.5S for Stopping: waiting for the VMM to end\n");
        assertThat(climb(on(Rung.POWER_OFF, 5), RUNS)).contains("send SIGTERM to the VMM of lab/web");
        assertThat(climb(on(Rung.TERMINATE, 4), RUNS)).startsWith("wait PT0.5S");
        assertThat(climb(on(Rung.TERMINATE, 5), RUNS)).contains("kill the VMM of lab/web");
        assertThat(climb(on(Rung.KILL, 1), RUNS)).startsWith("wait PT0.5S");
        assertThat(climb(on(Rung.KILL, 2), RUNS)).contains("kill the VMM of lab/web");
    }

    @Test
    void keepsTheMomentItWasAskedAndWhy() {
        Plan plan = StopLadder.climb(on(Rung.POWER_BUTTON, 30), RUNS, Reason.Deleting, Given.NOW);
        assertThat(plan.steps().get(0).step())
                .isEqualTo(new Step.WriteVmRecord(
                        RECORD.withStop(new Stop(
                                Given.NOW.minusSeconds(30),
                                Reason.Deleting,
                                Rung.POWER_OFF,
                                Given.NOW,
                                Given.NOW.minusSeconds(30),
                                1,
                                false)),
                        "the next rung of its stop"));
    }

    private static VmRecord begun(Rung rung, int tries, long secondsAgo) {
        Instant since = Given.NOW.minusSeconds(secondsAgo);
        return RECORD.withStop(new Stop(since, Reason.Deleting, rung, since, since, tries, false));
    }

    @Test
    void writesDownThatARungWasTaken() {
        Plan plan = StopLadder.climb(on(Rung.POWER_BUTTON, 30), RUNS, Reason.Deleting, Given.NOW);
        Instant asked = Given.NOW.minusSeconds(30);
        assertThat(plan.steps().stream().map(PlannedStep::step).skip(1).toList())
                .isEqualTo(List.of(
                        new Step.PowerOff(Given.WEB),
                        new Step.WriteVmRecord(
                                RECORD.withStop(
                                        new Stop(asked, Reason.Deleting, Rung.POWER_OFF, Given.NOW, asked, 1, true)),
                                "that the rung was taken")));
    }

    @Test
    void triesARungAgainThatWasBegunAndNotSeenToBeDone() {
        // The agent died between writing and cutting, and was away for long: the power cut must not be skipped.
        Plan again = StopLadder.climb(begun(Rung.POWER_OFF, 1, 3600), RUNS, Reason.Deleting, Given.NOW);
        assertThat(Texts.of(again)).contains("cut the power of lab/web, because it was begun and not seen to be done");
        Instant asked = Given.NOW.minusSeconds(3600);
        assertThat(again.steps().getFirst().step())
                .isEqualTo(new Step.WriteVmRecord(
                        RECORD.withStop(new Stop(asked, Reason.Deleting, Rung.POWER_OFF, Given.NOW, asked, 2, false)),
                        "the next rung of its stop"));
        assertThat(climb(begun(Rung.TERMINATE, 2, 9), RUNS)).contains("send SIGTERM to the VMM of lab/web");
        assertThat(climb(begun(Rung.KILL, 1, 0), RUNS)).contains("kill the VMM of lab/web");
    }

    @Test
    void goesOnWhenTheHostRefusesARungThreeTimes() {
        assertThat(climb(begun(Rung.POWER_OFF, 3, 4), RUNS)).startsWith("wait PT0.5S");
        assertThat(climb(begun(Rung.POWER_OFF, 3, 5), RUNS)).contains("send SIGTERM to the VMM of lab/web");
    }
}
