package dev.vmlet.model;

import java.util.Objects;

/** Identity of one Network object: host names derive from the uid, people read namespace/name. */
public record NetworkId(String namespace, String name, String uid) {
    public NetworkId {
        Objects.requireNonNull(namespace);
        Objects.requireNonNull(name);
        if (!Uids.isSafe(uid)) {
            throw new IllegalArgumentException(
                    "Network " + namespace + "/" + name + ": uid is not a file name: " + uid);
        }
    }

    @Override
    public String toString() {
        return namespace + "/" + name;
    }
}
