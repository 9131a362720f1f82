package dev.vmlet.host;

import dev.vmlet.model.HostException;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.Link;
import dev.vmlet.model.Seen;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Who else on this host needs packets forwarded. The kernel itself is the register: a bridge that bears another
 * installation's mark is a Network with guests, whether its agent runs or not, and it is gone when they are. A file
 * of holders would need a place that all installations share, and would outlive those who wrote it.
 */
final class Reliance {
    private Reliance() {}

    /** One sentence part for each who relies on forwarding beside us, sorted. */
    static Seen<List<String>> of(Links links, InstallationId ours) {
        List<String> others = new ArrayList<>();
        try {
            for (Link link : links.list()) {
                Optional<String> other = link.mark().foreignNetworkOf(ours);
                other.ifPresent(inst -> others.add("vmlet installation " + inst + " has bridge " + link.name()));
            }
        } catch (HostException e) {
            return Seen.unknown(String.valueOf(e.getMessage()));
        }
        others.sort(null);
        return switch (links.forwardingEverywhere()) {
            case Seen.Unknown<Boolean>(String cause) -> Seen.unknown(cause);
            case Seen.Present<Boolean>(Boolean on)
            when on -> {
                others.add("somebody has turned net.ipv4.ip_forward on");
                yield Seen.present(List.copyOf(others));
            }
            case Seen.Present<Boolean> _, Seen.Missing<Boolean> _ -> Seen.present(List.copyOf(others));
        };
    }
}
