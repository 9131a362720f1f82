package dev.vmlet.controller;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.api.Condition;
import dev.vmlet.api.VirtualMachineStatus;
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

    private static VirtualMachineStatus networkReady(Condition.Status status, Reason reason, String message) {
        return new VirtualMachineStatus(
                null,
                null,
                null,
                null,
                null,
                null,
                null,
                null,
                null,
                null,
                List.of(new Condition("NetworkReady", status, reason.name(), message, 1L, "2026-01-01T12:01:00Z")));
    }

    @Test
    void troubleWithAnAddressIsNewsOnceHoweverOftenTheGuestChangesIt() {
        VirtualMachineStatus fine = networkReady(Condition.Status.True, Reason.AsExpected, "fine");
        VirtualMachineStatus nine = networkReady(Condition.Status.False, Reason.AddressDiffers, "as .9");
        VirtualMachineStatus eight = networkReady(Condition.Status.False, Reason.AddressDiffers, "as .8");
        VirtualMachineStatus rival = networkReady(Condition.Status.False, Reason.AddressInUse, "he too");
        assertThat(List.of(
                        Reports.news(null, fine).isPresent(),
                        Reports.news(null, nine).isPresent(),
                        Reports.news(fine, nine).isPresent(),
                        Reports.news(nine, nine).isPresent(),
                        Reports.news(nine, eight).isPresent(),
                        Reports.news(eight, rival).isPresent(),
                        Reports.news(rival, fine).isPresent()))
                .containsExactly(false, true, true, false, false, true, false);
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
