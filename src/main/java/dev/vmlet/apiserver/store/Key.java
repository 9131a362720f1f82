package dev.vmlet.apiserver.store;

import java.util.Comparator;

/**
 * Where an object is kept.
 *
 * @param resource plural and group, as in {@code virtualmachines.vmlet.dev}
 * @param namespace empty for objects of the cluster
 */
public record Key(String resource, String namespace, String name) implements Comparable<Key> {
    private static final Comparator<Key> ORDER =
            Comparator.comparing(Key::resource).thenComparing(Key::namespace).thenComparing(Key::name);

    @Override
    public int compareTo(Key other) {
        return ORDER.compare(this, other);
    }

    @Override
    public String toString() {
        return resource + " " + (namespace.isEmpty() ? "" : namespace + "/") + name;
    }
}
