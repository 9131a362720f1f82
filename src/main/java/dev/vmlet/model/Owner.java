package dev.vmlet.model;

/** Whose a host object is, proved by the mark on it and never by its name. */
public sealed interface Owner {
    record OfVm(String vmUid, String networkUid) implements Owner {}

    record OfNetwork(String networkUid) implements Owner {}

    /** Not ours. {@code evidence} says what was read instead of our mark. */
    record Foreign(String evidence) implements Owner {}
}
