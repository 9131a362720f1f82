package dev.vmlet.model;

/**
 * A network interface as seen.
 *
 * @param kind the rtnetlink kind ({@code bridge}, {@code tun}, {@code veth}, …), empty for a physical device
 * @param mac hardware address in colon form, empty where the link has none
 * @param mark its ifalias, empty when it has none
 * @param masterIndex index of the bridge it is a port of, 0 for none
 * @param tapUid user id that may open the tap, -1 where the link is no tap or has no owner
 * @param group its link group (IFLA_GROUP), 0 unless somebody chose one
 * @param port its flags as a port of its bridge; {@link BridgePort#PLAIN} where it is none
 */
public record Link(
        int index,
        LinkName name,
        String kind,
        String mac,
        int mtu,
        boolean up,
        Mark mark,
        int masterIndex,
        long tapUid,
        int group,
        BridgePort port) {
    /** Ports that one bridge can have: BR_MAX_PORTS in net/bridge/br_private.h, without number 0. */
    public static final int BRIDGE_PORTS_MAX = 1023;

    /** No port of a bridge, or one as the kernel makes it. */
    public Link(
            int index,
            LinkName name,
            String kind,
            String mac,
            int mtu,
            boolean up,
            Mark mark,
            int masterIndex,
            long tapUid,
            int group) {
        this(index, name, kind, mac, mtu, up, mark, masterIndex, tapUid, group, BridgePort.PLAIN);
    }

    /**
     * Groups from here on are drawn by chance for one deletion. A tap of ours in any of them was being deleted when its
     * agent died, or is being deleted now.
     */
    public static final int DELETION_GROUP_FIRST = 0x6000_0000;

    /**
     * A tap that was cut off for good and only waits to be deleted: down, in no bridge, in the group of such taps, or
     * in one of its last moments. It carries nothing, and nobody may use it again.
     */
    public boolean isRetired(int reapGroup) {
        boolean inGroup = group == reapGroup || group >= DELETION_GROUP_FIRST;
        return kind.equals("tun") && inGroup && !up && masterIndex == 0;
    }
}
