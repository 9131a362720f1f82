package dev.vmlet.plan;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.model.DesiredVm;
import dev.vmlet.model.DiskState;
import dev.vmlet.model.Given;
import dev.vmlet.model.GuestProcess;
import dev.vmlet.model.GuestState;
import dev.vmlet.model.NicObservation;
import dev.vmlet.model.Reach;
import dev.vmlet.model.Resolution;
import dev.vmlet.model.RunStrategy;
import dev.vmlet.model.Seen;
import dev.vmlet.model.Tampering;
import dev.vmlet.model.VmObservation;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** What others do to a running guest's process, and what is done about it. */
class MendingTest {
    private static final Instant NOW = Given.NOW.plusSeconds(60);

    private final VmPlanner planner = new VmPlanner(Given.NAMES, Given.PATHS, Given.BOOT);
    private Seen<Tampering> tampering = Seen.present(Tampering.NONE);
    private GuestState.Kind guest = GuestState.Kind.RUNNING;
    private RunStrategy asked = RunStrategy.ALWAYS;

    private Plan plan() {
        DesiredVm desired = Given.desiredVm(asked, List.of(Given.nic()));
        VmObservation seen = new VmObservation(
                Seen.present(Given.record().withLaunch(Given.launch(), 0)),
                Map.of(
                        "net-1",
                        new NicObservation(
                                Given.nic().tap(),
                                Seen.present(Given.bridge()),
                                Seen.present(Given.tap()),
                                Seen.present(Set.copyOf(Given.nic().elements("vm-1"))))),
                Seen.present(Map.of()),
                Map.of("root", new DiskState.Ready(1000)),
                Seen.present(desired.seed().fingerprint()),
                Seen.present(new GuestProcess.Alive(4711, 9)),
                tampering,
                GuestState.of(guest),
                Reach.OPEN,
                Seen.present(true));
        return planner.plan(Given.WEB, new Resolution.Desired<>(desired), seen, NOW);
    }

    private String text() {
        return Texts.of(plan());
    }

    @Test
    void aGuestAsItWasLaunchedIsLeftAlone() {
        assertThat(plan()).isEqualTo(Plan.nothing());
    }

    @Test
    void aPausedGuestIsResumed() {
        guest = GuestState.Kind.PAUSED;
        assertThat(text())
                .isEqualTo("resume the guest of lab/web, because somebody paused it through its VMM [drift]\n");
    }

    @Test
    void aStoppedProcessIsContinuedAndThenAsked() {
        tampering = Seen.present(new Tampering(true, List.of()));
        guest = GuestState.Kind.BUSY;
        assertThat(text()).isEqualTo("""
                continue the VMM of lab/web with SIGCONT, because somebody stopped its process with a signal [drift]
                wait PT0.25S for Starting: waiting for qemu to answer
                """);
    }

    @Test
    void changedLimitsAreRestoredAndEachIsTold() {
        tampering = Seen.present(new Tampering(
                false,
                List.of("memory.max is 4096, at its launch it was 8192", "pids.max is max, at its launch it was 288")));
        assertThat(text())
                .isEqualTo("restore the limits of the VMM of lab/web, because memory.max is 4096, at its launch it was"
                        + " 8192; pids.max is max, at its launch it was 288 [drift]\n");
    }

    @Test
    void aLimitThatTheGuestHasOutgrownIsToldAndLeft() {
        tampering = Seen.present(new Tampering(false, List.of(), List.of("memory.max stays at max: restart it")));
        assertThat(text()).isEqualTo("wait PT30S for HostRefused: memory.max stays at max: restart it\n");
        tampering = Seen.present(
                new Tampering(false, List.of("pids.max is 1, at its launch it was 288"), List.of("memory.max stays")));
        assertThat(plan().steps()).as("the others are put back all the same").hasSize(1);
    }

    @Test
    void aGuestThatCouldNotWriteIsResumedAndSaysWhy() {
        guest = GuestState.Kind.WRITE_FAILED;
        assertThat(text()).isEqualTo("""
                resume the guest of lab/web, because its VMM paused it when the host had no room for a write [full]
                wait PT2S for NoSpace: The file system of its disks is full: its VMM paused the guest at a write, and it is resumed after a pause. Make room where /var/lib/vmlet/vms/vm-1/disks is
                """);
    }

    @Test
    void everyStepIsARepair() {
        tampering = Seen.present(new Tampering(true, List.of("pids.max is 1, at its launch it was 288")));
        guest = GuestState.Kind.PAUSED;
        assertThat(plan().steps()).hasSize(3).allMatch(step -> step.cause() == PlannedStep.Cause.DRIFT);
    }

    @Test
    void aStoppedProcessIsContinuedBeforeItIsAskedToEnd() {
        asked = RunStrategy.HALTED;
        tampering = Seen.present(new Tampering(true, List.of()));
        guest = GuestState.Kind.BUSY;
        assertThat(text())
                .startsWith(
                        "continue the VMM of lab/web with SIGCONT, because stopped by a signal, it hears of no stop [drift]\n")
                .contains("press the power button of lab/web");
    }

    @Test
    void aPausedGuestIsResumedSoThatItHearsThePowerButton() {
        asked = RunStrategy.HALTED;
        guest = GuestState.Kind.PAUSED;
        assertThat(text()).isEqualTo("""
                write the next rung of its stop into the record of lab/web, because a stop or restart is asked for
                resume the guest of lab/web, because a paused guest hears no power button [drift]
                press the power button of lab/web, because a stop or restart is asked for
                wait PT0.5S for Stopping: stopping: press the power button of lab/web
                """);
    }

    @Test
    void aGuestThatCouldNotWriteIsResumedSoThatItHearsThePowerButton() {
        asked = RunStrategy.HALTED;
        guest = GuestState.Kind.WRITE_FAILED;
        assertThat(text())
                .contains("resume the guest of lab/web, because a paused guest hears no power button [drift]\n"
                        + "press the power button of lab/web");
    }

    @Test
    void limitsThatCannotBeReadChangeNothingAndAreTold() {
        tampering = Seen.unknown("cannot read memory.max: input/output error");
        assertThat(text()).isEqualTo("wait PT2S for CannotLook: cannot read memory.max: input/output error\n");
    }
}
