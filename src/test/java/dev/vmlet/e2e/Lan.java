package dev.vmlet.e2e;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.awaitility.Awaitility;

/**
 * An operator's LAN: bridge {@code br0} on the node, with an address of the node's, and behind its one port a machine that is
 * router and DHCP server there (dnsmasq). Nothing of it is vmlet's.
 */
final class Lan implements AutoCloseable {
    static final String BRIDGE = "br0";
    static final String CIDR = "192.168.177.0/24";
    static final String MACHINE = "192.168.177.1";
    static final String NODE = "192.168.177.2";

    private static final Path DNSMASQ = Path.of("/usr/sbin/dnsmasq");
    private static final String PORT = "lan0";
    /** So that the bridge, whose own nobody sets, has the lowest whatever the kernel would have drawn. */
    private static final String PORT_MAC = "02:00:00:00:77:00";

    private final OtherNamespace there = new OtherNamespace("the LAN");
    private final Path leases;
    private final Process server;

    /** What the DHCP server wrote down. */
    record Lease(String mac, String ip, String hostname) {}

    /** @param dir for its files */
    Lan(Path dir) {
        here("ip", "link", "add", "name", BRIDGE, "type", "bridge");
        here("ip", "link", "set", BRIDGE, "alias", "the office");
        here("ip", "address", "add", NODE + "/24", "dev", BRIDGE);
        here("ip", "link", "add", PORT, "type", "veth", "peer", "name", "eth0", "netns", there.pid());
        here("ip", "link", "set", PORT, "address", PORT_MAC, "addrgenmode", "none", "master", BRIDGE);
        here("ip", "link", "set", PORT, "up");
        here("ip", "link", "set", BRIDGE, "addrgenmode", "none", "up");
        there.run("ip", "address", "add", MACHINE + "/24", "dev", "eth0");
        there.run("ip", "link", "set", "eth0", "up");
        Awaitility.await("the LAN's carrier")
                .atMost(Duration.ofSeconds(20))
                .until(() -> told("ip", "-o", "link", "show", "dev", BRIDGE).contains(" state UP ")
                        && told("bridge", "link", "show", "dev", PORT).contains(" state forwarding "));
        leases = dir.resolve("leases");
        Path log = dir.resolve("dnsmasq.log");
        server = there.start(
                log,
                DNSMASQ.toString(),
                "--keep-in-foreground",
                "--conf-file=/dev/null",
                "--user=root",
                "--pid-file=",
                "--log-facility=-",
                "--port=0",
                "--interface=eth0",
                "--dhcp-authoritative",
                "--dhcp-range=192.168.177.100,192.168.177.150,255.255.255.0,10m",
                "--dhcp-option=option:router," + MACHINE,
                "--dhcp-leasefile=" + leases);
        Awaitility.await("the LAN's DHCP server")
                .atMost(Duration.ofSeconds(20))
                .until(() -> read(log).contains("DHCP, IP range") || !server.isAlive());
        if (!server.isAlive()) {
            throw new AssertionError("dnsmasq ended: " + read(log));
        }
    }

    static boolean isPossible() {
        return Files.isExecutable(DNSMASQ);
    }

    private static void here(String... command) {
        Command.of(command).run().mustSucceed();
    }

    private static String read(Path file) {
        try {
            return Files.exists(file) ? Files.readString(file, StandardCharsets.UTF_8) : "";
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Whether the machine of the LAN gets an answer to each of two pings. */
    boolean reaches(String address) {
        return there.tryRun("ping", "-c", "2", "-W", "5", address).succeeded();
    }

    Optional<Lease> leaseOf(String mac) {
        return read(leases)
                .lines()
                .map(line -> line.split(" "))
                .filter(fields -> fields.length >= 4 && fields[1].equals(mac))
                .map(fields -> new Lease(fields[1], fields[2], fields[3]))
                .findFirst();
    }

    /** The bridge and its port as {@code ip -d link}, addresses, routes and settings tell, but for what passes by itself. */
    static String look() {
        return String.join(
                "\n",
                told("ip", "-d", "link", "show", "dev", BRIDGE).replaceAll("[a-z_]*timer +[0-9.]+", ""),
                told("ip", "-d", "link", "show", "dev", PORT).replaceAll("[a-z_]*timer +[0-9.]+", ""),
                told("ip", "address", "show", "dev", BRIDGE),
                told("ip", "route", "show", "table", "all", "dev", BRIDGE),
                told("bridge", "-d", "link", "show", "dev", PORT),
                told("sysctl", "-a", "--pattern", "^net\\.ipv[46]\\.(conf|neigh)\\.(" + BRIDGE + "|" + PORT + ")\\."));
    }

    /** Ports of the bridge, by name. */
    static List<String> ports() {
        return told("ip", "-o", "link", "show", "master", BRIDGE)
                .lines()
                .map(line -> line.split(": ")[1].split("@")[0])
                .sorted()
                .toList();
    }

    /** What the bridge knows for good of who is where, and the node of who has which address on it. */
    static List<String> permanent() {
        String all = told("bridge", "fdb", "show", "br", BRIDGE) + "\n"
                + told("ip", "neighbour", "show", "dev", BRIDGE, "nud", "permanent");
        return Arrays.stream(all.split("\n"))
                .map(String::strip)
                .filter(line -> line.toLowerCase(java.util.Locale.ROOT).contains("permanent"))
                .sorted()
                .toList();
    }

    private static String told(String... command) {
        return Command.of(command).run().mustSucceed();
    }

    @Override
    public void close() {
        server.destroyForcibly();
        there.close();
        // The port goes with its other end.
        Command.of("ip", "link", "delete", BRIDGE).run();
    }
}
