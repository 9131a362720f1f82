package dev.vmlet.model;

import java.util.List;

/**
 * What others changed about a living guest process since its launch.
 *
 * @param stopped whether somebody sent it SIGSTOP: it answers nobody until SIGCONT
 * @param limits one sentence for each limit that is not as the launch set it, in the order of the files' names
 */
public record Tampering(boolean stopped, List<String> limits) {
    public static final Tampering NONE = new Tampering(false, List.of());

    public Tampering {
        limits = List.copyOf(limits);
    }
}
