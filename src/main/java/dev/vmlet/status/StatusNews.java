package dev.vmlet.status;

import dev.vmlet.api.Condition;
import dev.vmlet.api.VirtualMachineStatus;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** What a VM's status says that the written one does not. */
public final class StatusNews {
    private StatusNews() {}

    /** Whether that is nothing but what waits for the guest's next start. */
    public static boolean isOnlyWhatWaits(VirtualMachineStatus now, @Nullable VirtualMachineStatus written) {
        return written != null && !now.equals(written) && withoutWhatWaits(now).equals(withoutWhatWaits(written));
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
