package dev.vmlet.model;

/** What the readiness probe saw last. */
public enum Reach {
    NOT_PROBED,
    CLOSED,
    OPEN
}
