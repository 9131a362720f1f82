package dev.vmlet.api;

/** When a guest is to run, and what follows its exit. */
public enum RunStrategy {
    /** Runs; starts again after every exit. */
    Always,
    /** Runs; starts again unless the guest powered itself off. */
    RerunOnFailure,
    /** Runs to its first exit, then never again. */
    Once,
    /** Does not run. */
    Halted
}
