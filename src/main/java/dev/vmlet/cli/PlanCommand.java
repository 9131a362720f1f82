package dev.vmlet.cli;

import dev.vmlet.Main;
import dev.vmlet.RealHost;
import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSlice;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.controller.ImageKeeper;
import dev.vmlet.controller.UserDataReader;
import dev.vmlet.host.Observer;
import dev.vmlet.model.DesiredNetwork;
import dev.vmlet.model.DesiredVm;
import dev.vmlet.model.HostException;
import dev.vmlet.model.NetworkObservation;
import dev.vmlet.model.NetworkRecord;
import dev.vmlet.model.Resolution;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmId;
import dev.vmlet.plan.HostPlanner;
import dev.vmlet.plan.NetworkPlanner;
import dev.vmlet.plan.Plan;
import dev.vmlet.plan.VmPlanner;
import dev.vmlet.resolve.NetworkResolver;
import dev.vmlet.resolve.VmResolver;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.io.PrintStream;
import java.time.Clock;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
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
    public Integer call() {
        try (RealHost real = RealHost.toLook(host);
                KubernetesClient client = api.client()) {
            print(real, client, System.out);
            return 0;
        } catch (HostException e) {
            System.err.println("vmlet: " + e.getMessage());
            return 1;
        } catch (KubernetesClientException e) {
            System.err.println("vmlet: the API server cannot be used: " + e.getMessage());
            return 1;
        }
    }

    private static void print(RealHost real, KubernetesClient client, PrintStream out) throws HostException {
        Observer observer = new Observer(real.host(), real.names());
        show(out, "node " + real.nodeName(), HostPlanner.plan(real.installation(), observer.observeHost()));
        List<VirtualMachine> vms = client.resources(VirtualMachine.class).inAnyNamespace().list().getItems().stream()
                .filter(vm -> vm.getSpec() != null
                        && real.nodeName().equals(vm.getSpec().nodeName()))
                .toList();
        show(
                out,
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
        NetworkPlanner networkPlanner = new NetworkPlanner(real.names());
        for (Network network : networks) {
            String namespace = network.getMetadata().getNamespace();
            String uid = network.getMetadata().getUid();
            boolean used = vms.stream()
                            .anyMatch(vm -> vm.getMetadata().getNamespace().equals(namespace)
                                    && vm.getSpec() != null
                                    && vm.getSpec().networks() != null
                                    && vm.getSpec().networks().stream()
                                            .anyMatch(n -> network.getMetadata()
                                                    .getName()
                                                    .equals(n.name())))
                    || real.host().records().vms().stream()
                            .anyMatch(r -> r.nics().stream()
                                    .anyMatch(n -> n.network().uid().equals(uid)));
            NetworkObservation look = observer.observeNetwork(uid, Optional.empty());
            Resolution<DesiredNetwork> resolution = NetworkResolver.resolve(
                    network,
                    in(namespace, slices),
                    real.nodeName(),
                    used,
                    look.record() instanceof Seen.Present<NetworkRecord>(NetworkRecord record)
                            ? Optional.of(record.realised().subnet())
                            : Optional.empty(),
                    new NetworkResolver.HostAddressing(Map.of(), List.of()),
                    real.installation());
            Optional<DesiredNetwork> desired =
                    resolution instanceof Resolution.Desired<DesiredNetwork>(DesiredNetwork d)
                            ? Optional.of(d)
                            : Optional.empty();
            show(
                    out,
                    "Network " + namespace + "/" + network.getMetadata().getName(),
                    networkPlanner.plan(uid, resolution, observer.observeNetwork(uid, desired)));
        }
        Clock clock = Clock.systemUTC();
        UserDataReader userData = new UserDataReader(client, clock, _ -> {});
        VmPlanner vmPlanner = new VmPlanner(real.names(), real.paths(), real.bootId());
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
            show(
                    out,
                    "VirtualMachine " + id,
                    vmPlanner.plan(id, resolution, observer.observeVm(id, desired), clock.instant()));
        }
    }

    private static List<NetworkSlice> in(String namespace, List<NetworkSlice> slices) {
        return slices.stream()
                .filter(s -> namespace.equals(s.getMetadata().getNamespace()))
                .toList();
    }

    private static void show(PrintStream out, String object, Plan plan) {
        if (plan.isEmpty() && plan.waitingFor().isEmpty()) {
            out.println(object + ": nothing to do");
            return;
        }
        out.println(object + ":");
        plan.toString().lines().forEach(line -> out.println("  " + line));
    }
}
