package dev.vmlet.manifests;

import io.fabric8.kubernetes.api.model.GenericKubernetesResource;
import io.fabric8.kubernetes.api.model.ObjectMeta;

/**
 * One object as a file asks for it.
 *
 * @param line where it begins in the file, from 1
 */
public record Manifest(String file, int line, GenericKubernetesResource object) {
    /** What makes two manifests one object; the namespace is the one that an API server would choose. */
    record Identity(String group, String kind, String namespace, String name) {}

    Identity identity() {
        String version = object.getApiVersion();
        int slash = version.indexOf('/');
        ObjectMeta meta = object.getMetadata();
        return new Identity(
                slash < 0 ? "" : version.substring(0, slash),
                object.getKind(),
                meta.getNamespace() == null ? "default" : meta.getNamespace(),
                meta.getName());
    }

    /** {@code web.yaml:12}. */
    String place() {
        return file + ":" + line;
    }

    /** {@code VirtualMachine web}, with its namespace where the file names one. */
    String words() {
        ObjectMeta meta = object.getMetadata();
        return object.getKind() + " " + (meta.getNamespace() == null ? "" : meta.getNamespace() + "/") + meta.getName();
    }
}
