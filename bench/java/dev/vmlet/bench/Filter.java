package dev.vmlet.bench;

import dev.vmlet.host.net.LinuxLinks;
import dev.vmlet.host.net.NftFirewall;
import dev.vmlet.model.DesiredNetwork;
import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.Egress;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.FirewallState;
import dev.vmlet.model.HostNames;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.Link;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.MacAddress;
import dev.vmlet.model.Mark;
import dev.vmlet.model.NetworkId;
import dev.vmlet.model.Seen;
import dev.vmlet.plan.Ruleset;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import jnr.ffi.LibraryLoader;
import jnr.ffi.types.size_t;
import jnr.ffi.types.ssize_t;

/**
 * What the firewall costs: a packet from guest to guest without our tables, with those of one VM and of a thousand, turn
 * about so that all see the same machine, once with br_netfilter at rest and once where it shows bridged packets to the IP
 * tables as well, as nodes of a cluster have it, against a firewall of another that tracks connections; and at a thousand VMs the members of one more, all tables anew, and a look at
 * everything. Needs a network namespace of its own, as root. Argument: a directory for what was installed.
 */
public final class Filter {
    private static final InstallationId INSTALLATION = new InstallationId("benchbbb");
    private static final HostNames NAMES = new HostNames(INSTALLATION);
    private static final int VMS = 1000;
    private static final int USER = 700_000;
    private static final int ROUNDS = 9;
    /** Of a round; its figure is the one that a tenth of them stay below, so that what else the machine does is left out. */
    private static final int BURSTS = 60;

    private static final int PACKETS = 1000;
    private static final int AF_PACKET = 17;
    private static final int SOCK_RAW = 3;

    /** Public because jnr-ffi binds public interfaces only. */
    public interface Posix {
        int socket(int domain, int type, int protocol);

        int bind(int fd, ByteBuffer address, int length);

        int if_nametoindex(String name);

        @ssize_t
        long send(int fd, ByteBuffer bytes, @size_t long length, int flags);
    }

    /** Whether br_netfilter shows bridged packets to the IP tables; where there is none, they are not. */
    private static final Path BRIDGED_TO_IP = Path.of("/proc/sys/net/bridge/bridge-nf-call-iptables");

    private enum Tables {
        NONE,
        /** One rule of somebody else's, as of a firewall or kube-proxy: with it, the kernel tracks connections. */
        ANOTHERS,
        /** A chain with one rule that accepts: no firewall of a bridge costs less. */
        ACCEPT,
        /** The one lookup that tells who may send what, and nothing else: no firewall that looks costs less. */
        LOOKUP,
        ONE_VM,
        ALL_VMS
    }

    private final LinuxLinks links = new LinuxLinks();
    private final NftFirewall firewall;
    private final DesiredNetwork network = new DesiredNetwork(
            new NetworkId("bench", "net", "net"),
            NAMES.bridge("net"),
            new MacAddress("52:00:00:00:00:01"),
            Mark.ofNetwork(INSTALLATION, "net"),
            Ipv4Prefix.parse("10.77.0.0/16"),
            1500,
            Egress.MASQUERADE);
    private final List<DesiredNic> nics = new ArrayList<>();

    private final Path work;

    private Filter(Path work) {
        this.work = work;
        this.firewall = new NftFirewall(INSTALLATION, work.resolve("firewall"));
    }

    public static void main(String[] args) throws Exception {
        new Filter(Path.of(args[0])).run();
        System.exit(0);
    }

    private static String uid(int vm) {
        return "vm-" + vm;
    }

    private DesiredNic nic(int vm) {
        return new DesiredNic(
                network.id(),
                network.bridge(),
                network.mark(),
                NAMES.tap(uid(vm), "net"),
                Mark.ofNic(INSTALLATION, uid(vm), "net"),
                HostNames.nicMac(uid(vm), "net"),
                network.subnet().network().plus(2 + vm),
                1500);
    }

