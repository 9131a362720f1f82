package dev.vmlet.resolve;

import dev.vmlet.api.OpenPort;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VmNode;
import dev.vmlet.api.VmNodeSpec.Backend;
import dev.vmlet.api.VmNodeSpec.ServedPort;
import dev.vmlet.model.Ipv4Address;
import io.fabric8.kubernetes.api.model.LoadBalancerIngress;
import io.fabric8.kubernetes.api.model.Service;
import io.fabric8.kubernetes.api.model.ServicePort;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * Which ports of Services the agent of a node is told of, in {@code spec.services} of its VmNode: those with VMs of that
 * node behind them. Whether a VM is ready is not in it: its agent knows, and nothing is written when that changes.
 *
 * <p>At an address that several Services name, in {@code externalIPs} or for their load balancers, the oldest is asked for,
 * and the address of a Service itself is nobody else's: kube-proxy chooses at random there, and a node's agent, which comes
 * before it, would be the surer way to take what is another's.
 */
public final class NodeServices {
    /** As the schema says; what is beyond is led by kube-proxy alone. */
    static final int PORTS_MAX = 256;

    static final int ADDRESSES_MAX = 16;
    static final int BACKENDS_MAX = 64;
    /** Of all ports together: what a VmNode weighs is written and read whole. */
    static final int ALL_BACKENDS_MAX = 2048;

    private static final Comparator<Service> OLDEST_FIRST = Comparator.comparing(
                    (Service s) -> Objects.requireNonNullElse(s.getMetadata().getCreationTimestamp(), ""))
            .thenComparing(NodeServices::name);

    /** Where clients ask: an address that has the port for one Service only. */
    private record Place(String address, String protocol, int port) {}

    /**
     * @param ports sorted by Service and port
     * @param beyond how many ports there was no room for
     */
    public record Told(List<ServedPort> ports, int beyond) {
        public Told {
            ports = List.copyOf(ports);
        }
    }

    private NodeServices() {}

    /** What the node has been told. */
    public static List<ServedPort> told(VmNode node) {
        return node.getSpec() == null
                ? List.of()
                : Objects.requireNonNullElse(node.getSpec().services(), List.of());
    }

    /**
     * @param services all of the cluster
     * @param vms those of this node of a namespace
     */
    public static Told of(
            VmNode node, Collection<Service> services, Function<String, ? extends List<VirtualMachine>> vms) {
        List<Service> asked = services.stream()
                .filter(ServiceEndpoints::isAsked)
                .filter(s -> s.getMetadata().getDeletionTimestamp() == null)
                .sorted(Comparator.comparing(NodeServices::name))
                .toList();
        if (asked.isEmpty()) {
            return new Told(List.of(), 0);
        }
        Map<Place, String> owners = owners(services);
        List<ServedPort> ports = new ArrayList<>();
        int beyond = 0;
        int backends = 0;
        for (Service service : asked) {
            String namespace = service.getMetadata().getNamespace();
            Optional<List<ServiceEndpoints.Behind>> behind = ServiceEndpoints.behind(service, vms.apply(namespace));
            List<ServedPort> own =
                    behind.map(all -> served(service, all, owners)).orElseGet(() -> still(service, node, owners));
            for (ServedPort port : own) {
                int more =
                        Objects.requireNonNullElse(port.backends(), List.of()).size();
                if (ports.size() < PORTS_MAX && backends + more <= ALL_BACKENDS_MAX) {
                    ports.add(port);
                    backends += more;
                } else {
                    beyond++;
                }
            }
        }
        return new Told(ports, beyond);
    }

    private static String name(Service service) {
        return service.getMetadata().getNamespace() + "/"
                + service.getMetadata().getName();
    }

    /**
     * What was told of a Service whose annotation nobody can read: its VMs stay, but not an address or NodePort that it has
     * no longer, for that may be another's by now.
     */
    private static List<ServedPort> still(Service service, VmNode node, Map<Place, String> owners) {
        Set<String> addresses = Set.copyOf(addresses(service));
        List<ServedPort> still = new ArrayList<>();
        for (ServedPort told : told(node)) {
            if (!name(service).equals(told.service()) || told.port() == null) {
                continue;
            }
            String protocol = told.protocol() == null
                    ? OpenPort.Protocol.TCP.name()
                    : told.protocol().name();
            List<ServicePort> now = service.getSpec() == null
                    ? List.of()
                    : Objects.requireNonNullElse(service.getSpec().getPorts(), List.<ServicePort>of()).stream()
                            .filter(p ->
                                    told.port().equals(p.getPort()) && protocol.equals(ServiceEndpoints.protocol(p)))
                            .toList();
            List<String> kept = now.isEmpty()
                    ? List.of()
                    : Objects.requireNonNullElse(told.addresses(), List.<String>of()).stream()
                            .filter(a -> addresses.contains(a)
                                    && name(service).equals(owners.get(new Place(a, protocol, told.port()))))
                            .toList();
            Integer nodePort = now.stream().anyMatch(p -> Objects.equals(p.getNodePort(), told.nodePort()))
                    ? told.nodePort()
                    : null;
            if (!kept.isEmpty() || nodePort != null) {
                still.add(new ServedPort(
                        told.service(),
                        kept,
                        told.port(),
                        nodePort,
                        told.protocol(),
                        told.clientAffinity(),
                        told.notReadyToo(),
                        told.backends()));
            }
        }
        return still;
    }

