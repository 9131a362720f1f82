package dev.vmlet.plan;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.model.DesiredVm;
import dev.vmlet.model.DiskState;
import dev.vmlet.model.Downtime;
import dev.vmlet.model.Given;
import dev.vmlet.model.GuestProcess;
import dev.vmlet.model.GuestState;
import dev.vmlet.model.NicObservation;
import dev.vmlet.model.PowerWish;
import dev.vmlet.model.Reach;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Resolution;
import dev.vmlet.model.RunStrategy;
import dev.vmlet.model.Seen;
import dev.vmlet.model.Tampering;
import dev.vmlet.model.VmObservation;
import dev.vmlet.model.VmRecord;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A node whose guests are to be down, as the planner of one VM takes it. */
class DowntimeTest {
    private static final Instant NOW = Given.NOW.plusSeconds(60);
    private static final Downtime EVACUATED = new Downtime(Reason.Evacuated, "It is.", true, Optional.empty());
    private static final Downtime SHUTDOWN =
            new Downtime(Reason.HostShutdown, "It does.", true, Optional.of(Duration.ofSeconds(5)));
    private static final Downtime NOBODY_KNOWS = new Downtime(Reason.CannotLook, "EIO", false, Optional.empty());

    private final VmPlanner planner = new VmPlanner(Given.NAMES, Given.PATHS, Given.BOOT);

    private static VmObservation runs(VmRecord record) {
        return seen(record, Seen.present(new GuestProcess.Alive(4711, 9)), GuestState.of(GuestState.Kind.RUNNING));
    }

    private static VmObservation rests(VmRecord record) {
        return seen(record, Seen.missing(), GuestState.of(GuestState.Kind.NONE));
    }

    private static VmObservation seen(VmRecord record, Seen<GuestProcess> process, GuestState guest) {
        return new VmObservation(
                Seen.present(record),
                Map.of(
                        "net-1",
                        new NicObservation(
                                Given.nic().tap(),
                                Seen.present(Given.bridge()),
                                Seen.present(Given.tap()),
                                Seen.present(Set.copyOf(Given.nic().elements("vm-1"))))),
                Seen.present(Map.of()),
                Map.of("root", new DiskState.Ready(1000)),
                Seen.present(Given.desiredVm().seed().fingerprint()),
                process,
                Seen.present(Tampering.NONE),
                guest,
                Reach.OPEN,
                Seen.present(true));
    }

    private static VmRecord running() {
        return Given.record().withLaunch(Given.launch(), 0);
    }

    private static VmRecord ended(Reason reason) {
        return running().withExit(new VmRecord.Exit(reason, "It ended.", Given.NOW, 3, ""), 0);
    }

    private Plan plan(RunStrategy strategy, Downtime downtime, VmObservation seen) {
        DesiredVm vm = Given.desiredVm(strategy, List.of(Given.nic()));
        return planner.plan(
                Given.WEB, new Resolution.Desired<>(vm), Optional.empty(), Optional.of(downtime), seen, NOW);
    }

    @ParameterizedTest
    @EnumSource(
            value = RunStrategy.class,
            names = {"HALTED"},
            mode = EnumSource.Mode.EXCLUDE)
    void aGuestThatRunsIsShutDownAsByAnyStop(RunStrategy strategy) {
        assertThat(Texts.of(plan(strategy, EVACUATED, runs(running()))))
                .contains("press the power button of lab/web, because this node is evacuated");
        assertThat(Texts.of(plan(strategy, SHUTDOWN, runs(running()))))
                .contains("press the power button of lab/web, because the host shuts down");
    }

    @Test
    void aGuestThatWouldStartDoesNot() {
        for (Downtime downtime : List.of(EVACUATED, SHUTDOWN, NOBODY_KNOWS)) {
            for (VmRecord record : List.of(Given.record(), ended(Reason.VmmKilled), ended(Reason.HostRebooted))) {
                assertThat(plan(RunStrategy.ALWAYS, downtime, rests(record)))
                        .isEqualTo(Plan.waiting(downtime.reason(), downtime.message(), Duration.ofSeconds(30)));
            }
        }
    }

    @Test
    void whatRestsAnywayRestsForItsOwnReason() {
        assertThat(plan(RunStrategy.HALTED, EVACUATED, rests(Given.record())).waitingFor())
                .map(Plan.Wait::reason)
                .contains(Reason.Stopped);
        assertThat(Texts.of(plan(RunStrategy.HALTED, EVACUATED, runs(running()))))
                .contains("because a stop or restart is asked for");
    }

    @Test
    void whoCannotTellWhetherTheNodeIsEvacuatedStopsNobody() {
        assertThat(plan(RunStrategy.ALWAYS, NOBODY_KNOWS, runs(running()))).isEqualTo(Plan.nothing());
    }

    @Test
    void aHostThatGoesDownGivesNoGuestMoreTimeThanItHas() {
        VmRecord pressed = running()
                .withStop(new VmRecord.Stop(
                        NOW.minusSeconds(5), Reason.StoppedOnRequest, VmRecord.Rung.POWER_BUTTON, NOW, NOW));
        assertThat(Texts.of(plan(RunStrategy.HALTED, SHUTDOWN, runs(pressed))))
                .contains("cut the power of lab/web, because the guest did not shut down within 5 s");
        assertThat(plan(RunStrategy.HALTED, EVACUATED, runs(pressed)).steps()).isEmpty();
    }

    @Test
    void aGuestWhoseObjectCannotBeFollowedIsStoppedTooAndNotStartedAsBefore() {
        Resolution<DesiredVm> broken = new Resolution.Unresolved<>(Reason.InvalidSpec, "nonsense");
        Optional<PowerWish> wish = Optional.of(new PowerWish(RunStrategy.ALWAYS, "", Duration.ofSeconds(30)));
        assertThat(Texts.of(planner.plan(Given.WEB, broken, wish, Optional.of(EVACUATED), runs(running()), NOW)))
                .contains("press the power button of lab/web, because this node is evacuated");
        VmObservation rests = rests(ended(Reason.Evacuated));
        assertThat(planner.plan(Given.WEB, broken, wish, Optional.of(EVACUATED), rests, NOW)
                        .steps())
                .isEmpty();
        assertThat(StartQueue.starts(planner.plan(Given.WEB, broken, wish, Optional.empty(), rests, NOW)))
                .isTrue();
    }

    @Test
    void afterwardsGuestsStartByTheirRunStrategyAndAtOnce() {
        for (Reason reason : List.of(Reason.Evacuated, Reason.HostShutdown)) {
            VmObservation seen = rests(ended(reason));
            for (RunStrategy strategy : List.of(RunStrategy.ALWAYS, RunStrategy.RERUN_ON_FAILURE)) {
                assertThat(StartQueue.starts(again(strategy, seen)))
                        .as(strategy + " after " + reason)
                        .isTrue();
            }
            assertThat(again(RunStrategy.ONCE, seen).waitingFor())
                    .map(Plan.Wait::reason)
                    .contains(Reason.Completed);
        }
    }

    private Plan again(RunStrategy strategy, VmObservation seen) {
        DesiredVm vm = Given.desiredVm(strategy, List.of(Given.nic()));
        return planner.plan(Given.WEB, new Resolution.Desired<>(vm), seen, NOW);
    }
}
