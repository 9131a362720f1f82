package dev.vmlet.model;

/** What the API asks of this node for one object. */
public sealed interface Resolution<D> {
    /** Everything is chosen: defaults, addresses, names. */
    record Desired<D>(D value) implements Resolution<D> {}

    /** Nothing: the object is deleted, or was never this node's. */
    record Absent<D>() implements Resolution<D> {}

    /** The object cannot be followed now. Plans no step and leaves what runs alone. */
    record Unresolved<D>(Reason reason, String message) implements Resolution<D> {}
}
