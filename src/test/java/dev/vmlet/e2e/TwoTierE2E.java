package dev.vmlet.e2e;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.TestMethodOrder;
import org.junit.jupiter.api.extension.ExtendWith;

/**
 * The manifests of {@code examples/two-tier} as they are, but for what a test must give them: a namespace, the node that
 * their comments name, a guest that boots in seconds, and our key. The shop's page is what its database answers, so one
 * request from outside walks both tiers. {@code stranger} is a guest of a Network of its own.
 */
@ExtendWith(EndToEnd.class)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class TwoTierE2E {
    private static final String NS = "two-tier";
    private static final Path EXAMPLE = Path.of("examples", "two-tier");
    private static final int LAST = Integer.MAX_VALUE;
    private static final int WEB = 80;
    private static final int PUBLISHED = 8080;
    private static final int DB = 5432;
    private static final int OPENED = 7101;
    private static final int CLOSED = 7102;
    private static final String NOTHING = "";

    private @Nullable Leftovers before;
    private boolean ready;

    @BeforeEach
    void deploy(Cluster cluster) throws IOException {
        if (ready) {
            return;
        }
        assumeTrue(before == null, "the application did not become ready before");
        before = Leftovers.atRest(cluster.agent());
        cluster.namespace(NS);
        cluster.apply(example("network-shop", cluster)
                + example("network-shop-db", cluster)
                + example("vm-shop", cluster)
                + example("vm-shop-db", cluster)
                + """
                ---
                apiVersion: vmlet.dev/v1alpha1
                kind: Network
                metadata: {namespace: %s, name: elsewhere}
                spec: {hostAccess: [{port: %d}]}
                """.formatted(NS, OPENED)
                + cluster.tiny(NS, "stranger", "a", "elsewhere"));
        cluster.awaitReady(NS, "stranger");
        Guest database = loggedIn(cluster, "shop-db");
        Guest shop = loggedIn(cluster, "shop");
        for (String vm : List.of("shop", "shop-db")) {
            assertThat(String.valueOf(
                            cluster.condition(NS, vm, "Ready").orElseThrow().status()))
                    .as(vm + " is up and serves nothing yet")
                    .isEqualTo("False");
        }
        serveDatabase(database, "stock 7");
        // The page that busybox serves where nobody names one.
        write(shop, "/www/cgi-bin/index.cgi", """
                #!/bin/sh
                printf "Content-Type: text/plain\\r\\n\\r\\n"
                nc -w 20 %s %d < /dev/null
                """.formatted(database.address(), DB));
        shop.ssh("httpd -p " + WEB + " -h /www < /dev/null > /dev/null 2>&1");
        cluster.awaitReady(NS, "shop", "shop-db");
        ready = true;
    }

    /** A manifest of the example, with the least changed that makes it a test's. */
    private static String example(String file, Cluster cluster) throws IOException {
        String text = Files.readString(EXAMPLE.resolve(file + ".yaml"));
        text = replaced(text, "metadata:\n", "metadata:\n  namespace: " + NS + "\n");
        if (file.startsWith("vm-")) {
            text = replaced(text, "  # nodeName: a", "  nodeName: a");
            text = replaced(text, "name: debian-13", "path: tiny/root.raw");
            text = text.replaceFirst("ssh-ed25519 \\S+ you@example", Matcher.quoteReplacement(cluster.publicKey()));
            text = text.stripTrailing() + """

                      boot:
                        kernel:
                          path: tiny/vmlinuz
                          initramfs: {path: tiny/initramfs.img}
                          cmdline: console=ttyS0 quiet no_timer_check
                    """;
        }
        return "---\n" + text;
    }

    private static String replaced(String text, String what, String by) {
        assertThat(text).as("the example").contains(what);
        return text.replace(what, by);
    }

    /** A guest that is up, whether its readiness port answers or not. */
    private static Guest loggedIn(Cluster cluster, String vm) {
        Cluster.await(
                vm + " lets us in",
                Cluster.BOOT,
                () -> cluster.guest(NS, vm).run("true").succeeded());
        return cluster.guest(NS, vm);
    }

    private static void serveDatabase(Guest guest, String answer) {
        write(guest, "/bin/database", "#!/bin/sh\necho " + answer + "\n");
        guest.ssh("nc -ll -p " + DB + " -e /bin/database < /dev/null > /dev/null 2>&1 &");
    }

    private static void write(Guest guest, String file, String text) {
        guest.ssh(
                "mkdir -p $(dirname " + file + ") && cat > " + file + " << 'END'\n" + text + "END\nchmod 755 " + file);
    }

    @Test
    @Order(1)
    void theOutsideAndTheNodeReachTheShopAtTheNodesAddress(Cluster cluster) {
        String page = "http://" + Outside.NODE + ":" + PUBLISHED + "/";
        assertThat(cluster.outside().run("curl", "-sS", "-m", "30", page).mustSucceed())
                .as("from outside, through both tiers")
                .isEqualTo("stock 7");
        assertThat(Command.of("curl", "-sS", "-m", "30", page).run().mustSucceed())
                .as("from the node itself")
                .isEqualTo("stock 7");
    }

    @Test
    @Order(2)
    void theOutsideReachesNeitherGuestAtItsOwnAddress(Cluster cluster) {
        String shop = cluster.address(NS, "shop");
        String database = cluster.address(NS, "shop-db");
        cluster.outside().routeToGuests(prefix(shop));
        cluster.outside().routeToGuests(prefix(database));
        try {
            long dropped = dropped(cluster, "unsolicited");
            assertThat(heard(cluster.outside().enter(socat(shop, WEB)))).isEqualTo(NOTHING);
            assertThat(dropped(cluster, "unsolicited")).as("the shop's").isGreaterThan(dropped);
            dropped = dropped(cluster, "unsolicited");
            assertThat(heard(cluster.outside().enter(socat(database, DB)))).isEqualTo(NOTHING);
            assertThat(dropped(cluster, "unsolicited")).as("the database's").isGreaterThan(dropped);
        } finally {
            cluster.outside().forgetGuests(prefix(shop));
            cluster.outside().forgetGuests(prefix(database));
        }
        assertThat(heard(cluster.outside().enter(socat(Outside.NODE, DB))))
                .as("the database is not published")
                .isEqualTo(NOTHING);
        assertThat(heard(List.of(socat(database, DB))))
                .as("it answers the node, so it was up")
                .isEqualTo("stock 7");
    }

    @Test
    @Order(3)
    void theDatabaseAnswersTheShopAndReachesNothingOutside(Cluster cluster) {
        Guest shop = cluster.guest(NS, "shop");
        Guest database = cluster.guest(NS, "shop-db");
        assertThat(asked(shop, database.address(), DB)).isEqualTo("stock 7");
        assertThat(shop.ssh(ping(Outside.ADDRESS))).contains(" 0% packet loss");
        long dropped = dropped(cluster, "without_egress");
        assertThat(database.run(ping(Outside.ADDRESS)).output()).contains("100% packet loss");
        assertThat(dropped(cluster, "without_egress")).isEqualTo(dropped + 2);
    }

    @Test
    @Order(4)
    void aStrangerReachesTheShopAsTheOutsideDoesAndTheDatabaseNotAtAll(Cluster cluster) {
        Guest stranger = cluster.guest(NS, "stranger");
        assertThat(stranger.ssh("wget -q -O - http://" + Outside.NODE + ":" + PUBLISHED + "/"))
                .isEqualTo("stock 7");
        long dropped = dropped(cluster, "between_networks");
        assertThat(stranger.ssh(tcp(cluster.address(NS, "shop-db"), DB))).isEqualTo("closed");
        assertThat(dropped(cluster, "between_networks")).as("the database's").isGreaterThan(dropped);
        dropped = dropped(cluster, "between_networks");
        assertThat(stranger.ssh(tcp(cluster.address(NS, "shop"), WEB))).isEqualTo("closed");
        assertThat(dropped(cluster, "between_networks")).as("the shop's").isGreaterThan(dropped);
    }

    @Test
    @Order(5)
    void aGuestReachesThePortsOfTheNodeThatItsNetworkOpensAndNoOther(Cluster cluster) throws IOException {
        Guest stranger = cluster.guest(NS, "stranger");
        Guest shop = cluster.guest(NS, "shop");
        List<Process> listeners = new ArrayList<>();
        try {
            for (int port : List.of(OPENED, CLOSED)) {
                listeners.add(
                        new ProcessBuilder("socat", "TCP-LISTEN:" + port + ",reuseaddr,fork", "SYSTEM:echo " + port)
                                .redirectErrorStream(true)
                                .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                                .start());
                Cluster.await(
                        "port " + port + " of the node answers",
                        Cluster.SOON,
                        () -> heard(List.of(socat(Outside.NODE, port))).equals(Integer.toString(port)));
            }
            for (String node : List.of(Outside.NODE, gateway(stranger.address()))) {
                assertThat(asked(stranger, node, OPENED))
                        .as("opened, at " + node)
                        .isEqualTo(Integer.toString(OPENED));
                long dropped = dropped(cluster, "to_node_closed");
                assertThat(stranger.ssh(tcp(node, CLOSED)))
                        .as("not opened, at " + node)
                        .isEqualTo("closed");
                assertThat(dropped(cluster, "to_node_closed")).isGreaterThan(dropped);
            }
            assertThat(shop.ssh(tcp(Outside.NODE, OPENED)))
                    .as("opened for another Network")
                    .isEqualTo("closed");
        } finally {
            listeners.forEach(Process::destroyForcibly);
        }
    }

    @Test
    @Order(6)
    void aSecondDatabaseReachesTheShopAndNotTheFirst(Cluster cluster) throws IOException {
        // Its place is taken by the fourth guest: an emulated one keeps a core busy.
        cluster.kubectl("delete", "vm", "stranger", "-n", NS, "--timeout=120s");
        cluster.apply(replaced(example("vm-shop-db", cluster), "\n  name: shop-db\n", "\n  name: shop-db-2\n"));
        Guest second = loggedIn(cluster, "shop-db-2");
        serveDatabase(second, "stock 8");
        cluster.awaitReady(NS, "shop-db-2");
        Guest shop = cluster.guest(NS, "shop");
        Guest first = cluster.guest(NS, "shop-db");
        assertThat(asked(shop, first.address(), DB)).isEqualTo("stock 7");
        assertThat(asked(shop, second.address(), DB)).isEqualTo("stock 8");
        assertThat(second.ssh(ping(gateway(second.address())))).contains(" 0% packet loss");
        assertThat(second.ssh(tcp(shop.address(), WEB, 20))).isEqualTo("open");
        assertThat(second.ssh(tcp(first.address(), DB))).isEqualTo("closed");
        assertThat(first.ssh(tcp(second.address(), DB))).isEqualTo("closed");
        assertThat(second.run(ping(first.address())).output()).contains("100% packet loss");
    }

    @Test
    @Order(LAST)
    void kubectlDeleteLeavesTheDataOfTheDatabasesAndNothingElse(Cluster cluster) throws IOException {
        cluster.kubectl("delete", "vm", "--all", "-n", NS, "--timeout=300s");
        cluster.kubectl("delete", "vmnet", "--all", "-n", NS, "--timeout=90s");
        Path retained = cluster.agent().stateDir().resolve("retained").resolve(NS);
        for (String vm : List.of("shop-db", "shop-db-2")) {
            assertThat(retained.resolve(vm)).isDirectoryContaining("glob:**/data.raw");
        }
        Command.of("rm", "-r", retained.toString()).run().mustSucceed();
        Objects.requireNonNull(before).awaitAgain(cluster.agent());
    }

    private static String gateway(String address) {
        return address.replaceFirst("\\d+$", "1");
    }

    private static String prefix(String address) {
        return address.replaceFirst("\\d+$", "0/24");
    }

    private static String ping(String address) {
        return "ping -c 2 -W 3 " + address;
    }

    /** Where closed is expected, which is waited for in full. */
    private static String tcp(String address, int port) {
        return tcp(address, port, 3);
    }

    private static String tcp(String address, int port, int seconds) {
        return "if nc -w " + seconds + " " + address + " " + port
                + " -e /bin/true 2>/dev/null; then echo open; else echo closed; fi";
    }

    /** What a server says to a guest that says nothing. */
    private static String asked(Guest guest, String address, int port) {
        return guest.ssh("nc -w 20 " + address + " " + port + " < /dev/null");
    }

    private static String[] socat(String address, int port) {
        return new String[] {"socat", "-u", "TCP:" + address + ":" + port + ",connect-timeout=3", "STDOUT"};
    }

    /** What a server says to the command, empty when no connection comes about. */
    private static String heard(List<String> command) {
        Command.Ended ended = Command.of(command).run();
        return ended.succeeded() ? ended.mustSucceed() : NOTHING;
    }

    /** Packets that the node's firewall dropped by the name, until now. */
    private static long dropped(Cluster cluster, String counter) {
        String listed = Command.of(
                        "nft",
                        "-j",
                        "list",
                        "counter",
                        "inet",
                        "vmlet_" + cluster.agent().installation(),
                        counter)
                .run()
                .mustSucceed();
        Matcher packets = Pattern.compile("\"packets\": (\\d+)").matcher(listed);
        assertThat(packets.find()).as(listed).isTrue();
        return Long.parseLong(packets.group(1));
    }
}
