package dev.vmlet.host.vmm;

import dev.vmlet.model.HostPaths;
import java.nio.file.Path;

/**
 * Where the files of one guest process lie.
 *
 * <p>What the agent trusts (pid, exit, events) lies in a directory that root alone may write; only {@link #sockets}
 * belongs to the VM's user, because a VMM makes its own sockets. A guest that broke out can therefore not forge its pid.
 */
public record VmFiles(HostPaths paths, String vmUid) {
    public Path run() {
        return Path.of(paths.vmRunDir(vmUid));
    }

    public Path pid() {
        return run().resolve("pid");
    }

    /** Exit code as the launcher saw it: one number, 128 + n for signal n. */
    public Path exit() {
        return run().resolve("exit");
    }

    /** There when the launcher saw that the kernel had killed a process of the guest for lack of memory. */
    public Path oom() {
        return run().resolve("oom");
    }

    /** cloud-hypervisor's event monitor: made by the agent, owned by the VM's user, written by the VMM. */
    public Path events() {
        return run().resolve("events");
    }

    /** Writable by the VM's user. */
    public Path sockets() {
        return run().resolve("vmm");
    }

    /** The VMM's control socket. Whoever reaches it owns the VMM. */
    public Path control() {
        return sockets().resolve("api.sock");
    }

    public Path serial() {
        return sockets().resolve("serial.sock");
    }

    /** Where people join the guest's console; the agent's own, in a directory that root alone may write. */
    public Path console() {
        return run().resolve("console.sock");
    }

    /** Where a VMM with a socket for its events tells them. */
    public Path eventSocket() {
        return sockets().resolve("events.sock");
    }

    public Path state() {
        return Path.of(paths.vmDir(vmUid));
    }

    public Path vmmLog() {
        return Path.of(paths.vmmLog(vmUid));
    }

    public Path serialLog() {
        return Path.of(paths.serialLog(vmUid));
    }
}
