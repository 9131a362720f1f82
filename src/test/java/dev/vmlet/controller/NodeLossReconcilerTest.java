package dev.vmlet.controller;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.vmlet.api.CloudInit;
import dev.vmlet.api.Serialization;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineSpec;
import dev.vmlet.api.VmNode;
import dev.vmlet.api.VmNodeSpec;
import dev.vmlet.api.VmNodeSpec.Tombstone;
import dev.vmlet.api.VmNodeStatus;
import dev.vmlet.apiserver.ApiServer;
import dev.vmlet.apiserver.Kubeconfig;
import dev.vmlet.apiserver.Settings;
import dev.vmlet.model.Given;
import dev.vmlet.status.Tombstones;
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
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
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
    private Burials burials;
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
        // The API server drops Events that are older than an hour by its own clock.
        events = new EventRecorder(client, "controller", "test", Clock.systemUTC());
        burials = new Burials(events, clock);
        losses = new NodeLossReconciler(events, burials, clock);
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
                        .withLeaseDurationSeconds(40)
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

    // ---- deletion by force ----

    private VirtualMachine web() {
        return client.resources(VirtualMachine.class)
                .inNamespace("default")
                .withName("web")
                .get();
    }

    private VmNode vmNode() {
        return client.resources(VmNode.class).withName(Given.NODE).get();
    }

    /** As it stands when somebody has deleted it and its node's agent does not release it. */
    private VirtualMachine deleted(@Nullable String reason) {
        client.resource(web()).edit(vm -> {
            vm.getMetadata().setFinalizers(new ArrayList<>(List.of(VirtualMachineReconciler.FINALIZER)));
            if (reason != null) {
                vm.getMetadata().setAnnotations(Map.of(VirtualMachine.FORCE_DELETE, reason));
            }
            return vm;
        });
        client.resource(web()).delete();
        return web();
    }

    private List<String> events(String reason) {
        events.close();
        return client.v1().events().inNamespace("default").list().getItems().stream()
                .filter(e -> reason.equals(e.getReason()))
                .map(e -> e.getInvolvedObject().getKind() + ": " + e.getMessage())
                .sorted()
                .toList();
    }

    private void loseTheNode() {
        Lease lease = renew(0);
        assertThat(judge(lease, 0)).isEqualTo(20);
        assertThat(judge(lease, 20)).isEqualTo(20);
        assertThat(judge(lease, 40)).isEqualTo(30);
    }

    @Test
    void aVmOfALostNodeGoesByForceAndLeavesATombstone() {
        String uid =
                deleted("ticket 4711: the machine burnt down").getMetadata().getUid();
        loseTheNode();
        assertThat(web()).isNull();
        assertThat(vmNode().getSpec())
                .isEqualTo(new VmNodeSpec(
                        List.of(new Tombstone(
                                uid,
                                "default",
                                "web",
                                "ticket 4711: the machine burnt down",
                                "2026-01-01T12:00:40Z",
                                List.of())),
                        null));
        assertThat(events("ForceDeleted"))
                .containsExactly(
                        "VirtualMachine: deleted by force: ticket 4711: the machine burnt down. Node a has not been"
                                + " heard of since 2026-01-01T12:00:00Z; should the guest still run there, the node takes"
                                + " it down when it returns, by the tombstone on its VmNode",
                        "VmNode: VM default/web (uid " + uid
                                + ") deleted by force: ticket 4711: the machine burnt down."
                                + " Node a has not been heard of since 2026-01-01T12:00:00Z; should the guest still run"
                                + " there, the node takes it down when it returns, by the tombstone on its VmNode");
    }

    @Test
    void withoutTheAnnotationItStays() {
        VirtualMachine before = deleted(null);
        loseTheNode();
        assertThat(web().getMetadata().getFinalizers())
                .isEqualTo(before.getMetadata().getFinalizers());
        assertThat(vmNode()).isNull();
    }

    @Test
    void whileItsNodeIsHeardOfItStays() {
        boolean _ = deleted("I am in a hurry").isMarkedForDeletion();
        Lease lease = renew(0);
        assertThat(judge(lease, 0)).isEqualTo(20);
        assertThat(judge(renew(39), 39)).isEqualTo(20);
        assertThat(web()).isNotNull();
        assertThat(vmNode()).isNull();
    }

    @Test
    void aReasonHasToBeGiven() {
        boolean _ = deleted(" ").isMarkedForDeletion();
        loseTheNode();
        assertThat(web()).isNotNull();
        assertThat(events("ForceDeleteRefused"))
                .containsExactly(
                        "VirtualMachine: the annotation vmlet.dev/force-delete must say why, for whoever reads it"
                                + " later: kubectl annotate vm web -n default --overwrite 'vmlet.dev/force-delete=the machine"
                                + " burnt down'");
    }

    @Test
    void itHasToBeDeletedBesides() {
        client.resource(web()).edit(vm -> {
            vm.getMetadata().setFinalizers(new ArrayList<>(List.of(VirtualMachineReconciler.FINALIZER)));
            vm.getMetadata().setAnnotations(Map.of(VirtualMachine.FORCE_DELETE, "it burnt down"));
            return vm;
        });
        loseTheNode();
        assertThat(web()).isNotNull();
        assertThat(events("ForceDeleteRefused"))
                .containsExactly("VirtualMachine: the annotation vmlet.dev/force-delete counts on a VM that is being"
                        + " deleted: kubectl delete vm web -n default --wait=false");
    }

    @Test
    void aTombstoneGoesWhenTheNodeSaysThatNothingIsLeft() {
        String uid = deleted("it burnt down").getMetadata().getUid();
        loseTheNode();
        assertThat(burials.tidy(vmNode(), client)).isFalse();
        VmNode said = vmNode();
        client.resource(said).editStatus(n -> {
            n.setStatus(status(List.of(uid, "another")));
            return n;
        });
        assertThat(burials.tidy(vmNode(), client)).isTrue();
        assertThat(Tombstones.of(vmNode())).isEmpty();
        assertThat(burials.tidy(vmNode(), client)).isFalse();
    }

    private static VmNodeStatus status(List<String> buried) {
        return new VmNodeStatus(
                null, null, null, null, null, null, null, null, null, null, null, null, buried, null, null, null);
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
