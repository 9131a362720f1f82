package dev.vmlet;

import dev.vmlet.controller.Downtimes;
import dev.vmlet.controller.Wakes;
import dev.vmlet.host.Records;
import dev.vmlet.host.login.ShutdownLock;
import dev.vmlet.model.VmRecord;
import java.time.Duration;
import java.util.Comparator;

/** The agent's guests, to whoever knows that the host shuts down: stopped by the agent's own ladder. */
final class GuestsAtShutdown implements ShutdownLock.Guests {
    private final Downtimes downtimes;
    private final Wakes wakes;
    private final Records records;

    GuestsAtShutdown(Downtimes downtimes, Wakes wakes, Records records) {
        this.downtimes = downtimes;
        this.wakes = wakes;
        this.records = records;
    }

    @Override
    public void hostShutsDown(Duration within) {
        downtimes.hostShutsDown(within);
        wakes.wakeVms();
        // Guests without an object are the node's to stop.
        wakes.wakeNode();
    }

    @Override
    public void hostStays() {
        downtimes.hostStays();
        wakes.wakeVms();
    }

    /** A launch leaves its record when its process is proved dead. */
    @Override
    public boolean allStopped() {
        return records.vms().stream().allMatch(vm -> vm.launch().isEmpty());
    }

    @Override
    public Duration longestGrace() {
        return records.vms().stream()
                .filter(vm -> vm.launch().isPresent())
                .map(VmRecord::grace)
                .max(Comparator.naturalOrder())
                .orElse(Duration.ZERO);
    }
}
