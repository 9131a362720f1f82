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
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * From the end of a guest's process to the status that tells of it, as a watcher of the API sees it; and from there until
 * the guest runs again. Arguments: kubeconfig, VMs.
 */
public final class Ending {
    private static final String NAMESPACE = "bench";
    private static final int PATIENCE_SECONDS = 60;

    /** What a watcher was told of one VM; times are System.nanoTime, 0 for not yet. */
    private static final class Life {
        final CountDownLatch running = new CountDownLatch(1);
        final CountDownLatch told = new CountDownLatch(1);
        final CountDownLatch again = new CountDownLatch(1);
        volatile int pid;
        volatile long killedAt;
        volatile long toldAt;
        volatile long againAt;
        volatile String reason = "";
    }

    private final Map<String, Life> lives = new ConcurrentHashMap<>();

    private Ending() {}

    public static void main(String[] args) throws Exception {
        Config config = Config.fromKubeconfig(new File(args[0]));
        try (KubernetesClient client = new KubernetesClientBuilder()
                .withConfig(new ConfigBuilder(config).withOnlyHttpWatches(true).build())
                .withKubernetesSerialization(Serialization.lenient())
                .build()) {
            new Ending().run(client, Integer.parseInt(args[1]));
        }
        System.exit(0);
    }

    private void run(KubernetesClient client, int count) throws Exception {
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
            for (int i = 0; i < count; i++) {
                client.resource(vm(client, "end-" + i)).create();
            }
            for (int i = 0; i < count; i++) {
                require("guest of end-" + i, life("end-" + i).running);
            }
            // What followed from the start is over.
            TimeUnit.SECONDS.sleep(5);
            List<Life> ended = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                Life life = life("end-" + i);
                life.killedAt = System.nanoTime();
                ProcessHandle.of(life.pid).orElseThrow().destroyForcibly();
                require("word of the end of end-" + i, life.told);
                // Nothing else goes on: a new start beside it would be measured too.
                require("new start of end-" + i, life.again);
                TimeUnit.MILLISECONDS.sleep(500);
                ended.add(life);
            }
            report(ended);
        }
    }

    private static void report(List<Life> ended) {
        // The first ones find code that has never run.
        List<Life> warm = ended.subList(ended.size() / 10, ended.size());
        double[] told = warm.stream().mapToDouble(l -> (l.toldAt - l.killedAt) / 1e6).toArray();
        double[] again = warm.stream().mapToDouble(l -> (l.againAt - l.killedAt) / 1e6).toArray();
        Row.note(
                "%d guests killed one after another: reasons %s; first of all %.0f ms",
                ended.size(),
                ended.stream().map(l -> l.reason).distinct().toList(),
                (ended.getFirst().toldAt - ended.getFirst().killedAt) / 1e6);
        Row.print(
                "guest's process ends → status tells how, " + warm.size() + " VMs",
                Row.of("p50 %.0f ms, p99 %.0f ms", Row.percentile(told, 50), Row.percentile(told, 99)),
                "",
                "p50 ≤ 50 ms");
        Row.note(
                "until it runs again, a pause of 1 s included: p50 %.0f ms, p99 %.0f ms",
                Row.percentile(again, 50), Row.percentile(again, 99));
    }

    private static VirtualMachine vm(KubernetesClient client, String name) {
        return client.getKubernetesSerialization().unmarshal("""
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
    }

    private Life life(String name) {
        return lives.computeIfAbsent(name, _ -> new Life());
    }

    private static void require(String what, CountDownLatch latch) throws InterruptedException {
        if (!latch.await(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
            throw new IllegalStateException("no " + what + " after " + PATIENCE_SECONDS + " s");
        }
    }

    private final class Seen implements Watcher<VirtualMachine> {
        @Override
        public void eventReceived(Action action, VirtualMachine vm) {
            long now = System.nanoTime();
            VirtualMachineStatus status = vm.getStatus();
            if (status == null) {
                return;
            }
            Life life = life(vm.getMetadata().getName());
            boolean runs = status.phase() == VirtualMachineStatus.Phase.Running
                    && status.vmm() != null
                    && status.vmm().pid() != null;
            if (status.lastExit() == null) {
                if (runs) {
                    life.pid = status.vmm().pid();
                    life.running.countDown();
                }
                return;
            }
            if (life.toldAt == 0) {
                life.toldAt = now;
                life.reason = String.valueOf(status.lastExit().reason());
                life.told.countDown();
            }
            if (runs && life.againAt == 0) {
                life.againAt = now;
                life.again.countDown();
            }
        }

        @Override
        public void onClose(WatcherException cause) {
            // Only at the end.
        }
    }
}
