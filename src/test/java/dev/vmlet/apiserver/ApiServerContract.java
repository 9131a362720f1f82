package dev.vmlet.apiserver;

import java.util.UUID;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.Timeout;

/**
 * What an API server does, said once: by a real kube-apiserver, which is right by definition, and by the embedded one.
 * Where the two may differ, a test asks {@link Contract#collectsGarbage()} and says so; README lists the rest under
 * Limits.
 *
 * <p>Each test has a namespace of its own, and names objects without one after it, so that tests run in any order on a
 * server that others have used.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@Timeout(120)
abstract class ApiServerContract
        implements DiscoveryContract,
                ObjectContract,
                ListContract,
                PatchContract,
                ApplyContract,
                SchemaContract,
                WatchContract,
                DeletionContract,
                BuiltInContract,
                ConcurrencyContract {
    private String namespace = "";

    @BeforeEach
    void makeNamespace() {
        namespace = "c-" + UUID.randomUUID();
        wire().post("/api/v1/namespaces", Wire.read("""
                {apiVersion: v1, kind: Namespace, metadata: {name: %s}}
                """.formatted(namespace))).expect(201);
    }

    @Override
    public String namespace() {
        return namespace;
    }
}
