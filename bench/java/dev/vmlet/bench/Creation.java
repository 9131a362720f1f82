package dev.vmlet.bench;

import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSlice;
import dev.vmlet.api.Serialization;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineStatus;
import dev.vmlet.api.VmNode;
import io.fabric8.kubernetes.api.model.Event;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.coordination.v1.Lease;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.ConfigBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import io.fabric8.kubernetes.client.Watch;
import io.fabric8.kubernetes.client.Watcher;
import io.fabric8.kubernetes.client.WatcherException;
import java.io.File;
import java.io.IOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.ToDoubleFunction;

/**
 * From the API server's answer to a create call to the VMM's process, to status and to Ready; what that costs in writes;
 * and what a node with a hundred VMs costs that do nothing. Arguments: kubeconfig, UDP port of the stand-ins' reports, pid
 * of the agent, VMs one after another, VMs at once, seconds of rest.
 */
public final class Creation {
    private static final String NAMESPACE = "bench";
    private static final Duration PATIENCE = Duration.ofSeconds(60);

    /** What is known of one VM; times are System.nanoTime, 0 for not yet. */
    private static final class Life {
        volatile long created;
        volatile long process;
        volatile long running;
        volatile long ready;
        final AtomicInteger writes = new AtomicInteger();
        volatile int writesUntilReady;
        final AtomicInteger events = new AtomicInteger();
        final CountDownLatch started = new CountDownLatch(1);
        final CountDownLatch isReady = new CountDownLatch(1);
        final CountDownLatch gone = new CountDownLatch(1);

        double untilProcess() {
            return (process - created) / 1e6;
        }

        double untilRunning() {
            return (running - created) / 1e6;
        }

        double untilReady() {
            return (ready - created) / 1e6;
        }
    }

    private final KubernetesClient client;
    private final Path agent;
    private final Map<String, Life> lives = new ConcurrentHashMap<>();
    private final Set<String> dead = ConcurrentHashMap.newKeySet();
    /** Writes seen on the watches, by kind. */
    private final Map<String, AtomicInteger> seen = new ConcurrentHashMap<>();

    private Creation(KubernetesClient client, String agentPid) {
        this.client = client;
        this.agent = Path.of("/proc", agentPid);
    }

    public static void main(String[] args) throws Exception {
        Config config = Config.fromKubeconfig(new File(args[0]));
        try (KubernetesClient client = new KubernetesClientBuilder()
                        .withConfig(new ConfigBuilder(config).withOnlyHttpWatches(true).build())
                        .withKubernetesSerialization(Serialization.lenient())
                        .build();
                DatagramSocket reports = new DatagramSocket(
                        new InetSocketAddress(InetAddress.getLoopbackAddress(), Integer.parseInt(args[1])))) {
            new Creation(client, args[2])
                    .run(reports, Integer.parseInt(args[3]), Integer.parseInt(args[4]), Integer.parseInt(args[5]));
        }
        System.exit(0);
    }

    private void run(DatagramSocket reports, int oneByOne, int atOnce, int restSeconds) throws Exception {
        Thread.ofPlatform().daemon().start(() -> listen(reports));
        client.resource(new io.fabric8.kubernetes.api.model.NamespaceBuilder()
                        .withNewMetadata()
                        .withName(NAMESPACE)
                        .endMetadata()
                        .build())
                .create();
        client.resource(client.getKubernetesSerialization().unmarshal("""
                apiVersion: vmlet.dev/v1alpha1
                kind: Network
                metadata: {name: lab, namespace: bench}
                spec: {cidr: 10.77.0.0/16, nodePrefixLength: 22, realize: Always}
                """, Network.class)).create();
        List<Watch> watches = List.of(
                watch(VirtualMachine.class),
                watch(Network.class),
                watch(NetworkSlice.class),
                client.resources(VmNode.class).watch(new Seen<>()),
                watch(Event.class),
                watch(Lease.class));
        try {
            await("the slice of the Network is ready", () -> client.resources(NetworkSlice.class)
                    .inNamespace(NAMESPACE)
                    .list()
                    .getItems()
                    .stream()
                    .anyMatch(s -> s.getStatus() != null && Boolean.TRUE.equals(s.getStatus().ready())));
            double rssIdle = rssMib();
            Row.note("agent before the first VM: %.0f MiB", rssIdle);
            // The first VMs find code that has never run: they are no figure.
            for (int i = 0; i < 5; i++) {
                create("warm-" + i);
            }
            oneAfterAnother(oneByOne);
            deleteAll();
            allAtOnce(atOnce);
            rest(atOnce, restSeconds);
            deleteAll();
        } finally {
            watches.forEach(Watch::close);
        }
    }

