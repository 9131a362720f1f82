package dev.vmlet.controller;

import dev.vmlet.model.GuestProcess;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmObservation;
import dev.vmlet.model.VmRecord;
import dev.vmlet.plan.Plan;
import dev.vmlet.plan.StartQueue;
import java.time.Clock;
import java.util.List;
import java.util.function.Consumer;

/**
 * Lets a few guests start at a time, whatever makes them start at once: a reboot of the host, an agent's first pass, a
 * hundred new objects. Keeps the one {@link StartQueue} of the node, and wakes whose turn has come. Safe for use by
 * several threads.
 */
final class StartTurns {
    private final Consumer<String> wake;
    private final Clock clock;
    private StartQueue queue;

    /** @param wake called with the uid of a VM whose turn has come */
    StartTurns(StartQueue queue, Consumer<String> wake, Clock clock) {
        this.queue = queue;
        this.wake = wake;
        this.clock = clock;
    }

    /** The plan, without its start while it is not the VM's turn. To be followed by {@link #settle}. */
    synchronized Plan admit(String uid, Plan plan) {
        if (!StartQueue.starts(plan)) {
            return plan;
        }
        StartQueue.Answer answer = queue.ask(uid, clock.instant());
        queue = answer.next();
        return answer.before().map(_ -> answer.next().hold(plan)).orElse(plan);
    }

    /** After the plan was carried out: who neither starts nor waits for its turn makes room. */
    void settle(String uid, Plan plan, VmObservation after) {
        if (isStarting(after) || waits(plan)) {
            return;
        }
        List<String> next;
        synchronized (this) {
            StartQueue before = queue;
            queue = before.settle(uid);
            next = queue.equals(before) ? List.of() : queue.turns(clock.instant());
        }
        next.forEach(wake);
    }

    private static boolean waits(Plan plan) {
        return plan.waitingFor().map(w -> w.reason() == Reason.WaitingForTurn).orElse(false);
    }

    /** It was started, has not been seen running, is not being stopped, and has not ended. */
    private static boolean isStarting(VmObservation after) {
        return after.record() instanceof Seen.Present<VmRecord>(VmRecord record)
                && record.stop().isEmpty()
                && record.launch().map(launch -> launch.ranAt().isEmpty()).orElse(false)
                && !(after.process() instanceof Seen.Present<GuestProcess>(GuestProcess.Ended _));
    }
}
