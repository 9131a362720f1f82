package dev.vmlet.host;

import dev.vmlet.model.Seen;

/**
 * Whether this node's VmNode asked for evacuation when it was seen last: what an agent goes by that starts while the API
 * server is away. Implementations are safe for use by several threads.
 */
public interface EvacuationWord {
    /** Unknown where it cannot be read, with a sentence that says why. */
    Seen<Boolean> last();

    /**
     * Durable when it returns. What the host refuses is logged, and tried again when the same is kept again.
     *
     * @param asked what the VmNode says now
     */
    void keep(boolean asked);

    /** Where nobody will ask. */
    static EvacuationWord none() {
        return new EvacuationWord() {
            @Override
            public Seen<Boolean> last() {
                return Seen.present(false);
            }

            @Override
            public void keep(boolean asked) {}
        };
    }
}
