package dev.vmlet.controller;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.vmlet.api.CloudInit;
import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSlice;
import dev.vmlet.api.NetworkSpec;
import dev.vmlet.api.NetworkStatus;
import dev.vmlet.api.RunStrategy;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineSpec;
import dev.vmlet.metrics.ApiMetrics;
import dev.vmlet.model.Given;
import dev.vmlet.model.Ipv4Prefix;
import io.fabric8.kubernetes.api.model.NamespaceBuilder;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.http.BasicBuilder;
import io.fabric8.kubernetes.client.http.HttpRequest;
import io.fabric8.kubernetes.client.http.Interceptor;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ThreadLocalRandom;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Many agents, each with a host and a client of its own, and the controller, against one API server. */
abstract class ManyNodesContract {
    /** Enough to get in each other's way, few enough for two cores. */
    private static final int AT_ONCE = 16;

    static final Duration PATIENCE = Duration.ofMinutes(2);

    private final SimpleMeterRegistry counted = new SimpleMeterRegistry();
    final List<SimulatedNode> nodes = new ArrayList<>();
    /** A server that is not thrown away keeps what a test before has left. */
    final String run = "r" + Integer.toString(ThreadLocalRandom.current().nextInt(36 * 36 * 36 * 36), 36);

    /** Paths that the controller has asked for. */
    final Set<String> asked = ConcurrentHashMap.newKeySet();

    private volatile Duration ahead = Duration.ZERO;

    KubernetesClient client;
    private KubernetesClient controllers;
    private @Nullable ClusterController controller;

    abstract KubernetesClient connect(Interceptor... between);

    /** Nodes of each test. */
    abstract int nodes();

    /** Nodes and Networks of the races for slices. */
    abstract int racingNodes();

    abstract int racedNetworks();

    @BeforeEach
    void startController() {
        client = connect();
        client.resource(new NamespaceBuilder()
                        .withNewMetadata()
                        .withName(run)
                        .endMetadata()
                        .build())
                .create();
        controllers = connect(new Interceptor() {
            @Override
            public void before(BasicBuilder builder, HttpRequest request, RequestTags tags) {
                asked.add(request.uri().getPath());
            }
        });
        controller = new ClusterController(controllers, Ipv4Prefix.parse("10.64.0.0/10"), List.of(), new FastClock());
        controller.start();
    }

    @AfterEach
    void stopAll() throws Exception {
        if (controller == null) {
            // Skipped.
            return;
        }
        var _ = inParallel(nodes.stream().map(node -> () -> {
            node.close();
            return node;
        }));
        controller.close();
        controllers.close();
        client.close();
    }

    private void startNodes() throws Exception {
        startNodes(nodes());
    }

    void startNodes(int count) throws Exception {
        var _ = inParallel(IntStream.range(0, count).mapToObj(i -> () -> {
            SimulatedNode node = new SimulatedNode(run + "-" + i, i, connect(new ApiMetrics(counted)));
            synchronized (nodes) {
                nodes.add(node);
            }
            node.start();
            return node;
        }));
    }

    private static <T> List<T> inParallel(Stream<Callable<T>> work) throws Exception {
        List<T> done = new ArrayList<>();
        try (ExecutorService threads = Executors.newFixedThreadPool(AT_ONCE)) {
            for (Future<T> one : threads.invokeAll(work.toList())) {
                done.add(one.get());
            }
        }
        return done;
    }

    Network network(String name, int mtu) {
        Network network = new Network();
        network.setMetadata(
                new ObjectMetaBuilder().withName(name).withNamespace(run).build());
        network.setSpec(new NetworkSpec(
                null,
                27,
                NetworkSpec.Egress.Masquerade,
                mtu,
                null,
                null,
                NetworkSpec.Isolation.None,
                null,
                null,
                null));
        return network;
    }

