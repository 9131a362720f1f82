package dev.vmlet.controller;

import dev.vmlet.api.Network;
import dev.vmlet.model.Passage;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Seen;
import dev.vmlet.status.WayOut;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;

/** One Event when guests of a Network do not get out of the node any more, and one when they do again. */
final class PassageNews {
    private final EventRecorder events;

    /** What was told last, by the Network's uid. Safe for use by several threads, a Network's being one at a time. */
    private final Map<String, WayOut> told = new ConcurrentHashMap<>();

    PassageNews(EventRecorder events) {
        this.events = events;
    }

    void tell(Network network, Seen<Passage> seen) {
        if (!(seen instanceof Seen.Present<Passage>(Passage passage))) {
            return;
        }
        String uid = network.getMetadata().getUid();
        Optional<WayOut> trouble = WayOut.trouble(network.getMetadata().getName(), passage);
        if (trouble.isPresent()) {
            if (!trouble.get().equals(told.put(uid, trouble.get()))) {
                events.warning(network, trouble.get().reason(), trouble.get().message());
            }
        } else if (told.remove(uid) != null) {
            events.normal(
                    network, Reason.AsExpected, "what guests send leaves this node again, as a probe packet showed");
        }
    }

    void forget(String uid) {
        told.remove(uid);
    }
}
