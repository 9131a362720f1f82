package dev.vmlet.controller;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.vmlet.api.CloudInit;
import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSpec;
import dev.vmlet.api.RunStrategy;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineSpec;
import dev.vmlet.api.VirtualMachineStatus;
import dev.vmlet.cli.ApiOptions;
import dev.vmlet.cli.HeardWatches;
import dev.vmlet.metrics.ApiMetrics;
import dev.vmlet.model.Given;
import dev.vmlet.model.Ipv4Prefix;
import io.fabric8.kubernetes.api.model.NamespaceBuilder;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.ConfigBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import io.fabric8.kubernetes.client.http.AsyncBody;
import io.fabric8.kubernetes.client.http.HttpRequest;
import io.fabric8.kubernetes.client.http.HttpResponse;
import io.fabric8.kubernetes.client.http.Interceptor;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Clock;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * An API server, or the way to it, that is neither there nor away. The real agent with its production client; its host
 * is in memory. Each test runs one guest that must not notice, and asks for something that must come about all the same.
 */
abstract class ApiServerTroubleContract {
    /** Far from the quarter of an hour in which a kernel gives up a connection. */
    static final Duration PATIENCE = Duration.ofSeconds(90);

    /** A server that is not thrown away keeps what a test before has left. */
    final String run = "t" + Integer.toString(ThreadLocalRandom.current().nextInt(36 * 36 * 36 * 36), 36);

    private final SimpleMeterRegistry counted = new SimpleMeterRegistry();
    private final List<AutoCloseable> open = new ArrayList<>();

    /** Of a person, with a good wire. */
    KubernetesClient client;

    Wire wire;
    SimulatedNode node;
    VirtualMachine kept;

    /** How to reach the server, and as whom. */
    abstract Config config() throws Exception;

    private <T extends AutoCloseable> T keep(T part) {
        open.add(part);
        return part;
    }

    @BeforeEach
    void runOneGuest() throws Exception {
        client = keep(ApiOptions.client(config()));
        client.resource(new NamespaceBuilder()
                        .withNewMetadata()
                        .withName(run)
                        .endMetadata()
                        .build())
                .create();
        ClusterController controller =
                keep(new ClusterController(client, Ipv4Prefix.parse("10.64.0.0/10"), List.of(), Clock.systemUTC()));
        controller.start();
        wire = keep(new Wire(URI.create(config().getMasterUrl())));
        Config spoilt =
                new ConfigBuilder(config()).withMasterUrl(wire.uri().toString()).build();
        node = keep(new SimulatedNode(
                run,
                1,
                ApiOptions.client(
                        spoilt,
                        new ApiMetrics(counted),
                        // Bookmarks would come after a minute, and these tests are to end before.
                        new HeardWatches(Duration.ofSeconds(10), Duration.ofSeconds(5)),
                        lists,
                        gone)));
        node.start();
        client.resource(network()).create();
        kept = client.resource(vm("kept")).create();
        await().atMost(PATIENCE).until(() -> isReady(kept));
    }

    @AfterEach
    void closeAll() throws Exception {
        for (AutoCloseable part : open.reversed()) {
            part.close();
        }
    }

    private Network network() {
        Network network = new Network();
        network.setMetadata(
                new ObjectMetaBuilder().withName("net").withNamespace(run).build());
        network.setSpec(new NetworkSpec(
                null,
                27,
                NetworkSpec.Egress.Masquerade,
                1500,
                null,
                null,
                NetworkSpec.Isolation.None,
                null,
                null,
                null));
        return network;
    }

    VirtualMachine vm(String name) {
        VirtualMachineSpec given = Given.spec("net");
        VirtualMachine vm = new VirtualMachine();
        vm.setMetadata(new ObjectMetaBuilder().withName(name).withNamespace(run).build());
        vm.setSpec(new VirtualMachineSpec(
                run,
                RunStrategy.Always,
                given.cpu(),
                given.memory(),
                given.disks(),
                given.networks(),
                new CloudInit(List.of("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMxxxxxxxx me"), null, null),
                null,
                null,
                30));
        return vm;
    }

    boolean isReady(VirtualMachine vm) {
        VirtualMachine now = client.resource(vm).get();
        return now != null
                && now.getStatus() != null
                && now.getStatus().conditions() != null
                && now.getStatus().conditions().stream()
                        .anyMatch(c -> "Ready".equals(c.type()) && "True".equals(String.valueOf(c.status())));
    }

    private VirtualMachineStatus status(VirtualMachine vm) {
        return Objects.requireNonNull(client.resource(vm).get().getStatus());
    }

