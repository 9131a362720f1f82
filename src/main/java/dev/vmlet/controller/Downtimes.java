package dev.vmlet.controller;

import dev.vmlet.api.VmNode;
import dev.vmlet.host.EvacuationWord;
import dev.vmlet.model.Downtime;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Seen;
import java.time.Duration;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * Whether this node's guests are to be down: asked for by {@code vmlet evacuate}, which leaves a file in the state
 * directory and needs no API server; by an annotation of the VmNode, which holds as it was seen last until it is seen
 * again; or because the host shuts down. The agent only reads what a person asked for, and who asked ends it. Safe for
 * use by several threads.
 */
public final class Downtimes {
    /** Set to anything but "false" on the VmNode: the node's guests stop and stay stopped until it is removed. */
    public static final String ANNOTATION = "vmlet.dev/evacuate";

    private final Supplier<Seen<String>> marker;
    private final EvacuationWord word;
    private volatile boolean annotated;
    /** Why it is not known what the annotation was last, until the VmNode is seen. */
    private volatile Optional<String> untold;

    private volatile Optional<Duration> shutdown = Optional.empty();

    /**
     * @param marker what {@code vmlet evacuate} has left, a sentence that says since when; Missing in ordinary times
     * @param word what the annotation was when an agent saw it last; what this one sees is kept there
     */
    public Downtimes(Supplier<Seen<String>> marker, EvacuationWord word) {
        this.marker = marker;
        this.word = word;
        Seen<Boolean> last = word.last();
        this.annotated = last.equals(Seen.present(true));
        this.untold = last instanceof Seen.Unknown<Boolean>(String cause) ? Optional.of(cause) : Optional.empty();
    }

    /** Of this moment; empty in ordinary times. */
    public Optional<Downtime> now() {
        Optional<Duration> ending = shutdown;
        if (ending.isPresent()) {
            return Optional.of(new Downtime(
                    Reason.HostShutdown,
                    "The host shuts down. The guest starts again after the boot, by its runStrategy.",
                    true,
                    ending));
        }
        // Read first: whoever sees the node clears it last. It starts no guest, and is no reason to stop one either.
        Optional<String> unread = untold;
        return of(marker.get(), annotated)
                .or(() -> unread.map(cause -> new Downtime(Reason.CannotLook, cause, false, Optional.empty())));
    }

    /** What the marker and the annotation ask for. */
    public static Optional<Downtime> of(Seen<String> marker, boolean annotated) {
        return switch (marker) {
            case Seen.Present<String>(String since) ->
                Optional.of(evacuated(since + " `vmlet evacuate --end` on the node ends it"
                        + (annotated ? ", once its VmNode's annotation " + ANNOTATION + " is removed too." : ".")));
            case Seen.Missing<String> _
            when annotated ->
                Optional.of(evacuated("The VmNode of this node has the annotation " + ANNOTATION
                        + ". Removing it ends the evacuation."));
            case Seen.Missing<String> _ -> Optional.empty();
            case Seen.Unknown<String>(String cause) ->
                Optional.of(
                        annotated
                                ? evacuated("The VmNode of this node has the annotation " + ANNOTATION + ". " + cause)
                                : new Downtime(Reason.CannotLook, cause, false, Optional.empty()));
        };
    }

    private static Downtime evacuated(String message) {
        return new Downtime(Reason.Evacuated, message, true, Optional.empty());
    }

    public static boolean isAnnotated(VmNode node) {
        var annotations = node.getMetadata().getAnnotations();
        String value = annotations == null ? null : annotations.get(ANNOTATION);
        return value != null && !value.equalsIgnoreCase("false");
    }

    /** Returns whether that changes anything. */
    boolean see(VmNode node) {
        boolean asked = isAnnotated(node);
        // Written down before it is acted on: an agent that starts after a crash knows why guests were stopped.
        word.keep(asked);
        boolean changes = asked != annotated || untold.isPresent();
        annotated = asked;
        untold = Optional.empty();
        return changes;
    }

    /** @param graceMax how long the host waits for guests at most */
    public void hostShutsDown(Duration graceMax) {
        shutdown = Optional.of(graceMax);
    }

    /** The shutdown was called off. */
    public void hostStays() {
        shutdown = Optional.empty();
    }
}
