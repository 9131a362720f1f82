package dev.vmlet.model;

import java.util.List;

/**
 * Everything a VMM is started with; kept in the record so that a later agent knows what runs.
 *
 * @param generation of the VirtualMachine object it was made from
 * @param restartToken value of the restart annotation it was made from
 */
public record LaunchSpec(
        VmId id,
        VmmKind vmm,
        long generation,
        String restartToken,
        int userId,
        int cores,
        Mebibytes memory,
        List<Drive> drives,
        String cmdline,
        List<Nic> nics) {
    /** Name of the drive that holds the cloud-init seed; the dot keeps it apart from users' disks. */
    public static final String SEED = "boot.seed";

    public LaunchSpec {
        drives = List.copyOf(drives);
        nics = List.copyOf(nics);
    }

    /** The same start, asked for by another restart. */
    public LaunchSpec withRestartToken(String token) {
        return new LaunchSpec(id, vmm, generation, token, userId, cores, memory, drives, cmdline, nics);
    }

    /** A file the VMM opens, by the name of its {@link DesiredDisk}; the seed is the drive named {@link #SEED}. */
    public record Drive(String name, DesiredDisk.Role role, String path, boolean readOnly) {}

    public record Nic(String network, LinkName tap, MacAddress mac) {}
}