    VirtualMachine vm(String name, String node) {
        VirtualMachineSpec given = Given.spec("net");
        VirtualMachine vm = new VirtualMachine();
        vm.setMetadata(new ObjectMetaBuilder().withName(name).withNamespace(run).build());
        vm.setSpec(new VirtualMachineSpec(
                node,
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

    /** Requests of all agents that are no reads. */
    private double writes() {
        return counted.find("rest.client.requests").counters().stream()
                .filter(c -> !"GET".equals(c.getId().getTag("method")))
                .mapToDouble(Counter::count)
                .sum();
    }

    boolean isReady(VirtualMachine vm) {
        VirtualMachine now = client.resource(vm).get();
        return now.getStatus() != null
                && now.getStatus().conditions() != null
                && now.getStatus().conditions().stream()
                        .anyMatch(c -> "Ready".equals(c.type()) && "True".equals(String.valueOf(c.status())));
    }

    @Test
    void nodesThatRaceForSlicesNeverGetTheSameOne() throws Exception {
        List<Network> networks = IntStream.range(0, racedNetworks())
                .mapToObj(i -> {
                    Network made = client.resource(network("race-" + i, 1500)).create();
                    made.setStatus(new NetworkStatus("10." + (i + 10) + ".0.0/16", 1L, List.of()));
                    return made;
                })
                .toList();
        List<Optional<String>> refusals = inParallel(networks.stream()
                .flatMap(network -> IntStream.range(0, racingNodes())
                        .mapToObj(i -> () -> new SliceClaims(run + "-" + i, NetworkReconciler.SLICE_FINALIZER)
                                .take(network, Optional.empty(), client))));
        assertThat(refusals).hasSize(racingNodes() * racedNetworks()).allMatch(Optional::isEmpty);
        List<NetworkSlice> slices = client.resources(NetworkSlice.class).inNamespace(run).list().getItems().stream()
                .filter(s -> s.getMetadata().getName().startsWith("race-"))
                .toList();
        Set<String> cidrs = new HashSet<>();
        Set<String> owners = new HashSet<>();
        for (NetworkSlice slice : slices) {
            var spec = Objects.requireNonNull(slice.getSpec());
            assertThat(cidrs.add(spec.cidr())).as("once only: " + spec.cidr()).isTrue();
            assertThat(owners.add(spec.network() + " " + spec.nodeName()))
                    .as("one slice a node")
                    .isTrue();
        }
        assertThat(slices).hasSize(racingNodes() * racedNetworks());
        var _ = inParallel(slices.stream().map(s -> () -> {
            s.getMetadata().setFinalizers(List.of());
            client.resource(s).update();
            return client.resource(s).delete();
        }));
        networks.forEach(n -> client.resource(n).delete());
    }

    @Test
    void eachVmRunsOnTheNodeThatItNames() throws Exception {
        startNodes();
        client.resource(network("net", 1500)).create();
        List<VirtualMachine> vms = new ArrayList<>();
        for (SimulatedNode node : nodes) {
            for (int i = 0; i < 2; i++) {
                vms.add(client.resource(vm("vm-" + vms.size(), node.name())).create());
            }
        }
        await().atMost(PATIENCE).until(() -> vms.stream().allMatch(this::isReady));
        for (SimulatedNode node : nodes) {
            Set<String> asked = vms.stream()
                    .filter(vm -> node.name()
                            .equals(Objects.requireNonNull(vm.getSpec()).nodeName()))
                    .map(vm -> vm.getMetadata().getUid())
                    .collect(Collectors.toSet());
            assertThat(node.vms()).as(node.name()).isEqualTo(asked);
        }
        List<String> addresses = vms.stream()
                .map(vm -> Objects.requireNonNull(client.resource(vm).get().getStatus())
                        .addresses())
                .filter(Objects::nonNull)
                .flatMap(Collection::stream)
                .map(a -> String.valueOf(a.ip()))
                .toList();
        assertThat(addresses).hasSize(vms.size()).doesNotHaveDuplicates();
        takeDown(vms);
    }

    @Test
    void anEditedNetworkReachesEveryNodeByAFewWrites() throws Exception {
        startNodes();
        Network network = client.resource(network("net", 1500)).create();
        List<VirtualMachine> vms = nodes.stream()
                .map(node ->
                        client.resource(vm("on-" + node.name(), node.name())).create())
                .toList();
        await().atMost(PATIENCE).until(() -> vms.stream().allMatch(this::isReady));
        await().atMost(PATIENCE)
                .until(() -> nodes.stream().allMatch(n -> n.bridgeMtus().equals(Set.of(1500))));
        double before = writes();
        client.resource(client.resource(network).get()).edit(n -> {
            n.setSpec(network("net", 1400).getSpec());
            return n;
        });
        await().atMost(PATIENCE)
                .until(() -> nodes.stream().allMatch(n -> n.bridgeMtus().equals(Set.of(1400))));
        // An Event on the Network and the status of the slice, and what its VM says of a change that waits; nothing
        // that
        // goes on and on. The renewal of a Lease may fall into this.
        assertThat(writes() - before).isLessThanOrEqualTo(nodes() * 6.0);
        takeDown(vms);
    }

    @Test
    void aVmDeletedWhileItsNodeIsAwayIsTakenDownWhenItComesBack() throws Exception {
        startNodes();
        client.resource(network("net", 1500)).create();
        SimulatedNode node = nodes.getFirst();
        VirtualMachine gone = client.resource(vm("gone", node.name())).create();
        VirtualMachine kept = client.resource(vm("kept", node.name())).create();
        await().atMost(PATIENCE).until(() -> isReady(gone) && isReady(kept));
        node.stop();
        client.resource(gone).delete();
        assertThat(client.resource(gone).get()).as("waits for its node").isNotNull();
        assertThat(node.lives(gone.getMetadata().getUid())).isTrue();
        node.start();
        await().atMost(PATIENCE).until(() -> client.resource(gone).get() == null);
        assertThat(node.vms()).containsExactly(kept.getMetadata().getUid());
        assertThat(node.lives(kept.getMetadata().getUid())).isTrue();
        takeDown(List.of(kept));
    }

    /** Minutes must pass, which the controller is told. */
    @Test
    void aDeletedNetworkDoesNotWaitForANodeThatIsScrapped() {
        String scrapped = run + "-scrapped";
        Network network = client.resource(network("net", 1500)).create();
        await().atMost(PATIENCE)
                .until(() -> client.resource(network).get().getStatus() != null
                        && Objects.requireNonNull(client.resource(network).get().getStatus())
                                        .cidr()
                                != null);
        assertThat(new SliceClaims(scrapped, NetworkReconciler.SLICE_FINALIZER)
                        .take(client.resource(network).get(), Optional.empty(), client))
                .isEmpty();
        client.resource(network).delete();
        await().atMost(PATIENCE)
                .until(() -> asked.contains("/apis/coordination.k8s.io/v1/namespaces/vmlet-system/leases/" + scrapped));
        assertThat(client.resource(network).get()).as("not at once").isNotNull();
        ahead = Duration.ofMinutes(4);
        await().atMost(PATIENCE).until(() -> client.resource(network).get() == null);
        await().atMost(PATIENCE)
                .until(() -> client.v1().events().inNamespace(run).list().getItems().stream()
                        .anyMatch(e -> "SliceReleased".equals(e.getReason())
                                && e.getMessage().startsWith("slice net-0 of node " + scrapped + " was let go")));
    }

    /** The system's, and a while ahead of it. */
    private final class FastClock extends Clock {
        @Override
        public ZoneId getZone() {
            return ZoneOffset.UTC;
        }

        @Override
        public Clock withZone(ZoneId zone) {
            return this;
        }

        @Override
        public Instant instant() {
            return Instant.now().plus(ahead);
        }
    }

    void takeDown(List<VirtualMachine> vms) {
        vms.forEach(vm -> client.resource(vm).delete());
        await().atMost(PATIENCE)
                .until(() -> vms.stream().allMatch(vm -> client.resource(vm).get() == null));
    }
}
