package dev.vmlet.host.net;

import dev.vmlet.model.BridgePort;
import dev.vmlet.model.HostException;
import dev.vmlet.model.InterfaceAddress;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.MacAddress;
import dev.vmlet.model.Mark;
import dev.vmlet.model.Passage;
import dev.vmlet.model.Seen;
import dev.vmlet.plan.ProbePacket;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Sends a packet as a guest would, and hears from the kernel what becomes of it. The packet comes in by a tap of our own and
 * is stopped at the last hook before it would leave. Tap and rules are there for some milliseconds and go with the process
 * that made them, however it ends.
 *
 * <p>Where the packet was not seen to end, a program may hold it (queue) and let it go later; the rules then stay until
 * {@link #letGo}, and end it. What is held for longer than that, or than this process lives, does leave the host: one
 * packet, from an address that no guest has. So does one that is held at all where a table has no owner (before Linux
 * 5.12), for nobody would remove what a killed agent left.
 *
 * <p>One probe at a time; for a second at most after which what was heard by then is the answer.
 */
final class PassageProbe {
    private static final Logger log = LoggerFactory.getLogger(PassageProbe.class);

    private static final int GROUP_NFTRACE = 9;
    private static final int RECEIVE_BYTES = 64 * 1024;

    /**
     * The kernel tells of each rule that matches and each chain that ends, about 2 KiB each with its overhead, and nobody
     * reads meanwhile. firewalld by iptables says a hundred, more than are held by default, and a proxy of Services hundreds.
     */
    private static final int QUEUE_BYTES = 8 * 1024 * 1024;

    private static final Duration DEADLINE = Duration.ofSeconds(1);

    /** The kernel tells of a packet while it carries it; on another processor where it spreads them (RPS). */
    private static final Duration SILENCE = Duration.ofMillis(200);

    private static final Path CONF = Path.of("/proc/sys/net/ipv4/conf");
    private static final String LETTERS = "abcdefghijklmnopqrstuvwxyz234567";
    private static final int NAME_LENGTH = 10;
    private static final String BRIDGES = "vmb-";
    private static final int MTU = 1500;

    private final SecureRandom chance = new SecureRandom();
    private final Kernel kernel = new Kernel();
    private final Taps taps = new Taps(kernel);
    private final LinuxLinks links;
    private final Nftables nft;
    private final ForeignChains foreign;
    private final String own;

    /** Tables whose packet was not seen to end. */
    private final List<String> left = new ArrayList<>();

    private final Mark mark;

    /** @param who the installation, or a name of {@link #name} for somebody who has none */
    PassageProbe(LinuxLinks links, Nftables nft, String who) {
        this.links = links;
        this.nft = nft;
        this.own = "vmlet_" + who;
        this.foreign = new ForeignChains(nft);
        this.mark = Mark.ofProbe(who);
    }

    /** Somebody else changed a table: what is known of rules is read again. */
    void forgetRules() {
        foreign.forget();
    }

    /** Removes the rules that waited for packets that were not seen to end. What fails is tried by the next call. */
    void letGo() {
        left.removeIf(table -> {
            try {
                commit("remove the rules of a probe", ProbePacket.remove(table, true));
                return true;
            } catch (HostException e) {
                log.atDebug().addKeyValue("table", table).setCause(e).log("rules of a probe stay for now");
                return false;
            }
        });
    }

    /**
     * Whether what goes there says nothing of the way out: it is an address of this host, or of a Network's guests here.
     *
     * @throws HostException when the addresses of this host cannot be read
     */
    boolean staysHere(Ipv4Address destination) throws HostException {
        for (Map.Entry<LinkName, Set<InterfaceAddress>> link :
                links.allAddresses().entrySet()) {
            boolean ofGuests = link.getKey().value().startsWith(BRIDGES);
            for (InterfaceAddress address : link.getValue()) {
                if (address.address().equals(destination)
                        || ofGuests && address.prefix().contains(destination)) {
                    return true;
                }
            }
        }
        return false;
    }

    /** What makes a packet known again. */
    int cookie() {
        return chance.nextInt();
    }

    static String name(SecureRandom chance, int length) {
        StringBuilder name = new StringBuilder(length);
        for (int i = 0; i < length; i++) {
            name.append(LETTERS.charAt(chance.nextInt(LETTERS.length())));
        }
        return name.toString();
    }

    /** What lies between a tap that was made and a packet that comes in by it. */
    private interface Making {
        ProbePacket ready(LinkName tap) throws HostException;
    }

    /**
     * By a port of the bridge that the packet names, which is no member of our own anti-spoofing and takes no part in what
     * guests say to each other.
     *
     * @param guests the addresses that a remedy is to let through
     * @throws HostException when the probe cannot be made; nothing is known then
     */
    Passage throughBridge(ProbePacket packet, Ipv4Prefix guests) throws HostException {
        // Named as guests' taps are, for somebody's rule may go by that.
        return probe(new LinkName("vmt-" + name(chance, NAME_LENGTH)), guests, tap -> {
            links.attach(tap, packet.by());
            links.setBridgePort(tap, BridgePort.ISOLATED);
            links.setUp(tap);
            return packet;
        });
    }

    /**
     * Where there is no bridge of ours: by the tap alone, named as our bridges are.
     *
     * @param prefix two usable addresses that are nobody's; for the time of the probe they are the tap's
     */
    Passage alone(Ipv4Prefix prefix, Ipv4Prefix guests) throws HostException {
        MacAddress mac = new MacAddress("52:00:00:70:72:70");
        return probe(new LinkName(BRIDGES + name(chance, NAME_LENGTH)), guests, tap -> {
            links.setMac(tap, mac);
            links.addAddress(tap, new InterfaceAddress(prefix.network().plus(1), prefix.length()));
            links.setUp(tap);
            links.setForwarding(tap, true);
            return ProbePacket.of(tap, mac, prefix, cookie());
        });
    }

    private Passage probe(LinkName tap, Ipv4Prefix guests, Making making) throws HostException {
        int fd = taps.hold(tap);
        try {
            links.markLink("mark " + tap, tap, MTU, mark);
            ProbePacket packet = making.ready(tap);
            String table = own + "_probe" + (left.isEmpty() ? "" : "_" + left.size());
            boolean owned = install(table, packet);
            boolean ended = false;
            try {
                Trace trace = send(fd, packet, table);
                ended = trace.stop().isPresent() && !trace.stop().get().queued();
                return judge(packet, trace, table, guests);
            } finally {
                if (owned && !ended) {
                    left.add(table);
                } else {
                    commit("remove the probe's rules", ProbePacket.remove(table, owned));
                }
            }
        } finally {
            kernel.close(fd);
        }
    }

    /** @return whether the tables go with this process */
    private boolean install(String table, ProbePacket packet) throws HostException {
        String operation = "install the probe's rules";
        try {
            nft.run(operation, packet.rules(table, true));
            return true;
        } catch (NftRefusal e) {
            // Before Linux 5.12 a table has no owner; what a killed agent leaves then goes with its next probe.
            commit(operation, packet.rules(table, false));
            return false;
        }
    }

    private void commit(String operation, String transaction) throws HostException {
        try {
            nft.run(operation, transaction);
        } catch (NftRefusal e) {
            throw e.during(operation);
        }
    }

    private Trace send(int tap, ProbePacket packet, String table) throws HostException {
        String operation = "send a packet as a guest of " + packet.by();
        Trace trace = new Trace(packet, table);
        try {
            int socket = kernel.netlinkSocket(Kernel.NETLINK_NETFILTER);
            try {
                kernel.bindNetlink(socket);
                kernel.enlargeQueue(socket, QUEUE_BYTES);
                kernel.setOption(socket, Kernel.SOL_NETLINK, Kernel.NETLINK_ADD_MEMBERSHIP, GROUP_NFTRACE);
                kernel.write(tap, packet.frame());
                hear(socket, trace);
            } finally {
                kernel.close(socket);
            }
            return trace;
        } catch (KernelRefusal e) {
            throw e.during(operation);
        }
    }

    private void hear(int socket, Trace trace) throws KernelRefusal {
        ByteBuffer received = Kernel.buffer(RECEIVE_BYTES);
        long end = System.nanoTime() + DEADLINE.toNanos();
        boolean over = false;
        while (!over && System.nanoTime() < end && kernel.awaitWithin(socket, SILENCE)) {
            kernel.receive(socket, received);
            for (NetlinkMessage message : NetlinkMessage.parse(received)) {
                over |= trace.hear(message);
            }
        }
    }

    private Passage judge(ProbePacket packet, Trace trace, String table, Ipv4Prefix guests) throws HostException {
        if (trace.stop().isEmpty()) {
            return new Passage.Lost(lost(packet, trace) + legacy());
        }
        Trace.Stop stop = trace.stop().get();
        if (stop.table().equals(table)) {
            return stop.chain().equals(ProbePacket.LAST)
                    ? new Passage.Open()
                    : new Passage.Lost("it was not sent on but kept by the node itself, as if " + packet.destination()
                            + " were its own: somebody translates or redirects what guests send");
        }
        String where = "nft table " + stop.family() + " " + stop.table() + ", chain " + stop.chain();
        if (stop.table().equals(own)) {
            // Between the making of a bridge and its entry in our sets, or after somebody's change that is mended soon.
            throw new HostException.Refused(
                    "send a packet as a guest of " + packet.by() + ": our own " + where + ", does not know it yet",
                    null);
        }
        if (!ForeignChains.isForeign(stop.table())) {
            return new Passage.Lost("a table of another vmlet dropped it: " + where);
        }
        if (stop.queued()) {
            return new Passage.Lost(
                    "it was handed to a program (queue) by " + where + ", and nobody sees what that does");
        }
        return new Passage.Dropped(foreign.ruleOf(stop), guests);
    }

    private String lost(ProbePacket packet, Trace trace) {
        if (trace.passed(ProbePacket.LET)) {
            return "it was let through at the forward hook and ended behind it";
        }
        if (trace.passed(ProbePacket.ROUTED)) {
            return "it was routed on and ended at the forward hook";
        }
        if (!trace.passed(ProbePacket.FIRST)) {
            return "it was not seen to come from the bridge: with STP on, a bridge takes nothing from a new port at first;"
                    + " and what is hung on a link itself (tc, XDP) is not told of";
        }
        if (links.forwarding(packet.by()).equals(Seen.present(false))) {
            return "the node did not route it on: IPv4 forwarding is off on " + packet.by();
        }
        return "the node did not route it on: there is no route to " + packet.destination()
                + ", or reverse path filtering (rp_filter" + strict(packet.by())
                + ") does not know the way back to " + packet.source();
    }

    private static String strict(LinkName link) {
        return List.of("all", link.value()).stream()
                .filter(PassageProbe::isStrict)
                .findFirst()
                .map(name -> ", strict on " + name)
                .orElse("");
    }

    private static boolean isStrict(String name) {
        try {
            return Files.readString(CONF.resolve(name).resolve("rp_filter"))
                    .strip()
                    .equals("1");
        } catch (IOException e) {
            // Not said, then.
            return false;
        }
    }

    private static String legacy() {
        List<String> tables = ForeignChains.legacyTables();
        return tables.isEmpty()
                ? ""
                : "; iptables-legacy is in use here, which nobody is told of: "
                        + (tables.contains("filter") ? "iptables-legacy -S FORWARD" : "iptables-legacy-save")
                        + " shows its rules";
    }
}