    /** The guest that was there before lives on in the same process, and its agent as well. */
    void assertKeptUnharmed(VirtualMachineStatus before) {
        assertThat(node.lives(kept.getMetadata().getUid())).isTrue();
        VirtualMachineStatus now = status(kept);
        assertThat(List.of(
                        String.valueOf(now.vmm()),
                        String.valueOf(now.startedAt()),
                        String.valueOf(now.restarts()),
                        String.valueOf(now.phase())))
                .isEqualTo(List.of(
                        String.valueOf(before.vmm()),
                        String.valueOf(before.startedAt()),
                        String.valueOf(before.restarts()),
                        "Running"));
        assertThat(node.watchesLost()).as("how often the agent ended").isZero();
    }

    private double writes() {
        return counted.find("rest.client.requests").counters().stream()
                .filter(c -> !"GET".equals(c.getId().getTag("method")))
                .mapToDouble(Counter::count)
                .sum();
    }

    // ---- connections that are dead or slow ----

    /** As behind a NAT that forgot them: nobody is told. */
    @Test
    void connectionsThatDieWithoutAWordMakeNobodyDeafForLong() {
        VirtualMachineStatus before = status(kept);
        VirtualMachine gone = client.resource(vm("gone")).create();
        await().atMost(PATIENCE).until(() -> isReady(gone));
        assertThat(wire.freeze()).as("connections that died").isPositive();
        client.resource(gone).delete();
        VirtualMachine late = client.resource(vm("late")).create();
        await().atMost(PATIENCE).until(() -> isReady(late));
        await().atMost(PATIENCE).until(() -> client.resource(gone).get() == null);
        assertThat(node.vms())
                .containsExactlyInAnyOrder(
                        kept.getMetadata().getUid(), late.getMetadata().getUid());
        assertKeptUnharmed(before);
    }

    @Test
    void wordsThatComeSecondsLateAreObeyedAllTheSame() {
        VirtualMachineStatus before = status(kept);
        VirtualMachine gone = client.resource(vm("gone")).create();
        await().atMost(PATIENCE).until(() -> isReady(gone));
        wire.delay(Duration.ofSeconds(2));
        client.resource(gone).delete();
        VirtualMachine late = client.resource(vm("late")).create();
        await().atMost(PATIENCE).until(() -> isReady(late));
        await().atMost(PATIENCE).until(() -> client.resource(gone).get() == null);
        assertKeptUnharmed(before);
    }

    /** Longer than a watch may take until its first word, and than it may be silent: one that says something stays. */
    @Test
    void aWatchThatTellsSomethingStays() throws Exception {
        HeardWatches shortly = new HeardWatches(Duration.ofSeconds(10), Duration.ofSeconds(12));
        Watched watched = new Watched();
        try (KubernetesClient hearing = ApiOptions.client(config(), shortly, watched);
                var _ = hearing.resources(VirtualMachine.class).inNamespace(run).inform()) {
            await().atMost(PATIENCE).until(() -> watched.opened.get() == 1);
            for (int i = 0; i < 15; i++) {
                annotate(kept, "told", "" + i);
                TimeUnit.SECONDS.sleep(1);
            }
            assertThat(watched.opened.get())
                    .as("watches opened in fifteen seconds")
                    .isEqualTo(1);
            await().atMost(PATIENCE).until(() -> watched.opened.get() > 1);
        }
    }

    private static final class Watched implements Interceptor {
        final AtomicInteger opened = new AtomicInteger();

        @Override
        public void after(
                HttpRequest request, HttpResponse<?> response, AsyncBody.Consumer<List<ByteBuffer>> consumer) {
            if (String.valueOf(request.uri().getQuery()).contains("watch=true")) {
                opened.incrementAndGet();
            }
        }
    }

    /** Whatever others write meanwhile. */
    void annotate(VirtualMachine vm, String key, String value) {
        client.resource(vm)
                .patch(
                        PatchContext.of(PatchType.JSON_MERGE),
                        "{\"metadata\": {\"annotations\": {\"" + key + "\": \"" + value + "\"}}}");
    }

    // ---- a history that the server has forgotten ----

    /** Lists of VMs that the agent asked for. */
    static final class Lists implements Interceptor {
        final AtomicInteger asked = new AtomicInteger();

        @Override
        public void after(
                HttpRequest request, HttpResponse<?> response, AsyncBody.Consumer<List<ByteBuffer>> consumer) {
            if (isOfVms(request) && !String.valueOf(request.uri().getQuery()).contains("watch=true")) {
                asked.incrementAndGet();
            }
        }

        static boolean isOfVms(HttpRequest request) {
            return request.method().equals("GET")
                    && request.uri().getPath().endsWith("/virtualmachines")
                    && String.valueOf(request.uri().getQuery()).contains("spec.nodeName");
        }
    }

    final Lists lists = new Lists();

    /** Says on the running watch of VMs what a server says that has compacted what was to be told. */
    private static final class Gone implements Interceptor {
        private static final String WORD = "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"apiVersion\":\"v1\","
                + "\"metadata\":{},\"status\":\"Failure\",\"message\":\"too old resource version: 1 (2)\","
                + "\"reason\":\"Expired\",\"code\":410}}\n";

