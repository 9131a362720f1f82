package dev.vmlet.model;

/** When a guest is started, and started again. */
public enum RunStrategy {
    ALWAYS,
    RERUN_ON_FAILURE,
    ONCE,
    HALTED
}
