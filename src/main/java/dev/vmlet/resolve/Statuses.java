package dev.vmlet.resolve;

import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineStatus;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Told;
import dev.vmlet.model.VmRecord;
import java.time.DateTimeException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/** Reads back what an agent of this node has written into a VM's status: a witness when its record is lost. */
public final class Statuses {
    private Statuses() {}

    public static Told told(VirtualMachine vm) {
        VirtualMachineStatus status = vm.getStatus();
        if (status == null) {
            return Told.NOTHING;
        }
        List<Told.Nic> nics = new ArrayList<>();
        for (VirtualMachineStatus.Address address :
                Objects.requireNonNullElse(status.addresses(), List.<VirtualMachineStatus.Address>of())) {
            if (address.network() != null && address.ip() != null && address.mac() != null) {
                nics.add(new Told.Nic(address.network(), address.ip(), address.mac()));
            }
        }
        return new Told(
                nics,
                status.vmm() != null && status.vmm().pid() != null,
                time(status.startedAt()),
                status.bootedGeneration() == null ? OptionalLong.empty() : OptionalLong.of(status.bootedGeneration()),
                exit(status.lastExit()),
                Objects.requireNonNullElse(status.restarts(), 0));
    }

    private static Optional<VmRecord.Exit> exit(VirtualMachineStatus.@Nullable LastExit exit) {
        if (exit == null || exit.reason() == null) {
            return Optional.empty();
        }
        for (Reason reason : Reason.values()) {
            if (reason.name().equals(exit.reason())) {
                return time(exit.at())
                        .map(at -> new VmRecord.Exit(
                                reason, Objects.requireNonNullElse(exit.message(), reason.sentence()), at, 0, ""));
            }
        }
        return Optional.empty();
    }

    private static Optional<Instant> time(@Nullable String text) {
        try {
            return text == null ? Optional.empty() : Optional.of(Instant.parse(text));
        } catch (DateTimeException e) {
            return Optional.empty();
        }
    }
}
