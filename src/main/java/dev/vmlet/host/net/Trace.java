package dev.vmlet.host.net;

import dev.vmlet.plan.ProbePacket;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * The way of one packet through the host's tables, as the kernel tells it (NFT_MSG_TRACE, net/netfilter/nf_tables_trace.c).
 * One thread.
 *
 * <p>The headers come with the first message of each hook; the others of that hook bear the same id, and so may those of
 * other packets that somebody traces at the same time.
 */
final class Trace {
    private static final int SUBSYSTEM_NFTABLES = 10;
    private static final int TRACE = 17;
    private static final int NFGENMSG = 4;

    private static final int TABLE = 1;
    private static final int CHAIN = 2;
    private static final int RULE_HANDLE = 3;
    private static final int TYPE = 4;
    private static final int VERDICT = 5;
    private static final int ID = 6;
    private static final int NETWORK_HEADER = 8;
    private static final int TRANSPORT_HEADER = 9;
    private static final int POLICY = 16;
    private static final int VERDICT_CODE = 1;

    private static final int BY_POLICY = 1;
    private static final int BY_RULE = 3;
    private static final int NF_DROP = 0;
    private static final int NF_QUEUE = 3;
    private static final int VERDICT_MASK = 0xff;

    /** NFPROTO_* of include/uapi/linux/netfilter.h, in nft's words. */
    private static final Map<Integer, String> FAMILIES =
            Map.of(1, "inet", 2, "ip", 3, "arp", 5, "netdev", 7, "bridge", 10, "ip6");

    private final ProbePacket packet;
    private final String ours;
    private final Set<Integer> ids = new HashSet<>();
    private final Set<String> stages = new HashSet<>();

    /** The table that it is in, and chains of it that it has been in since it came there. */
    private String at = "";

    private List<String> chains = new ArrayList<>();
    private Optional<Stop> stop = Optional.empty();

    /**
     * Where it ended, or was handed to a program.
     *
     * @param chains of that table, in the order of its way, the last being where it ended
     * @param handle of the rule; 0 for the chain's policy
     */
    record Stop(String family, String table, List<String> chains, long handle, boolean queued) {
        Stop {
            chains = List.copyOf(chains);
        }

        String chain() {
            return chains.getLast();
        }
    }

    /** @param ours name of the tables with the packet's own rules */
    Trace(ProbePacket packet, String ours) {
        this.packet = packet;
        this.ours = ours;
    }

    /** Takes a message, of whatever kind; returns whether the packet's way has ended. */
    boolean hear(NetlinkMessage message) throws KernelRefusal {
        if (message.type() != (SUBSYSTEM_NFTABLES << 8 | TRACE)) {
            return stop.isPresent();
        }
        NetlinkAttributes attributes = message.attributes(NFGENMSG);
        if (stop.isEmpty() && concerns(attributes)) {
            follow(FAMILIES.getOrDefault(message.body().get(0) & 0xff, "?"), attributes);
        }
        return stop.isPresent();
    }

    private boolean concerns(NetlinkAttributes attributes) {
        int id = bigEndian(attributes, ID);
        Optional<byte[]> network = attributes.bytes(NETWORK_HEADER);
        Optional<byte[]> transport = attributes.bytes(TRANSPORT_HEADER);
        if (network.isPresent() && transport.isPresent()) {
            if (packet.isIn(network.get(), transport.get())) {
                ids.add(id);
            } else {
                ids.remove(id);
            }
        }
        return ids.contains(id);
    }

    private void follow(String family, NetlinkAttributes attributes) throws KernelRefusal {
        String table = attributes.text(TABLE).orElse("");
        String chain = attributes.text(CHAIN).orElse("");
        if (!at.equals(family + " " + table)) {
            at = family + " " + table;
            chains = new ArrayList<>();
        }
        if (chains.isEmpty() || !chains.getLast().equals(chain)) {
            chains.add(chain);
        }
        if (table.equals(ours) && family.equals("inet")) {
            stages.add(chain);
        }
        int type = bigEndian(attributes, TYPE);
        if (type == BY_POLICY && attributes.has(POLICY) && bigEndian(attributes, POLICY) == NF_DROP) {
            stop = Optional.of(new Stop(family, table, chains, 0, false));
        } else if (type == BY_RULE && attributes.has(VERDICT)) {
            int code = bigEndian(attributes.nested(VERDICT), VERDICT_CODE);
            // Jumps and the like are negative numbers.
            boolean queued = code > 0 && (code & VERDICT_MASK) == NF_QUEUE;
            if (code >= 0 && (code & VERDICT_MASK) == NF_DROP || queued) {
                stop = Optional.of(new Stop(family, table, chains, handle(attributes), queued));
            }
        }
    }

    private static int bigEndian(NetlinkAttributes attributes, int type) {
        return attributes
                .bytes(type)
                .filter(b -> b.length >= 4)
                .map(b -> ByteBuffer.wrap(b).order(ByteOrder.BIG_ENDIAN).getInt())
                .orElse(-1);
    }

    private static long handle(NetlinkAttributes attributes) {
        return attributes
                .bytes(RULE_HANDLE)
                .filter(b -> b.length == 8)
                .map(b -> ByteBuffer.wrap(b).order(ByteOrder.BIG_ENDIAN).getLong())
                .orElse(0L);
    }

    /** Where the packet ended; empty while nothing tells. In our own table it ended where it was to. */
    Optional<Stop> stop() {
        return stop;
    }

    /** Whether it came to this chain of the packet's own rules, in the network stack behind the bridge. */
    boolean passed(String chain) {
        return stages.contains(chain);
    }
}
