package dev.vmlet.bench;

import dev.vmlet.api.Network;
import dev.vmlet.api.Serialization;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineStatus;
import io.fabric8.kubernetes.api.model.NamespaceBuilder;
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
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * From the moment at which a guest opens its port to the status that says Ready, as a watcher of the API sees it; beside
 * guests of the same kind whose port is tried once a second, as scripts that wait do and as vmlet itself did. The guests are
 * silent at first, then refuse, then open, and say nothing of their own accord. Arguments: kubeconfig, UDP port of the
 * stand-ins' reports, VMs of each kind.
 */
public final class Readying {
    private static final String NAMESPACE = "bench";
    private static final int PATIENCE_SECONDS = 90;

    /** What is known of one VM; times are System.nanoTime, 0 for not yet. */
    private static final class Life {
        final CountDownLatch addressed = new CountDownLatch(1);
        final CountDownLatch open = new CountDownLatch(1);
        final CountDownLatch told = new CountDownLatch(1);
        volatile String ip = "";
        volatile long openAt;
        volatile long toldAt;

        void tell() {
            if (toldAt == 0) {
                toldAt = System.nanoTime();
                told.countDown();
            }
        }

        double millis() {
            return (toldAt - openAt) / 1e6;
        }
    }

    private final Map<String, Life> byName = new ConcurrentHashMap<>();
    private final Map<String, Life> byUid = new ConcurrentHashMap<>();

    private Readying() {}

    public static void main(String[] args) throws Exception {
        Config config = Config.fromKubeconfig(new File(args[0]));
        try (KubernetesClient client = new KubernetesClientBuilder()
                        .withConfig(new ConfigBuilder(config).withOnlyHttpWatches(true).build())
                        .withKubernetesSerialization(Serialization.lenient())
                        .build();
                DatagramSocket reports = new DatagramSocket(
                        new InetSocketAddress(InetAddress.getLoopbackAddress(), Integer.parseInt(args[1])))) {
            new Readying().run(client, reports, Integer.parseInt(args[2]));
        }
        System.exit(0);
    }

    private void run(KubernetesClient client, DatagramSocket reports, int count) throws Exception {
        Thread.ofPlatform().daemon().start(() -> listen(reports));
        client.resource(new NamespaceBuilder()
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
        try (Watch _ = client.resources(VirtualMachine.class).inAnyNamespace().watch(new Seen())) {
            List<Life> ours = new ArrayList<>();
            List<Life> rivals = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                create(client, "ready-" + i, "{tcpPort: 22}");
                create(client, "rival-" + i, "{none: {}}");
                Life rival = life("rival-" + i);
                Thread.ofVirtual().start(() -> tryOnceASecond(rival));
                ours.add(life("ready-" + i));
                rivals.add(rival);
                TimeUnit.MILLISECONDS.sleep(400);
            }
            report(times("ready", ours), times("rival", rivals));
        }
    }

    private static double[] times(String kind, List<Life> lives) throws InterruptedException {
        double[] millis = new double[lives.size()];
        for (int i = 0; i < millis.length; i++) {
            Life life = lives.get(i);
            if (!life.open.await(PATIENCE_SECONDS, TimeUnit.SECONDS) || !life.told.await(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
                throw new IllegalStateException("no end of " + kind + "-" + i + " after " + PATIENCE_SECONDS + " s");
            }
            millis[i] = life.millis();
        }
        return millis;
    }

    private static void report(double[] ours, double[] rivals) {
        Row.print(
                "guest's port opens → Ready in status, " + ours.length + " VMs",
                Row.of("p50 %.0f ms, p99 %.0f ms", Row.percentile(ours, 50), Row.percentile(ours, 99)),
                Row.of(
                        "tried once a second, without any status: p50 %.0f ms, p99 %.0f ms",
                        Row.percentile(rivals, 50), Row.percentile(rivals, 99)),
                "p50 ≤ 150 ms");
    }

    private static void create(KubernetesClient client, String name, String readiness) {
        client.resource(client.getKubernetesSerialization().unmarshal("""
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
                  readiness: %s
                  terminationGracePeriodSeconds: 5
                """.formatted(name, readiness), VirtualMachine.class)).create();
    }

    private Life life(String name) {
        return byName.computeIfAbsent(name, _ -> new Life());
    }

    private static void tryOnceASecond(Life life) {
        try {
            if (!life.addressed.await(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
                return;
            }
            for (int i = 0; i < PATIENCE_SECONDS; i++) {
                long begun = System.nanoTime();
                try (Socket socket = new Socket()) {
                    socket.connect(new InetSocketAddress(life.ip, 22), 1000);
                    life.tell();
                    return;
                } catch (IOException e) {
                    TimeUnit.NANOSECONDS.sleep(TimeUnit.SECONDS.toNanos(1) - (System.nanoTime() - begun));
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private void listen(DatagramSocket reports) {
        try {
            while (true) {
                DatagramPacket packet = new DatagramPacket(new byte[100], 100);
                reports.receive(packet);
                long now = System.nanoTime();
                String[] words = new String(packet.getData(), 0, packet.getLength(), StandardCharsets.US_ASCII).split(" ");
                Life life = words[0].equals("open") ? byUid.get(words[1]) : null;
                if (life != null) {
                    life.openAt = now;
                    life.open.countDown();
                }
            }
        } catch (IOException e) {
            // Closed at the end.
        }
    }

    private final class Seen implements Watcher<VirtualMachine> {
        @Override
        public void eventReceived(Action action, VirtualMachine vm) {
            Life life = life(vm.getMetadata().getName());
            byUid.putIfAbsent(vm.getMetadata().getUid(), life);
            VirtualMachineStatus status = vm.getStatus();
            if (status == null) {
                return;
            }
            if (status.addresses() != null && !status.addresses().isEmpty() && life.ip.isEmpty()) {
                life.ip = String.valueOf(status.addresses().getFirst().ip());
                life.addressed.countDown();
            }
            boolean ready = status.conditions() != null
                    && status.conditions().stream()
                            .anyMatch(c -> "Ready".equals(c.type()) && "True".equals(String.valueOf(c.status())));
            if (ready && vm.getMetadata().getName().startsWith("ready-")) {
                life.tell();
            }
        }

        @Override
        public void onClose(WatcherException cause) {
            // Only at the end.
        }
    }
}
