package dev.vmlet.apiserver;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Clock;
import java.util.List;

/**
 * What an API server is made of.
 *
 * @param directory where certificates, token and objects are kept; made if missing, mode 0700; one server at a time
 * @param listen a loopback address; port 0 takes a free one
 * @param crds the kinds to serve beside the built-in ones
 * @param admission asked before each write
 */
public record Settings(
        Path directory, InetSocketAddress listen, List<ObjectNode> crds, Admission admission, Clock clock) {
    public Settings {
        crds = List.copyOf(crds);
        if (!listen.isUnresolved() && !listen.getAddress().isLoopbackAddress()) {
            throw new IllegalArgumentException("the API server listens on loopback only, not on " + listen);
        }
    }

    /** vmlet's own kinds, no admission, the system's clock. */
    public static Settings of(Path directory, InetSocketAddress listen) {
        return new Settings(directory, listen, Crds.ofVmlet(), Admission.NONE, Clock.systemUTC());
    }

    public Settings withAdmission(Admission admission) {
        return new Settings(directory, listen, crds, admission, clock);
    }
}
