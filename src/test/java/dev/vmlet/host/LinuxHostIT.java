package dev.vmlet.host;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.host.net.FirewallMonitor;
import dev.vmlet.host.net.LinkMonitor;
import dev.vmlet.host.net.LinuxLinks;
import dev.vmlet.host.net.NftFirewall;
import dev.vmlet.host.net.OwnNamespace;
import dev.vmlet.model.FirewallState;
import dev.vmlet.model.HostException;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Link;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.MacAddress;
import dev.vmlet.model.Mark;
import dev.vmlet.model.Seen;
import dev.vmlet.plan.Ruleset;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The kernel keeps the contract: in a network namespace of this JVM, else skipped. */
class LinuxHostIT extends HostContract {
    private static final String TABLE = "vmlet_" + INSTALLATION;

    @TempDir
    private Path directory;

    private LinuxLinks links;
    private NftFirewall firewall;

    @BeforeEach
    void open() {
        OwnNamespace.require();
        links = new LinuxLinks();
        firewall = new NftFirewall(INSTALLATION, directory.resolve("firewall"));
    }

    @AfterEach
    void sweep() throws Exception {
        if (!OwnNamespace.isPrivate()) {
            return;
        }
        for (Link link : links.list()) {
            if (!link.name().value().equals("lo")) {
                OwnNamespace.run("ip", "link", "delete", link.name().value());
            }
        }
        firewall.remove();
        firewall.close();
        links.close();
    }

    @Override
    Links links() {
        return links;
    }

    @Override
    Firewall firewall() {
        return firewall;
    }

    @Override
    void needTaps() {
        LinkName probe = new LinkName("probe");
        Mark mark = Mark.ofNic(INSTALLATION, "probe", "probe");
        try {
            links.createTap(probe, 0, 1500, mark);
            links.delete(probe, mark);
        } catch (HostException.NotPermitted | HostException.Unsupported e) {
            Assumptions.abort("no taps here: " + e.getMessage() + " (NETNS_TUN may name a node to use)");
        } catch (HostException e) {
            throw new AssertionError(e);
        }
    }

    @Override
    void plantBridge(LinkName name, MacAddress mac, boolean up) throws Exception {
        OwnNamespace.run("ip", "link", "add", name.value(), "address", mac.value(), "type", "bridge");
        setUp(name, up);
    }

