package dev.vmlet.controller;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.vmlet.apiserver.ApiServer;
import dev.vmlet.apiserver.Kubeconfig;
import dev.vmlet.apiserver.Settings;
import io.fabric8.kubernetes.api.model.ConfigMapBuilder;
import io.fabric8.kubernetes.api.model.coordination.v1.Lease;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.ConfigBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import io.fabric8.kubernetes.client.http.BasicBuilder;
import io.fabric8.kubernetes.client.http.HttpRequest;
import io.fabric8.kubernetes.client.http.Interceptor;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Elections against the embedded API server, faster than usual; who leads is looked at all the time. */
class ElectionTest {
    private static final Duration PATIENCE = Duration.ofSeconds(60);

    /** Nobody is followed by the lapse of time. */
    private static final Election.Times SLOW =
            new Election.Times(Duration.ofMinutes(10), Duration.ofMinutes(5), Duration.ofMillis(100));

    private static final Election.Times FAST =
            new Election.Times(Duration.ofSeconds(3), Duration.ofSeconds(1), Duration.ofMillis(100));

    @TempDir
    Path directory;

    private ApiServer server;
    private KubernetesClient observing;
    private final List<Contender> contenders = new CopyOnWriteArrayList<>();
    private final AtomicBoolean watching = new AtomicBoolean(true);
    private final AtomicInteger both = new AtomicInteger();
    private Thread observer;

    /** One process that stands for election. */
    private final class Contender implements AutoCloseable {
        final CountDownLatch hang = new CountDownLatch(1);
        final AtomicBoolean hangs = new AtomicBoolean();
        final KubernetesClient client;
        final Election election;
        final AtomicInteger elected = new AtomicInteger();
        final List<String> deposed = new CopyOnWriteArrayList<>();

        Contender(String name, Election.Times times, Clock clock) {
            client = new KubernetesClientBuilder()
                    .withConfig(new ConfigBuilder(Config.fromKubeconfig(Kubeconfig.text(server)))
                            .withRequestRetryBackoffLimit(0)
                            .build())
                    .withHttpClientBuilderConsumer(http -> http.addOrReplaceInterceptor("hang", new Interceptor() {
                        @Override
                        public void before(BasicBuilder builder, HttpRequest request, RequestTags tags) {
                            if (hangs.get()) {
                                try {
                                    hang.await();
                                } catch (InterruptedException e) {
                                    Thread.currentThread().interrupt();
                                }
                            }
                        }
                    }))
                    .build();
            election = new Election(
                    client,
                    name,
                    times,
                    new Election.Candidate() {
                        @Override
                        public void elected() {
                            elected.incrementAndGet();
                        }

                        @Override
                        public void deposed(String why) {
                            deposed.add(why);
                        }
                    },
                    clock);
            contenders.add(this);
            election.start();
        }

        @Override
        public void close() {
            hang.countDown();
            election.close();
            client.close();
        }
    }

    @BeforeEach
    void open() throws Exception {
        server = ApiServer.start(Settings.of(directory, new InetSocketAddress(InetAddress.getLoopbackAddress(), 0)));
        observing = new KubernetesClientBuilder()
                .withConfig(Config.fromKubeconfig(Kubeconfig.text(server)))
                .build();
        observer = Thread.ofPlatform().daemon().start(() -> {
            while (watching.get()) {
                for (Contender one : contenders) {
                    for (Contender other : contenders) {
                        // Who leads before and after the other did, did so meanwhile.
                        if (one != other && one.election.leads() && other.election.leads() && one.election.leads()) {
                            both.incrementAndGet();
                        }
                    }
                }
                LockSupport.parkNanos(200_000);
            }
        });
    }

    @AfterEach
    void close() throws Exception {
        watching.set(false);
        observer.join();
        contenders.forEach(Contender::close);
        observing.close();
        server.close();
        assertThat(both).as("moments at which two led").hasValue(0);
    }

    private Contender contender(String name, Election.Times times) {
        return new Contender(name, times, Clock.systemUTC());
    }

    private Lease lease() {
        return observing
                .leases()
                .inNamespace("vmlet-system")
                .withName("vmlet-controller")
                .get();
    }

    @Test
    void oneIsElectedAndTheOtherStandsBy() {
        Contender a = contender("a", SLOW);
        await().atMost(PATIENCE).until(a.election::leads);
        Contender b = contender("b", SLOW);
        await().atMost(PATIENCE).until(b.election::isInformed);
        String seen = lease().getMetadata().getResourceVersion();
        await().atMost(PATIENCE)
                .until(() -> !lease().getMetadata().getResourceVersion().equals(seen));
        assertThat(lease().getSpec().getHolderIdentity()).isEqualTo("a");
        assertThat(b.election.leads()).isFalse();
        assertThat(b.elected).hasValue(0);
        assertThat(a.elected).as("elected once, however often it renews").hasValue(1);
    }

