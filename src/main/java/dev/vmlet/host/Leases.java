package dev.vmlet.host;

import dev.vmlet.model.Ipv4Address;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;

/**
 * The address that each guest was heard with which gets it from its LAN. A guest that says nothing keeps the one it had; one
 * that has several keeps the one it was first heard with, as long as it is heard with it. Safe for use by several threads.
 */
final class Leases {
    private final Map<String, Map<String, Ipv4Address>> byVm = new ConcurrentHashMap<>();

    /** @param spoken what was heard of late, the latest first */
    Optional<Ipv4Address> of(String vmUid, String networkUid, List<Ipv4Address> spoken) {
        Map<String, Ipv4Address> kept = byVm.computeIfAbsent(vmUid, _ -> new ConcurrentHashMap<>());
        return Optional.ofNullable(kept.compute(networkUid, (_, had) -> {
            if (had != null && (spoken.isEmpty() || spoken.contains(had) && !had.isLinkLocal())) {
                return had;
            }
            // What a guest takes by itself while it waits is no address of the LAN.
            return spoken.stream()
                    .filter(ip -> !ip.isLinkLocal())
                    .findFirst()
                    .orElseGet(() -> spoken.isEmpty() ? had : spoken.getFirst());
        }));
    }

    void forget(String vmUid) {
        byVm.remove(vmUid);
    }
}
