package dev.vmlet.controller;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.apiserver.ApiServer;
import dev.vmlet.apiserver.Kubeconfig;
import dev.vmlet.apiserver.Settings;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Clock;
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
                NodeLease lease = new NodeLease(client, "alone", Clock.systemUTC())) {
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
}