    private <T extends HasMetadata> Watch watch(Class<T> kind) {
        return client.resources(kind).inAnyNamespace().watch(new Seen<>());
    }

    // ---- what is measured ----

    private void oneAfterAnother(int count) throws Exception {
        List<Life> done = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            done.add(create("one-" + i));
        }
        double[] process = values(done, Life::untilProcess);
        Row.note(
                "%d VMs one after another, ms p50/p99: process %.0f/%.0f, Running %.0f/%.0f, Ready %.0f/%.0f",
                count,
                Row.percentile(process, 50),
                Row.percentile(process, 99),
                Row.percentile(values(done, Life::untilRunning), 50),
                Row.percentile(values(done, Life::untilRunning), 99),
                Row.percentile(values(done, Life::untilReady), 50),
                Row.percentile(values(done, Life::untilReady), 99));
        Row.print(
                "create call answered → VMM process, " + count + " VMs one after another",
                Row.of("p50 %.0f ms, p99 %.0f ms", Row.percentile(process, 50), Row.percentile(process, 99)),
                "",
                "p50 ≤ 150 ms, p99 ≤ 500 ms");
        // Events are written beside the loop.
        TimeUnit.SECONDS.sleep(2);
        int writes = done.stream().mapToInt(l -> l.writesUntilReady).max().orElse(0);
        int events = done.stream().mapToInt(l -> l.events.get()).max().orElse(0);
        Row.note(
                "writes to a VM until Ready: mean %.2f, most %d; Events: mean %.2f, most %d",
                done.stream().mapToInt(l -> l.writesUntilReady).average().orElse(0),
                writes,
                done.stream().mapToInt(l -> l.events.get()).average().orElse(0),
                events);
        Row.print(
                "writes to a VM object until Ready, most of " + count,
                writes + " writes, " + events + " Events",
                "",
                "≤ 4 writes, ≤ 4 Events");
    }

    private void allAtOnce(int count) throws Exception {
        long start = System.nanoTime();
        List<Life> made = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            made.add(post("all-" + i));
        }
        double posted = (System.nanoTime() - start) / 1e9;
        for (Life life : made) {
            require("process", life.started);
        }
        double processes = (made.stream().mapToLong(l -> l.process).max().orElse(start) - start) / 1e9;
        for (Life life : made) {
            require("Ready", life.isReady);
        }
        double running = (made.stream().mapToLong(l -> l.running).max().orElse(start) - start) / 1e9;
        double ready = (made.stream().mapToLong(l -> l.ready).max().orElse(start) - start) / 1e9;
        Row.note(
                "%d VMs at once, s from the first call: last created %.2f, last process %.2f, Running %.2f, Ready %.2f",
                count, posted, processes, running, ready);
        Row.print(
                count + " VMs at once: first create call → all running",
                Row.of("%.1f s (all Ready %.1f s)", running, ready),
                "",
                "≤ 8 s");
        int writes = made.stream().mapToInt(l -> l.writesUntilReady).max().orElse(0);
        Row.note("writes to a VM until Ready, of %d at once: most %d", count, writes);
    }

    private void rest(int vms, int seconds) throws Exception {
        // What followed from the start has come to an end, a full pass included.
        TimeUnit.SECONDS.sleep(35);
        Map<String, Integer> before = counts();
        long requestsBefore = serverWrites();
        double cpuBefore = cpuSeconds();
        TimeUnit.SECONDS.sleep(seconds);
        double cpu = (cpuSeconds() - cpuBefore) / seconds * 100;
        long requests = serverWrites() - requestsBefore;
        Map<String, Integer> after = counts();
        Map<String, Integer> written = new java.util.TreeMap<>();
        after.forEach((kind, n) -> {
            int more = n - before.getOrDefault(kind, 0);
            if (more > 0) {
                written.put(kind, more);
            }
        });
        int leases = written.getOrDefault("Lease", 0);
        int others = written.values().stream().mapToInt(Integer::intValue).sum() - leases;
        Row.note("at rest for %d s: writes on the watches %s; write requests by the server's own count %d",
                seconds, written, requests);
        Row.print(
                "steady node with " + vms + " VMs, " + seconds + " s",
                Row.of("%d writes besides %d of the Lease, %.1f %% of a core", Math.max(others, requests), leases, cpu),
                "",
                "0 writes but one Lease, ≤ 1 % of a core");
        Row.print("agent's RSS with " + vms + " VMs", Row.of("%.0f MiB", rssMib()), "", "≤ 160 MiB");
    }

    // ---- VMs ----

    private Life create(String name) throws Exception {
        Life life = post(name);
        require("process of " + name, life.started);
        require("Ready of " + name, life.isReady);
        return life;
    }

    private Life post(String name) {
        VirtualMachine vm = client.getKubernetesSerialization().unmarshal("""
                apiVersion: vmlet.dev/v1alpha1
                kind: VirtualMachine
                metadata: {name: %s, namespace: bench}
                spec:
                  nodeName: a
                  cpu: {cores: 1}
                  memory: {size: 64Mi}
                  disks:
                  - {name: root, image: {path: bench.raw}}
                  networks: [{name: lab}]
                  readiness: {tcpPort: 22}
                  terminationGracePeriodSeconds: 5
                """.formatted(name), VirtualMachine.class);
        String uid = client.resource(vm).create().getMetadata().getUid();
        long answered = System.nanoTime();
        Life life = life(uid);
        life.created = answered;
        return life;
    }

    private void deleteAll() throws Exception {
        List<Life> leaving = List.copyOf(lives.values());
        long start = System.nanoTime();
        client.resources(VirtualMachine.class).inNamespace(NAMESPACE).delete();
        for (Life life : leaving) {
            require("end of a VM", life.gone);
        }
        dead.addAll(lives.keySet());
        lives.clear();
        Row.note("%d VMs deleted and gone after %.1f s", leaving.size(), (System.nanoTime() - start) / 1e9);
    }

    /** News may come before the answer to the call that made the VM, and after its end. */
    private Life life(String uid) {
        return dead.contains(uid) ? new Life() : lives.computeIfAbsent(uid, _ -> new Life());
    }

    private static double[] values(List<Life> lives, ToDoubleFunction<Life> value) {
        return lives.stream().mapToDouble(value).toArray();
    }

    private static void require(String what, CountDownLatch latch) throws InterruptedException {
        if (!latch.await(PATIENCE.toSeconds(), TimeUnit.SECONDS)) {
            throw new IllegalStateException("no " + what + " after " + PATIENCE.toSeconds() + " s");
        }
    }

    private interface Condition {
        boolean holds();
    }

    private static void await(String what, Condition condition) throws InterruptedException {
        for (int i = 0; !condition.holds(); i++) {
            if (i == 600) {
                throw new IllegalStateException("not within a minute: " + what);
            }
            TimeUnit.MILLISECONDS.sleep(100);
        }
    }

    // ---- what happens ----

    private void listen(DatagramSocket reports) {
        DatagramPacket packet = new DatagramPacket(new byte[256], 256);
        try {
            while (true) {
                packet.setLength(256);
                reports.receive(packet);
                long now = System.nanoTime();
                String text = new String(packet.getData(), 0, packet.getLength(), StandardCharsets.US_ASCII);
                Life life = life(text.substring("started ".length()));
                if (life.process == 0) {
                    life.process = now;
                    life.started.countDown();
                }
            }
        } catch (IOException e) {
            // Closed: the benchmark is over.
        }
    }

    private final class Seen<T extends HasMetadata> implements Watcher<T> {
        @Override
        public void eventReceived(Action action, T object) {
            long now = System.nanoTime();
            if (object instanceof Lease lease && lease.getMetadata().getName().startsWith("apiserver-")) {
                return;
            }
            seen.computeIfAbsent(object.getKind(), _ -> new AtomicInteger()).incrementAndGet();
            if (object instanceof VirtualMachine vm) {
                vm(action, vm, now);
            } else if (object instanceof Event event
                    && action == Action.ADDED
                    && "VirtualMachine".equals(event.getInvolvedObject().getKind())) {
                life(event.getInvolvedObject().getUid()).events.incrementAndGet();
            }
        }

        private void vm(Action action, VirtualMachine vm, long now) {
            Life life = life(vm.getMetadata().getUid());
            if (action == Action.DELETED) {
                life.gone.countDown();
                return;
            }
            if (action == Action.MODIFIED) {
                life.writes.incrementAndGet();
            }
            VirtualMachineStatus status = vm.getStatus();
            if (status == null) {
                return;
            }
            if (life.running == 0 && status.phase() == VirtualMachineStatus.Phase.Running) {
                life.running = now;
            }
            if (life.ready == 0
                    && status.conditions() != null
                    && status.conditions().stream()
                            .anyMatch(c -> "Ready".equals(c.type()) && "True".equals(String.valueOf(c.status())))) {
                life.ready = now;
                life.writesUntilReady = life.writes.get();
                life.isReady.countDown();
            }
        }

        @Override
        public void onClose(WatcherException cause) {
            System.err.println("a watch ended, so writes are not counted any more: " + cause);
            System.exit(1);
        }

        @Override
        public void onClose() {}
    }

    private Map<String, Integer> counts() {
        Map<String, Integer> counts = new java.util.TreeMap<>();
        seen.forEach((kind, n) -> counts.put(kind, n.get()));
        return counts;
    }

    /** Requests that write our kinds or Events, also those that changed nothing; 0 where the server does not count. */
    private long serverWrites() {
        Set<String> verbs = new HashSet<>(List.of("POST", "PUT", "PATCH", "APPLY", "DELETE"));
        String metrics;
        try {
            metrics = client.raw("/metrics");
        } catch (RuntimeException e) {
            return 0;
        }
        return metrics == null
                ? 0
                : metrics.lines()
                        .filter(line -> line.startsWith("apiserver_request_total{"))
                        .filter(line -> line.contains("group=\"vmlet.dev\"") || line.contains("resource=\"events\""))
                        .filter(line -> verbs.stream().anyMatch(verb -> line.contains("verb=\"" + verb + "\"")))
                        .mapToLong(line -> (long) Double.parseDouble(line.substring(line.lastIndexOf(' ') + 1)))
                        .sum();
    }

    // ---- the agent ----

    private double rssMib() throws IOException {
        for (String line : Files.readAllLines(agent.resolve("status"))) {
            if (line.startsWith("VmRSS:")) {
                return Long.parseLong(line.replaceAll("\\D", "")) / 1024.0;
            }
        }
        throw new IOException("no VmRSS of the agent");
    }

    /** User and system time so far; Linux counts in hundredths. */
    private double cpuSeconds() throws IOException {
        String stat = Files.readString(agent.resolve("stat"));
        String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ");
        return (Long.parseLong(fields[11]) + Long.parseLong(fields[12])) / 100.0;
    }
}
