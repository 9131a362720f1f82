package dev.vmlet.apiserver;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;

/**
 * The contract as a real kube-apiserver keeps it.
 *
 * <p>Run it with {@code VMLET_TEST_KUBECONFIG=… ./mvnw test -Dtest=RealApiServerE2E}; it replaces the CRDs in that
 * cluster, leaves its namespaces behind, and needs to be allowed everything.
 */
class RealApiServerE2E extends ApiServerContract {
    private Optional<Wire> wire = Optional.empty();

    @BeforeAll
    void applyCrds() throws IOException {
        String kubeconfig = System.getenv("VMLET_TEST_KUBECONFIG");
        if (kubeconfig == null || kubeconfig.isEmpty()) return;
        Wire opened = new Wire(Endpoint.of(Path.of(kubeconfig)));
        RealServer.applyCrds(opened);
        wire = Optional.of(opened);
    }

    /** For each test, not once for all: a class that is skipped as a whole shows up in no count. */
    @Override
    @BeforeEach
    void makeNamespace() {
        assumeTrue(
                wire.isPresent(),
                "SKIPPED: the contract was not checked, VMLET_TEST_KUBECONFIG names no kubeconfig of an API server");
        super.makeNamespace();
    }

    @AfterAll
    void close() {
        wire.ifPresent(Wire::close);
    }

    @Override
    public Wire wire() {
        return wire.orElseThrow();
    }

    /** hack/envtest runs no controller manager. */
    @Override
    public boolean collectsGarbage() {
        return false;
    }
}
