package dev.vmlet.model;

/**
 * Flags of a bridge's port (IFLA_BRPORT_*).
 *
 * @param isolated it exchanges no frame with another isolated port
 * @param learning the bridge learns from what it receives who is behind the port
 * @param flood frames to a MAC that the bridge does not know leave by the port
 * @param multicastFlood the same for multicast; broadcast always does, the gateway's ARP needs it
 */
public record BridgePort(boolean isolated, boolean learning, boolean flood, boolean multicastFlood) {
    /** As the kernel makes a port. */
    public static final BridgePort PLAIN = new BridgePort(false, true, true, true);

    /** Cut off from its like: the isolated flag alone would still flood it with frames to unknown strangers. */
    public static final BridgePort ISOLATED = new BridgePort(true, false, false, false);
}
