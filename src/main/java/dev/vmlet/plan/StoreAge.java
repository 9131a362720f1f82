package dev.vmlet.plan;

import dev.vmlet.model.Seen;
import dev.vmlet.model.StoreStamp;
import java.util.Optional;

/**
 * Whether the API server's object store went back in time: what a backup that was restored looks like. The Lease is the
 * witness, because this node alone writes it, each minute: of VMs that were made more than that before the backup was put
 * back it is sure to tell. Its renewTime tells and not the resourceVersion: whoever restores etcd by the book raises all
 * revisions, so that watches notice.
 */
public final class StoreAge {
    private StoreAge() {}

    /**
     * The sign of it, in words.
     *
     * @param told what this node wrote last and the API server took; empty before the first time
     * @param found what the API server has now
     */
    public static Optional<String> wentBack(Optional<StoreStamp> told, Seen<StoreStamp> found) {
        if (told.isEmpty()) {
            return Optional.empty();
        }
        StoreStamp last = told.get();
        return switch (found) {
            case Seen.Unknown<StoreStamp> _ -> Optional.empty();
            case Seen.Missing<StoreStamp> _ ->
                Optional.of("this node's Lease, renewed at " + last.renewed() + ", is gone");
            case Seen.Present<StoreStamp>(StoreStamp now)
            when !now.leaseUid().equals(last.leaseUid()) ->
                Optional.of("this node's Lease is another object than the one renewed at " + last.renewed());
            // A later one was written by us as well: the API server took it, and its answer was lost.
            case Seen.Present<StoreStamp>(StoreStamp now) ->
                now.renewed().isBefore(last.renewed())
                        ? Optional.of("this node renewed its Lease at " + last.renewed()
                                + ", and the API server knows of " + now.renewed())
                        : Optional.empty();
        };
    }
}
