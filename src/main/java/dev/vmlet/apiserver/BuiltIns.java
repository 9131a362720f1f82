package dev.vmlet.apiserver;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.vmlet.apiserver.schema.ResourceType;
import dev.vmlet.apiserver.store.Key;
import dev.vmlet.apiserver.store.Store;
import dev.vmlet.apiserver.store.Stored;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.Set;

/** What is particular to Namespaces, Secrets and CustomResourceDefinitions. */
final class BuiltIns {
    static final String NAMESPACES = "namespaces";
    static final String CRDS = "customresourcedefinitions.apiextensions.k8s.io";
    private static final String SECRETS = "secrets";
    private static final Set<String> KEPT_NAMESPACES = Set.of("default", "kube-system");
    private static final String EMPTYING = "kubernetes";

    private final Store store;

    BuiltIns(Store store) {
        this.store = store;
    }

    /** Before an object is shaped and validated. */
    void prepare(ResourceType type, ObjectNode object) {
        switch (type.groupResource()) {
            case NAMESPACES -> prepareNamespace(object);
            case SECRETS -> prepareSecret(object);
            case CRDS -> CrdObjects.complete(object);
            default -> {}
        }
    }

    private static void prepareNamespace(ObjectNode namespace) {
        ObjectNode metadata = Json.metadata(namespace);
        String name = Json.text(metadata, "name");
        if (!name.isEmpty()) metadata.withObject("/labels").put("kubernetes.io/metadata.name", name);
        if (!metadata.has("deletionTimestamp")) {
            if (!namespace.path("spec").path("finalizers").isArray()) {
                namespace.withObject("/spec").putArray("finalizers").add(EMPTYING);
            }
            namespace.withObject("/status").put("phase", "Active");
        }
    }

    private static void prepareSecret(ObjectNode secret) {
        if (secret.remove("stringData") instanceof ObjectNode texts) {
            ObjectNode data = secret.get("data") instanceof ObjectNode given ? given : secret.putObject("data");
            texts.properties()
                    .forEach(text -> data.put(
                            text.getKey(),
                            Base64.getEncoder()
                                    .encodeToString(text.getValue().asText().getBytes(StandardCharsets.UTF_8))));
        }
        if (Json.text(secret, "type").isEmpty()) secret.put("type", "Opaque");
    }

    void mayCreate(ResourceType type, String namespace, String name, ObjectNode object) throws ApiException {
        if (type.namespaced()) {
            Stored in = store.latest(new Key(NAMESPACES, "", namespace));
            if (in == null) throw ApiException.noNamespace(namespace);
            if (Json.own(in.json()).path("metadata").has("deletionTimestamp")) {
                throw ApiException.terminating(type, name, namespace);
            }
        }
        if (type.groupResource().equals(NAMESPACES)) prepareNamespace(object);
        if (type.groupResource().equals(CRDS) && store.latest(new Key(CRDS, "", name)) == null) {
            throw ApiException.forbidden(
                    type,
                    name,
                    "this server serves the kinds that are built into vmlet and no others; use a Kubernetes cluster for"
                            + " further CustomResourceDefinitions");
        }
    }

    void mayUpdate(ResourceType type, ObjectNode old, ObjectNode next) throws ApiException {
        if (!type.groupResource().equals(CRDS) || Json.normal(next).path("spec").equals(old.path("spec"))) return;
        throw ApiException.forbidden(
                type,
                Json.text(old.path("metadata"), "name"),
                "its spec is built into this version of vmlet and cannot be changed; apply the CRDs that came with this"
                        + " version, or run another version");
    }

    void mayDelete(ResourceType type, String name) throws ApiException {
        if (type.groupResource().equals(NAMESPACES) && KEPT_NAMESPACES.contains(name)) {
            throw ApiException.forbidden(type, name, "this namespace may not be deleted");
        }
        if (type.groupResource().equals(CRDS)) {
            throw ApiException.forbidden(type, name, "the kinds that are built into vmlet cannot be deleted");
        }
    }

    /** The object has just been marked for deletion. */
    void terminating(ResourceType type, ObjectNode object) {
        if (type.groupResource().equals(NAMESPACES))
            object.withObject("/status").put("phase", "Terminating");
    }

    /** Whether nothing but its own finalizers can hold an object that is marked for deletion. */
    boolean mayGo(ResourceType type, ObjectNode object) {
        return !type.groupResource().equals(NAMESPACES)
                || object.path("spec").path("finalizers").isEmpty();
    }

    /** The namespace is empty: takes away what held it. Tells whether that was there. */
    static boolean emptied(ObjectNode namespace) {
        JsonNode finalizers = namespace.path("spec").path("finalizers");
        if (finalizers.isEmpty()) return false;
        namespace.withObject("/spec").remove("finalizers");
        return true;
    }
}
