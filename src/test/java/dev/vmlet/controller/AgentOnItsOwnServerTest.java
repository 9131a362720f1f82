package dev.vmlet.controller;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.vmlet.api.CloudInit;
import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSlice;
import dev.vmlet.api.NetworkSpec;
import dev.vmlet.api.Serialization;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineSpec;
import dev.vmlet.api.VmNode;
import dev.vmlet.apiserver.ApiServer;
import dev.vmlet.apiserver.Kubeconfig;
import dev.vmlet.apiserver.Settings;
import dev.vmlet.host.FakeDisks;
import dev.vmlet.host.FakeHost;
import dev.vmlet.host.FakeProbes;
import dev.vmlet.host.FakeRecords;
import dev.vmlet.host.FakeVmms;
import dev.vmlet.host.Host;
import dev.vmlet.model.Given;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.Mark;
import dev.vmlet.status.NodeStatus;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.ConfigBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The real agent and the real controller, with fabric8 and java-operator-sdk as they run in production, against the
 * embedded API server; only the host is a fake. Informers, server-side apply of status and finalizers, owner references
 * and Events meet the server here.
 */
class AgentOnItsOwnServerTest {
    private static final Duration PATIENCE = Duration.ofSeconds(60);

    @TempDir
    Path directory;

    private final FakeHost links = new FakeHost(Given.INSTALLATION);
    private final FakeVmms vmms = new FakeVmms(Given.BOOT);
    private final FakeDisks disks = new FakeDisks();
    private final FakeRecords records = new FakeRecords();
    private final Host host = new Host(links, links, vmms, disks, records, new FakeProbes());

    @Test
    void bringsAMachineUpAndTakesItAwayAgain() throws Exception {
        links.plant("eth0", "", "02:00:00:00:00:01", 1500, true, new Mark(""), -1);
        links.routeEverythingBy(new LinkName("eth0"), 100);
        try (ApiServer server = ApiServer.start(Settings.of(
                        directory.resolve("api"), new InetSocketAddress(InetAddress.getLoopbackAddress(), 0)));
                KubernetesClient client = client(server);
                ClusterController controller =
                        new ClusterController(client, Ipv4Prefix.parse("10.64.0.0/10"), List.of(), Clock.systemUTC());
                Agent agent = new Agent(parts(client))) {
            controller.start();
            agent.start();
            Network network = new Network();
            network.setMetadata(new ObjectMetaBuilder()
                    .withName("net")
                    .withNamespace("default")
                    .build());
            network.setSpec(new NetworkSpec("10.77.0.0/16", 24, NetworkSpec.Egress.Masquerade, 1500, null, null));
            client.resource(network).create();
            VirtualMachine web = new VirtualMachine();
            web.setMetadata(new ObjectMetaBuilder()
                    .withName("web")
                    .withNamespace("default")
                    .build());
            web.setSpec(spec());
            client.resource(web).create();

            awaitPhase(client, "Preparing");
            VirtualMachine preparing = vm(client);
            assertThat(preparing.getMetadata().getFinalizers()).hasSize(1);
            assertThat(preparing.getMetadata().getManagedFields())
                    .extracting(entry -> entry.getManager() + " " + entry.getOperation() + " " + entry.getSubresource())
                    .contains("vmlet-agent Apply status");
            NetworkSlice slice = client.resources(NetworkSlice.class)
                    .inNamespace("default")
                    .list()
                    .getItems()
                    .getFirst();
            assertThat(Objects.requireNonNull(slice.getSpec()).nodeName()).isEqualTo(Given.NODE);
            assertThat(client.resources(VmNode.class).withName(Given.NODE).get().getStatus())
                    .isNotNull();
            await().atMost(PATIENCE)
                    .until(() -> !client.v1()
                            .events()
                            .inNamespace("default")
                            .withField("involvedObject.name", "web")
                            .list()
                            .getItems()
                            .isEmpty());

            client.resource(web).delete();
            client.resource(network).delete();
            await().atMost(PATIENCE).until(() -> vm(client) == null);
            await().atMost(PATIENCE)
                    .until(() -> client.resources(NetworkSlice.class)
                            .inAnyNamespace()
                            .list()
                            .getItems()
                            .isEmpty());
            await().atMost(PATIENCE)
                    .until(() -> client.resources(Network.class)
                            .inAnyNamespace()
                            .list()
                            .getItems()
                            .isEmpty());
        }
    }

    private static void awaitPhase(KubernetesClient client, String phase) {
        await().atMost(PATIENCE)
                .untilAsserted(
                        () -> assertThat(Objects.requireNonNull(vm(client)).getStatus())
                                .asString()
                                .contains("phase=" + phase));
    }

    private static VirtualMachine vm(KubernetesClient client) {
        return client.resources(VirtualMachine.class)
                .inNamespace("default")
                .withName("web")
                .get();
    }

    private static VirtualMachineSpec spec() {
        VirtualMachineSpec given = Given.spec("net");
        return new VirtualMachineSpec(
                given.nodeName(),
                given.runStrategy(),
                given.cpu(),
                given.memory(),
                given.disks(),
                given.networks(),
                new CloudInit(List.of("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMxxxxxxxx me"), null, null),
                null,
                null,
                30);
    }

    private Agent.Parts parts(KubernetesClient client) {
        return new Agent.Parts(
                client,
                Given.NODE,
                Given.INSTALLATION,
                Given.PATHS,
                Given.BOOT,
                host,
                new Wakes(Given.NAMES, Given.NODE),
                () -> Given.facts(records.vms()),
                new NodeStatus.Facts(
                        "test",
                        Given.BOOT,
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
                Duration.ofMinutes(5),
                (_, _, _) -> {},
                Clock.systemUTC());
    }

    private KubernetesClient client(ApiServer server) throws Exception {
        Path kubeconfig = directory.resolve("kubeconfig");
        Kubeconfig.write(server, kubeconfig);
        Config config = Config.fromKubeconfig(kubeconfig.toFile());
        return new KubernetesClientBuilder()
                .withConfig(new ConfigBuilder(config).withOnlyHttpWatches(true).build())
                .withKubernetesSerialization(Serialization.lenient())
                .build();
    }
}