    @Test
    void whoGivesItBackIsFollowedLongBeforeItsTimeIsOver() {
        Contender a = contender("a", SLOW);
        await().atMost(PATIENCE).until(a.election::leads);
        Contender b = contender("b", SLOW);
        await().atMost(PATIENCE).until(b.election::isInformed);
        a.election.close();
        await().atMost(PATIENCE).until(b.election::leads);
        assertThat(a.deposed).as("it went by itself").isEmpty();
        assertThat(lease().getSpec().getLeaseTransitions()).isEqualTo(1);
    }

    @Test
    void whoseRequestsHangLeadsNoMoreBeforeAnotherDoes() {
        Contender a = contender("a", FAST);
        await().atMost(PATIENCE).until(a.election::leads);
        Contender b = contender("b", FAST);
        a.hangs.set(true);
        await().atMost(PATIENCE).until(b.election::leads);
        assertThat(a.election.leads()).isFalse();
        assertThat(a.deposed).containsExactly("the Lease vmlet-controller could not be renewed for 1 s");
    }

    @Test
    void theApiServersAbsenceEndsALeaderAndElectsNobody() throws Exception {
        Contender a = contender("a", FAST);
        await().atMost(PATIENCE).until(a.election::leads);
        Contender b = contender("b", FAST);
        await().atMost(PATIENCE).until(b.election::isInformed);
        server.close();
        await().atMost(PATIENCE).until(() -> !a.deposed.isEmpty());
        assertThat(b.election.leads()).isFalse();
    }

    @Test
    void whoSeesAnotherHoldItsLeaseIsDeposedAtOnce() {
        Contender a = contender("a", SLOW);
        await().atMost(PATIENCE).until(a.election::leads);
        a.client
                .leases()
                .inNamespace("vmlet-system")
                .withName("vmlet-controller")
                .edit(l -> {
                    l.getSpec().setHolderIdentity("b");
                    return l;
                });
        await().atMost(PATIENCE).until(() -> !a.deposed.isEmpty());
        assertThat(a.deposed).containsExactly("the Lease vmlet-controller is held by b");
        assertThat(a.election.leads()).isFalse();
    }

    @Test
    void aClockThatGoesAnHourAheadTakesNoLeaseThatIsRenewed() {
        Contender a = contender("a", FAST);
        await().atMost(PATIENCE).until(a.election::leads);
        Contender b = new Contender("b", FAST, Clock.offset(Clock.systemUTC(), Duration.ofHours(1)));
        await().atMost(PATIENCE).until(b.election::isInformed);
        int renewals = 50;
        String seen = "";
        for (int i = 0; i < renewals; i++) {
            String last = seen;
            await().atMost(PATIENCE)
                    .until(() -> !lease().getMetadata().getResourceVersion().equals(last));
            seen = lease().getMetadata().getResourceVersion();
        }
        assertThat(lease().getSpec().getHolderIdentity()).isEqualTo("a");
        assertThat(b.elected).hasValue(0);
    }

    @Test
    void ofFiveThatComeAndGoNoTwoEverLead() {
        List<String> holders = new ArrayList<>();
        for (int round = 0; round < 5; round++) {
            contender("c" + round, FAST);
        }
        for (int round = 0; round < 5; round++) {
            await().atMost(PATIENCE).until(() -> contenders.stream().anyMatch(c -> c.election.leads()));
            Contender leader = contenders.stream()
                    .filter(c -> c.election.leads())
                    .findFirst()
                    .orElseThrow();
            holders.add(lease().getSpec().getHolderIdentity());
            if (round % 2 == 0) {
                leader.hangs.set(true);
            } else {
                leader.election.close();
            }
            await().atMost(PATIENCE).until(() -> !leader.election.leads());
        }
        assertThat(holders).doesNotHaveDuplicates().hasSize(5);
    }

    @Test
    void aWriteOfOneThatLeadsNoMoreIsNotSent() {
        AtomicBoolean leads = new AtomicBoolean(true);
        try (KubernetesClient client = new KubernetesClientBuilder()
                .withConfig(Config.fromKubeconfig(Kubeconfig.text(server)))
                .withHttpClientBuilderConsumer(http -> http.addOrReplaceInterceptor("fence", new Fence(leads::get)))
                .build()) {
            client.resource(configMap("before")).create();
            leads.set(false);
            assertThatThrownBy(() -> client.resource(configMap("after")).create())
                    .hasStackTraceContaining("was not sent: this controller leads no more");
            assertThat(client.configMaps().inNamespace("default").list().getItems())
                    .extracting(c -> c.getMetadata().getName())
                    .containsExactly("before");
        }
    }

    private static io.fabric8.kubernetes.api.model.ConfigMap configMap(String name) {
        return new ConfigMapBuilder()
                .withNewMetadata()
                .withNamespace("default")
                .withName(name)
                .endMetadata()
                .build();
    }
}
