package dev.vmlet.cli;

import dev.vmlet.Main;
import dev.vmlet.RealHost;
import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSlice;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VmNode;
import dev.vmlet.controller.Downtimes;
import dev.vmlet.controller.ImageKeeper;
import dev.vmlet.controller.LocalServices;
import dev.vmlet.controller.UserDataReader;
import dev.vmlet.host.Inventory;
import dev.vmlet.host.Observer;
import dev.vmlet.host.files.EvacuationFile;
import dev.vmlet.model.DesiredNetwork;
import dev.vmlet.model.DesiredVm;
import dev.vmlet.model.Downtime;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostObservation;
import dev.vmlet.model.InterfaceAddress;
import dev.vmlet.model.Link;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.NetworkObservation;
import dev.vmlet.model.NetworkRecord;
import dev.vmlet.model.Owner;
import dev.vmlet.model.ReservedPorts;
import dev.vmlet.model.Resolution;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmObservation;
import dev.vmlet.plan.HostPlanner;
import dev.vmlet.plan.NetworkPlanner;
import dev.vmlet.plan.Plan;
import dev.vmlet.plan.VmPlanner;
import dev.vmlet.resolve.NetworkResolver;
import dev.vmlet.resolve.VmResolver;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.io.PrintStream;
import java.time.Clock;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** {@code vmlet plan}. */
@Command(
        name = "plan",
        description =
                "Prints what the agent would do on this host now, a line a step with its reason, and does nothing.",
        mixinStandardHelpOptions = true,
        versionProvider = Main.Version.class)
@SuppressWarnings("NullAway.Init") // picocli fills the fields before anybody reads them
public final class PlanCommand implements Callable<Integer> {
    @Mixin
    private HostOptions host;

    @Mixin
    private ApiOptions api;

    @Override
    public Integer call() throws HostException {
        Root.require("plan");
        try (RealHost real = RealHost.toLook(host);
                KubernetesClient client = api.client()) {
            print(real, client, System.out);
            return 0;
        }
    }

    private static void print(RealHost real, KubernetesClient client, PrintStream out) throws HostException {
        Observer observer = new Observer(real.host(), real.names());
        Tally tally = new Tally(out);
        List<VirtualMachine> all =
                client.resources(VirtualMachine.class).inAnyNamespace().list().getItems();
        List<VirtualMachine> vms = all.stream()
                .filter(vm -> vm.getSpec() != null
                        && real.nodeName().equals(vm.getSpec().nodeName()))
                .toList();
        LocalServices services = services(real, client, vms);
        HostObservation seen = observer.observeHost();
        tally.show(
                "node " + real.nodeName(), services.withoutStrays(HostPlanner.plan(real.installation(), seen), seen));
        tally.show(
                "images of node " + real.nodeName(),
                ImageKeeper.plan(
                        real.host().disks(),
                        real.facts(),
                        () -> vms,
                        Clock.systemUTC().instant()));
        List<Network> networks =
                client.resources(Network.class).inAnyNamespace().list().getItems();
        List<NetworkSlice> slices =
                client.resources(NetworkSlice.class).inAnyNamespace().list().getItems();
        networks(real, observer, vms, networks, slices, tally);
        vms(real, observer, client, services, vms, networks, slices, tally);
        orphans(real, observer, vms, networks, tally);
        tally.end();
    }

    private static void networks(
            RealHost real,
            Observer observer,
            List<VirtualMachine> vms,
            List<Network> networks,
            List<NetworkSlice> slices,
            Tally tally)
            throws HostException {
        NetworkPlanner planner = new NetworkPlanner(real.names());
        for (Network network : networks) {
            String namespace = network.getMetadata().getNamespace();
            String uid = network.getMetadata().getUid();
            NetworkObservation look = observer.observeNetwork(uid, Optional.empty());
            Resolution<DesiredNetwork> resolution = NetworkResolver.resolve(
                    network,
                    in(namespace, networks),
                    in(namespace, slices),
                    real.nodeName(),
                    used(real, vms, network),
                    look.record() instanceof Seen.Present<NetworkRecord>(NetworkRecord record)
                            ? Optional.of(record.realised().subnet())
                            : Optional.empty(),
                    addressing(real, uid),
                    real.installation());
            Optional<DesiredNetwork> desired =
                    resolution instanceof Resolution.Desired<DesiredNetwork>(DesiredNetwork d)
                            ? Optional.of(d)
                            : Optional.empty();
            tally.show(
                    "Network " + namespace + "/" + network.getMetadata().getName(),
                    planner.plan(uid, resolution, observer.observeNetwork(uid, desired)));
        }
    }

    /** A VM of this node is on it, or was and has not been taken down yet. */
    private static boolean used(RealHost real, List<VirtualMachine> vms, Network network) {
        String uid = network.getMetadata().getUid();
        return vms.stream()
                        .anyMatch(vm -> vm.getMetadata()
                                        .getNamespace()
                                        .equals(network.getMetadata().getNamespace())
                                && vm.getSpec() != null
                                && vm.getSpec().networks() != null
                                && vm.getSpec().networks().stream()
                                        .anyMatch(n ->
                                                network.getMetadata().getName().equals(n.name())))
                || real.host().records().vms().stream()
                        .anyMatch(r -> r.nics().stream()
                                .anyMatch(n -> n.network().uid().equals(uid)));
    }

