package dev.vmlet.status;

import dev.vmlet.api.VirtualMachineStatus.Phase;
import dev.vmlet.model.DesiredVm;
import dev.vmlet.model.GuestProcess;
import dev.vmlet.model.GuestState;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Resolution;
import dev.vmlet.model.RunStrategy;
import dev.vmlet.model.VmObservation;
import dev.vmlet.model.VmRecord;
import dev.vmlet.plan.Exits;
import dev.vmlet.plan.Outcome;
import dev.vmlet.plan.Plan;
import java.util.EnumSet;
import java.util.Optional;
import java.util.Set;

/** The one word for where a VM is on its way, which the conditions then explain. */
final class VmPhase {
    /** Ends by which a guest is only Stopped: it, or somebody, asked for them. */
    private static final Set<Reason> ORDERLY = EnumSet.of(
            Reason.GuestPoweredOff,
            Reason.StoppedOnRequest,
            Reason.HostRebooted,
            Reason.Evacuated,
            Reason.HostShutdown,
            Reason.TapLost);

    private VmPhase() {}

    /** @param blind whether nobody can say what its guest does */
    static Phase of(Resolution<DesiredVm> resolution, Plan plan, Outcome outcome, VmObservation seen, boolean blind) {
        if (blind) {
            return Phase.Unknown;
        }
        Optional<VmRecord> record = VmStatus.recordIn(seen);
        boolean stopping = record.flatMap(VmRecord::stop).isPresent();
        GuestProcess process = VmStatus.processIn(seen);
        if (process instanceof GuestProcess.Alive) {
            return stopping ? Phase.Stopping : alive(record, seen.guest().kind());
        }
        if (process instanceof GuestProcess.Ended && stopping) {
            // Not in the record yet: Stopped would stand beside the lastExit of the run before.
            return Phase.Stopping;
        }
        return resolution instanceof Resolution.Desired<DesiredVm>(DesiredVm desired)
                ? ended(desired, record.flatMap(VmRecord::lastExit), plan, outcome)
                : Phase.Pending;
    }

    private static Phase alive(Optional<VmRecord> record, GuestState.Kind kind) {
        boolean ran =
                record.flatMap(VmRecord::launch).flatMap(VmRecord.Launch::ranAt).isPresent();
        return kind == GuestState.Kind.RUNNING || kind.isPaused() || ran ? Phase.Running : Phase.Starting;
    }

    private static Phase ended(DesiredVm desired, Optional<VmRecord.Exit> exit, Plan plan, Outcome outcome) {
        Optional<Reason> waitsFor = plan.waitingFor().map(Plan.Wait::reason);
        if (desired.runStrategy() == RunStrategy.HALTED
                || waitsFor.filter(EnumSet.of(Reason.Evacuated, Reason.HostShutdown)::contains)
                        .isPresent()) {
            return Phase.Stopped;
        }
        if (exit.isPresent()) {
            boolean failed = !ORDERLY.contains(exit.get().reason());
            if (!Exits.startsAgain(desired.runStrategy(), exit.get(), desired.restartToken())) {
                return failed ? Phase.Failed : Phase.Stopped;
            }
            if (waitsFor.equals(Optional.of(Reason.BackOff))) {
                return failed ? Phase.Failed : Phase.Starting;
            }
        }
        return outcome.failed().isPresent()
                ? Phase.Failed
                : waitsFor.map(VmPhase::onItsWay).orElse(Phase.Pending);
    }

    private static Phase onItsWay(Reason waitsFor) {
        if (VmStatus.NETWORK.contains(waitsFor) || waitsFor == Reason.WaitingForTurn) {
            return Phase.Pending;
        }
        return VmStatus.DISKS.contains(waitsFor) ? Phase.Preparing : Phase.Starting;
    }
}
