package dev.vmlet.host.probe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Reach;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class TcpProbesTest {
    private static final Ipv4Address LOOPBACK = Ipv4Address.parse("127.0.0.1");

    private final List<String> woken = new CopyOnWriteArrayList<>();
    private final TcpProbes probes = new TcpProbes(woken::add, Duration.ofMillis(100), TcpProbes::connect);

    @AfterEach
    void close() {
        probes.close();
    }

    private static ServerSocket listen(int port) throws IOException {
        return new ServerSocket(port, 50, InetAddress.getLoopbackAddress());
    }

    private void awaitState(String vmUid, Reach reach) {
        await().atMost(Duration.ofSeconds(10)).until(() -> probes.state(vmUid) == reach);
    }

    @Test
    void seesAPortOpenCloseAndOpenAgain() throws Exception {
        int port;
        try (ServerSocket server = listen(0)) {
            port = server.getLocalPort();
            probes.watch("a", LOOPBACK, port);
            awaitState("a", Reach.OPEN);
        }
        awaitState("a", Reach.CLOSED);
        try (ServerSocket server = listen(port)) {
            assertThat(server.isBound()).isTrue();
            awaitState("a", Reach.OPEN);
        }
        await().atMost(Duration.ofSeconds(10)).until(() -> woken.size() >= 3);
        assertThat(woken).containsOnly("a");
    }

    @Test
    void wakesOncePerFirstSightAndThenForChanges() throws Exception {
        int port;
        try (ServerSocket server = listen(0)) {
            port = server.getLocalPort();
        }
        probes.watch("a", LOOPBACK, port);
        try (ServerSocket server = listen(0)) {
            probes.watch("b", LOOPBACK, server.getLocalPort());
            awaitState("b", Reach.OPEN);
            probes.watch("b", LOOPBACK, server.getLocalPort());
            assertThat(probes.state("b")).isEqualTo(Reach.OPEN);
            await().during(Duration.ofMillis(500))
                    .atMost(Duration.ofSeconds(5))
                    .until(() -> List.copyOf(woken).stream().sorted().toList().equals(List.of("a", "b")));
        }
        assertThat(probes.state("a")).isEqualTo(Reach.CLOSED);
    }

    @Test
    void startsAnewForAnotherAddress() throws Exception {
        try (ServerSocket server = listen(0)) {
            probes.watch("a", LOOPBACK, server.getLocalPort());
            awaitState("a", Reach.OPEN);
            // TEST-NET-1 is routed nowhere (RFC 5737).
            probes.watch("a", Ipv4Address.parse("192.0.2.1"), server.getLocalPort());
            assertThat(probes.state("a")).isNotEqualTo(Reach.OPEN);
            awaitState("a", Reach.CLOSED);
        }
    }

    /** Hangs in the first attempt until it is let go, and answers the others at once. */
    private static final class SlowDoor implements Door {
        final CountDownLatch arrived = new CountDownLatch(1);
        final CountDownLatch letGo = new CountDownLatch(1);
        final AtomicInteger knocks = new AtomicInteger();
        volatile Answer answer = Answer.OPEN;

        @Override
        public Answer knock(Ipv4Address address, int port, Duration patience) {
            if (knocks.incrementAndGet() > 1) {
                return answer;
            }
            arrived.countDown();
            try {
                assertThat(letGo.await(20, TimeUnit.SECONDS)).isTrue();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
            return Answer.SILENT;
        }
    }

    @Test
    void knocksAtOnceAtAGuestThatIsHeardThoughAnAttemptHangs() throws Exception {
        SlowDoor door = new SlowDoor();
        try (TcpProbes probing = new TcpProbes(woken::add, Duration.ofMinutes(1), door)) {
            probing.watch("a", LOOPBACK, 22);
            assertThat(door.arrived.await(10, TimeUnit.SECONDS)).isTrue();
            probing.heard("a");
            await().atMost(Duration.ofSeconds(10)).until(() -> probing.state("a") == Reach.OPEN);
            door.letGo.countDown();
            await().during(Duration.ofMillis(300))
                    .atMost(Duration.ofSeconds(5))
                    .until(() -> probing.state("a") == Reach.OPEN);
            probing.heard("a");
            probing.heard("nobody");
            await().during(Duration.ofMillis(300)).atMost(Duration.ofSeconds(5)).until(() -> door.knocks.get() == 2);
        }
        assertThat(woken).containsExactly("a");
    }

    @Test
    void knocksAgainAndAgainAtAGuestThatRefusesAndHurriesForNoFrameOfIt() {
        SlowDoor door = new SlowDoor();
        door.letGo.countDown();
        door.answer = Door.Answer.REFUSED;
        try (TcpProbes probing = new TcpProbes(woken::add, Duration.ofMinutes(1), door)) {
            probing.watch("a", LOOPBACK, 22);
            await().atMost(Duration.ofSeconds(10)).until(() -> door.knocks.get() >= 10);
            door.answer = Door.Answer.OPEN;
            await().atMost(Duration.ofSeconds(10)).until(() -> probing.state("a") == Reach.OPEN);
        }
        assertThat(woken).containsExactly("a", "a");
    }

    /** Gives these answers one after another, and the last for ever. */
    private static final class ScriptedDoor implements Door {
        private final Answer[] answers;
        final AtomicInteger knocks = new AtomicInteger();

        ScriptedDoor(Answer... answers) {
            this.answers = answers;
        }

        @Override
        public Answer knock(Ipv4Address address, int port, Duration patience) {
            return answers[Math.min(knocks.getAndIncrement(), answers.length - 1)];
        }
    }

    @Test
    void oneLostPacketDoesNotCloseAnOpenPort() {
        ScriptedDoor door = new ScriptedDoor(
                Door.Answer.OPEN, Door.Answer.SILENT, Door.Answer.OPEN, Door.Answer.SILENT, Door.Answer.OPEN);
        try (TcpProbes probing = new TcpProbes(woken::add, Duration.ofMillis(50), door)) {
            probing.watch("a", LOOPBACK, 22);
            await().atMost(Duration.ofSeconds(10)).until(() -> door.knocks.get() >= 7);
            assertThat(probing.state("a")).isEqualTo(Reach.OPEN);
        }
        assertThat(woken).containsExactly("a");
    }

    @Test
    void anOpenPortIsClosedByTwoSilencesOrOneRefusal() {
        ScriptedDoor door = new ScriptedDoor(
                Door.Answer.OPEN,
                Door.Answer.SILENT,
                Door.Answer.SILENT,
                Door.Answer.OPEN,
                Door.Answer.REFUSED,
                Door.Answer.OPEN);
        try (TcpProbes probing = new TcpProbes(woken::add, Duration.ofMillis(50), door)) {
            probing.watch("a", LOOPBACK, 22);
            await().atMost(Duration.ofSeconds(10)).until(() -> door.knocks.get() >= 7);
        }
        assertThat(woken).as("open, closed, open, closed, open").containsExactly("a", "a", "a", "a", "a");
    }

    @Test
    void theLongerTheGuestTakesTheRarerItIsKnockedAt() {
        assertThat(List.of(
                        Pace.pause(Duration.ZERO, true),
                        Pace.pause(Duration.ofSeconds(10), true),
                        Pace.pause(Duration.ofMinutes(1), true),
                        Pace.pause(Duration.ofHours(1), true)))
                .containsExactly(
                        Duration.ofMillis(25), Duration.ofMillis(100), Duration.ofMillis(600), Duration.ofSeconds(5));
        assertThat(List.of(
                        Pace.pause(Duration.ZERO, false),
                        Pace.pause(Duration.ofMinutes(5), false),
                        Pace.pause(Duration.ofHours(1), false)))
                .as("of a guest that never answered")
                .containsExactly(Duration.ofMillis(500), Duration.ofSeconds(3), Duration.ofSeconds(5));
        assertThat(List.of(Pace.patience(Duration.ZERO), Pace.patience(Duration.ofHours(1))))
                .containsExactly(Duration.ofMillis(250), Duration.ofSeconds(1));
    }

    @Test
    void forgets() throws Exception {
        try (ServerSocket server = listen(0)) {
            probes.watch("a", LOOPBACK, server.getLocalPort());
            awaitState("a", Reach.OPEN);
            probes.forget("a");
            assertThat(probes.state("a")).isEqualTo(Reach.NOT_PROBED);
            assertThat(probes.state("never")).isEqualTo(Reach.NOT_PROBED);
        }
    }

    @Test
    void keepsKnockingWhenTheWakeUpCallFails() throws Exception {
        Consumer<String> failing = uid -> {
            woken.add(uid);
            throw new IllegalStateException("expected by the test");
        };
        try (TcpProbes probing = new TcpProbes(failing, Duration.ofMillis(50), TcpProbes::connect)) {
            try (ServerSocket server = listen(0)) {
                probing.watch("a", LOOPBACK, server.getLocalPort());
                await().atMost(Duration.ofSeconds(10)).until(() -> woken.size() == 1);
            }
            await().atMost(Duration.ofSeconds(10)).until(() -> woken.size() == 2);
        }
    }
}
