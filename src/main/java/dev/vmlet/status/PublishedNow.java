package dev.vmlet.status;

import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineStatus;
import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.NicObservation;
import dev.vmlet.model.Seen;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Which ports of the node lead to a NIC: what was seen in the firewall, for what is recorded may be withheld from it. */
final class PublishedNow {
    private PublishedNow() {}

    /** None where nothing leads there; what was told before while nobody can look. */
    static @Nullable List<String> of(DesiredNic nic, @Nullable NicObservation look, VirtualMachine vm) {
        List<String> ports = look != null
                        && look.elements() instanceof Seen.Present<Set<FirewallElement>>(Set<FirewallElement> members)
                ? nic.ports().stream()
                        .filter(port -> members.contains(
                                nic.published(port, vm.getMetadata().getUid())))
                        .map(port -> port.host().toString())
                        .toList()
                : look != null && look.elements() instanceof Seen.Unknown
                        ? former(nic.network().name(), vm.getStatus())
                        : List.of();
        return ports.isEmpty() ? null : ports;
    }

    private static List<String> former(String network, @Nullable VirtualMachineStatus status) {
        return status == null || status.addresses() == null
                ? List.of()
                : status.addresses().stream()
                        .filter(address -> network.equals(address.network()))
                        .map(VirtualMachineStatus.Address::publishedPorts)
                        .filter(Objects::nonNull)
                        .findFirst()
                        .orElse(List.of());
    }
}
