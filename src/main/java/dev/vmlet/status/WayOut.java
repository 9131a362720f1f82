package dev.vmlet.status;

import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.NicObservation;
import dev.vmlet.model.Passage;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Seen;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** What is said of a Network whose guests' packets do not leave the node. */
public record WayOut(Reason reason, String message) {
    /** Nothing where none was tried: a guest starts without it, for what it needs of its node is there. */
    static Optional<WayOut> of(DesiredNic nic, @Nullable NicObservation look) {
        return look != null && look.passage() instanceof Seen.Present<Passage>(Passage passage)
                ? trouble(nic.network().name(), passage)
                : Optional.empty();
    }

    /** Empty where they do. */
    public static Optional<WayOut> trouble(String network, Passage passage) {
        return switch (passage) {
            case Passage.Open _ -> Optional.empty();
            case Passage.Dropped dropped ->
                Optional.of(new WayOut(
                        Reason.ForeignRuleDrops,
                        "what guests of Network " + network + " send out of this node is dropped by "
                                + dropped.by().what() + ", as a probe packet showed; to let them through: "
                                + dropped.remedy()));
            case Passage.Lost(String cause) ->
                Optional.of(new WayOut(
                        Reason.WayOutUnknown,
                        "a probe packet sent as a guest of Network " + network
                                + " would did not leave this node, and no rule was seen to drop it: " + cause));
        };
    }
}
