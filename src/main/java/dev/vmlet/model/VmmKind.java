package dev.vmlet.model;

/** The virtual machine monitors a guest can run under. */
public enum VmmKind {
    CLOUD_HYPERVISOR("cloud-hypervisor"),
    QEMU("qemu");

    private final String text;

    VmmKind(String text) {
        this.text = text;
    }

    /** The name that status shows. */
    public String text() {
        return text;
    }
}
