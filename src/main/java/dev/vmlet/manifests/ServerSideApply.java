package dev.vmlet.manifests;

import io.fabric8.kubernetes.api.model.GenericKubernetesResource;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;

/**
 * Manifests by server-side apply, under a field manager of their own. What a file says wins over what a person has
 * written to the same field meanwhile; what it does not say is left to others.
 */
public final class ServerSideApply implements ManifestDirectory.Target {
    private static final String FIELD_MANAGER = "vmlet-manifests";

    private final KubernetesClient client;

    public ServerSideApply(KubernetesClient client) {
        this.client = client;
    }

    @Override
    public void apply(Manifest manifest) throws ManifestRefused {
        GenericKubernetesResource object = manifest.object();
        PatchContext context = new PatchContext.Builder()
                .withPatchType(PatchType.SERVER_SIDE_APPLY)
                .withFieldManager(FIELD_MANAGER)
                .withForce(true)
                // A field that nobody knows is a typing error, not a wish to be dropped in silence.
                .withFieldValidation("Strict")
                .build();
        try {
            client.resource(object).patch(context);
        } catch (KubernetesClientException e) {
            String reason = e.getStatus() == null ? null : e.getStatus().getMessage();
            throw new ManifestRefused(reason == null ? String.valueOf(e.getMessage()) : reason, e);
        }
    }
}
