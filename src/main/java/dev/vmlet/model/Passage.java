package dev.vmlet.model;

/** What became of a packet that was sent as a guest of a Network would send it out of this node. */
public sealed interface Passage {
    /** It came to the end of its way through this host; there it was stopped by us. */
    record Open() implements Passage {}

    /** A rule of somebody else ended it, or the policy of their chain. */
    record Dropped(ForeignRule by) implements Passage {}

    /**
     * It did not come to the end, and no rule of nftables was seen to end it.
     *
     * @param cause how far it came and what can have ended it, a clause
     */
    record Lost(String cause) implements Passage {}
}
