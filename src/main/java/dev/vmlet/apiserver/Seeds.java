package dev.vmlet.apiserver;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.vmlet.apiserver.store.Key;
import dev.vmlet.apiserver.store.Store;
import dev.vmlet.apiserver.store.StoreException;
import dev.vmlet.apiserver.store.Stored;
import java.time.Clock;
import java.util.List;
import java.util.UUID;

/** What is there from the first start: two namespaces, and the definitions of the kinds that are served. */
record Seeds(Store store, Clock clock) {
    private static final String LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration";

    void plant(List<ObjectNode> crds) throws StoreException {
        for (String name : List.of("default", "kube-system")) {
            Key key = new Key(BuiltIns.NAMESPACES, "", name);
            if (store.get(key) == null) put(key, 0, namespace(name));
        }
        for (ObjectNode crd : crds) {
            plantCrd(crd);
        }
    }

    private ObjectNode namespace(String name) {
        ObjectNode namespace = Json.object().put("apiVersion", "v1").put("kind", "Namespace");
        ObjectNode metadata = metadata(namespace, name);
        metadata.putObject("labels").put("kubernetes.io/metadata.name", name);
        namespace.putObject("spec").putArray("finalizers").add("kubernetes");
        namespace.putObject("status").put("phase", "Active");
        return namespace;
    }

    private ObjectNode metadata(ObjectNode object, String name) {
        ObjectNode metadata = object.putObject("metadata");
        metadata.put("name", name);
        metadata.put("uid", UUID.randomUUID().toString());
        metadata.put("creationTimestamp", Times.seconds(clock.instant()));
        return metadata;
    }

    /**
     * As it comes with this version, and as if kubectl had applied it: {@code kubectl apply -f crd/} finds nothing to do.
     * Labels, other annotations and uid of the one that was there stay.
     */
    private void plantCrd(ObjectNode given) throws StoreException {
        String applied = lastApplied(given);
        ObjectNode crd = Json.normal(given);
        CrdObjects.complete(crd);
        String name = Json.text(crd.path("metadata"), "name");
        Key key = new Key(BuiltIns.CRDS, "", name);
        Stored before = store.get(key);
        if (before == null) {
            ObjectNode own = Json.metadata(crd);
            metadata(crd, name).put("generation", 1).setAll(own);
            own(crd, applied);
            crd.set("status", CrdObjects.status(crd, clock.instant()));
            put(key, 0, crd);
            return;
        }
        ObjectNode old = Json.own(before.json());
        if (old.path("spec").equals(crd.path("spec"))) return;
        old.set("spec", crd.path("spec"));
        old.set("status", CrdObjects.status(old, clock.instant()));
        ObjectNode metadata = Json.metadata(old);
        metadata.put("generation", metadata.path("generation").asLong(0) + 1);
        own(old, applied);
        put(key, before.revision(), old);
    }

    private static void own(ObjectNode crd, String applied) {
        Json.metadata(crd).withObject("/annotations").put(LAST_APPLIED, applied);
    }

    /** Letter for letter what kubectl would write: sorted, and with the signs escaped that Go escapes. */
    private static String lastApplied(ObjectNode given) {
        ObjectNode configuration = given.deepCopy();
        Json.metadata(configuration).withObject("/annotations");
        return Json.sorted(configuration)
                        .replace("&", "\\u0026")
                        .replace("<", "\\u003c")
                        .replace(">", "\\u003e")
                + "\n";
    }

    private void put(Key key, long expected, ObjectNode object) throws StoreException {
        try {
            store.put(key, expected, revision -> {
                Json.metadata(object).put("resourceVersion", Long.toString(revision));
                return Json.bytes(object);
            });
        } catch (Store.Raced e) {
            throw new IllegalStateException("somebody writes before the server listens", e);
        }
    }
}
