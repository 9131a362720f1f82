package dev.vmlet.model;

import java.util.List;

/**
 * What others changed about a living guest process since its launch.
 *
 * @param stopped whether somebody sent it SIGSTOP: it answers nobody until SIGCONT
 * @param limits one sentence for each limit that is to be set again as the launch set it, in the order of the files' names
 * @param kept one sentence for each of those that cannot be set again under a running guest
 */
public record Tampering(boolean stopped, List<String> limits, List<String> kept) {
    public static final Tampering NONE = new Tampering(false, List.of());

    public Tampering(boolean stopped, List<String> limits) {
        this(stopped, limits, List.of());
    }

    public Tampering {
        limits = List.copyOf(limits);
        kept = List.copyOf(kept);
    }
}