    private Set<FirewallElement> elements(int vms) {
        Set<FirewallElement> all = new HashSet<>(network.elements());
        for (int vm = 0; vm < vms; vm++) {
            all.addAll(nics.get(vm).elements(uid(vm)));
        }
        return all;
    }

    private void run() throws Exception {
        for (int vm = 0; vm <= VMS; vm++) {
            nics.add(nic(vm));
        }
        links.createBridge(network.bridge(), network.bridgeMac(), 1500, network.mark());
        links.setUp(network.bridge());
        packets();
        members();
        rebuild();
        look();
    }

    // ---- packets ----

    private void packets() throws Exception {
        // The first guest's tap is a veth, as is a stranger's whose end is in a namespace where its packets end.
        Process end = new ProcessBuilder("unshare", "--net", "sleep", "600").start();
        try {
            String tap = nics.getFirst().tap().value();
            spawn("ip", "link", "add", tap, "type", "veth", "peer", "name", "guest");
            // The process unshares before it sleeps; until then its namespace is ours.
            spawn("sh", "-c", "while [ $(readlink /proc/" + end.pid() + "/ns/net) = $(readlink /proc/self/ns/net) ]; do :; done");
            spawn("ip", "link", "add", "far", "type", "veth", "peer", "name", "other", "netns", String.valueOf(end.pid()));
            spawn("nsenter", "--net=/proc/" + end.pid() + "/ns/net", "ip", "link", "set", "other", "address", "52:00:00:00:00:99", "up");
            for (String link : List.of(tap, "far")) {
                spawn("ip", "link", "set", link, "master", network.bridge().value(), "up");
            }
            spawn("ip", "link", "set", "guest", "addrgenmode", "none", "up");
            spawn("bridge", "fdb", "replace", "52:00:00:00:00:99", "dev", "far", "master", "static");
            measure(false);
            if (Files.exists(BRIDGED_TO_IP)) {
                measure(true);
            }
            spawn("ip", "link", "delete", tap);
            spawn("ip", "link", "delete", "far");
        } finally {
            end.destroyForcibly();
        }
    }

    private void measure(boolean bridgedToIp) throws Exception {
        if (Files.exists(BRIDGED_TO_IP)) {
            Files.writeString(BRIDGED_TO_IP, bridgedToIp ? "1" : "0");
        }
        Posix posix = LibraryLoader.create(Posix.class).load("c");
        int socket = posix.socket(AF_PACKET, SOCK_RAW, 0);
        ByteBuffer address = ByteBuffer.allocateDirect(20).order(ByteOrder.nativeOrder());
        address.putShort(0, (short) AF_PACKET).putInt(4, posix.if_nametoindex("guest"));
        if (socket < 0 || posix.bind(socket, address, 20) != 0) {
            throw new IllegalStateException("packet socket");
        }
        ByteBuffer frame = frame();
        Map<Tables, double[]> nanos = new EnumMap<>(Tables.class);
        for (int round = -1; round < ROUNDS; round++) {
            for (Tables tables : Tables.values()) {
                install(tables);
                double figure = Row.percentile(bursts(posix, socket, frame), 10);
                // The first round warms up.
                if (round >= 0) {
                    nanos.computeIfAbsent(tables, _ -> new double[ROUNDS])[round] = figure;
                }
            }
        }
        install(Tables.NONE);
        double none = median(nanos, Tables.NONE);
        double anothers = median(nanos, Tables.ANOTHERS);
        double accept = median(nanos, Tables.ACCEPT);
        double lookup = median(nanos, Tables.LOOKUP);
        double one = median(nanos, Tables.ONE_VM);
        double all = median(nanos, Tables.ALL_VMS);
        if (bridgedToIp) {
            Row.print(
                    "the same where br_netfilter shows bridged packets to the IP tables, with those of 1,000 VMs",
                    Row.of("%.0f ns: %.2f × no table, %.2f × the rival", all, all / none, all / anothers),
                    Row.of("one rule that tracks connections: %.0f ns", anothers),
                    "");
            return;
        }
        Row.print(
                "64-byte UDP from guest to guest, with the tables of 1,000 VMs",
                Row.of("%.0f ns a packet: %.2f × no table", all, all / none),
                Row.of(
                        "no table: %.0f ns; one rule that accepts: %.2f ×; one lookup among 1,000: %.2f ×",
                        none, accept / none, lookup / none),
                "≤ 1.15 ×");
        Row.print(
                "the same with 1 VM",
                Row.of("%.0f ns: %.1f %% off", one, 100 * Math.abs(all - one) / one),
                "",
                "within 5 % of 1,000 VMs");
    }

