package dev.vmlet.controller;

import dev.vmlet.api.VirtualMachine;
import dev.vmlet.model.Seen;
import dev.vmlet.model.StoreStamp;
import dev.vmlet.model.VmId;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/** Asks the API server itself, one GET for each question; an answer that did not come is Unknown. */
final class DirectReads implements Sweeper.Authority {
    private final KubernetesClient client;
    private final String nodeName;

    DirectReads(KubernetesClient client, String nodeName) {
        this.client = client;
        this.nodeName = nodeName;
    }

    @Override
    public Seen<String> cluster() {
        return uid(() -> client.namespaces().withName("kube-system").get());
    }

    @Override
    public Seen<StoreStamp> store() {
        return NodeLease.read(client, nodeName);
    }

    /**
     * Asked for by its name, and where that finds nothing looked for among its namespace's as well: to a client a server
     * that has lost our kind altogether answers as one that lacks the object, but it can list none.
     */
    @Override
    public Seen<String> uidOf(VmId vm) {
        var ours = client.resources(VirtualMachine.class).inNamespace(vm.namespace());
        return uid(() -> {
            VirtualMachine found = ours.withName(vm.name()).get();
            return found != null
                    ? found
                    : ours.withField("metadata.name", vm.name()).list().getItems().stream()
                            .findFirst()
                            .orElse(null);
        });
    }

    private static Seen<String> uid(Supplier<? extends @Nullable HasMetadata> read) {
        try {
            HasMetadata object = read.get();
            return object == null
                    ? Seen.missing()
                    : Seen.present(object.getMetadata().getUid());
        } catch (KubernetesClientException e) {
            return Seen.unknown(String.valueOf(e.getMessage()));
        }
    }
}
