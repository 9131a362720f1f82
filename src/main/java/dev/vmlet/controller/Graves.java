package dev.vmlet.controller;

import dev.vmlet.api.VmNode;
import dev.vmlet.api.VmNodeSpec.Tombstone;
import dev.vmlet.model.VmId;
import dev.vmlet.status.Tombstones;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Tombstones as the node's sweep takes them, and the words about them. */
final class Graves {
    private Graves() {}

    static Map<String, Sweeper.Stone> stones(VmNode node) {
        Map<String, Sweeper.Stone> stones = new HashMap<>();
        for (Tombstone stone : Tombstones.of(node)) {
            String uid = String.valueOf(stone.uid());
            boolean named = stone.namespace() != null && stone.name() != null;
            stones.put(
                    uid,
                    new Sweeper.Stone(
                            named
                                    ? new VmId(String.valueOf(stone.namespace()), String.valueOf(stone.name()), uid)
                                    : new VmId("?", "uid-" + uid, uid),
                            stone.retained() == null ? List.of() : stone.retained()));
        }
        return stones;
    }

    /** Why the owner of a finding is no more; empty where it was not deleted by force. */
    static Optional<String> epitaph(VmNode node, @Nullable String owner) {
        return Tombstones.of(node).stream()
                .filter(t -> owner != null && owner.equals("uid " + t.uid()))
                .map(t -> "whose VM was deleted by force (" + t.reason() + ")")
                .findFirst();
    }

    /** A sentence for each of which nothing is left since the VmNode was written last. */
    static List<String> news(VmNode node, List<String> buried) {
        Set<String> told = Set.copyOf(Tombstones.buried(node));
        return Tombstones.of(node).stream()
                .filter(t -> buried.contains(String.valueOf(t.uid())) && !told.contains(String.valueOf(t.uid())))
                .map(t -> "nothing is left here of VM " + t.namespace() + "/" + t.name() + " (uid " + t.uid()
                        + "), which was deleted by force at " + t.at())
                .toList();
    }
}
