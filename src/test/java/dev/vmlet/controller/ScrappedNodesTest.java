package dev.vmlet.controller;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.vmlet.api.CloudInit;
import dev.vmlet.api.Serialization;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineSpec;
import dev.vmlet.api.VmNode;
import dev.vmlet.apiserver.ApiServer;
import dev.vmlet.apiserver.Kubeconfig;
import dev.vmlet.apiserver.Settings;
import dev.vmlet.model.Given;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.NamespaceBuilder;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.api.model.coordination.v1.LeaseBuilder;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.ConfigBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** When a node counts as scrapped, against the embedded API server; the clock is ours. */
class ScrappedNodesTest {
    private static final Instant T0 = Instant.parse("2026-01-01T12:00:00Z");

    @TempDir
    private Path directory;

    private Instant now = T0;
    private ApiServer server;
    private KubernetesClient client;
    private final ScrappedNodes scrapped = new ScrappedNodes(new Clock() {
        @Override
        public ZoneId getZone() {
            return ZoneOffset.UTC;
        }

        @Override
        public Clock withZone(ZoneId zone) {
            return this;
        }

        @Override
        public Instant instant() {
            return now;
        }
    });

    @BeforeEach
    void start() throws Exception {
        server = ApiServer.start(
                Settings.of(directory.resolve("api"), new InetSocketAddress(InetAddress.getLoopbackAddress(), 0)));
        client = client();
        client.resource(new NamespaceBuilder()
                        .withNewMetadata()
                        .withName(NodeLease.NAMESPACE)
                        .endMetadata()
                        .build())
                .create();
    }

    @AfterEach
    void stop() throws Exception {
        client.close();
        server.close();
    }

    private KubernetesClient client() {
        return new KubernetesClientBuilder()
                .withConfig(new ConfigBuilder(Config.fromKubeconfig(Kubeconfig.text(server)))
                        .withRequestRetryBackoffLimit(0)
                        .build())
                .withKubernetesSerialization(Serialization.lenient())
                .build();
    }

    private Optional<Instant> look(int second) {
        now = T0.plusSeconds(second);
        return scrapped.goneSince(Given.NODE, client);
    }

    @Test
    void aNodeOfWhichNothingIsLeftIsScrappedAfterThreeMinutes() {
        assertThat(look(0)).isEmpty();
        assertThat(look(100)).isEmpty();
        assertThat(look(179)).isEmpty();
        assertThat(look(200)).contains(T0);
    }

    @Test
    void oneLookIsNotEnoughHoweverLateItIs() {
        assertThat(look(10_000)).isEmpty();
    }

    private void isKeptBy(HasMetadata object) {
        assertThat(look(0)).isEmpty();
        HasMetadata made = client.resource(object).create();
        assertThat(look(100)).isEmpty();
        assertThat(look(400)).as(object.getKind()).isEmpty();
        client.resource(made).delete();
        assertThat(look(500)).as("the time begins anew").isEmpty();
        assertThat(look(600)).isEmpty();
        assertThat(look(680)).contains(T0.plusSeconds(500));
    }

    @Test
    void itsVmNodeKeepsIt() {
        VmNode node = new VmNode();
        node.setMetadata(new ObjectMetaBuilder().withName(Given.NODE).build());
        isKeptBy(node);
    }

    @Test
    void itsLeaseKeepsItEvenOneThatNobodyRenews() {
        isKeptBy(new LeaseBuilder()
                .withNewMetadata()
                .withNamespace(NodeLease.NAMESPACE)
                .withName(Given.NODE)
                .endMetadata()
                .withNewSpec()
                .endSpec()
                .build());
    }

    @Test
    void aVmThatNamesItKeepsIt() {
        VirtualMachineSpec given = Given.spec("net");
        VirtualMachine vm = new VirtualMachine();
        vm.setMetadata(
                new ObjectMetaBuilder().withName("web").withNamespace("default").build());
        vm.setSpec(new VirtualMachineSpec(
                Given.NODE,
                given.runStrategy(),
                given.cpu(),
                given.memory(),
                given.disks(),
                given.networks(),
                new CloudInit(List.of("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMxxxxxxxxx me"), null, null),
                null,
                null,
                30));
        isKeptBy(vm);
    }

    @Test
    void anApiServerThatDoesNotAnswerProvesNothing() throws Exception {
        assertThat(look(0)).isEmpty();
        server.close();
        assertThatThrownBy(() -> look(100)).isInstanceOf(KubernetesClientException.class);
        client.close();
        server = ApiServer.start(
                Settings.of(directory.resolve("api"), new InetSocketAddress(InetAddress.getLoopbackAddress(), 0)));
        client = client();
        assertThat(look(200)).isEmpty();
        assertThat(look(380)).contains(T0.plusSeconds(200));
    }
}
