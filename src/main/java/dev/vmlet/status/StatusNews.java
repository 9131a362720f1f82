package dev.vmlet.status;

import dev.vmlet.api.Condition;
import dev.vmlet.api.VirtualMachineStatus;
import dev.vmlet.api.VirtualMachineStatus.Phase;
import java.util.EnumSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** What a VM's status says that the written one does not. */
public final class StatusNews {
    private static final Set<Phase> ON_ITS_WAY = EnumSet.of(Phase.Pending, Phase.Preparing, Phase.Starting);

    private StatusNews() {}

    /** Whether that is nothing but what waits for the guest's next start. */
    public static boolean isOnlyWhatWaits(VirtualMachineStatus now, @Nullable VirtualMachineStatus written) {
        return written != null && !now.equals(written) && withoutWhatWaits(now).equals(withoutWhatWaits(written));
    }

    /** Whether both tell of one start of one object as it is, be it that the written one knows less of the way. */
    public static boolean isAStepFurther(VirtualMachineStatus now, @Nullable VirtualMachineStatus written) {
        return written != null
                && isOnItsWay(written)
                && isOnItsWay(now)
                && Objects.equals(now.observedGeneration(), written.observedGeneration())
                && Objects.equals(now.restarts(), written.restarts())
                && Objects.equals(now.lastExit(), written.lastExit());
    }

    private static boolean isOnItsWay(VirtualMachineStatus status) {
        return status.phase() != null && ON_ITS_WAY.contains(status.phase());
    }

    private static VirtualMachineStatus withoutWhatWaits(VirtualMachineStatus status) {
        List<Condition> all = status.conditions();
        return status.withConditions(
                all == null
                        ? null
                        : all.stream()
                                .filter(c -> !VmStatus.RESTART_REQUIRED.equals(c.type()))
                                .toList());
    }
}
