package dev.vmlet.model;

import java.util.List;

/** One member of a set of ours: its key, part by part, and the uid of the object it serves (its comment in nft). */
public record FirewallElement(FirewallSet set, List<String> key, String ownerUid) {
    public FirewallElement {
        key = List.copyOf(key);
    }

    @Override
    public String toString() {
        return set.nftName() + "{" + String.join(" . ", key) + "}";
    }
}
