package dev.vmlet.controller;

import dev.vmlet.model.GuestProcess;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmObservation;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Notices that a guest started over inside its process, which is no end and no start of ours. What an agent finds when it
 * first sees a process it takes for told: an earlier one may have done so. Safe for use by several threads.
 */
final class RebootNews {
    private final Map<String, Told> told = new ConcurrentHashMap<>();

    private record Told(GuestProcess.Alive process, int reboots) {}

    /** What is new of this VM, in words. */
    Optional<String> of(String vmUid, VmObservation seen) {
        if (!(seen.process() instanceof Seen.Present<GuestProcess>(GuestProcess.Alive process))) {
            if (!(seen.process() instanceof Seen.Unknown)) {
                told.remove(vmUid);
            }
            return Optional.empty();
        }
        int reboots = seen.guest().reboots();
        Told before = told.get(vmUid);
        if (before == null || !before.process.equals(process)) {
            told.put(vmUid, new Told(process, reboots));
            return Optional.empty();
        }
        // Less than before is a VMM that was too busy to tell.
        if (reboots <= before.reboots) {
            return Optional.empty();
        }
        told.put(vmUid, new Told(process, reboots));
        int more = reboots - before.reboots;
        return Optional.of("the guest restarted itself" + (more == 1 ? "" : " " + more + " times")
                + "; its VMM, process " + process.pid()
                + ", runs on, so this counts as no restart, and a change that waits goes on waiting");
    }
}
