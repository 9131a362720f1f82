package dev.vmlet.resolve;

import dev.vmlet.api.Condition;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineSpec.NetworkInterface;
import dev.vmlet.api.VirtualMachineSpec.Published;
import dev.vmlet.api.VirtualMachineStatus;
import dev.vmlet.model.LabelSelector;
import dev.vmlet.model.Protocol;
import dev.vmlet.model.Reason;
import dev.vmlet.model.ServicePort;
import io.fabric8.kubernetes.api.model.IntOrString;
import io.fabric8.kubernetes.api.model.OwnerReferenceBuilder;
import io.fabric8.kubernetes.api.model.Service;
import io.fabric8.kubernetes.api.model.ServiceSpec;
import io.fabric8.kubernetes.api.model.discovery.v1.Endpoint;
import io.fabric8.kubernetes.api.model.discovery.v1.EndpointBuilder;
import io.fabric8.kubernetes.api.model.discovery.v1.EndpointConditions;
import io.fabric8.kubernetes.api.model.discovery.v1.EndpointPort;
import io.fabric8.kubernetes.api.model.discovery.v1.EndpointPortBuilder;
import io.fabric8.kubernetes.api.model.discovery.v1.EndpointSlice;
import io.fabric8.kubernetes.api.model.discovery.v1.EndpointSliceBuilder;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * Which EndpointSlices a Service has whose annotation {@link #SELECTOR} names VMs by their labels: one for each VM, since
 * each publishes on ports of its node that are its own. The endpoint is the node's address with the published port.
 */
public final class ServiceEndpoints {
    /** Annotation of a Service without {@code spec.selector}: a label selector over the VMs of its namespace. */
    public static final String SELECTOR = "vmlet.dev/selector";

    /** Labels of slices that are ours; no other is touched. */
    public static final String MANAGED_BY = "endpointslice.kubernetes.io/managed-by";

    public static final String MANAGER = "controller.vmlet.dev";
    public static final String SERVICE_NAME = "kubernetes.io/service-name";
    /** As the cluster's own controller marks slices of a Service without an address of its own. */
    private static final String HEADLESS = "service.kubernetes.io/headless";

    /**
     * Something that a person has to mend, with the field and the remedy.
     *
     * @param vm whose fault it is; empty: the Service's own
     */
    public record Problem(Reason reason, String vm, String message) {}

    /**
     * @param slices all that the Service is to have; empty: what is there stays as it is
     */
    public record Answer(Optional<List<EndpointSlice>> slices, List<Problem> problems) {
        public Answer {
            slices = slices.map(List::copyOf);
            problems = List.copyOf(problems);
        }

        private static Answer nothing(List<Problem> problems) {
            return new Answer(Optional.of(List.of()), problems);
        }
    }

    private final Service service;
    private final ServiceSpec spec;
    private final Function<String, Optional<String>> addressOfNode;
    private final Map<String, EndpointSlice> there = new HashMap<>();
    private final List<Problem> problems = new ArrayList<>();

    private ServiceEndpoints(
            Service service, List<EndpointSlice> there, Function<String, Optional<String>> addressOfNode) {
        this.service = service;
        this.spec = Objects.requireNonNullElseGet(service.getSpec(), ServiceSpec::new);
        this.addressOfNode = addressOfNode;
        there.forEach(slice -> this.there.put(slice.getMetadata().getName(), slice));
    }

    /** Whether the Service is to have VMs behind it. */
    public static boolean isAsked(Service service) {
        return asked(service).isPresent();
    }

    private static Optional<String> asked(Service service) {
        return Optional.ofNullable(service.getMetadata().getAnnotations())
                .flatMap(all -> Optional.ofNullable(all.get(SELECTOR)));
    }

    /**
     * @param vms those of the Service's namespace
     * @param there slices of this Service that are ours already
     * @param addressOfNode empty while a node has not told it
     */
    public static Answer of(
            Service service,
            List<VirtualMachine> vms,
            List<EndpointSlice> there,
            Function<String, Optional<String>> addressOfNode) {
        Optional<String> asked = asked(service);
        return asked.isEmpty()
                ? Answer.nothing(List.of())
                : new ServiceEndpoints(service, there, addressOfNode).answer(asked.get(), vms);
    }

    /** A port of a Service and a VM behind it, by the port of its node that leads there. */
    record Behind(VirtualMachine vm, io.fabric8.kubernetes.api.model.ServicePort port, int hostPort) {}

    /**
     * What is behind the Service, whether it is ready or not; none where it cannot have VMs behind it.
     *
     * @param vms those of the Service's namespace
     * @return no value where what is there is to stay as it is, for nobody can read what the Service asks for
     */
    static Optional<List<Behind>> behind(Service service, List<VirtualMachine> vms) {
        Optional<String> asked = asked(service);
        if (asked.isEmpty()
                || new ServiceEndpoints(service, List.of(), _ -> Optional.empty())
                        .conflict()
                        .isPresent()) {
            return Optional.of(List.of());
        }
        Predicate<Map<String, String>> selects;
        try {
            selects = LabelSelector.parse(asked.get());
        } catch (IllegalArgumentException e) {
            return Optional.empty();
        }
        if (asked.get().isBlank()) {
            return Optional.empty();
        }
        List<Behind> all = new ArrayList<>();
        for (VirtualMachine vm : vms) {
            if (selects.test(Objects.requireNonNullElse(vm.getMetadata().getLabels(), Map.of()))) {
                service.getSpec()
                        .getPorts()
                        .forEach(port -> find(vm, port)
                                .map(Published::hostPort)
                                .ifPresent(host -> all.add(new Behind(vm, port, host))));
            }
        }
        return Optional.of(all);
    }

    private Answer answer(String selector, List<VirtualMachine> vms) {
        Optional<String> conflict = conflict();
        if (conflict.isPresent()) {
            return Answer.nothing(List.of(refused(conflict.get())));
        }
        Predicate<Map<String, String>> selects;
        try {
            selects = LabelSelector.parse(selector);
        } catch (IllegalArgumentException e) {
            return new Answer(
                    Optional.empty(),
                    List.of(refused("the annotation " + SELECTOR
                            + " is no label selector, so its endpoints stay as they" + " are: " + e.getMessage()
                            + "; write it as for kubectl get -l, for example app=web")));
        }
        if (selector.isBlank()) {
            return new Answer(
                    Optional.empty(),
                    List.of(refused("the annotation " + SELECTOR + " is empty, so its endpoints stay as they are; name"
                            + " labels, for example app=web, or take it away")));
        }
        List<EndpointSlice> slices = new ArrayList<>();
        vms.stream()
                .filter(vm ->
                        selects.test(Objects.requireNonNullElse(vm.getMetadata().getLabels(), Map.of())))
                .sorted(Comparator.comparing(vm -> vm.getMetadata().getName()))
                .forEach(vm -> slice(vm).ifPresent(slices::add));
        return new Answer(Optional.of(slices), problems);
    }

    private static Problem refused(String message) {
        return new Problem(Reason.ServiceRefused, "", message);
    }

    /** Why the cluster would not look at slices of ours, or has others of its own. */
    private Optional<String> conflict() {
        if (spec.getSelector() != null && !spec.getSelector().isEmpty()) {
            return Optional.of("spec.selector selects Pods, and the annotation " + SELECTOR
                    + " VMs, for which there is room only without it; remove one of the two");
        }
        if ("ExternalName".equals(spec.getType())) {
            return Optional.of(
                    "spec.type ExternalName leads to a DNS name and to no endpoint; use another type, or remove"
                            + " the annotation " + SELECTOR);
        }
        if (spec.getIpFamilies() != null
                && !spec.getIpFamilies().isEmpty()
                && !spec.getIpFamilies().contains("IPv4")) {
            return Optional.of("spec.ipFamilies lacks IPv4, and nodes publish ports of VMs by IPv4 only; add it");
        }
        return Optional.empty();
    }

    private Optional<EndpointSlice> slice(VirtualMachine vm) {
        // Dots are in the name of neither, so that no two pairs share a name.
        String name = service.getMetadata().getName() + "." + vm.getMetadata().getName();
        String node = vm.getSpec() == null ? null : vm.getSpec().nodeName();
        if (node == null) {
            // Its condition Scheduled says so.
            return Optional.empty();
        }
        EndpointSlice before = there.get(name);
        List<EndpointPort> ports = ports(vm);
        if (ports.isEmpty()) {
            return Optional.empty();
        }
        Optional<String> address = addressOfNode.apply(node).or(() -> addressIn(before, node));
        if (address.isEmpty()) {
            problems.add(new Problem(
                    Reason.NotPublished,
                    vm.getMetadata().getName(),
                    "VM " + vm.getMetadata().getName() + " is left out: VmNode " + node
                            + " shows no status.addresses yet; look whether the agent of that node runs, is of this"
                            + " version, and the node has a default route"));
            return Optional.empty();
        }
        return Optional.of(slice(before, name, vm, node, address.get(), ports));
    }

    private static Optional<String> addressIn(@Nullable EndpointSlice before, String node) {
        return Optional.ofNullable(before)
                .flatMap(slice -> slice.getEndpoints().stream()
                        .filter(e -> node.equals(e.getNodeName()))
                        .flatMap(e -> e.getAddresses().stream())
                        .findFirst());
    }

    private EndpointSlice slice(
            @Nullable EndpointSlice before,
            String name,
            VirtualMachine vm,
            String node,
            String address,
            List<EndpointPort> ports) {
        Map<String, String> labels = new HashMap<>();
        labels.put(SERVICE_NAME, service.getMetadata().getName());
        labels.put(MANAGED_BY, MANAGER);
        if ("None".equals(spec.getClusterIP())) {
            labels.put(HEADLESS, "");
        }
        Endpoint endpoint = new EndpointBuilder()
                .withAddresses(address)
                .withNodeName(node)
                .withConditions(conditions(vm, ports))
                .withNewTargetRef()
                .withApiVersion(vm.getApiVersion())
                .withKind(vm.getKind())
                .withNamespace(vm.getMetadata().getNamespace())
                .withName(vm.getMetadata().getName())
                .withUid(vm.getMetadata().getUid())
                .endTargetRef()
                .build();
        // Over what is there: labels and annotations of others stay.
        return (before == null ? new EndpointSliceBuilder() : new EndpointSliceBuilder(before))
                .editOrNewMetadata()
                .withName(name)
                .withNamespace(service.getMetadata().getNamespace())
                .removeFromLabels(HEADLESS)
                .addToLabels(labels)
                .withOwnerReferences(new OwnerReferenceBuilder()
                        .withApiVersion("v1")
                        .withKind("Service")
                        .withName(service.getMetadata().getName())
                        .withUid(service.getMetadata().getUid())
                        .withController(true)
                        .withBlockOwnerDeletion(true)
                        .build())
                .endMetadata()
                .withAddressType("IPv4")
                .withEndpoints(endpoint)
                .withPorts(ports)
                .build();
    }

    /** As the cluster's own controller says it of a Pod. */
    private EndpointConditions conditions(VirtualMachine vm, List<EndpointPort> ports) {
        boolean terminating = vm.getMetadata().getDeletionTimestamp() != null;
        // Whatever the Service wants: a port that the node does not lead to the VM is somebody else's, or the node's
        // own.
        boolean published = published(vm).containsAll(hostPorts(ports));
        boolean serving = published && isReady(vm);
        boolean ready = serving && !terminating || published && Boolean.TRUE.equals(spec.getPublishNotReadyAddresses());
        return new EndpointConditions(ready, serving, terminating);
    }

    /** By its condition; not so of a VM whose node is lost. */
    public static boolean isReady(VirtualMachine vm) {
        return vm.getStatus() != null
                && vm.getStatus().conditions() != null
                && vm.getStatus().conditions().stream()
                        .anyMatch(c -> "Ready".equals(c.type()) && c.status() == Condition.Status.True);
    }

    private static Set<String> hostPorts(List<EndpointPort> ports) {
        Set<String> all = new HashSet<>();
        ports.forEach(p -> all.add(new ServicePort(Protocol.valueOf(p.getProtocol()), p.getPort()).toString()));
        return all;
    }

    /** What the node says that it leads to the VM: what is only asked for may be another's. */
    private static Set<String> published(VirtualMachine vm) {
        Set<String> all = new HashSet<>();
        if (vm.getStatus() != null && vm.getStatus().addresses() != null) {
            for (VirtualMachineStatus.Address address : vm.getStatus().addresses()) {
                all.addAll(Objects.requireNonNullElse(address.publishedPorts(), List.of()));
            }
        }
        return all;
    }

    private List<EndpointPort> ports(VirtualMachine vm) {
        List<EndpointPort> ports = new ArrayList<>();
        for (io.fabric8.kubernetes.api.model.ServicePort asked : spec.getPorts()) {
            Optional<Published> found = find(vm, asked);
            if (found.isPresent() && found.get().hostPort() != null) {
                ports.add(new EndpointPortBuilder()
                        // As the API server defaults it: a slice that differs from the stored one is written.
                        .withName(Objects.requireNonNullElse(asked.getName(), ""))
                        .withAppProtocol(asked.getAppProtocol())
                        .withProtocol(protocol(asked))
                        .withPort(found.get().hostPort())
                        .build());
            } else {
                problems.add(new Problem(
                        Reason.NotPublished, vm.getMetadata().getName(), missing(vm, asked, protocol(asked))));
            }
        }
        return ports;
    }

    static String protocol(io.fabric8.kubernetes.api.model.ServicePort asked) {
        return Objects.requireNonNullElse(asked.getProtocol(), "TCP");
    }

    /** By name, or by the number that the guest listens on; the first one. */
    private static Optional<Published> find(VirtualMachine vm, io.fabric8.kubernetes.api.model.ServicePort asked) {
        IntOrString target = target(asked);
        return published(vm.getSpec() == null ? null : vm.getSpec().networks()).stream()
                .filter(p -> protocol(asked)
                        .equals(p.protocol() == null ? "TCP" : p.protocol().name()))
                .filter(p -> target.getStrVal() != null
                        ? target.getStrVal().equals(p.name())
                        : Objects.equals(target.getIntVal(), p.port()))
                .findFirst();
    }

    private static IntOrString target(io.fabric8.kubernetes.api.model.ServicePort asked) {
        IntOrString target = asked.getTargetPort();
        return target == null || target.getStrVal() == null && Objects.equals(target.getIntVal(), 0)
                ? new IntOrString(asked.getPort())
                : target;
    }

    private static List<Published> published(@Nullable List<NetworkInterface> nics) {
        List<Published> all = new ArrayList<>();
        Objects.requireNonNullElse(nics, List.<NetworkInterface>of())
                .forEach(nic -> all.addAll(Objects.requireNonNullElse(nic.ports(), List.of())));
        return all;
    }

    private static String missing(
            VirtualMachine vm, io.fabric8.kubernetes.api.model.ServicePort asked, String protocol) {
        IntOrString target = target(asked);
        String port = "spec.ports[" + Objects.requireNonNullElseGet(asked.getName(), () -> "" + asked.getPort()) + "]";
        String name = vm.getMetadata().getName();
        if (!"TCP".equals(protocol) && !"UDP".equals(protocol)) {
            return port + ".protocol is " + protocol + ", and VMs publish TCP and UDP only; VM " + name
                    + " is not behind it";
        }
        String wanted = target.getStrVal() != null
                ? "name: " + target.getStrVal() + ", hostPort: ..., port: ..."
                : "hostPort: ..., port: " + target.getIntVal();
        return port + ": VM " + name + " publishes no " + protocol + " port "
                + (target.getStrVal() != null ? "of the name " + target.getStrVal() : target.getIntVal())
                + " and is not behind it; add {" + wanted + ("UDP".equals(protocol) ? ", protocol: UDP" : "")
                + "} to spec.networks[].ports of the VM, or change targetPort";
    }
}
