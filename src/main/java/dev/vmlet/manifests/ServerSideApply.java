package dev.vmlet.manifests;

import io.fabric8.kubernetes.api.model.APIResource;
import io.fabric8.kubernetes.api.model.APIResourceList;
import io.fabric8.kubernetes.api.model.GenericKubernetesResource;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import io.fabric8.kubernetes.client.dsl.base.ResourceDefinitionContext;
import java.util.stream.Stream;

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
        String namespace = object.getMetadata().getNamespace();
        PatchContext context = new PatchContext.Builder()
                .withPatchType(PatchType.SERVER_SIDE_APPLY)
                .withFieldManager(FIELD_MANAGER)
                .withForce(true)
                // A field that nobody knows is a typing error, not a wish to be dropped in silence.
                .withFieldValidation("Strict")
                .build();
        try {
            var all = client.genericKubernetesResources(definition(object));
            (namespace == null ? all : all.inNamespace(namespace))
                    .resource(object)
                    .patch(context);
        } catch (KubernetesClientException e) {
            String reason = e.getStatus() == null ? null : e.getStatus().getMessage();
            throw new ManifestRefused(reason == null ? String.valueOf(e.getMessage()) : reason, e);
        }
    }

    /** As the server tells it: the client's own look-up finds no kind of the group that has no name. */
    private ResourceDefinitionContext definition(GenericKubernetesResource object) throws ManifestRefused {
        String apiVersion = object.getApiVersion();
        APIResourceList served = client.getApiResources(apiVersion);
        APIResource resource = Stream.ofNullable(served)
                .flatMap(list -> list.getResources().stream())
                .filter(each -> each.getKind().equals(object.getKind())
                        && !each.getName().contains("/"))
                .findFirst()
                .orElseThrow(() -> new ManifestRefused("this API server has no kind " + object.getKind()
                        + " of apiVersion " + apiVersion + "; kubectl api-resources lists what it has"));
        int slash = apiVersion.indexOf('/');
        return new ResourceDefinitionContext.Builder()
                .withGroup(slash < 0 ? "" : apiVersion.substring(0, slash))
                .withVersion(apiVersion.substring(slash + 1))
                .withKind(object.getKind())
                .withPlural(resource.getName())
                .withNamespaced(resource.getNamespaced())
                .build();
    }
}
