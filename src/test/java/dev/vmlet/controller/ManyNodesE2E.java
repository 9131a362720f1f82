package dev.vmlet.controller;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.fabric8.kubernetes.api.model.apiextensions.v1.CustomResourceDefinition;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.http.Interceptor;
import java.io.File;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;

/**
 * Twenty-five nodes and 1,000 races for slices against a real kube-apiserver.
 *
 * <p>Run it with {@code VMLET_TEST_KUBECONFIG=… ./mvnw test -Dtest=ManyNodesE2E}; it replaces the CRDs in that cluster,
 * leaves its namespaces behind, and needs to be allowed everything.
 */
class ManyNodesE2E extends ManyNodesContract {
    private static final String KUBECONFIG = System.getenv("VMLET_TEST_KUBECONFIG");

    @Override
    @BeforeEach
    void startController() {
        assumeTrue(
                KUBECONFIG != null && !KUBECONFIG.isEmpty(),
                "SKIPPED: many nodes were not tried, VMLET_TEST_KUBECONFIG names no kubeconfig of an API server");
        try (KubernetesClient client = connect()) {
            install(client);
        }
        super.startController();
    }

    /** The kinds of this build, whatever was there. */
    static void install(KubernetesClient client) {
        for (File file : Objects.requireNonNull(new File("crd").listFiles((_, name) -> name.endsWith(".yaml")))) {
            CustomResourceDefinition crd = client.apiextensions()
                    .v1()
                    .customResourceDefinitions()
                    .load(file)
                    .item();
            var applied = client.resource(crd);
            applied.forceConflicts().serverSideApply();
            applied.waitUntilCondition(
                    d -> d != null
                            && d.getStatus() != null
                            && d.getStatus().getConditions().stream()
                                    .anyMatch(c -> "Established".equals(c.getType()) && "True".equals(c.getStatus())),
                    60,
                    TimeUnit.SECONDS);
        }
    }

    @Override
    @AfterEach
    void stopAll() throws Exception {
        super.stopAll();
    }

    @Override
    KubernetesClient connect(Interceptor... between) {
        return ManyNodesTest.connect(Config.fromKubeconfig(new File(KUBECONFIG)), between);
    }

    @Override
    int nodes() {
        return 25;
    }

    @Override
    int racingNodes() {
        return 50;
    }

    @Override
    int racedNetworks() {
        return 20;
    }
}