    /** Nanoseconds a packet, of each. */
    private static double[] bursts(Posix posix, int socket, ByteBuffer frame) {
        double[] nanos = new double[BURSTS];
        for (int burst = 0; burst < BURSTS; burst++) {
            long start = System.nanoTime();
            for (int i = 0; i < PACKETS; i++) {
                if (posix.send(socket, frame, frame.capacity(), 0) != frame.capacity()) {
                    throw new IllegalStateException("send");
                }
            }
            nanos[burst] = (System.nanoTime() - start) / (double) PACKETS;
        }
        return nanos;
    }

    private static double median(Map<Tables, double[]> nanos, Tables tables) {
        return Row.percentile(nanos.getOrDefault(tables, new double[] {0}), 50);
    }

    private void install(Tables tables) throws Exception {
        switch (tables) {
            case NONE -> {
                firewall.remove();
                spawn(
                        "nft",
                        "table inet another; delete table inet another;"
                                + " table bridge another; delete table bridge another");
            }
            case ANOTHERS -> {
                install(Tables.NONE);
                spawn(
                        "nft",
                        "table inet another { chain forward { type filter hook forward priority 0;"
                                + " ct state invalid drop; }; }");
            }
            case ACCEPT -> {
                install(Tables.NONE);
                another("accept", "");
            }
            case LOOKUP -> {
                install(Tables.NONE);
                String keys = nics.stream()
                        .limit(VMS)
                        .map(nic -> "\"" + nic.tap() + "\" . " + nic.mac() + " . " + nic.ip())
                        .collect(Collectors.joining(", "));
                another(
                        "iifname . ether saddr . ip saddr @senders accept",
                        "set senders { type ifname . ether_addr . ipv4_addr; elements = { " + keys + " }; };");
            }
            case ONE_VM -> {
                install(Tables.NONE);
                firewall.install(new Ruleset(INSTALLATION, elements(1)));
            }
            case ALL_VMS -> {
                install(Tables.NONE);
                firewall.install(new Ruleset(INSTALLATION, elements(VMS)));
            }
        }
    }

    private void another(String rule, String set) throws Exception {
        Path file = Files.writeString(
                work.resolve("another.nft"),
                "table bridge another { " + set
                        + " chain prerouting { type filter hook prerouting priority -300; policy accept; " + rule
                        + "; }; }\n");
        spawn("nft", "-f", file.toString());
    }

    /** From the first guest to the stranger: Ethernet, IPv4 and UDP of 64 bytes in all. */
    private ByteBuffer frame() {
        DesiredNic from = nics.getFirst();
        ByteBuffer frame = ByteBuffer.allocateDirect(64);
        frame.put(new MacAddress("52:00:00:00:00:99").bytes())
                .put(from.mac().bytes())
                .putShort((short) 0x0800);
        frame.put((byte) 0x45).put((byte) 0).putShort((short) 50).putInt(0).put((byte) 64).put((byte) 17);
        int checksumAt = frame.position();
        frame.putShort((short) 0)
                .put(from.ip().bytes())
                .put(Ipv4Address.parse("10.77.200.1").bytes());
        int sum = 0;
        for (int at = 14; at < 34; at += 2) {
            sum += frame.getShort(at) & 0xffff;
        }
        sum = (sum & 0xffff) + (sum >> 16);
        frame.putShort(checksumAt, (short) ~((sum & 0xffff) + (sum >> 16)));
        frame.putShort((short) 9).putShort((short) 9).putShort((short) 30).putShort((short) 0);
        return frame.rewind();
    }

