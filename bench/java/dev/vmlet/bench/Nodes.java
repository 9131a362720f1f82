package dev.vmlet.bench;

import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSlice;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.cli.ApiOptions;
import dev.vmlet.controller.SimulatedNode;
import dev.vmlet.metrics.ApiMetrics;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.io.File;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.function.IntFunction;
import java.util.function.Predicate;

/**
 * Many agents in this JVM on hosts in memory, each with a client of its own, against a real API server: what they cost it
 * while nothing happens, and how long an edit of a Network takes to reach them all. The controllers are processes of
 * their own. Arguments: kubeconfig, nodes, VMs on each, seconds of rest.
 */
public final class Nodes {
    private static final String NAMESPACE = "bench";
    private static final Duration PATIENCE = Duration.ofMinutes(20);

    /** Agents that start at the same time, and clients' requests that create VMs. */
    private static final int AT_ONCE = 8;

    private final Config config;
    private final KubernetesClient client;
    private final SimpleMeterRegistry requests = new SimpleMeterRegistry();
    private final List<SimulatedNode> nodes = new ArrayList<>();

    private Nodes(Config config) {
        this.config = config;
        this.client = connect(new SimpleMeterRegistry());
    }

    public static void main(String[] args) throws Exception {
        Config config = Config.fromKubeconfig(new File(args[0]));
        new Nodes(config).run(Integer.parseInt(args[1]), Integer.parseInt(args[2]), Integer.parseInt(args[3]));
        System.exit(0);
    }

    private KubernetesClient connect(SimpleMeterRegistry counted) {
        return ApiOptions.client(config, new ApiMetrics(counted));
    }

    private void run(int count, int vmsEach, int restSeconds) throws Exception {
        client.resource(new io.fabric8.kubernetes.api.model.NamespaceBuilder()
                        .withNewMetadata()
                        .withName(NAMESPACE)
                        .endMetadata()
                        .build())
                .create();
        client.resource(network("Masquerade", 1500)).create();
        long begun = System.nanoTime();
        nodes.addAll(inParallel(count, i -> {
            SimulatedNode node = new SimulatedNode("sim-" + i, i, connect(requests));
            node.start();
            return node;
        }));
        await("every node has a slice", () -> slices().size() == count);
        Row.note("%d agents started, each with its slice, after %.0f s", count, seconds(begun));
        Set<String> different = new HashSet<>(slices());
        begun = System.nanoTime();
        var _ = inParallel(count * vmsEach, i -> client.resource(vm(i, "sim-" + i % count)).create());
        Row.note("%d VMs created after %.0f s", count * vmsEach, seconds(begun));
        await(
                "all run",
                () -> nodes.stream().mapToInt(SimulatedNode::running).sum() == count * vmsEach);
        Row.note("all run %.0f s after the first was created", seconds(begun));
        settle();

        Map<String, Double> before = byMethod();
        Map<String, Long> seenBefore = served();
        long rest = System.nanoTime();
        TimeUnit.SECONDS.sleep(restSeconds);
        double rested = seconds(rest);
        Map<String, Double> during = difference(byMethod(), before);
        double mine = during.values().stream().mapToDouble(Double::doubleValue).sum() / rested;
        Map<String, Long> byServer = served();
        long others = byServer.values().stream().mapToLong(Long::longValue).sum()
                - seenBefore.values().stream().mapToLong(Long::longValue).sum();
        Row.note("agents' requests in %.0f s of rest, by method: %s", rested, during);
        Row.note("what the API server counted meanwhile, its own and the controllers' included: %d", others);
        Row.print(
                Row.of("%d nodes with %d VMs each, at rest", count, vmsEach),
                Row.of("%.1f API requests/s of all agents; %.1f of everybody", mine, others / rested),
                "",
                "≤ 5 in total");
        edit(count, "egress, which nothing waits for", "None", 1500, n -> n.bridgesWithEgress() == 0);
        edit(count, "its MTU, which each VM says that it waits for", "None", 1400, n -> n.bridgeMtus().equals(Set.of(1400)));
        Row.print(
                Row.of("slices of one Network, %d nodes at once", count),
                Row.of("%d different, %d of them", slices().size(), different.size()),
                "",
                "no two the same");
    }

