package dev.vmlet.controller;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.apiserver.ApiServer;
import dev.vmlet.apiserver.Kubeconfig;
import dev.vmlet.apiserver.Settings;
import dev.vmlet.host.FakeRecords;
import dev.vmlet.model.Given;
import dev.vmlet.model.Seen;
import dev.vmlet.model.StoreStamp;
import io.fabric8.kubernetes.api.model.coordination.v1.LeaseBuilder;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class NodeLeaseTest {
    @Test
    void theFirstRenewalMakesTheNamespaceAndTheLeaseWhereNoChartDid(@TempDir Path directory) throws Exception {
        InetSocketAddress anywhere = new InetSocketAddress(InetAddress.getLoopbackAddress(), 0);
        try (ApiServer server = ApiServer.start(Settings.of(directory, anywhere));
                KubernetesClient client = new KubernetesClientBuilder()
                        .withConfig(Config.fromKubeconfig(Kubeconfig.text(server)))
                        .build();
                NodeLease lease = new NodeLease(
                        client, "alone", AgentSettings.LEASE, new StoreWatch(new FakeRecords()), Clock.systemUTC())) {
            lease.renew();
            assertThat(client.leases()
                            .inNamespace(NodeLease.NAMESPACE)
                            .withName("alone")
                            .get()
                            .getSpec()
                            .getHolderIdentity())
                    .isEqualTo("alone");
        }
    }

    /** The renewal writes over the one thing that tells of it. */
    @Test
    void aLeaseThatIsOlderThanItsLastRenewalIsNoticedBeforeItIsRenewed(@TempDir Path directory) throws Exception {
        InetSocketAddress anywhere = new InetSocketAddress(InetAddress.getLoopbackAddress(), 0);
        FakeRecords records = new FakeRecords();
        records.write(Given.record());
        StoreWatch store = new StoreWatch(records);
        try (ApiServer server = ApiServer.start(Settings.of(directory, anywhere));
                KubernetesClient client = new KubernetesClientBuilder()
                        .withConfig(Config.fromKubeconfig(Kubeconfig.text(server)))
                        .build();
                NodeLease lease = new NodeLease(client, "alone", AgentSettings.LEASE, store, Clock.systemUTC())) {
            lease.renew();
            StoreStamp told = records.storeStamp().orElseThrow();
            assertThat(NodeLease.read(client, "alone")).isEqualTo(Seen.present(told));
            lease.renew();
            assertThat(store.unseen()).as("the store is as old as ever").isEmpty();
            Instant before = told.renewed().minusSeconds(3600);
            client.leases()
                    .inNamespace(NodeLease.NAMESPACE)
                    .withName("alone")
                    .edit(restored -> new LeaseBuilder(restored)
                            .editSpec()
                            .withRenewTime(ZonedDateTime.ofInstant(before, ZoneOffset.UTC))
                            .endSpec()
                            .build());
            lease.renew();
            assertThat(store.unseen()).containsExactly("vm-1");
            lease.renew();
            assertThat(records.unseen()).as("of this store everything is told").containsExactly("vm-1");
            assertThat(records.storeStamp()).contains(stampOf(client));
        }
    }

    @Test
    void aLeaseThatIsGoneIsNoticedAndMadeAnew(@TempDir Path directory) throws Exception {
        InetSocketAddress anywhere = new InetSocketAddress(InetAddress.getLoopbackAddress(), 0);
        FakeRecords records = new FakeRecords();
        records.write(Given.record());
        StoreWatch store = new StoreWatch(records);
        try (ApiServer server = ApiServer.start(Settings.of(directory, anywhere));
                KubernetesClient client = new KubernetesClientBuilder()
                        .withConfig(Config.fromKubeconfig(Kubeconfig.text(server)))
                        .build();
                NodeLease lease = new NodeLease(client, "alone", AgentSettings.LEASE, store, Clock.systemUTC())) {
            lease.renew();
            client.leases().inNamespace(NodeLease.NAMESPACE).withName("alone").delete();
            lease.renew();
            assertThat(store.unseen()).containsExactly("vm-1");
            assertThat(records.storeStamp()).contains(stampOf(client));
        }
    }

    private static StoreStamp stampOf(KubernetesClient client) {
        return NodeLease.read(client, "alone") instanceof Seen.Present<StoreStamp>(StoreStamp stamp)
                ? stamp
                : new StoreStamp("", Given.NOW);
    }
}
