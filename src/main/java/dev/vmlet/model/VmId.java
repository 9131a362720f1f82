package dev.vmlet.model;

import java.util.Objects;

/** Identity of one VirtualMachine object: host names derive from the uid, people read namespace/name. */
public record VmId(String namespace, String name, String uid) {
    public VmId {
        Objects.requireNonNull(namespace);
        Objects.requireNonNull(name);
        if (!Uids.isSafe(uid)) {
            throw new IllegalArgumentException("VM " + namespace + "/" + name + ": uid is not a file name: " + uid);
        }
    }

    @Override
    public String toString() {
        return namespace + "/" + name;
    }
}