    /** The host's own and that of other Networks, as the agent reads it. */
    private static NetworkResolver.HostAddressing addressing(RealHost real, String networkUid) throws HostException {
        Set<LinkName> bridges = new HashSet<>();
        for (Link link : real.host().links().list()) {
            if (link.mark().owner(real.installation()).equals(new Owner.OfNetwork(networkUid))) {
                bridges.add(link.name());
            }
        }
        Map<LinkName, Set<InterfaceAddress>> addresses =
                new HashMap<>(real.host().links().allAddresses());
        addresses.keySet().removeAll(bridges);
        return new NetworkResolver.HostAddressing(
                addresses,
                real.host().links().routes().stream()
                        .filter(route -> !bridges.contains(route.device()))
                        .toList(),
                real.host().records().networks());
    }

    private static void vms(
            RealHost real,
            Observer observer,
            KubernetesClient client,
            LocalServices services,
            List<VirtualMachine> vms,
            List<Network> networks,
            List<NetworkSlice> slices,
            Tally tally)
            throws HostException {
        Clock clock = Clock.systemUTC();
        UserDataReader userData = new UserDataReader(client, clock, _ -> {});
        VmPlanner planner = new VmPlanner(real.names(), real.paths(), real.bootId());
        Optional<Downtime> downtime = downtime(real, client);
        for (VirtualMachine vm : vms) {
            VmId id = VmResolver.idOf(vm);
            Resolution<DesiredVm> resolution = vm.getMetadata().getDeletionTimestamp() != null
                    ? new Resolution.Absent<>()
                    : VmResolver.resolve(
                            vm,
                            networks.stream()
                                    .filter(n -> Objects.equals(n.getMetadata().getNamespace(), id.namespace()))
                                    .toList(),
                            in(id.namespace(), slices),
                            userData.now(vm),
                            real.facts().get());
            Optional<DesiredVm> desired = resolution instanceof Resolution.Desired<DesiredVm>(DesiredVm d)
                    ? Optional.of(d)
                    : Optional.empty();
            VmObservation seen = observer.observeVm(id, desired);
            tally.show(
                    "VirtualMachine " + id,
                    services.in(
                            planner.plan(id, resolution, VmResolver.power(vm), downtime, seen, clock.instant()),
                            id,
                            seen));
        }
    }

    /** As an agent knows them that has just begun. */
    private static LocalServices services(RealHost real, KubernetesClient client, List<VirtualMachine> vms)
            throws HostException {
        ReservedPorts reserved = real.facts().get().reservedPorts();
        LocalServices services = new LocalServices(() -> reserved);
        VmNode node = client.resources(VmNode.class).withName(real.nodeName()).get();
        if (node != null) {
            var _ = services.see(node, vms);
        }
        return services;
    }

    /** As the agent sees it: by the mark of {@code vmlet evacuate}, or by the annotation of its VmNode. */
    private static Optional<Downtime> downtime(RealHost real, KubernetesClient client) {
        VmNode node = client.resources(VmNode.class).withName(real.nodeName()).get();
        return Downtimes.of(new EvacuationFile(real.paths()).read(), node != null && Downtimes.isAnnotated(node));
    }

    /** What is here without an object. The agent asks the API server again for each before it takes one down. */
    private static void orphans(
            RealHost real, Observer observer, List<VirtualMachine> vms, List<Network> networks, Tally tally)
            throws HostException {
        Inventory inventory = observer.inventory();
        Set<String> known = new HashSet<>();
        vms.forEach(vm -> known.add(vm.getMetadata().getUid()));
        networks.forEach(network -> known.add(network.getMetadata().getUid()));
        VmPlanner vmPlanner = new VmPlanner(real.names(), real.paths(), real.bootId());
        for (VmId id : inventory.vmIds(real.installation()).values()) {
            if (!known.contains(id.uid())) {
                tally.show(
                        "orphan VirtualMachine " + id + ", when the sweep is sure of it",
                        vmPlanner.plan(
                                id,
                                new Resolution.Absent<>(),
                                observer.observeVm(id, Optional.empty()),
                                Clock.systemUTC().instant()));
            }
        }
        NetworkPlanner networkPlanner = new NetworkPlanner(real.names());
        for (String uid : inventory.networkUids(real.installation())) {
            if (!known.contains(uid)) {
                tally.show(
                        "orphan Network uid " + uid + ", when the sweep is sure of it",
                        networkPlanner.plan(
                                uid, new Resolution.Absent<>(), observer.observeNetwork(uid, Optional.empty())));
            }
        }
    }

    private static <T extends HasMetadata> List<T> in(String namespace, List<T> objects) {
        return objects.stream()
                .filter(o -> namespace.equals(o.getMetadata().getNamespace()))
                .toList();
    }

    /** Prints plans and counts what they hold. */
    private static final class Tally {
        private final PrintStream out;
        private int objects;
        private int steps;

        Tally(PrintStream out) {
            this.out = out;
        }

        void show(String object, Plan plan) {
            objects++;
            steps += plan.steps().size();
            if (plan.isEmpty() && plan.waitingFor().isEmpty()) {
                out.println(object + ": nothing to do");
                return;
            }
            out.println(object + ":");
            plan.toString().lines().forEach(line -> out.println("  " + line));
        }

        void end() {
            out.println(count(steps, "step") + " for " + count(objects, "object") + ". Nothing was done.");
        }

        private static String count(int number, String what) {
            return number + " " + what + (number == 1 ? "" : "s");
        }
    }
}
