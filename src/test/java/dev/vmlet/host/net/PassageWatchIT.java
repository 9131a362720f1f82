package dev.vmlet.host.net;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.model.DesiredNetwork;
import dev.vmlet.model.Destination;
import dev.vmlet.model.Egress;
import dev.vmlet.model.FirewallKeeper;
import dev.vmlet.model.ForeignRule;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.MacAddress;
import dev.vmlet.model.Mark;
import dev.vmlet.model.NetworkId;
import dev.vmlet.model.NetworkPolicy;
import dev.vmlet.model.NetworkRecord;
import dev.vmlet.model.Passage;
import dev.vmlet.model.Seen;
import dev.vmlet.plan.Ruleset;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.stream.IntStream;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

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
        network = network("net-lab", "vmb-lab", "10.77.0.0/24", List.of());
        town.outside();
        watch = town.keep(new PassageWatch(
                town.installation,
                town.links,
                town.firewall,
                told::add,
                new PassageWatch.Pace(
                        Duration.ofMillis(50),
                        Duration.ofMillis(200),
                        Duration.ofHours(1),
                        Duration.ofMillis(100),
                        Duration.ofMillis(200))));
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

    private DesiredNetwork network(String uid, String bridge, String subnet, List<Destination> allowed) {
        return new DesiredNetwork(
                new NetworkId("lab", "lab", uid),
                new LinkName(bridge),
                new MacAddress("52:00:00:00:aa:01"),
                Mark.ofNetwork(town.installation, uid),
                Ipv4Prefix.parse(subnet),
                1500,
                Egress.MASQUERADE,
                new NetworkPolicy(false, List.of(), allowed, List.of()));
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

    /** A probe makes a tap, of which the kernel tells, whether it comes to a bridge or not. */
    @Test
    void whatCanNeverBeTriedIsNewsOnceAndLeavesOthersAlone() throws Exception {
        realise();
        DesiredNetwork nowhere = network("net-nowhere", "vmb-nowhere", "10.78.0.0/24", List.of());
        watch.follow(
                UPLINK,
                List.of(new NetworkRecord(network.id(), network), new NetworkRecord(nowhere.id(), nowhere)),
                List.of());
        awaitWord(OPEN);
        OwnNamespace.run("nft", "table inet fw { chain f { type filter hook forward priority 0; counter; }; }");
        Awaitility.await().atMost(PATIENCE).untilAsserted(() -> {
            String before = OwnNamespace.output("nft", "list", "table", "inet", "fw");
            links.clear();
            Awaitility.await().atMost(PATIENCE).until(() -> Set.copyOf(links).size() > 4);
            assertThat(OwnNamespace.output("nft", "list", "table", "inet", "fw"))
                    .isEqualTo(before);
        });
        assertThat(watch.of("net-nowhere")).isInstanceOf(Seen.Unknown.class);
        assertThat(told).containsExactlyInAnyOrder("net-lab", "net-nowhere");
    }

    @Test
    void whatCannotBeTriedIsTriedEverMoreSeldom() {
        assertThat(IntStream.of(1, 2, 3, 4, 5, 6, 7, 1_000_000).mapToObj(PassageWatch.Pace.USUAL::afterFailures))
                .containsExactly(
                        Duration.ofSeconds(5),
                        Duration.ofSeconds(5),
                        Duration.ofMinutes(1),
                        Duration.ofMinutes(2),
                        Duration.ofMinutes(4),
                        Duration.ofMinutes(8),
                        Duration.ofMinutes(10),
                        Duration.ofMinutes(10));
    }

    /** The first address of the list is the node's own, or a guest's of this node. */
    @ParameterizedTest
    @ValueSource(strings = {"192.0.2.0/24", "10.77.0.0/16", "10.77.0.128/25"})
    void whatStaysOnTheNodeSaysNothingOfTheWayOut(String allowed) throws Exception {
        realise();
        follow();
        awaitWord(OPEN);
        DesiredNetwork listed = network(
                "net-lab",
                "vmb-lab",
                "10.77.0.0/24",
                List.of(new Destination(Ipv4Prefix.parse(allowed), Optional.empty())));
        watch.follow(UPLINK, List.of(new NetworkRecord(listed.id(), listed)), List.of());
        awaitWord(Seen.missing());
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
