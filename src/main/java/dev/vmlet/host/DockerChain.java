package dev.vmlet.host;

import dev.vmlet.model.DockerUser;
import dev.vmlet.model.HostException;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.Seen;
import java.util.Optional;

/**
 * The door to Docker's chain DOCKER-USER, where rules of others belong, and in it to the rules with our mark and to no
 * others. Safe for use by several threads.
 */
public interface DockerChain {
    /**
     * Missing where there is no such chain, and where nobody asks for rules in it and none were ever made. An answer may be
     * some minutes old where nothing told of a change, and one that says Unknown is kept for half a minute.
     *
     * @param uplink by which guests are to be let through; empty where it is not known
     */
    Seen<DockerUser> look(Optional<LinkName> uplink);

    /**
     * Puts our rules behind those of others, as far as they are not there, and before a rule that sends everything back; takes
     * out those for another uplink.
     */
    void accept(LinkName uplink) throws HostException;

    /** Takes every rule with our mark out of the chain; succeeds when there is none, or no chain. */
    void withdraw() throws HostException;

    /** Nobody asks for rules in it. */
    static DockerChain none() {
        return new DockerChain() {
            @Override
            public Seen<DockerUser> look(Optional<LinkName> uplink) {
                return Seen.missing();
            }

            @Override
            public void accept(LinkName uplink) throws HostException {
                throw new HostException.Unsupported("let guests through in DOCKER-USER: nobody asked for it", null);
            }

            @Override
            public void withdraw() {}
        };
    }
}
