package dev.vmlet.plan;

import dev.vmlet.model.DesiredDisk;
import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.DesiredVm;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.LaunchSpec;
import dev.vmlet.model.Reason;
import dev.vmlet.model.VmRecord;
import dev.vmlet.model.VmRecord.Launch;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** The start of a VM's process: what it is given, and the note of it that comes first. */
final class Launches {
    private final HostPaths paths;
    private final String bootId;

    Launches(HostPaths paths, String bootId) {
        this.paths = paths;
        this.bootId = bootId;
    }

    /**
     * @param asked the record as the object asks for it now
     * @param before what goes ahead of the start
     */
    Plan plan(VmRecord record, VmRecord asked, LaunchSpec spec, List<PlannedStep> before, Instant now) {
        VmRecord launched = asked.withLaunch(
                new Launch(spec, bootId, now, Optional.empty(), ""),
                record.restarts() + (Endings.isStartedAgain(record) ? 1 : 0));
        String because = record.lastExit()
                .map(exit -> "the last one ended (" + exit.reason() + ") and runStrategy starts it again")
                .orElse("VM " + record.id() + " is to run");
        PlannedStep.Cause cause = record.lastExit()
                .filter(exit -> exit.reason() == Reason.TapLost)
                .map(_ -> PlannedStep.Cause.DRIFT)
                .orElse(PlannedStep.Cause.ASKED);
        List<PlannedStep> steps = new ArrayList<>(before);
        steps.add(new PlannedStep(new Step.WriteVmRecord(launched, "what is started"), because));
        steps.add(new PlannedStep(new Step.SpawnVmm(spec), because, cause));
        return new Plan(
                steps,
                Optional.of(new Plan.Wait(Reason.Starting, "waiting for the VMM to answer", Duration.ofMillis(100))));
    }

    LaunchSpec spec(DesiredVm desired, int userId) {
        String uid = desired.id().uid();
        List<LaunchSpec.Drive> drives = new ArrayList<>();
        for (DesiredDisk disk : desired.disks()) {
            drives.add(new LaunchSpec.Drive(
                    disk.name(), disk.role(), paths.disk(uid, disk), disk.role() != DesiredDisk.Role.DISK));
        }
        drives.add(new LaunchSpec.Drive(LaunchSpec.SEED, DesiredDisk.Role.DISK, paths.seed(uid), true));
        return new LaunchSpec(
                desired.id(),
                desired.vmm(),
                desired.generation(),
                desired.restartToken(),
                userId,
                desired.cores(),
                desired.memory(),
                drives,
                desired.cmdline(),
                nics(desired.nics()));
    }

    static List<LaunchSpec.Nic> nics(List<DesiredNic> nics) {
        return nics.stream()
                .map(nic -> new LaunchSpec.Nic(nic.network().name(), nic.tap(), nic.mac()))
                .toList();
    }
}
