package dev.vmlet.model;

import java.util.Optional;

/** What became of a packet that was sent as a guest of a Network would send it out of this node. */
public sealed interface Passage {
    /** It came to the end of its way through this host; there it was stopped by us. */
    record Open() implements Passage {}

    /**
     * A rule of somebody else ended it, or the policy of their chain.
     *
     * @param guests the addresses that are to be let through
     * @param uplink by which they leave, where that is known
     */
    record Dropped(ForeignRule by, Ipv4Prefix guests, Optional<LinkName> uplink) implements Passage {
        public Dropped(ForeignRule by, Ipv4Prefix guests) {
            this(by, guests, Optional.empty());
        }

        public Dropped leavingBy(Optional<LinkName> link) {
            return new Dropped(by, guests, link);
        }

        /** What lets them through, in the words of whoever keeps that firewall. */
        public String remedy() {
            return by.remedy(guests, uplink);
        }
    }

    /**
     * It did not come to the end, and no rule of nftables was seen to end it.
     *
     * @param cause how far it came and what can have ended it, a clause
     */
    record Lost(String cause) implements Passage {}
}
