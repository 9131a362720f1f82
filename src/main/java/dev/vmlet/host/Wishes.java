package dev.vmlet.host;

import dev.vmlet.model.PowerWish;
import java.util.Optional;

/**
 * Whether each VM of this node was to run when its object was seen last: what an agent goes by that starts while the API
 * server is away. A VM that is being deleted has none. Implementations are safe for use by several threads.
 */
public interface Wishes {
    Optional<PowerWish> of(String vmUid);

    /** Nothing depends on it while objects can be seen: what the host refuses is logged, and tried again next time. */
    void keep(String vmUid, PowerWish wish);

    void forget(String vmUid);

    /** Where nobody will ask. */
    static Wishes none() {
        return new Wishes() {
            @Override
            public Optional<PowerWish> of(String vmUid) {
                return Optional.empty();
            }

            @Override
            public void keep(String vmUid, PowerWish wish) {}

            @Override
            public void forget(String vmUid) {}
        };
    }
}
