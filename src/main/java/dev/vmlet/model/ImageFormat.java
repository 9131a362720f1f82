package dev.vmlet.model;

/** Formats of images that can be asked for. */
public enum ImageFormat {
    RAW,
    QCOW2
}
