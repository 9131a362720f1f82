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
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class TcpProbesTest {
    private static final Ipv4Address LOOPBACK = Ipv4Address.parse("127.0.0.1");

    private final List<String> woken = new CopyOnWriteArrayList<>();
    private final TcpProbes probes = new TcpProbes(woken::add, Duration.ofMillis(100));

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
        try (TcpProbes probing = new TcpProbes(failing, Duration.ofMillis(50))) {
            try (ServerSocket server = listen(0)) {
                probing.watch("a", LOOPBACK, server.getLocalPort());
                await().atMost(Duration.ofSeconds(10)).until(() -> woken.size() == 1);
            }
            await().atMost(Duration.ofSeconds(10)).until(() -> woken.size() == 2);
        }
    }
}
