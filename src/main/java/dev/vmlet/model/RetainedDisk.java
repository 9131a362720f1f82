package dev.vmlet.model;

/**
 * A disk that outlived its VM, for the next one of that namespace and name.
 *
 * @param file its path on the node
 */
public record RetainedDisk(String namespace, String vmName, String disk, long sizeBytes, String file) {}