        private record Ear(AsyncBody.Consumer<List<ByteBuffer>> consumer, AsyncBody body) {}

        private final ConcurrentLinkedQueue<Ear> ears = new ConcurrentLinkedQueue<>();

        @Override
        public void after(
                HttpRequest request, HttpResponse<?> response, AsyncBody.Consumer<List<ByteBuffer>> consumer) {
            if (Lists.isOfVms(request)
                    && request.uri().getQuery().contains("watch=true")
                    && response.body() instanceof AsyncBody body) {
                ears.add(new Ear(consumer, body));
            }
        }

        /** @return how many watches were told */
        int tell() throws Exception {
            int told = 0;
            for (Ear ear : ears) {
                if (!ear.body.done().isDone()) {
                    ear.consumer.consume(List.of(ByteBuffer.wrap(WORD.getBytes(StandardCharsets.UTF_8))), ear.body);
                    told++;
                }
            }
            return told;
        }
    }

    private final Gone gone = new Gone();

    @Test
    void aRunningWatchThatIsGoneCostsAListAndNothingElse() throws Exception {
        VirtualMachineStatus before = status(kept);
        int asked = lists.asked.get();
        assertThat(gone.tell()).as("watches that were told").isPositive();
        VirtualMachine late = client.resource(vm("late")).create();
        await().atMost(PATIENCE).until(() -> isReady(late));
        assertThat(lists.asked.get()).as("lists").isGreaterThan(asked);
        assertThat(gone.tell()).as("watches that were told").isPositive();
        client.resource(late).delete();
        await().atMost(PATIENCE).until(() -> client.resource(late).get() == null);
        assertThat(node.vms()).containsExactly(kept.getMetadata().getUid());
        assertKeptUnharmed(before);
    }

    // ---- writers that get in each other's way ----

    /** Edits the whole object, as {@code kubectl edit} and most controllers do, and counts in an annotation. */
    private final class Person {
        final AtomicBoolean goOn = new AtomicBoolean(true);
        final AtomicInteger edits = new AtomicInteger();
        final AtomicInteger conflicts = new AtomicInteger();
        private final VirtualMachine vm;
        private volatile @Nullable RuntimeException failed;

        Person(VirtualMachine vm) {
            this.vm = vm;
        }

        void edit() {
            try {
                while (goOn.get()) {
                    VirtualMachine now = client.resource(vm).get();
                    if (now == null) {
                        return;
                    }
                    int count = count(now);
                    assertThat(count).as("edits that are in the object").isEqualTo(edits.get());
                    now.getMetadata().setAnnotations(Map.of("edits", "" + (count + 1)));
                    try {
                        client.resource(now).update();
                        edits.incrementAndGet();
                    } catch (KubernetesClientException e) {
                        if (e.getCode() == 404) {
                            return;
                        }
                        if (e.getCode() != 409) {
                            throw e;
                        }
                        conflicts.incrementAndGet();
                    }
                }
            } catch (RuntimeException | AssertionError e) {
                failed = new IllegalStateException(e);
            }
        }

        private static int count(VirtualMachine vm) {
            Map<String, String> annotations = vm.getMetadata().getAnnotations();
            return Integer.parseInt(annotations == null ? "0" : annotations.getOrDefault("edits", "0"));
        }
    }

    @Test
    void aPersonWhoEditsWithoutEndLosesNoEditAndHoldsNothingUp() throws Exception {
        VirtualMachineStatus before = status(kept);
        VirtualMachine edited = client.resource(vm("edited")).create();
        Person person = new Person(edited);
        Thread editing = Thread.ofPlatform().start(person::edit);
        await().atMost(PATIENCE).until(() -> isReady(edited) && person.edits.get() > 50);
        // Ready, and nothing is asked for but annotations: nothing to say any more. Its Lease may come up for renewal.
        double written = writes();
        int edits = person.edits.get();
        await().atMost(PATIENCE).until(() -> person.edits.get() > edits + 100);
        assertThat(writes() - written).as("writes to a VM that is ready").isLessThanOrEqualTo(3);
        VirtualMachineStatus ready = status(edited);
        assertThat(String.valueOf(ready.phase())).isEqualTo("Running");
        assertThat(ready.observedGeneration())
                .isEqualTo(client.resource(edited).get().getMetadata().getGeneration());
        // Its finalizer is to come off under the same hands.
        client.resource(edited).delete();
        await().atMost(PATIENCE).until(() -> client.resource(edited).get() == null);
        person.goOn.set(false);
        editing.join(PATIENCE);
        assertThat(person.failed).isNull();
        assertThat(person.edits.get()).isGreaterThan(150);
        assertThat(node.vms()).containsExactly(kept.getMetadata().getUid());
        assertKeptUnharmed(before);
    }
}
