package dev.vmlet.plan;

import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.Seen;
import java.util.Comparator;
import java.util.Optional;

/** What planners ask of observations. */
final class Looks {
    /** An order for elements, so that the same values print the same plan. */
    static final Comparator<FirewallElement> ELEMENTS =
            Comparator.comparing(FirewallElement::set).thenComparing(FirewallElement::toString);

    private Looks() {}

    /** The cause of the first look that failed. */
    static Optional<String> firstUnknown(Seen<?>... looks) {
        for (Seen<?> look : looks) {
            if (look instanceof Seen.Unknown<?>(String cause)) {
                return Optional.of(cause);
            }
        }
        return Optional.empty();
    }
}
