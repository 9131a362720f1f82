package dev.vmlet.plan;

import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.DesiredVm;
import dev.vmlet.model.Downtime;
import dev.vmlet.model.GuestState;
import dev.vmlet.model.Link;
import dev.vmlet.model.NicObservation;
import dev.vmlet.model.PowerWish;
import dev.vmlet.model.Reason;
import dev.vmlet.model.RunStrategy;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmObservation;
import dev.vmlet.model.VmRecord;
import dev.vmlet.model.VmRecord.Launch;
import java.util.Optional;

/** Why a guest whose process lives is to be stopped, if it is. A stop that was begun goes on for its first reason. */
final class StopReasons {
    private StopReasons() {}

    static Optional<Reason> of(
            DesiredVm desired, Optional<Downtime> downtime, VmRecord record, Launch launch, VmObservation seen) {
        Optional<Reason> node = ofNode(record, desired.runStrategy(), downtime, seen);
        if (node.isPresent()) {
            return node;
        }
        if (asksRestart(desired.restartToken(), launch)) {
            return Optional.of(Reason.StoppedOnRequest);
        }
        return inside(seen).or(() -> lostTap(record, launch, seen));
    }

    /**
     * For an object that cannot be followed.
     *
     * @param restartable whether the guest could come up again as it was: a restart is no stop
     */
    static Optional<Reason> ofUnresolved(
            Optional<PowerWish> wish,
            Optional<Downtime> downtime,
            VmRecord record,
            Launch launch,
            boolean restartable,
            VmObservation seen) {
        RunStrategy strategy = wish.map(PowerWish::runStrategy).orElse(RunStrategy.ALWAYS);
        Optional<Reason> node = ofNode(record, strategy, downtime, seen);
        if (node.isPresent()) {
            return node;
        }
        if (restartable && wish.map(w -> asksRestart(w.restartToken(), launch)).orElse(false)) {
            return Optional.of(Reason.StoppedOnRequest);
        }
        return inside(seen);
    }

    private static Optional<Reason> ofNode(
            VmRecord record, RunStrategy strategy, Optional<Downtime> downtime, VmObservation seen) {
        if (record.stop().isPresent()) {
            return Optional.of(record.stop().get().reason());
        }
        if (strategy == RunStrategy.HALTED) {
            return Optional.of(Reason.StoppedOnRequest);
        }
        // A guest that has ended by itself meanwhile has: its runStrategy may start it again or not.
        return inside(seen).isPresent()
                ? Optional.empty()
                : downtime.filter(Downtime::stops).map(Downtime::reason);
    }

    /** The VMM lives on after its guest has powered itself off or panicked. */
    private static Optional<Reason> inside(VmObservation seen) {
        if (seen.guest().kind() == GuestState.Kind.POWERED_OFF) {
            return Optional.of(Reason.GuestPoweredOff);
        }
        return seen.guest().panicked() ? Optional.of(Reason.GuestPanic) : Optional.empty();
    }

    private static boolean asksRestart(String token, Launch launch) {
        return !token.isEmpty() && !token.equals(launch.spec().restartToken());
    }

    /** The VMM keeps the descriptor of a deleted tap and cannot be given a new one: only a new start helps. */
    private static Optional<Reason> lostTap(VmRecord record, Launch launch, VmObservation seen) {
        for (DesiredNic nic : record.nics()) {
            NicObservation nicSeen = seen.nics().get(nic.network().uid());
            boolean launchedWith =
                    launch.spec().nics().stream().anyMatch(n -> n.tap().equals(nic.tap()));
            if (nicSeen != null && launchedWith && nicSeen.tap() instanceof Seen.Missing<Link>) {
                return Optional.of(Reason.TapLost);
            }
        }
        return Optional.empty();
    }
}
