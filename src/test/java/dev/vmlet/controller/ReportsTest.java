package dev.vmlet.controller;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.model.LinkName;
import dev.vmlet.model.Reason;
import dev.vmlet.plan.PlannedStep;
import dev.vmlet.plan.PlannedStep.Cause;
import dev.vmlet.plan.Step;
import java.util.List;
import org.junit.jupiter.api.Test;

class ReportsTest {
    private static final Step UP = new Step.SetLinkUp(new LinkName("vmb-a"));

    @Test
    void anEventSaysRepairedForTheCauseOfAStepWhateverItsWords() {
        assertThat(Reports.reason(List.of(new PlannedStep(UP, "VM lab/gone lost the bridge"))))
                .isEqualTo(Reason.Changed);
        assertThat(Reports.reason(List.of(
                        new PlannedStep(UP, "VM lab/web is to run"), new PlannedStep(UP, "it is down", Cause.DRIFT))))
                .isEqualTo(Reason.Repaired);
    }

    @Test
    void stepsOfOneReasonShareIt() {
        assertThat(Reports.words(List.of(
                        new PlannedStep(UP, "it is down"),
                        new PlannedStep(UP, "it is down"),
                        new PlannedStep(UP, "it is to run"))))
                .isEqualTo("set vmb-a up, set vmb-a up, because it is down; set vmb-a up, because it is to run");
    }
}
