package dev.vmlet.resolve;

import dev.vmlet.api.Condition;
import dev.vmlet.api.OpenPort;
import dev.vmlet.api.VirtualMachineStatus;
import dev.vmlet.api.VmNode;
import dev.vmlet.api.VmNodeSpec.Backend;
import dev.vmlet.api.VmNodeSpec.ServedPort;
import dev.vmlet.model.Fitness;
import dev.vmlet.model.Frontend;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Protocol;
import dev.vmlet.model.ReservedPorts;
import dev.vmlet.model.ServicePort;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** What a node's VmNode says of Services, as the node's agent may follow it. */
public final class LocalFrontends {
    /** Each is sixteen members of the firewall, which a look at its tables reads and prints. */
    static final int FRONTENDS_MAX = 512;

    private static final int MULTICAST = 224;
    private static final int LOOPBACK = 127;

    private LocalFrontends() {}

    /**
     * The first {@link #FRONTENDS_MAX}. No two at one place: the first that names it has it. Left out is what no Service is
     * asked for at, and a port that the node keeps to itself at an address of its own: whoever may write a Service's
     * externalIPs is not to take ssh. At no address of the node is the firewall asked for more than NodePorts.
     */
    public static List<Frontend> of(VmNode node, ReservedPorts reserved) {
        Set<String> own = node.getStatus() == null
                ? Set.of()
                : Set.copyOf(Objects.requireNonNullElse(node.getStatus().addresses(), List.of()));
        List<Frontend> all = new ArrayList<>();
        Set<List<Object>> places = new HashSet<>();
        for (ServedPort served : NodeServices.told(node)) {
            Map<String, Integer> backends = new HashMap<>();
            for (Backend backend : Objects.requireNonNullElse(served.backends(), List.<Backend>of())) {
                if (backend.uid() != null && backend.hostPort() != null) {
                    backends.putIfAbsent(backend.uid(), backend.hostPort());
                }
            }
            Protocol protocol = served.protocol() == OpenPort.Protocol.UDP ? Protocol.UDP : Protocol.TCP;
            for (String text : Objects.requireNonNullElse(served.addresses(), List.<String>of())) {
                port(protocol, served.port())
                        .filter(port -> !(own.contains(text) && reserved.contains(port)))
                        .flatMap(port -> address(text)
                                .filter(address -> places.add(List.of(address, port)))
                                .map(address -> frontend(served, Optional.of(address), port, backends)))
                        .ifPresent(all::add);
            }
            port(protocol, served.nodePort())
                    .filter(port -> places.add(List.of(port)))
                    .map(port -> frontend(served, Optional.empty(), port, backends))
                    .ifPresent(all::add);
        }
        return all.subList(0, Math.min(FRONTENDS_MAX, all.size()));
    }

    private static Frontend frontend(
            ServedPort served, Optional<Ipv4Address> address, ServicePort port, Map<String, Integer> backends) {
        return new Frontend(
                String.valueOf(served.service()),
                address,
                port,
                Boolean.TRUE.equals(served.clientAffinity()),
                Boolean.TRUE.equals(served.notReadyToo()),
                backends);
    }

    private static Optional<ServicePort> port(Protocol protocol, @Nullable Integer number) {
        return number == null || number < 1 || number > 65_535
                ? Optional.empty()
                : Optional.of(new ServicePort(protocol, number));
    }

    private static Optional<Ipv4Address> address(String text) {
        try {
            Ipv4Address address = Ipv4Address.parse(text);
            int first = address.bits() >>> 24;
            return first == 0 || first == LOOPBACK || first >= MULTICAST ? Optional.empty() : Optional.of(address);
        } catch (IllegalArgumentException e) {
            return Optional.empty();
        }
    }

    /**
     * What a VM's status says of it.
     *
     * @param before what stays where nobody could look whether it is ready
     */
    public static Fitness fitness(@Nullable VirtualMachineStatus status, Fitness before) {
        Set<ServicePort> published = new HashSet<>();
        if (status != null && status.addresses() != null) {
            for (VirtualMachineStatus.Address address : status.addresses()) {
                Objects.requireNonNullElse(address.publishedPorts(), List.<String>of())
                        .forEach(text -> published(text).ifPresent(published::add));
            }
        }
        Condition.Status ready = status == null || status.conditions() == null
                ? Condition.Status.False
                : status.conditions().stream()
                        .filter(c -> "Ready".equals(c.type()) && c.status() != null)
                        .map(Condition::status)
                        .findFirst()
                        .orElse(Condition.Status.False);
        return new Fitness(
                ready == Condition.Status.True || ready == Condition.Status.Unknown && before.ready(), published);
    }

    /** As {@link ServicePort} prints it. */
    private static Optional<ServicePort> published(String text) {
        String[] parts = text.split("/", -1);
        try {
            return parts.length == 2
                    ? Optional.of(new ServicePort(
                            Protocol.valueOf(parts[0].toUpperCase(Locale.ROOT)), Integer.parseInt(parts[1])))
                    : Optional.empty();
        } catch (IllegalArgumentException e) {
            return Optional.empty();
        }
    }
}