    private void edit(int count, String what, String egress, int mtu, Predicate<SimulatedNode> hasIt)
            throws Exception {
        double writes = writes();
        long begun = System.nanoTime();
        client.resource(client.resource(network(egress, mtu)).get()).edit(n -> {
            n.setSpec(network(egress, mtu).getSpec());
            return n;
        });
        await("half of the nodes have it", () -> nodes.stream().filter(hasIt).count() * 2 >= count);
        double half = seconds(begun);
        await("every node has it", () -> nodes.stream().allMatch(hasIt));
        double took = seconds(begun);
        Row.note("half of the nodes after %.1f s, all after %.1f s", half, took);
        settle();
        Row.print(
                Row.of("an edit of a Network (%s) → on all %d nodes", what, count),
                Row.of("%.1f s; %.1f writes for each node", took, (writes() - writes) / count),
                "",
                "≤ 10 s");
    }

    /** Until nobody has written for ten seconds but to Leases. */
    private void settle() throws InterruptedException {
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        double last = writes();
        int quiet = 0;
        while (quiet < 5 && System.nanoTime() < deadline) {
            TimeUnit.SECONDS.sleep(2);
            double now = writes();
            quiet = now - last <= Math.max(2, nodes.size() / 10.0) ? quiet + 1 : 0;
            last = now;
        }
    }

    // ---- what is counted ----

    private Map<String, Double> byMethod() {
        Map<String, Double> all = new TreeMap<>();
        for (Counter counter : requests.find("rest.client.requests").counters()) {
            all.merge(String.valueOf(counter.getId().getTag("method")), counter.count(), Double::sum);
        }
        return all;
    }

    private double writes() {
        return byMethod().entrySet().stream()
                .filter(e -> !e.getKey().equals("GET"))
                .mapToDouble(Map.Entry::getValue)
                .sum();
    }

    private static Map<String, Double> difference(Map<String, Double> now, Map<String, Double> before) {
        Map<String, Double> all = new TreeMap<>();
        now.forEach((method, count) -> all.put(method, count - before.getOrDefault(method, 0.0)));
        return all;
    }

    /** The API server's own counters for our kinds and for Leases; {@code apiserver_request_total} by resource. */
    private Map<String, Long> served() {
        Map<String, Long> all = new TreeMap<>();
        String metrics = client.raw("/metrics");
        if (metrics == null) {
            return all;
        }
        metrics.lines()
                .filter(l -> l.startsWith("apiserver_request_total{"))
                .filter(l -> l.contains("group=\"vmlet.dev\"") || l.contains("resource=\"leases\"")
                        || l.contains("resource=\"events\"") || l.contains("resource=\"namespaces\""))
                .forEach(l -> all.merge(
                        l.replaceAll(".*resource=\"([^\"]*)\".*", "$1"),
                        (long) Double.parseDouble(l.substring(l.lastIndexOf(' ') + 1)),
                        Long::sum));
        return all;
    }

    private List<String> slices() {
        return client.resources(NetworkSlice.class).inNamespace(NAMESPACE).list().getItems().stream()
                .filter(s -> s.getSpec() != null)
                .map(s -> String.valueOf(s.getSpec().cidr()))
                .toList();
    }

    // ---- what is made ----

    private Network network(String egress, int mtu) {
        return client.getKubernetesSerialization().unmarshal("""
                apiVersion: vmlet.dev/v1alpha1
                kind: Network
                metadata: {name: lab, namespace: bench}
                spec: {cidr: 10.64.0.0/12, nodePrefixLength: 24, realize: Always, egress: %s, mtu: %d}
                """.formatted(egress, mtu), Network.class);
    }

    private VirtualMachine vm(int number, String node) {
        return client.getKubernetesSerialization().unmarshal("""
                apiVersion: vmlet.dev/v1alpha1
                kind: VirtualMachine
                metadata: {name: vm-%d, namespace: bench}
                spec:
                  nodeName: %s
                  memory: {size: 256Mi}
                  disks: [{name: root, size: 1Gi}]
                  networks: [{name: lab}]
                  readiness: {none: {}}
                """.formatted(number, node), VirtualMachine.class);
    }

    // ---- time ----

    private static double seconds(long since) {
        return (System.nanoTime() - since) / 1e9;
    }

    private static <T> List<T> inParallel(int count, IntFunction<T> work) throws Exception {
        Semaphore turns = new Semaphore(AT_ONCE);
        List<T> done = new ArrayList<>();
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Callable<T>> all = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                int number = i;
                all.add(() -> {
                    turns.acquire();
                    try {
                        return work.apply(number);
                    } finally {
                        turns.release();
                    }
                });
            }
            for (Future<T> one : threads.invokeAll(all)) {
                done.add(one.get());
            }
        }
        return done;
    }

    private static void await(String what, Callable<Boolean> isSo) throws Exception {
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (!isSo.call()) {
            if (System.nanoTime() > deadline) {
                throw new IllegalStateException("not within " + PATIENCE.toMinutes() + " minutes: " + what);
            }
            TimeUnit.MILLISECONDS.sleep(100);
        }
    }
}
