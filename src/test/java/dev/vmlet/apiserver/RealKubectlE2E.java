package dev.vmlet.apiserver;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeAll;

/** kubectl and a real kube-apiserver: where the transcripts come from. Run it as {@link RealApiServerE2E}. */
class RealKubectlE2E extends KubectlContract {
    @BeforeAll
    void applyCrds() throws IOException {
        String kubeconfig = System.getenv("VMLET_TEST_KUBECONFIG");
        if (kubeconfig == null || kubeconfig.isEmpty()) return;
        try (Wire wire = new Wire(Endpoint.of(Path.of(kubeconfig)))) {
            RealServer.applyCrds(wire);
        }
    }

    @Override
    Path kubeconfig() {
        String kubeconfig = System.getenv("VMLET_TEST_KUBECONFIG");
        assumeTrue(
                kubeconfig != null && !kubeconfig.isEmpty(),
                "SKIPPED: no transcript was checked, VMLET_TEST_KUBECONFIG names no kubeconfig of an API server");
        return Path.of(kubeconfig);
    }

    @Override
    boolean mayUpdate() {
        return true;
    }
}
