package dev.vmlet.controller;

import dev.vmlet.api.VmNode;
import dev.vmlet.model.Reason;
import dev.vmlet.plan.Orphans.Held;
import dev.vmlet.status.Holds;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * One Event for each orphan that is kept and each cause of it, however many sweeps keep it; and one for each
 * confirmation that nothing here answers to. One thread sweeps.
 */
final class HoldNews {
    private final EventRecorder events;
    /** Cause that was told last, by uid. */
    private final Map<String, String> told = new HashMap<>();

    private Set<String> vain = Set.of();
    private final Set<String> wasHeld = new HashSet<>();

    HoldNews(EventRecorder events) {
        this.events = events;
    }

    void tell(VmNode node, List<Held> held) {
        String name = node.getMetadata().getName();
        Map<String, String> now = new HashMap<>();
        for (Held one : held) {
            String cause = one.doubt().cause().name();
            now.put(one.uid(), cause);
            wasHeld.add(one.uid());
            if (!cause.equals(told.get(one.uid()))) {
                events.warning(node, Reason.OrphanHeld, Holds.sentence(name, one, Holds.confirmed(node)));
            }
        }
        told.clear();
        told.putAll(now);
        confirmations(node, name, held);
    }

    private void confirmations(VmNode node, String name, List<Held> held) {
        Set<String> confirmed = Holds.confirmed(node);
        // What was held and is no longer was confirmed rightly: it has gone, or its object is back.
        wasHeld.retainAll(confirmed.isEmpty() ? told.keySet() : union(confirmed, told.keySet()));
        Set<String> nothingHas = new TreeSet<>(confirmed);
        nothingHas.removeAll(wasHeld);
        if (!nothingHas.isEmpty() && !nothingHas.equals(vain)) {
            events.warning(node, Reason.NothingToConfirm, Holds.unknown(name, nothingHas, held));
        }
        vain = nothingHas;
    }

    private static Set<String> union(Set<String> a, Set<String> b) {
        Set<String> both = new HashSet<>(a);
        both.addAll(b);
        return both;
    }
}
