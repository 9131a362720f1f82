package dev.vmlet.e2e;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.TestMethodOrder;
import org.junit.jupiter.api.extension.ExtendWith;

/**
 * Guests on Networks, as a user meets them: {@code web} (tiny) and {@code cloud} (Debian with cloud-init) on Network
 * {@code lab}, {@code far} (tiny) on Network {@code other}. They boot once; the last test deletes them.
 */
@ExtendWith(EndToEnd.class)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class GuestsE2E {
    private static final String NS = "guests";
    private static final int LAST = Integer.MAX_VALUE;
    /** Seconds that a guest waits for a connection which is to come about, on a machine that has others to run. */
    private static final int IS_OPEN = 20;
    /** And for one that must not. */
    private static final int IS_CLOSED = 3;

    private @Nullable Leftovers before;
    private boolean ready;
    /** The Warning about {@code web} that a test has earned it. */
    private String earned = "";

    @BeforeEach
    void boot(Cluster cluster) {
        if (ready) {
            return;
        }
        // The guests of a set-up that failed are not waited for by every test again.
        assumeTrue(before == null, "the guests did not become ready before");
        before = Leftovers.atRest(cluster.agent());
        cluster.namespace(NS);
        cluster.apply(Cluster.network(NS, "lab")
                + Cluster.network(NS, "other")
                + (cluster.hasCloudGuest() ? cluster.cloud(NS, "cloud", "a", "lab") : "")
                + cluster.tiny(NS, "web", "a", "lab")
                + cluster.tiny(NS, "near", "a", "lab")
                + cluster.tiny(NS, "far", "a", "other"));
        cluster.awaitReady(NS, "web", "near", "far");
        ready = true;
    }

    @Test
    @Order(1)
    void readyMeansThatPort22Answers(Cluster cluster) throws IOException {
        for (String name : List.of("web", "near", "far")) {
            try (Socket socket = new Socket()) {
                socket.connect(new InetSocketAddress(cluster.address(NS, name), 22), 5_000);
                socket.setSoTimeout(30_000);
                assertThat(new String(socket.getInputStream().readNBytes(4), StandardCharsets.US_ASCII))
                        .isEqualTo("SSH-");
            }
        }
    }

    @Test
    @Order(2)
    void sshLogsInAtTheAddressThatStatusShows(Cluster cluster) {
        for (String name : List.of("web", "near", "far")) {
            Guest guest = cluster.guest(NS, name);
            assertThat(guest.ssh("hostname")).isEqualTo(name);
            assertThat(guest.ssh("ip -4 -o addr show")).contains(" " + guest.address() + "/24 ");
        }
    }

    @Test
    @Order(3)
    void aGuestReachesItsGatewayAndItsNeighbour(Cluster cluster) {
        Guest web = cluster.guest(NS, "web");
        String near = cluster.address(NS, "near");
        assertThat(web.ssh(ping(gateway(web.address())))).contains(" 0% packet loss");
        assertThat(web.ssh(ping(near))).contains(" 0% packet loss");
        assertThat(web.ssh(banner(near, 22, IS_OPEN))).isEqualTo("SSH-");
        assertThat(cluster.guest(NS, "near").ssh(ping(web.address()))).contains(" 0% packet loss");
    }

    @Test
    @Order(4)
    void aGuestDoesNotReachAnotherNetwork(Cluster cluster) {
        Guest web = cluster.guest(NS, "web");
        Guest far = cluster.guest(NS, "far");
        assertThat(web.run(ping(far.address())).output()).contains("100% packet loss");
        assertThat(web.run(banner(far.address(), 22, IS_CLOSED)).output()).doesNotContain("SSH-");
        assertThat(far.run(ping(web.address())).output()).contains("100% packet loss");
        assertThat(far.run(banner(web.address(), 22, IS_CLOSED)).output()).doesNotContain("SSH-");
    }

    @Test
    @Order(5)
    void aGuestDoesNotReachTheNodesServices(Cluster cluster) throws IOException {
        Guest web = cluster.guest(NS, "web");
        String ownGateway = gateway(web.address());
        String otherGateway = gateway(cluster.address(NS, "far"));
        int port = cluster.apiPort();
        for (String node : List.of(ownGateway, otherGateway, Outside.NODE)) {
            try (Socket socket = new Socket()) {
                // It is open there, for others than guests.
                socket.connect(new InetSocketAddress(node, port), 5_000);
            }
            assertThat(web.ssh(tcp(node, port, IS_CLOSED)))
                    .as("API server at " + node)
                    .isEqualTo("closed");
        }
        assertThat(web.ssh(tcp(cluster.address(NS, "near"), 22, IS_OPEN))).isEqualTo("open");
    }

    @Test
    @Order(6)
    void aSpoofedSourceGoesNowhere(Cluster cluster) {
        Guest web = cluster.guest(NS, "web");
        Guest near = cluster.guest(NS, "near");
        String spoofed = web.address().replaceFirst("\\d+$", "199");
        String link = web.ssh("ip -4 -o addr show | awk '$4 ~ /^" + web.address() + "/ {print $2}'");
        web.ssh("ip addr add " + spoofed + "/24 dev " + link);
        try {
            long echoes = echoes(near);
            assertThat(web.run("ping -c 3 -W 2 -I " + web.address() + " " + near.address())
                            .output())
                    .contains(" 0% packet loss");
            assertThat(echoes(near)).as("echo requests, honestly sent").isEqualTo(echoes + 3);
            assertThat(web.run("ping -c 3 -W 2 -I " + spoofed + " " + near.address())
                            .output())
                    .contains("100% packet loss");
            assertThat(echoes(near)).as("echo requests after the spoofed ones").isEqualTo(echoes + 3);
            // A neighbour learns who asks for it; this one must not hear the question.
            web.run("arping -c 2 -w 3 -I " + link + " -s " + spoofed + " " + near.address());
            assertThat(near.ssh("cat /proc/net/arp")).contains(web.address()).doesNotContain(spoofed);
        } finally {
            web.ssh("ip addr del " + spoofed + "/24 dev " + link);
        }
        // The node heard it, and remembers it for two minutes.
        earned = "Warning AddressDiffers: The guest speaks as " + spoofed + " on Network lab, but its address is "
                + web.address() + ": ";
        Cluster.await(
                "it is told that the guest speaks as another",
                Cluster.SOON,
                () -> cluster.events(NS, "VirtualMachine", "web").stream().anyMatch(e -> e.startsWith(earned)));
    }

    @Test
    @Order(7)
    void theOutsideSeesTheNodeAndNotTheGuest(Cluster cluster) throws Exception {
        Guest web = cluster.guest(NS, "web");
        Process listener = new ProcessBuilder(cluster.outside()
                        .enter("socat", "TCP-LISTEN:7777,reuseaddr,fork", "SYSTEM:echo $SOCAT_PEERADDR"))
                .redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                .start();
        try {
            assertThat(web.ssh(ping(Outside.ADDRESS))).contains(" 0% packet loss");
            Cluster.await(
                    "an answer from outside",
                    Cluster.SOON,
                    () -> web.ssh("nc -w 5 " + Outside.ADDRESS + " 7777 < /dev/null")
                            .equals(Outside.NODE));
        } finally {
            listener.destroyForcibly();
        }
    }

    @Test
    @Order(8)
    void theOutsideDoesNotReachAGuestUnasked(Cluster cluster) {
        String web = cluster.address(NS, "web");
        String prefix = gateway(web).replaceFirst("\\d+$", "0/24");
        cluster.outside().routeToGuests(prefix);
        try {
            assertThat(cluster.outside()
                            .run("ping", "-c", "2", "-W", "1", Outside.NODE)
                            .output())
                    .contains(" 0% packet loss");
            assertThat(cluster.outside().run("ping", "-c", "2", "-W", "1", web).output())
                    .contains("100% packet loss");
            assertThat(cluster.outside()
                            .run("socat", "-u", "TCP:" + web + ":22,connect-timeout=3", "-")
                            .output())
                    .doesNotContain("SSH-");
        } finally {
            cluster.outside().forgetGuests(prefix);
        }
    }

    @Test
    @Order(9)
    void kubectlShowsWhatAPersonLooksFor(Cluster cluster) {
        List<String> lines = cluster.kubectl("get", "vm", "web", "-n", NS, "-o", "wide")
                .lines()
                .toList();
        assertThat(lines.get(0).split(" +"))
                .containsExactly(
                        "NAME", "PHASE", "READY", "IP", "NODE", "AGE", "CORES", "MEMORY", "IMAGE", "VMM", "RESTARTS");
        String[] row = lines.get(1).split(" +");
        assertThat(row[5]).matches("\\d+[ms].*");
        row[5] = "some";
        assertThat(row)
                .containsExactly(
                        "web",
                        "Running",
                        "True",
                        cluster.address(NS, "web"),
                        "a",
                        "some",
                        "1",
                        "256Mi",
                        "root.raw",
                        "qemu",
                        "0");
    }

    @Test
    @Order(10)
    void eventsSayWhatWasDoneAndWhy(Cluster cluster) {
        assertThat(cluster.events(NS, "VirtualMachine", "web"))
                .anyMatch(e -> e.startsWith("Normal Changed: ") && e.contains("start qemu for guests/web"))
                .anyMatch(e -> e.contains("create tap ") && e.contains("because "))
                .noneMatch(e -> e.startsWith("Warning") && (earned.isEmpty() || !e.startsWith(earned)));
        assertThat(cluster.events(NS, "Network", "lab"))
                .anyMatch(e -> e.contains("create bridge ") && e.contains("Network guests/lab is used on this node"));
    }

    @Test
    @Order(11)
    void theCloudGuestGrewItsRootAndTookItsName(Cluster cluster) {
        assumeTrue(cluster.hasCloudGuest(), "SKIPPED: no cloud/ in VMLET_GUESTS (hack/guests/cloud)");
        cluster.awaitReady(NS, "cloud");
        Guest cloud = cluster.guest(NS, "cloud");
        Cluster.await(
                "cloud-init is done",
                Cluster.BOOT,
                () -> cloud.run("cloud-init status --wait >/dev/null; test $? -ne 1")
                        .succeeded());
        assertThat(cloud.ssh("hostname")).isEqualTo("cloud");
        // 4 GiB less the EFI partition and what ext4 keeps for itself.
        assertThat(Integer.parseInt(
                        cloud.ssh("df -m --output=size / | tail -n 1").strip()))
                .isBetween(3600, 4096);
        assertThat(cloud.ssh("sudo " + ping(cluster.address(NS, "web")))).contains(" 0% packet loss");
        assertThat(cloud.ssh("ip -4 -o addr show")).contains(" " + cloud.address() + "/24 ");
    }

    @Test
    @Order(12)
    void planSaysThatNothingIsToBeDone(Cluster cluster) {
        Cluster.await(
                "nothing to do",
                Cluster.SOON,
                () -> cluster.agent()
                        .ask("plan")
                        .lines()
                        .allMatch(line -> line.endsWith(": nothing to do") || line.startsWith("0 steps for ")));
        assertThat(cluster.agent().ask("plan"))
                .contains("node a: nothing to do", "Network guests/lab: nothing to do")
                .contains("VirtualMachine guests/web: nothing to do");
    }

    @Test
    @Order(13)
    void inventoryListsWhatIsThere(Cluster cluster) {
        Leftovers there = Leftovers.atRest(cluster.agent());
        String inventory = cluster.agent().ask("inventory");
        for (String link : there.links()) {
            String name = link.split(" ")[0];
            assertThat(inventory).containsPattern(name + " .*(VirtualMachine|Network) guests/");
        }
        assertThat(inventory)
                .containsPattern("guest +pid " + cluster.life(NS, "web").pid() + " .*guests/web");
        assertThat(inventory.toLowerCase(Locale.ROOT)).doesNotContain("orphan");
    }

    @Test
    @Order(LAST)
    void kubectlDeleteLeavesNothing(Cluster cluster) {
        assertThat(Leftovers.now(cluster.agent())).isNotEqualTo(before);
        cluster.kubectl("delete", "vm", "--all", "-n", NS, "--timeout=300s");
        cluster.kubectl("delete", "vmnet", "--all", "-n", NS, "--timeout=90s");
        Objects.requireNonNull(before).awaitAgain(cluster.agent());
    }

    private static String gateway(String address) {
        return address.replaceFirst("\\d+$", "1");
    }

    private static String ping(String address) {
        return "ping -c 3 -W 3 " + address;
    }

    private static String banner(String address, int port, int seconds) {
        // The pipe is held open for the answer, not for all the time that a connection may take.
        return "sleep " + Math.min(seconds, 10) + " | nc -w " + seconds + " " + address + " " + port + " | head -c 4";
    }

    private static String tcp(String address, int port, int seconds) {
        return "if nc -w " + seconds + " " + address + " " + port
                + " -e /bin/true 2>/dev/null; then echo open; else echo closed; fi";
    }

    private static long echoes(Guest guest) {
        // The second line that begins with Icmp: holds the figures, InEchos is named in the first.
        return Long.parseLong(guest.ssh(
                "awk '$1 == \"Icmp:\" {if (!n) {for (i = 2; i <= NF; i++) if ($i == \"InEchos\") n = i} else print $n}'"
                        + " /proc/net/snmp"));
    }
}
