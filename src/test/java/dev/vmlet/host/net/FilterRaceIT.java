package dev.vmlet.host.net;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.vmlet.model.DesiredNetwork;
import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.Egress;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.FirewallSet;
import dev.vmlet.model.HostException;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.MacAddress;
import dev.vmlet.model.Mark;
import dev.vmlet.model.NetworkId;
import dev.vmlet.plan.Ruleset;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * A guest that never stops sending, one true and one spoofed frame in turn, while its port comes up, while the tables are
 * replaced and while an update fails. What arrives is counted by the receiver's kernel, which misses none.
 */
class FilterRaceIT {
    private static final String EVIL = "10.77.0.99";
    private static final String ONE_MAC = "52:00:00:00:00:11";
    private static final String TWO_MAC = "52:00:00:00:00:12";

    private Town town;
    private DesiredNetwork network;
    private DesiredNic one;
    private Peer two;
    private final AtomicBoolean over = new AtomicBoolean();
    private final AtomicLong rounds = new AtomicLong();

    @BeforeEach
    void build(@TempDir Path directory) throws Exception {
        OwnNamespace.require();
        town = new Town("racerace", directory);
        network = new DesiredNetwork(
                new NetworkId("lab", "lab", "net-lab"),
                new LinkName("vmb-race"),
                new MacAddress("52:00:00:00:aa:01"),
                Mark.ofNetwork(town.installation, "net-lab"),
                Ipv4Prefix.parse("10.77.0.0/24"),
                1500,
                Egress.MASQUERADE);
        town.build(network);
        town.install();
        one = Town.nic(network, ONE_MAC, "10.77.0.11");
        two = town.plug(Town.nic(network, TWO_MAC, "10.77.0.12"), network);
        two.run("nft", """
                table inet seen {
                  counter evil { }
                  counter honest { }
                  chain in {
                    type filter hook input priority 0;
                    ip saddr %s counter name evil drop
                    ip saddr 10.77.0.11 counter name honest drop
                  }
                }
                """.formatted(EVIL));
    }

    @AfterEach
    void tearDown() {
        if (OwnNamespace.isPrivate() && town != null) {
            over.set(true);
            town.close();
        }
    }

    /** Sends until the test is over, whether the port takes it or not; says how many true frames were taken. */
    private FutureTask<Long> storm(Peer guest) {
        byte[] honest =
                Frames.ethernet(TWO_MAC, ONE_MAC, Frames.IPV4, Frames.udp(4, "10.77.0.11", "10.77.0.12", 9, "true"));
        byte[] evil = Frames.ethernet(TWO_MAC, ONE_MAC, Frames.IPV4, Frames.udp(4, EVIL, "10.77.0.12", 9, "evil"));
        FutureTask<Long> task = new FutureTask<>(() -> {
            long taken = 0;
            while (!over.get()) {
                guest.trySend(evil);
                taken += guest.trySend(honest) ? 1 : 0;
                rounds.incrementAndGet();
                // Some thousands a second: more would only fill the receiver's backlog on a busy machine.
                LockSupport.parkNanos(200_000);
            }
            return taken;
        });
        Thread.ofPlatform().daemon().start(task);
        return task;
    }

    private long seen(String counter) throws Exception {
        return two.packets("seen", counter);
    }

    private void goOnFor(long more) {
        long until = rounds.get() + more;
        Awaitility.await().atMost(Duration.ofSeconds(20)).until(() -> rounds.get() >= until);
    }

    /** Elements, tap, bridge, up: the order of the planner. A veth stands for the tap, and is there before its name is. */
    @Test
    void nothingUnfilteredPassesWhileAPortComesUp() throws Exception {
        for (int i = 0; i < 20; i++) {
            over.set(false);
            Peer guest = Peer.plugDown(one.tap().value(), ONE_MAC, "10.77.0.11/24", "10.77.0.1");
            FutureTask<Long> storm = storm(guest);
            try (guest) {
                goOnFor(10);
                town.firewall.add(one.elements("vm-1"));
                town.links.attach(one.tap(), one.bridge());
                town.links.setUp(one.tap());
                long before = seen("honest");
                Awaitility.await().atMost(Duration.ofSeconds(20)).until(() -> seen("honest") > before);
                // Cut off as the planner does: what may be sent from goes first.
                town.firewall.delete(one.elements("vm-1").stream()
                        .filter(e -> e.set() == FirewallSet.OK4)
                        .toList());
                goOnFor(10);
                OwnNamespace.run("ip", "link", "set", one.tap().value(), "down", "nomaster");
                town.firewall.delete(one.elements("vm-1"));
                goOnFor(10);
                over.set(true);
                storm.get(20, TimeUnit.SECONDS);
                OwnNamespace.run("ip", "link", "delete", one.tap().value());
            }
        }
        assertThat(seen("evil")).isZero();
        assertThat(rounds.get()).isGreaterThanOrEqualTo(20 * 30);
    }

    @Test
    void nothingUnfilteredPassesAndNothingIsLostWhileTablesAreReplaced() throws Exception {
        Peer guest = town.plug(one, network);
        FutureTask<Long> storm = storm(guest);
        for (int i = 0; i < 100; i++) {
            town.install();
            goOnFor(5);
        }
        over.set(true);
        long taken = storm.get(20, TimeUnit.SECONDS);
        Awaitility.await("all " + taken).atMost(Duration.ofSeconds(10)).until(() -> seen("honest") == taken);
        assertThat(seen("evil")).isZero();
    }

    /** nft refuses two subnets of which one holds the other, so the whole transaction falls. */
    @Test
    void aFailingUpdateLeavesTheOldTablesInForce() throws Exception {
        Peer guest = town.plug(one, network);
        FutureTask<Long> storm = storm(guest);
        var before = town.firewall.observe();
        Set<FirewallElement> bad = new HashSet<>(town.elements);
        bad.add(new FirewallElement(FirewallSet.SUBNETS, List.of("10.77.0.0/25"), "net-other"));
        List<String> refusals = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            assertThatThrownBy(() -> town.firewall.install(new Ruleset(town.installation, bad)))
                    .isInstanceOf(HostException.Refused.class)
                    .satisfies(e -> refusals.add(String.valueOf(e.getMessage())));
            goOnFor(5);
        }
        over.set(true);
        long taken = storm.get(20, TimeUnit.SECONDS);
        Awaitility.await("all " + taken).atMost(Duration.ofSeconds(10)).until(() -> seen("honest") == taken);
        assertThat(seen("evil")).isZero();
        assertThat(town.firewall.observe()).isEqualTo(before);
        assertThat(refusals).allSatisfy(text -> assertThat(text).contains("install firewall vmlet_racerace"));
    }
}
