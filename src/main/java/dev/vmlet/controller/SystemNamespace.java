package dev.vmlet.controller;

import io.fabric8.kubernetes.api.model.NamespaceBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Where vmlet's Leases live. The chart makes it, and may be the only one who is allowed to; without a chart we do. */
final class SystemNamespace {
    static final String NAME = "vmlet-system";
    private static final Logger log = LoggerFactory.getLogger(SystemNamespace.class);

    private SystemNamespace() {}

    /** What the act came to; where it found nothing to act in, the namespace is made and it is tried once more. */
    static <T> T in(KubernetesClient client, Supplier<T> act) {
        try {
            return act.get();
        } catch (KubernetesClientException e) {
            if (e.getCode() != 404 || !create(client)) {
                throw e;
            }
            return act.get();
        }
    }

    private static boolean create(KubernetesClient client) {
        try {
            client.resource(new NamespaceBuilder()
                            .withNewMetadata()
                            .withName(NAME)
                            .endMetadata()
                            .build())
                    .create();
            return true;
        } catch (KubernetesClientException e) {
            log.atDebug().addKeyValue("namespace", NAME).setCause(e).log("not created");
            // Another agent was faster.
            return e.getCode() == 409;
        } catch (RuntimeException e) {
            log.atDebug().addKeyValue("namespace", NAME).setCause(e).log("not created");
            return false;
        }
    }
}
