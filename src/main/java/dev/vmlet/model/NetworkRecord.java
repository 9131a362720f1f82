package dev.vmlet.model;

/** What is kept on disk for a realised Network, written before its first host object and removed after its last. */
public record NetworkRecord(NetworkId id, DesiredNetwork realised) {}
