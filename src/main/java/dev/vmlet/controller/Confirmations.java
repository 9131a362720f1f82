package dev.vmlet.controller;

import dev.vmlet.host.Records;
import dev.vmlet.model.HostException;
import java.util.HashSet;
import java.util.Set;
import java.util.TreeSet;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Which confirmations of a person count. One is given for a hold that the person has read of, and is spent when what it
 * names is an orphan no longer: it has gone, or its object is back. Left in the annotation for a year it must not take
 * down, unasked, the VM of that uid that a restored store brought back meanwhile and lost again. Taken out of the
 * annotation and set anew it counts anew. One thread sweeps.
 */
final class Confirmations {
    private static final Logger log = LoggerFactory.getLogger(Confirmations.class);

    private final Records records;
    private final Set<String> spent;

    Confirmations(Records records) {
        this.records = records;
        this.spent = new TreeSet<>(records.spentConfirmations());
    }

    /** @param named by the annotation */
    Set<String> counting(Set<String> named) {
        Set<String> counting = new HashSet<>(named);
        counting.removeAll(spent);
        return counting;
    }

    /** @param orphans what a whole sweep found without an object, whatever became of it */
    void settle(Set<String> named, Set<String> orphans) {
        Set<String> now = new TreeSet<>(named);
        now.removeIf(uid -> orphans.contains(uid) && !spent.contains(uid));
        if (now.equals(spent)) {
            return;
        }
        spent.clear();
        spent.addAll(now);
        try {
            records.keepSpentConfirmations(spent);
        } catch (HostException e) {
            log.atWarn().setCause(e).log("not written; this agent remembers it");
        }
    }
}