    /** An ordinary user's namespace knows one user, 0; the kernel answers EINVAL for any other. */
    @Override
    int userId() {
        try {
            boolean one =
                    Files.readString(Path.of("/proc/self/uid_map")).strip().matches("0 +\\d+ +1");
            return one ? 0 : 4711;
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    @Override
    void plantTap(LinkName name, int userId, boolean up) throws Exception {
        List<String> command = new ArrayList<>(List.of("ip", "tuntap", "add", name.value(), "mode", "tap"));
        if (userId != NO_OWNER) {
            command.addAll(List.of("user", String.valueOf(userId)));
        }
        OwnNamespace.run(command.toArray(String[]::new));
        setUp(name, up);
    }

    private static void setUp(LinkName name, boolean up) throws Exception {
        if (up) {
            OwnNamespace.run("ip", "link", "set", name.value(), "up");
        }
    }

    @Override
    void putIntoGroup(LinkName name, int group) throws Exception {
        OwnNamespace.run("ip", "link", "set", name.value(), "group", String.valueOf(group));
    }

    @Override
    void routeEverythingBy(LinkName device, long metric) throws Exception {
        OwnNamespace.run(
                "ip", "route", "add", "default", "via", "10.77.4.2", "dev", device.value(), "metric", "" + metric);
    }

    @Override
    void turnForwardingEverywhere(boolean on) throws Exception {
        OwnNamespace.run("sh", "-c", "echo " + (on ? 1 : 0) + " >/proc/sys/net/ipv4/ip_forward");
    }

    @Override
    void deleteRule() throws Exception {
        OwnNamespace.run("nft", "flush chain bridge " + TABLE + " prerouting");
    }

    @Override
    void deleteTable(String family) throws Exception {
        OwnNamespace.run("nft", "delete table " + family + " " + TABLE);
    }

    // ---- what only the kernel's side has ----

    @Test
    void aRestartedAgentKnowsAnIntactFirewall() throws Exception {
        firewall.install(new Ruleset(INSTALLATION, Set.of()));
        try (NftFirewall restarted = new NftFirewall(INSTALLATION, directory.resolve("firewall"));
                NftFirewall forgetful = new NftFirewall(INSTALLATION, directory.resolve("lost"))) {
            assertThat(restarted.observe()).isEqualTo(Seen.present(new FirewallState(true, "", Set.of())));
            assertThat(forgetful.observe())
                    .isEqualTo(Seen.present(new FirewallState(false, "no record of what was installed", Set.of())));
        }
    }

    @Test
    void namesTheRuleThatSomebodyChanged() throws Exception {
        firewall.install(new Ruleset(INSTALLATION, Set.of()));
        OwnNamespace.run("nft", "flush chain inet " + TABLE + " input");
        OwnNamespace.run("nft", "add rule inet " + TABLE + " input accept");
        OwnNamespace.run("nft", "add rule inet " + TABLE + " input counter drop");
        assertThat(difference()).startsWith("changed or missing: inet rule in chain input = {");
        OwnNamespace.run("nft", "add chain inet " + TABLE + " mine");
        assertThat(difference()).isEqualTo("inet chain mine is not ours");
    }

    @Test
    void packetsCountedAreNoDifference() throws Exception {
        firewall.install(new Ruleset(INSTALLATION, Set.of()));
        OwnNamespace.run("nft", "reset counters table inet " + TABLE);
        assertThat(difference()).isEmpty();
    }

    private String difference() {
        if (!(firewall.observe() instanceof Seen.Present<FirewallState>(FirewallState state))) {
            throw new AssertionError("no firewall: " + firewall.observe());
        }
        return state.difference();
    }

    @Test
    void hearsOfLinksAndAddresses() throws Exception {
        BlockingQueue<LinkName> heard = new LinkedBlockingQueue<>();
        LinkName name = new LinkName("heard");
        try (LinkMonitor monitor = new LinkMonitor(new Hears(heard::add, _ -> {}, () -> {}))) {
            assertThat(monitor).isNotNull();
            plantBridge(name, new MacAddress("52:00:00:00:00:01"), false);
            assertThat(heard.poll(5, TimeUnit.SECONDS)).isEqualTo(name);
            heard.clear();
            OwnNamespace.run("ip", "address", "add", "192.0.2.1/24", "dev", "heard");
            assertThat(heard.poll(5, TimeUnit.SECONDS)).isEqualTo(name);
            heard.clear();
            OwnNamespace.run("ip", "link", "delete", "heard");
            assertThat(heard.poll(5, TimeUnit.SECONDS)).isEqualTo(name);
        }
    }

    @Test
    void saysThatEventsWereLost() throws Exception {
        CountDownLatch overrun = new CountDownLatch(1);
        CountDownLatch told = new CountDownLatch(1);
        try (LinkMonitor monitor = new LinkMonitor(new Hears(_ -> await(overrun), _ -> {}, told::countDown))) {
            assertThat(monitor).isNotNull();
            plantBridge(new LinkName("noisy"), new MacAddress("52:00:00:00:00:01"), false);
            // The monitor's thread stands in its first callback while its queue runs over.
            Path batch = Files.writeString(
                    directory.resolve("batch"), "link set noisy mtu 1400\nlink set noisy mtu 1500\n".repeat(4000));
            OwnNamespace.run("ip", "-batch", batch.toString());
            overrun.countDown();
            assertThat(told.await(20, TimeUnit.SECONDS)).isTrue();
        }
    }

    private static void await(CountDownLatch latch) {
        try {
            latch.await(20, TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    @Test
    void hearsWhoseForwardingFlagWasWritten() throws Exception {
        BlockingQueue<LinkName> heard = new LinkedBlockingQueue<>();
        LinkName name = new LinkName("flagged");
        plantBridge(name, new MacAddress("52:00:00:00:00:02"), false);
        try (LinkMonitor monitor = new LinkMonitor(new Hears(_ -> {}, heard::add, () -> {}))) {
            assertThat(monitor).isNotNull();
            OwnNamespace.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/conf/flagged/forwarding");
            assertThat(heard.poll(5, TimeUnit.SECONDS)).isEqualTo(name);
            heard.clear();
            // The global switch writes every link's flag.
            OwnNamespace.run(
                    "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 0 >/proc/sys/net/ipv4/ip_forward");
            Awaitility.await().atMost(5, TimeUnit.SECONDS).until(() -> heard.contains(name));
            assertThat(links.forwarding(name)).isEqualTo(Seen.present(false));
        }
    }

    @Test
    void hearsWhoseTableAnotherProgramChanged() throws Exception {
        BlockingQueue<String> heard = new LinkedBlockingQueue<>();
        try (FirewallMonitor monitor =
                new FirewallMonitor(INSTALLATION, new Hears(_ -> {}, _ -> {}, () -> heard.add("changed")) {
                    @Override
                    public void foreignChanged() {
                        heard.add("somebody else's");
                    }
                })) {
            assertThat(monitor).isNotNull();
            firewall.install(new Ruleset(INSTALLATION, Set.of()));
            OwnNamespace.run("nft", "add table inet vmlet_zzzzzzzz; delete table inet vmlet_zzzzzzzz");
            assertThat(heard.poll(300, TimeUnit.MILLISECONDS)).isNull();
            OwnNamespace.run("nft", "add table inet somebody_else");
            assertThat(heard.poll(5, TimeUnit.SECONDS)).isEqualTo("somebody else's");
            OwnNamespace.run("nft", "delete table inet somebody_else");
            assertThat(heard.poll(5, TimeUnit.SECONDS)).isEqualTo("somebody else's");
            deleteRule();
            assertThat(heard.poll(5, TimeUnit.SECONDS)).isEqualTo("changed");
            assertThat(heard.poll(300, TimeUnit.MILLISECONDS)).isNull();
        }
    }

    /** One listener for both monitors. */
    private static class Hears implements LinkMonitor.Listener, FirewallMonitor.Listener {
        private final Consumer<LinkName> onLink;
        private final Consumer<LinkName> onForwarding;
        private final Runnable onAnything;

        Hears(Consumer<LinkName> onLink, Consumer<LinkName> onForwarding, Runnable onAnything) {
            this.onLink = onLink;
            this.onForwarding = onForwarding;
            this.onAnything = onAnything;
        }

        @Override
        public void foreignChanged() {}

        @Override
        public void changed(LinkName link) {
            onLink.accept(link);
        }

        @Override
        public void forwardingWritten(LinkName link) {
            onForwarding.accept(link);
        }

        @Override
        public void heardBehind(LinkName port) {}

        @Override
        public void neighbourForgotten(Ipv4Address address) {}

        @Override
        public void everything() {
            onAnything.run();
        }

        @Override
        public void changed() {
            onAnything.run();
        }

        @Override
        public void deaf(String monitor, String why) {}

        @Override
        public void hears(String monitor) {}
    }
}
