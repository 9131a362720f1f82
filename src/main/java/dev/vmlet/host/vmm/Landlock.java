package dev.vmlet.host.vmm;

/** Whether this kernel has the Landlock that cloud-hypervisor asks for. */
public final class Landlock {
    /** cloud-hypervisor requires truncation rights (Linux 6.2) once Landlock is asked for at all. */
    private static final int ABI_NEEDED = 3;

    private Landlock() {}

    public static boolean available() {
        return abi() >= ABI_NEEDED;
    }

    /** Version of Landlock this kernel offers, 0 for none. */
    public static int abi() {
        return Math.max(0, Syscalls.landlockAbi());
    }
}
