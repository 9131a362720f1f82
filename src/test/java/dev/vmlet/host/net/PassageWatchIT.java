package dev.vmlet.host.net;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.model.DesiredNetwork;
import dev.vmlet.model.Egress;
import dev.vmlet.model.FirewallKeeper;
import dev.vmlet.model.ForeignRule;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.MacAddress;
import dev.vmlet.model.Mark;
import dev.vmlet.model.NetworkId;
import dev.vmlet.model.NetworkRecord;
import dev.vmlet.model.Passage;
import dev.vmlet.model.Seen;
import dev.vmlet.plan.Ruleset;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** When a node tries what others' firewalls do with its guests' packets, and when it leaves them alone. */
class PassageWatchIT {
    private static final Duration PATIENCE = Duration.ofSeconds(20);
    private static final Optional<LinkName> UPLINK = Optional.of(new LinkName("uplink"));
    private static final Seen<Passage> OPEN = Seen.present(new Passage.Open());

    private final Queue<String> told = new ConcurrentLinkedQueue<>();
    private final Queue<String> links = new ConcurrentLinkedQueue<>();
    private Town town;
    private DesiredNetwork network;
    private PassageWatch watch;

    @BeforeEach
    void build(@TempDir Path directory) throws Exception {
        OwnNamespace.require();
        town = new Town("watchhhh", directory);
        network = new DesiredNetwork(
                new NetworkId("lab", "lab", "net-lab"),
                new LinkName("vmb-lab"),
                new MacAddress("52:00:00:00:aa:01"),
                Mark.ofNetwork(town.installation, "net-lab"),
                Ipv4Prefix.parse("10.77.0.0/24"),
                1500,
                Egress.MASQUERADE);
        town.outside();
        watch = town.keep(new PassageWatch(
                town.installation,
                town.links,
                town.firewall,
                told::add,
                new PassageWatch.Pace(
                        Duration.ofMillis(50), Duration.ofMillis(200), Duration.ofHours(1), Duration.ofMillis(100))));
        town.keep(new LinkMonitor(new LinkMonitor.Listener() {
            @Override
            public void changed(LinkName link) {
                if (link.value().startsWith("vmt-")) {
                    links.add(link.value());
                }
            }

            @Override
            public void forwardingWritten(LinkName link) {}

            @Override
            public void heardBehind(LinkName port) {}

            @Override
            public void neighbourForgotten(Ipv4Address address) {}

            @Override
            public void everything() {}

            @Override
            public void deaf(String monitor, String why) {}

            @Override
            public void hears(String monitor) {}
        }));
        town.keep(new FirewallMonitor(town.installation, new FirewallMonitor.Listener() {
            @Override
            public void changed() {}

            @Override
            public void foreignChanged() {
                watch.disturbed();
            }

            @Override
            public void deaf(String monitor, String why) {}

            @Override
            public void hears(String monitor) {}
        }));
    }

    @AfterEach
    void tearDown() throws Exception {
        if (OwnNamespace.isPrivate() && town != null) {
            OwnNamespace.run(
                    "nft", "add table inet fw; delete table inet fw; add table ip filter; delete table ip filter");
            town.close();
        }
    }

    private void realise() throws Exception {
        town.build(network);
        town.install();
    }

    private void follow() {
        watch.follow(UPLINK, List.of(new NetworkRecord(network.id(), network)), List.of());
    }

    private void awaitWord(Seen<Passage> word) {
        Awaitility.await()
                .atMost(PATIENCE)
                .untilAsserted(() -> assertThat(watch.of("net-lab")).isEqualTo(word));
    }

    @Test
    void hearsOfARuleWhenItComesAndWhenItGoes() throws Exception {
        realise();
        assertThat(watch.of("net-lab")).isEqualTo(Seen.missing());
        follow();
        awaitWord(OPEN);
        OwnNamespace.run("nft", "table inet fw { chain f { type filter hook forward priority 0; policy drop; }; }");
        awaitWord(Seen.present(new Passage.Dropped(
                new ForeignRule(FirewallKeeper.NFTABLES, "inet", "fw", "f", "f", ""), network.subnet())));
        OwnNamespace.run("nft", "delete table inet fw");
        awaitWord(OPEN);
        assertThat(told).containsExactly("net-lab", "net-lab", "net-lab");
    }

    @Test
    void findsTheWayOpenWhenItsRemedyIsRun() throws Exception {
        OwnNamespace.run(
                "sh", "-ec", "iptables -P FORWARD DROP; iptables -N DOCKER-USER; iptables -A FORWARD -j DOCKER-USER");
        realise();
        follow();
        Passage.Dropped docker = new Passage.Dropped(
                new ForeignRule(FirewallKeeper.DOCKER, "ip", "filter", "FORWARD", "FORWARD", ""), network.subnet());
        awaitWord(Seen.present(docker));
        OwnNamespace.run("sh", "-ec", docker.leavingBy(UPLINK).remedy().replaceFirst(" \\(.*", ""));
        awaitWord(OPEN);
    }

    @Test
    void triesAgainWhatCouldNotBeTried() throws Exception {
        follow();
        Awaitility.await().atMost(PATIENCE).until(() -> watch.of("net-lab") instanceof Seen.Unknown);
        realise();
        awaitWord(OPEN);
    }

    /** A probe makes a tap, of which the kernel tells. */
    @Test
    void triesNothingWhereNothingChanges() throws Exception {
        realise();
        follow();
        awaitWord(OPEN);
        Awaitility.await().atMost(PATIENCE).until(() -> !links.isEmpty());
        links.clear();
        follow();
        town.firewall.install(new Ruleset(town.installation, town.elements));
        Awaitility.await().during(Duration.ofSeconds(2)).atMost(PATIENCE).until(links::isEmpty);
        OwnNamespace.run("nft", "add table inet fw");
        Awaitility.await().atMost(PATIENCE).until(() -> !links.isEmpty());
    }

    @Test
    void forgetsANetworkThatIsGoneAndTriesNothingWithoutAnUplink() throws Exception {
        realise();
        follow();
        awaitWord(OPEN);
        watch.follow(Optional.empty(), List.of(new NetworkRecord(network.id(), network)), List.of());
        assertThat(watch.of("net-lab")).isEqualTo(Seen.missing());
    }
}
