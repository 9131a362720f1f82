package dev.vmlet.controller;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.vmlet.api.CloudInit;
import dev.vmlet.api.Serialization;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineSpec;
import dev.vmlet.apiserver.ApiServer;
import dev.vmlet.apiserver.Kubeconfig;
import dev.vmlet.apiserver.Settings;
import dev.vmlet.model.Given;
import dev.vmlet.status.VmStatus;
import io.fabric8.kubernetes.api.model.NamespaceBuilder;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.api.model.coordination.v1.Lease;
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
import java.time.ZonedDateTime;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The judgement over a node, against the embedded API server, which can be silent; the cache and the clock are ours. */
class NodeLossReconcilerTest {
    private static final Instant T0 = Instant.parse("2026-01-01T12:00:00Z");

    @TempDir
    private Path directory;

    private Instant now = T0;
    private ApiServer server;
    private KubernetesClient client;
    private EventRecorder events;
    private NodeLossReconciler losses;

    @BeforeEach
    void start() throws Exception {
        server = ApiServer.start(
                Settings.of(directory.resolve("api"), new InetSocketAddress(InetAddress.getLoopbackAddress(), 0)));
        client = client();
        Clock clock = new Clock() {
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
        };
        events = new EventRecorder(client, "controller", "test", clock);
        losses = new NodeLossReconciler(events, clock);
        client.resource(new NamespaceBuilder()
                        .withNewMetadata()
                        .withName(NodeLease.NAMESPACE)
                        .endMetadata()
                        .build())
                .create();
        VirtualMachine web = new VirtualMachine();
        web.setMetadata(
                new ObjectMetaBuilder().withName("web").withNamespace("default").build());
        web.setSpec(spec());
        client.resource(web).create();
    }

    @AfterEach
    void stop() throws Exception {
        events.close();
        client.close();
        server.close();
    }

    private KubernetesClient client() throws Exception {
        Path kubeconfig = directory.resolve("kubeconfig");
        Kubeconfig.write(server, kubeconfig);
        return new KubernetesClientBuilder()
                .withConfig(new ConfigBuilder(Config.fromKubeconfig(kubeconfig.toFile()))
                        .withRequestRetryBackoffLimit(0)
                        .build())
                .withKubernetesSerialization(Serialization.lenient())
                .build();
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

    /** As the agent does. */
    private Lease renew(int second) {
        return client.resource(new LeaseBuilder()
                        .withNewMetadata()
                        .withNamespace(NodeLease.NAMESPACE)
                        .withName(Given.NODE)
                        .withLabels(NodeLease.LABELS)
                        .endMetadata()
                        .withNewSpec()
                        .withLeaseDurationSeconds((int) NodeLease.DURATION.toSeconds())
                        .withRenewTime(ZonedDateTime.ofInstant(T0.plusSeconds(second), ZoneOffset.UTC))
                        .endSpec()
                        .build())
                .forceConflicts()
                .serverSideApply();
    }

    /** In how many seconds it is judged again, where the cache still has that Lease. */
    private long judge(Lease cached, int second) {
        now = T0.plusSeconds(second);
        return losses.judge(cached, client).toSeconds();
    }

    private boolean isLost() {
        return VmStatus.isLost(client.resources(VirtualMachine.class)
                .inNamespace("default")
                .withName("web")
                .get());
    }

    @Test
    void aNodeThatDoesNotRenewIsLostAfterFortySeconds() {
        Lease lease = renew(0);
        assertThat(judge(lease, 0)).isEqualTo(20);
        assertThat(judge(lease, 20)).isEqualTo(20);
        assertThat(isLost()).isFalse();
        assertThat(judge(lease, 40)).isEqualTo(30);
        assertThat(isLost()).isTrue();
    }

    @Test
    void aRenewalThatOurCacheHasNotSeenYetCounts() {
        Lease old = renew(0);
        assertThat(judge(old, 0)).isEqualTo(20);
        assertThat(judge(old, 20)).isEqualTo(20);
        renew(35);
        assertThat(judge(old, 40)).isEqualTo(20);
        assertThat(isLost()).isFalse();
    }

    @Test
    void nobodyIsLostBecauseTheApiServerWasSilent() throws Exception {
        Lease lease = renew(0);
        assertThat(judge(lease, 0)).isEqualTo(20);
        server.close();
        for (int second : new int[] {20, 41, 71}) {
            assertThatThrownBy(() -> judge(lease, second)).isInstanceOf(KubernetesClientException.class);
        }
        client.close();
        server = ApiServer.start(
                Settings.of(directory.resolve("api"), new InetSocketAddress(InetAddress.getLoopbackAddress(), 0)));
        client = client();
        assertThat(judge(lease, 80)).as("the agent has not come to it yet").isEqualTo(20);
        assertThat(isLost()).isFalse();
        renew(89);
        assertThat(judge(lease, 100)).isEqualTo(20);
        assertThat(isLost()).isFalse();
    }

    @Test
    void whoDoesNotRenewWhenTheApiServerAnswersAgainIsLost() throws Exception {
        Lease lease = renew(0);
        assertThat(judge(lease, 0)).isEqualTo(20);
        assertThat(judge(lease, 20)).isEqualTo(20);
        server.close();
        assertThatThrownBy(() -> judge(lease, 41)).isInstanceOf(KubernetesClientException.class);
        client.close();
        server = ApiServer.start(
                Settings.of(directory.resolve("api"), new InetSocketAddress(InetAddress.getLoopbackAddress(), 0)));
        client = client();
        assertThat(judge(lease, 60)).isEqualTo(20);
        assertThat(judge(lease, 80)).isEqualTo(30);
        assertThat(isLost()).isTrue();
    }
}
