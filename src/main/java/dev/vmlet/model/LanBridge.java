package dev.vmlet.model;

/**
 * A bridge of the operator's, as seen.
 *
 * @param mtu the smallest of its ports that are no guests' of ours, its own where there is none: a tap that has it leaves
 *     the bridge's as it would be without the tap
 */
public record LanBridge(Link link, int mtu) {}
