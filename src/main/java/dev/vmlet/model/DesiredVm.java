package dev.vmlet.model;

import java.time.Duration;
import java.util.List;

/**
 * A VM of this node, complete: every default, name and address is chosen.
 *
 * @param restartToken value of the annotation that asks for a restart, empty when there is none
 * @param userId the guest process's own uid and gid
 * @param disks boot files included; disks in the guest's order
 * @param cmdline kernel command line, empty with firmware
 */
public record DesiredVm(
        VmId id,
        long generation,
        RunStrategy runStrategy,
        String restartToken,
        VmmKind vmm,
        int cores,
        Mebibytes memory,
        List<DesiredDisk> disks,
        String cmdline,
        Seed seed,
        List<DesiredNic> nics,
        int userId,
        Readiness readiness,
        Duration grace) {
    public DesiredVm {
        disks = List.copyOf(disks);
        nics = List.copyOf(nics);
    }
}
