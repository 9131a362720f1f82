package dev.vmlet.controller;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.model.Given;
import dev.vmlet.model.Reason;
import dev.vmlet.plan.Plan;
import dev.vmlet.plan.PlannedStep;
import dev.vmlet.plan.PlannedStep.Cause;
import dev.vmlet.plan.Step;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class RepairPaceTest {
    private static final Instant T0 = Instant.parse("2026-01-01T12:00:00Z");
    private static final PlannedStep UP =
            new PlannedStep(new Step.SetLinkUp(Given.nic().tap()), "the tap is down", Cause.DRIFT);
    private static final PlannedStep GUARD = new PlannedStep(
            new Step.AddElements(Given.nic().elements("vm-1")), "VM lab/web may send from its own only", Cause.DRIFT);
    private static final PlannedStep NOTE =
            new PlannedStep(new Step.WriteVmRecord(Given.record(), "that the guest runs"), "the VMM says so");

    private final RepairPace pace = new RepairPace();

    private static Plan plan(PlannedStep... steps) {
        return new Plan(List.of(steps), Optional.empty());
    }

    /** Somebody undoes the step at once, all the time; when it is repeated, in milliseconds. */
    private List<Long> repairsOf(PlannedStep step, Duration time) {
        List<Long> repairs = new ArrayList<>();
        for (Instant now = T0; now.isBefore(T0.plus(time)); now = now.plusMillis(100)) {
            Plan paced = pace.paced("vm-1", plan(step), now);
            if (!paced.isEmpty()) {
                repairs.add(Duration.between(T0, now).toMillis());
                pace.made("vm-1", paced.steps(), now);
            }
        }
        return repairs;
    }

    @Test
    void aRepairThatIsUndoneAtOnceIsRepeatedFiveTimesAndThenEverLessOften() {
        assertThat(repairsOf(UP, Duration.ofMinutes(1)))
                .containsExactly(0L, 100L, 200L, 300L, 400L, 1_400L, 3_400L, 7_400L, 15_400L, 31_400L, 47_400L);
    }

    @Test
    void whatGuardsGuestsIsNeverMissingForMoreThanASecond() {
        assertThat(repairsOf(GUARD, Duration.ofSeconds(5)))
                .containsExactly(0L, 100L, 200L, 300L, 400L, 1_400L, 2_400L, 3_400L, 4_400L);
    }

    @Test
    void saysWhoIsFoughtAboutWhatAndGoesOnWithTheRest() {
        for (int i = 0; i < RepairPace.AT_ONCE; i++) {
            pace.made("vm-1", List.of(UP), T0);
        }
        assertThat(pace.paced("vm-1", plan(NOTE, UP), T0.plusMillis(300)))
                .isEqualTo(new Plan(
                        List.of(NOTE),
                        Optional.of(new Plan.Wait(
                                Reason.Contested,
                                "somebody undoes this again and again: set "
                                        + Given.nic().tap()
                                        + " up; it is repeated after pauses. Find the program that does it",
                                Duration.ofMillis(700)))));
    }

    @Test
    void aFullDiskIsNobodysFight() {
        PlannedStep resume = new PlannedStep(new Step.ResumeGuest(Given.WEB), "no room for a write", Cause.FULL);
        Plan full = new Plan(
                List.of(resume), Optional.of(new Plan.Wait(Reason.NoSpace, "make room in /x", Duration.ofSeconds(2))));
        assertThat(repairsOf(resume, Duration.ofSeconds(8)))
                .as("paced all the same")
                .containsExactly(0L, 100L, 200L, 300L, 400L, 1_400L, 3_400L, 7_400L);
        assertThat(pace.paced("vm-1", full, T0.plusMillis(7_500)))
                .isEqualTo(new Plan(
                        List.of(),
                        Optional.of(new Plan.Wait(Reason.NoSpace, "make room in /x", Duration.ofMillis(7_900)))));
    }

    @Test
    void anotherObjectAndAnotherRepairDoNotWait() {
        for (int i = 0; i < RepairPace.AT_ONCE; i++) {
            pace.made("vm-1", List.of(UP), T0);
        }
        assertThat(pace.paced("vm-2", plan(UP), T0)).isEqualTo(plan(UP));
        assertThat(pace.paced("vm-1", plan(GUARD), T0)).isEqualTo(plan(GUARD));
    }

    @Test
    void whatHappensNowAndThenIsRepairedAtOnceForEver() {
        for (int i = 0; i < 100; i++) {
            Instant now = T0.plusSeconds(10L * i);
            assertThat(pace.paced("vm-1", plan(UP), now)).isEqualTo(plan(UP));
            pace.made("vm-1", List.of(UP), now);
        }
    }

    @Test
    void whatIsAskedForAndTheRungsOfAStopNeverWait() {
        PlannedStep press = new PlannedStep(new Step.PressPowerButton(Given.WEB), "its tap was deleted", Cause.DRIFT);
        PlannedStep asked = new PlannedStep(UP.step(), "it is new");
        for (int i = 0; i < 20; i++) {
            pace.made("vm-1", List.of(press, asked), T0);
        }
        assertThat(pace.paced("vm-1", plan(press, asked), T0)).isEqualTo(plan(press, asked));
    }
}
