package dev.vmlet.controller;

import dev.vmlet.api.CloudInit;
import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSpec;
import dev.vmlet.api.RunStrategy;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineSpec;
import dev.vmlet.apiserver.ApiServer;
import dev.vmlet.apiserver.Kubeconfig;
import dev.vmlet.apiserver.Settings;
import dev.vmlet.cli.ApiOptions;
import dev.vmlet.host.Disks;
import dev.vmlet.host.EvacuationWord;
import dev.vmlet.host.FakeDisks;
import dev.vmlet.host.FakeHost;
import dev.vmlet.host.FakeProbes;
import dev.vmlet.host.FakeRecords;
import dev.vmlet.host.FakeVmms;
import dev.vmlet.host.Host;
import dev.vmlet.host.Probes;
import dev.vmlet.host.Records;
import dev.vmlet.host.Vmms;
import dev.vmlet.host.files.EvacuationFile;
import dev.vmlet.host.files.FileWatch;
import dev.vmlet.model.Given;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.Mark;
import dev.vmlet.status.NodeStatus;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.util.List;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * The embedded API server, the controller and an agent that may be ended and started, on a fake host. The agent's
 * threads and the test take turns at the fakes: what {@link #look} reads or does is one moment.
 */
final class NodeOnItsOwnServer implements AutoCloseable {
    final FakeHost links = new FakeHost(Given.INSTALLATION);
    final FakeVmms vmms = new FakeVmms(Given.BOOT);
    final FakeDisks disks = new FakeDisks();
    final FakeRecords records = new FakeRecords();
    private final FakeProbes probes = new FakeProbes();
    private final Host host = new Host(
            links,
            links,
            inTurn(Vmms.class, vmms),
            inTurn(Disks.class, disks),
            inTurn(Records.class, records),
            inTurn(Probes.class, probes));
    private final AgentSettings settings;
    private final ApiServer server;
    private final KubernetesClient client;
    private final ClusterController controller;
    private final EventRecorder events;
    private @Nullable Agent agent;
    private String bootId = Given.BOOT;
    private final Wakes wakes = new Wakes(Given.NAMES, Given.NODE);
    private final EvacuationFile evacuation;
    private final Downtimes downtimes;
    private final FileWatch watch;

    NodeOnItsOwnServer(Path directory, int startParallelism) throws Exception {
        this.settings = new AgentSettings(Duration.ofMinutes(5), startParallelism, (_, _, _) -> {});
        HostPaths paths = new HostPaths(directory.toString(), directory.toString());
        evacuation = new EvacuationFile(paths);
        downtimes = new Downtimes(evacuation::read, EvacuationWord.none());
        watch = new FileWatch(Path.of(paths.evacuationFile()), wakes::wakeAll);
        plugIn();
        server = ApiServer.start(
                Settings.of(directory.resolve("api"), new InetSocketAddress(InetAddress.getLoopbackAddress(), 0)));
        Path kubeconfig = directory.resolve("kubeconfig");
        Kubeconfig.write(server, kubeconfig);
        client = ApiOptions.client(Config.fromKubeconfig(kubeconfig.toFile()));
        events = new EventRecorder(client, "controller", "", Clock.systemUTC());
        controller = new ClusterController(client, Ipv4Prefix.parse("10.64.0.0/10"), List.of(), Clock.systemUTC());
        controller.start();
    }

    KubernetesClient client() {
        return client;
    }

    /** As the controller tells of what it does. */
    EventRecorder events() {
        return events;
    }

    EvacuationFile evacuation() {
        return evacuation;
    }

    Wakes wakes() {
        return wakes;
    }

    Downtimes downtimes() {
        return downtimes;
    }

    void startAgent() {
        agent = new Agent(parts());
        agent.start();
    }

    void endAgent() {
        if (agent != null) {
            agent.close();
            agent = null;
        }
    }

    /** With the agent ended: everything the kernel kept is gone, and the disk remains. */
    void reboot(String newBootId) {
        look(() -> {
            bootId = newBootId;
            links.reboot();
            vmms.reboot(newBootId);
            records.enterBoot();
            return null;
        });
        plugIn();
    }

    private void plugIn() {
        links.plant("eth0", "", "02:00:00:00:00:01", 1500, true, new Mark(""), -1);
        links.routeEverythingBy(new LinkName("eth0"), 100);
    }

    /** Reads or changes the fakes while no thread of the agent does. */
    <T> T look(Supplier<T> at) {
        synchronized (host()) {
            return at.get();
        }
    }

    private Object host() {
        return vmms;
    }

    private <T> T inTurn(Class<T> door, T fake) {
        return door.cast(Proxy.newProxyInstance(
                door.getClassLoader(), new Class<?>[] {door}, (_, method, arguments) -> {
                    try {
                        synchronized (host()) {
                            return method.invoke(fake, arguments);
                        }
                    } catch (InvocationTargetException e) {
                        throw e.getCause();
                    }
                }));
    }

    void createNetwork() {
        Network network = new Network();
        network.setMetadata(
                new ObjectMetaBuilder().withName("net").withNamespace("default").build());
        network.setSpec(new NetworkSpec(
                "10.77.0.0/16",
                24,
                NetworkSpec.Egress.Masquerade,
                1500,
                null,
                null,
                NetworkSpec.Isolation.None,
                null,
                null,
                null));
        client.resource(network).create();
    }

    void createVm(String name, RunStrategy strategy) {
        VirtualMachineSpec given = Given.spec("net");
        VirtualMachine vm = new VirtualMachine();
        vm.setMetadata(
                new ObjectMetaBuilder().withName(name).withNamespace("default").build());
        vm.setSpec(new VirtualMachineSpec(
                given.nodeName(),
                strategy,
                given.cpu(),
                given.memory(),
                given.disks(),
                given.networks(),
                new CloudInit(List.of("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMxxxxxxxx me"), null, null),
                null,
                null,
                30));
        client.resource(vm).create();
    }

    VirtualMachine vm(String name) {
        return client.resources(VirtualMachine.class)
                .inNamespace("default")
                .withName(name)
                .get();
    }

    List<VirtualMachine> vms() {
        return client.resources(VirtualMachine.class)
                .inNamespace("default")
                .list()
                .getItems();
    }

    private Agent.Parts parts() {
        return new Agent.Parts(
                client,
                Given.NODE,
                Given.INSTALLATION,
                Given.PATHS,
                bootId,
                host,
                wakes,
                downtimes,
                () -> Given.facts(look(records::vms)),
                new NodeStatus.Facts(
                        "test",
                        bootId,
                        true,
                        "KVM works.",
                        "cloud-hypervisor",
                        "v53.0",
                        "/vmm",
                        "",
                        false,
                        false,
                        6,
                        "",
                        "6.12",
                        "amd64",
                        8,
                        "16384Mi"),
                settings,
                Clock.systemUTC());
    }

    @Override
    public void close() {
        endAgent();
        watch.close();
        controller.close();
        events.close();
        client.close();
        server.close();
    }
}
