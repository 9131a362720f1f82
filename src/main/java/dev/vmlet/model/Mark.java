package dev.vmlet.model;

import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The ownership mark on a link, kept in its ifalias: {@code vmlet:<inst>:net:<uid>} or {@code vmlet:<inst>:vm:<uid>:<uid>}. */
public record Mark(String text) {
    private static final Pattern PROBE = Pattern.compile("vmlet:[a-z2-7]+:probe");

    private static final Pattern SHAPE =
            Pattern.compile("vmlet:([a-z2-7]{8}):(net:([A-Za-z0-9-]+)|vm:([A-Za-z0-9-]+):([A-Za-z0-9-]+))");

    public static Mark ofNetwork(InstallationId installation, String networkUid) {
        return new Mark("vmlet:" + installation + ":net:" + networkUid);
    }

    public static Mark ofNic(InstallationId installation, String vmUid, String networkUid) {
        return new Mark("vmlet:" + installation + ":vm:" + vmUid + ":" + networkUid);
    }

    /**
     * On a tap that is there for the milliseconds of a probe. It is nobody's: no Network's and no VM's.
     *
     * @param who the installation, or whoever probes without one
     */
    public static Mark ofProbe(String who) {
        return new Mark("vmlet:" + who + ":probe");
    }

    /** Whether the object goes by itself in a moment, whichever vmlet made it. */
    public boolean isProbe() {
        return PROBE.matcher(text).matches();
    }

    /** Whose the mark says the object is, seen from the given installation. Anything it cannot read is foreign. */
    public Owner owner(InstallationId installation) {
        Matcher m = SHAPE.matcher(text);
        if (!m.matches()) {
            return new Owner.Foreign(text.isEmpty() ? "no mark" : "mark \"" + text + "\"");
        }
        if (!m.group(1).equals(installation.value())) {
            return new Owner.Foreign("another vmlet installation, " + m.group(1));
        }
        return m.group(3) != null ? new Owner.OfNetwork(m.group(3)) : new Owner.OfVm(m.group(4), m.group(5));
    }

    /** The installation, other than the given one, whose Network the mark names; empty for every other mark. */
    public Optional<String> foreignNetworkOf(InstallationId installation) {
        Matcher m = SHAPE.matcher(text);
        return m.matches() && m.group(3) != null && !m.group(1).equals(installation.value())
                ? Optional.of(m.group(1))
                : Optional.empty();
    }

    /** Whether any installation of vmlet made the object. */
    public boolean isVmlets() {
        return SHAPE.matcher(text).matches();
    }

    @Override
    public String toString() {
        return text;
    }
}
