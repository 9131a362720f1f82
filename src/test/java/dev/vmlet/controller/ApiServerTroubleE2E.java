package dev.vmlet.controller;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.io.File;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;

/**
 * Against a real kube-apiserver, to which one would speak HTTP/2.
 *
 * <p>Run it with {@code VMLET_TEST_KUBECONFIG=… ./mvnw test -Dtest=ApiServerTroubleE2E}; it replaces the CRDs in that
 * cluster, leaves its namespaces behind, and needs to be allowed everything.
 */
class ApiServerTroubleE2E extends ApiServerTroubleContract {
    private static final String KUBECONFIG = System.getenv("VMLET_TEST_KUBECONFIG");

    @Override
    @BeforeEach
    void runOneGuest() throws Exception {
        assumeTrue(
                KUBECONFIG != null && !KUBECONFIG.isEmpty(),
                "SKIPPED: a troubled API server was not tried, VMLET_TEST_KUBECONFIG names no kubeconfig of an API server");
        try (KubernetesClient client = ManyNodesTest.connect(config())) {
            ManyNodesE2E.install(client);
        }
        super.runOneGuest();
    }

    @Override
    @AfterEach
    void closeAll() throws Exception {
        super.closeAll();
    }

    @Override
    Config config() {
        return Config.fromKubeconfig(new File(KUBECONFIG));
    }
}