    private static List<ServedPort> served(
            Service service, List<ServiceEndpoints.Behind> behind, Map<Place, String> owners) {
        List<ServedPort> served = new ArrayList<>();
        if (service.getSpec() == null || behind.isEmpty()) {
            return served;
        }
        for (ServicePort port : service.getSpec().getPorts()) {
            String protocol = ServiceEndpoints.protocol(port);
            List<Backend> backends = behind.stream()
                    .filter(b -> b.port().equals(port))
                    .map(b -> new Backend(
                            b.vm().getMetadata().getUid(), b.vm().getMetadata().getName(), b.hostPort()))
                    .sorted(Comparator.comparing(b -> String.valueOf(b.uid())))
                    .limit(BACKENDS_MAX)
                    .toList();
            List<String> addresses = addresses(service).stream()
                    .filter(a -> name(service).equals(owners.get(new Place(a, protocol, port.getPort()))))
                    .limit(ADDRESSES_MAX)
                    .toList();
            Integer nodePort = port.getNodePort() == null || port.getNodePort() == 0 ? null : port.getNodePort();
            if (!backends.isEmpty() && (!addresses.isEmpty() || nodePort != null)) {
                served.add(new ServedPort(
                        name(service),
                        addresses,
                        port.getPort(),
                        nodePort,
                        OpenPort.Protocol.valueOf(protocol),
                        "ClientIP".equals(service.getSpec().getSessionAffinity()) ? true : null,
                        Boolean.TRUE.equals(service.getSpec().getPublishNotReadyAddresses()) ? true : null,
                        backends));
            }
        }
        return served;
    }

    /** Whose each place is, of all Services: what leads to Pods is no less somebody's. */
    private static Map<Place, String> owners(Collection<Service> services) {
        Map<Place, String> owners = new HashMap<>();
        Set<String> own = services.stream().flatMap(s -> clusterIps(s).stream()).collect(Collectors.toSet());
        for (Service service : services.stream().sorted(OLDEST_FIRST).toList()) {
            if (service.getSpec() == null || service.getSpec().getPorts() == null) {
                continue;
            }
            Set<String> itsOwn = Set.copyOf(clusterIps(service));
            for (ServicePort port : service.getSpec().getPorts()) {
                addresses(service).stream()
                        .filter(a -> itsOwn.contains(a) || !own.contains(a))
                        .forEach(a -> owners.putIfAbsent(
                                new Place(a, ServiceEndpoints.protocol(port), port.getPort()), name(service)));
            }
        }
        return owners;
    }

    private static List<String> clusterIps(Service service) {
        if (service.getSpec() == null) {
            return List.of();
        }
        Set<String> all = new LinkedHashSet<>();
        if (service.getSpec().getClusterIP() != null) {
            all.add(service.getSpec().getClusterIP());
        }
        all.addAll(Objects.requireNonNullElse(service.getSpec().getClusterIPs(), List.of()));
        return all.stream().filter(NodeServices::isIpv4).toList();
    }

    /** Its own first, the others in order. */
    public static List<String> addresses(Service service) {
        Set<String> others = new TreeSet<>();
        if (service.getSpec() != null && !"None".equals(service.getSpec().getClusterIP())) {
            others.addAll(Objects.requireNonNullElse(service.getSpec().getExternalIPs(), List.of()));
            // Whom the Service lets in there, only kube-proxy asks.
            if (Objects.requireNonNullElse(service.getSpec().getLoadBalancerSourceRanges(), List.of())
                            .isEmpty()
                    && service.getStatus() != null
                    && service.getStatus().getLoadBalancer() != null) {
                Objects.requireNonNullElse(
                                service.getStatus().getLoadBalancer().getIngress(), List.<LoadBalancerIngress>of())
                        .stream()
                        .filter(i -> i.getIp() != null && (i.getIpMode() == null || "VIP".equals(i.getIpMode())))
                        .forEach(i -> others.add(i.getIp()));
            }
        }
        Set<String> all = new LinkedHashSet<>(clusterIps(service));
        others.stream().filter(NodeServices::isIpv4).forEach(all::add);
        return List.copyOf(all);
    }

    private static boolean isIpv4(String text) {
        try {
            return Ipv4Address.parse(text).toString().equals(text);
        } catch (IllegalArgumentException e) {
            return false;
        }
    }
}
