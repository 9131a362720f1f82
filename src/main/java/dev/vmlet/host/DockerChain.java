package dev.vmlet.host;

import dev.vmlet.model.DockerUser;
import dev.vmlet.model.HostException;
import dev.vmlet.model.Seen;

/**
 * The door to Docker's chain DOCKER-USER, where rules of others belong, and in it to the rules with our mark and to no
 * others. Safe for use by several threads.
 */
public interface DockerChain {
    /**
     * Missing where there is no such chain, and where nobody asks for rules in it and none were ever made. An answer may be
     * some minutes old where nothing told of a change.
     */
    Seen<DockerUser> look();

    /** Puts our rules at the chain's head, as far as they are not there. */
    void accept() throws HostException;

    /** Takes every rule with our mark out of the chain; succeeds when there is none, or no chain. */
    void withdraw() throws HostException;

    /** Nobody asks for rules in it. */
    static DockerChain none() {
        return new DockerChain() {
            @Override
            public Seen<DockerUser> look() {
                return Seen.missing();
            }

            @Override
            public void accept() throws HostException {
                throw new HostException.Unsupported("let guests through in DOCKER-USER: nobody asked for it", null);
            }

            @Override
            public void withdraw() {}
        };
    }
}
