package dev.vmlet.resolve;

import dev.vmlet.api.VirtualMachineSpec;
import dev.vmlet.api.VirtualMachineSpec.NetworkInterface;
import dev.vmlet.model.HostFacts;
import dev.vmlet.model.Protocol;
import dev.vmlet.model.PublishedPort;
import dev.vmlet.model.Reason;
import dev.vmlet.model.ServicePort;
import dev.vmlet.model.VmId;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;

/** What a VM publishes on its node: each port of the node leads to one guest. */
final class PublishedPorts {
    private final VmId vm;
    private final HostFacts host;
    /** Of this VM's NICs before. */
    private final Set<ServicePort> own = new HashSet<>();

    PublishedPorts(VmId vm, HostFacts host) {
        this.vm = vm;
        this.host = host;
    }

    /** In the order in which they are asked for. */
    List<PublishedPort> of(NetworkInterface nic) throws Refusal {
        List<PublishedPort> ports = new ArrayList<>();
        for (VirtualMachineSpec.Published asked :
                Objects.requireNonNullElse(nic.ports(), List.<VirtualMachineSpec.Published>of())) {
            String field = "spec.networks[" + nic.name() + "].ports";
            Optional<Protocol> protocol = PolicyResolver.protocol(asked.protocol());
            if (asked.hostPort() == null || asked.port() == null || protocol.isEmpty()) {
                throw new Refusal(
                        Reason.InvalidSpec,
                        field + ": an entry lacks its hostPort or port, or has a protocol newer than this agent; use"
                                + " TCP or UDP");
            }
            ServicePort port = new ServicePort(protocol.get(), asked.hostPort());
            if (!own.add(port)) {
                throw new Refusal(
                        Reason.InvalidSpec, field + " gives host port " + port + " twice; it leads to one place only");
            }
            if (host.reservedPorts().contains(port)) {
                // Whatever listens at the moment: once published it would stay so, and a service that starts again, or
                // a NodePort, which nobody listens on, would lose it to the guest.
                throw new Refusal(
                        Reason.HostPortTaken,
                        field + ": host port " + port + " is one that node " + host.nodeName()
                                + " keeps for itself; choose another, or take it out of the agent's"
                                + " --reserved-host-ports");
            }
            Optional<String> holder = holder(port);
            if (holder.isPresent()) {
                throw new Refusal(
                        Reason.HostPortTaken,
                        field + ": host port " + port + " of node " + host.nodeName() + " belongs to " + holder.get()
                                + "; choose another");
            }
            if (!kept(port)) {
                VmResolver.refuseWhileUnknown("host port", vm, host);
            }
            ports.add(new PublishedPort(port, asked.port()));
        }
        return ports;
    }

    /** Whether this VM's own record has it: then it can be no other's. */
    private boolean kept(ServicePort port) {
        return host.records().stream()
                .filter(record -> record.id().uid().equals(vm.uid()))
                .flatMap(record -> record.nics().stream())
                .flatMap(nic -> nic.ports().stream())
                .anyMatch(p -> p.host().equals(port));
    }

    private Optional<String> holder(ServicePort port) {
        return host.records().stream()
                .filter(record -> !record.id().uid().equals(vm.uid())
                        && record.nics().stream()
                                .flatMap(nic -> nic.ports().stream())
                                .anyMatch(p -> p.host().equals(port)))
                .map(record -> "VM " + record.id())
                .findFirst()
                .or(() -> host.reservations().stream()
                        .filter(kept -> !kept.vmUid().equals(vm.uid())
                                && kept.nics().stream()
                                        .anyMatch(nic -> nic.hostPorts().contains(port.toString())))
                        .map(kept -> "the VM of the unreadable record " + kept.file())
                        .findFirst());
    }
}
