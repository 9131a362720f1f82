package dev.vmlet.status;

import dev.vmlet.api.Condition.Status;
import dev.vmlet.api.VirtualMachineStatus;
import dev.vmlet.model.GuestProcess;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** What was told before of the very process that runs now; nothing where another runs, or none. */
record FormerRun(Optional<VirtualMachineStatus> told) {
    static FormerRun of(@Nullable VirtualMachineStatus before, @Nullable GuestProcess process) {
        return new FormerRun(Optional.ofNullable(before)
                .filter(b -> b.vmm() != null
                        && b.vmm().pid() != null
                        && process instanceof GuestProcess.Alive alive
                        && b.vmm().pid() == alive.pid()));
    }

    /** @param where address and port */
    boolean answered(String where) {
        return told.filter(before -> before.conditions() != null
                        && before.conditions().stream()
                                .anyMatch(c -> "GuestReachable".equals(c.type())
                                        && c.status() == Status.True
                                        && (where + " answered.").equals(c.message())))
                .isPresent();
    }

    /** On the Network of that name. */
    Optional<String> address(String network) {
        return told.flatMap(before -> Optional.ofNullable(before.addresses())).stream()
                .flatMap(List::stream)
                .filter(a -> network.equals(a.network()) && a.ip() != null)
                .map(a -> String.valueOf(a.ip()))
                .findFirst();
    }
}
