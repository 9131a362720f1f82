package dev.vmlet.host;

import dev.vmlet.model.PowerWish;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;

/** Wishes in memory; like the file they outlive the agent. */
public final class FakeWishes implements Wishes {
    private final Map<String, PowerWish> all = new ConcurrentHashMap<>();

    public Map<String, PowerWish> all() {
        return Map.copyOf(all);
    }

    @Override
    public Optional<PowerWish> of(String vmUid) {
        return Optional.ofNullable(all.get(vmUid));
    }

    @Override
    public void keep(String vmUid, PowerWish wish) {
        all.put(vmUid, wish);
    }

    @Override
    public void forget(String vmUid) {
        all.remove(vmUid);
    }
}