    // ---- tables ----

    private void members() throws Exception {
        firewall.install(new Ruleset(INSTALLATION, elements(VMS)));
        List<FirewallElement> one = nics.get(VMS).elements(uid(VMS));
        double[] millis = new double[400];
        for (int i = -100; i < millis.length; i++) {
            long start = System.nanoTime();
            firewall.add(one);
            double took = (System.nanoTime() - start) / 1e6;
            firewall.delete(one);
            if (i >= 0) {
                millis[i] = took;
            }
        }
        Row.print(
                "members of one more VM, at 1,000 VMs",
                Row.of("p50 %.2f ms, p99 %.2f ms", Row.percentile(millis, 50), Row.percentile(millis, 99)),
                "",
                "p50 ≤ 0.2 ms");
    }

    private void rebuild() throws Exception {
        double[] millis = new double[30];
        for (int i = -10; i < millis.length; i++) {
            long start = System.nanoTime();
            firewall.install(new Ruleset(INSTALLATION, elements(VMS)));
            if (i >= 0) {
                millis[i] = (System.nanoTime() - start) / 1e6;
            }
        }
        Row.print(
                "all tables anew for 1,000 VMs, read back and written down",
                Row.of("p50 %.1f ms, p99 %.1f ms", Row.percentile(millis, 50), Row.percentile(millis, 99)),
                "",
                "≤ 50 ms");
    }

    /** The whole network state: every link, both tables, each against what is to be there. */
    private void look() throws Exception {
        for (int vm = 0; vm < VMS; vm++) {
            DesiredNic nic = nics.get(vm);
            links.createTap(nic.tap(), USER + vm, 1500, nic.mark());
            links.attach(nic.tap(), nic.bridge());
            links.setUp(nic.tap());
        }
        Set<FirewallElement> expected = elements(VMS);
        double[] millis = new double[30];
        for (int i = -10; i < millis.length; i++) {
            long start = System.nanoTime();
            if (!isAsExpected(expected)) {
                throw new IllegalStateException("the network is not as it was made");
            }
            if (i >= 0) {
                millis[i] = (System.nanoTime() - start) / 1e6;
            }
        }
        Row.print(
                "look at the whole network of 1,000 VMs and compare",
                Row.of("p50 %.1f ms, p99 %.1f ms", Row.percentile(millis, 50), Row.percentile(millis, 99)),
                "",
                "≤ 60 ms");
    }

    private boolean isAsExpected(Set<FirewallElement> expected) throws Exception {
        Map<LinkName, Link> seen = new HashMap<>();
        links.list().forEach(link -> seen.put(link.name(), link));
        Link bridge = seen.get(network.bridge());
        for (int vm = 0; vm < VMS; vm++) {
            DesiredNic nic = nics.get(vm);
            Link tap = seen.get(nic.tap());
            if (bridge == null
                    || tap == null
                    || !tap.up()
                    || tap.masterIndex() != bridge.index()
                    || !tap.mark().equals(nic.mark())
                    || tap.mtu() != nic.mtu()) {
                return false;
            }
        }
        return firewall.observe() instanceof Seen.Present<FirewallState>(FirewallState state)
                && state.intact()
                && state.elements().equals(expected);
    }

    private static void spawn(String... command) throws Exception {
        Process process = new ProcessBuilder(command).inheritIO().start();
        if (!process.waitFor(10, TimeUnit.SECONDS) || process.exitValue() != 0) {
            throw new IllegalStateException(String.join(" ", command) + ": failed");
        }
    }
}
