package dev.vmlet.model;

import java.util.Objects;

/** Identity of one VirtualMachine object: host names derive from the uid, people read namespace/name. */
public record VmId(String namespace, String name, String uid) {
    /** No namespace can be called so. */
    private static final String NO_NAMESPACE = "?";

    public VmId {
        Objects.requireNonNull(namespace);
        Objects.requireNonNull(name);
        if (!Uids.isSafe(uid)) {
            throw new IllegalArgumentException("VM " + namespace + "/" + name + ": uid is not a file name: " + uid);
        }
    }

    /** A VM of which nothing tells a name: its record is lost, and files or links of it are left. */
    public static VmId nameless(String uid) {
        return new VmId(NO_NAMESPACE, "uid-" + uid, uid);
    }

    public boolean isNameless() {
        return namespace.equals(NO_NAMESPACE);
    }

    @Override
    public String toString() {
        return namespace + "/" + name;
    }
}
