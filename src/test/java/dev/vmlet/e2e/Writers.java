package dev.vmlet.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.cli.ApiOptions;
import io.fabric8.kubernetes.api.model.ConfigMap;
import io.fabric8.kubernetes.api.model.ConfigMapBuilder;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.ConfigBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * Clients that write without pause to an API server that is killed meanwhile, and remember what it acknowledged. Each
 * writes objects of its own, whose text follows from their counter, so that a torn or an older one is known.
 */
final class Writers {
    private static final int WRITERS = 4;
    private static final int OBJECTS = 5;

    private record Written(int counter, long revision) {}

    /** By name of the object; an object has one writer. */
    private final Map<String, Written> acknowledged = new ConcurrentHashMap<>();

    /** The last counter that was tried, by name. */
    private final Map<String, Integer> attempts = new ConcurrentHashMap<>();

    private final String seed;

    /** @param seed what repeats this run, for a failure's text */
    Writers(String seed) {
        this.seed = seed;
    }

    private static KubernetesClient client(Path kubeconfig) {
        Config config = Config.fromKubeconfig(kubeconfig.toFile());
        // What a dead server was asked is not asked again: it may have been done.
        return ApiOptions.client(
                new ConfigBuilder(config).withRequestRetryBackoffLimit(0).build());
    }

    /** Writes until {@code kill}, which comes after so many acknowledged writes, has ended the server. */
    void writeUntilKilled(Path kubeconfig, int writes, Runnable kill) throws InterruptedException {
        CountDownLatch enough = new CountDownLatch(writes);
        List<Thread> threads = new ArrayList<>();
        try (KubernetesClient client = client(kubeconfig)) {
            for (int w = 0; w < WRITERS; w++) {
                String name = "written-" + w + "-";
                threads.add(Thread.ofPlatform().name(name).start(() -> write(client, name, enough)));
            }
            assertThat(enough.await(60, TimeUnit.SECONDS))
                    .as(writes + " writes, " + seed)
                    .isTrue();
            kill.run();
            for (Thread thread : threads) {
                thread.join(30_000);
                assertThat(thread.isAlive()).as(seed).isFalse();
            }
        }
    }

    private void write(KubernetesClient client, String prefix, CountDownLatch enough) {
        try {
            for (int i = 0; ; i++) {
                String name = prefix + i % OBJECTS;
                // A write that was not acknowledged may have been kept: no counter twice.
                int counter = attempts.merge(name, 1, Integer::sum);
                ConfigMap written = client.resource(object(name, counter))
                        .inNamespace("default")
                        .fieldManager("writers")
                        .forceConflicts()
                        .serverSideApply();
                acknowledged.put(
                        name,
                        new Written(
                                counter, Long.parseLong(written.getMetadata().getResourceVersion())));
                enough.countDown();
            }
        } catch (KubernetesClientException e) {
            // The server is dead; the test looks at what it kept.
            assertThat(enough.getCount())
                    .as("writes left when it died, " + seed + ": " + e)
                    .isZero();
        }
    }

    private static ConfigMap object(String name, int counter) {
        return new ConfigMapBuilder()
                .withNewMetadata()
                .withName(name)
                .endMetadata()
                .withData(Map.of("counter", String.valueOf(counter), "text", text(name, counter)))
                .build();
    }

    private static String text(String name, int counter) {
        return (name + " " + counter + "\n").repeat(1 + counter % 200);
    }

    /** Every acknowledged write is there or a later one, whole, and revisions did not go back. */
    void assertKept(Path kubeconfig) {
        try (KubernetesClient client = client(kubeconfig)) {
            Map<String, Written> kept = new TreeMap<>();
            for (ConfigMap object :
                    client.configMaps().inNamespace("default").list().getItems()) {
                String name = object.getMetadata().getName();
                if (!name.startsWith("written-")) {
                    continue;
                }
                int counter = Integer.parseInt(object.getData().get("counter"));
                assertThat(object.getData().get("text")).as(name + ", " + seed).isEqualTo(text(name, counter));
                kept.put(
                        name,
                        new Written(counter, Long.parseLong(object.getMetadata().getResourceVersion())));
            }
            acknowledged.forEach((name, written) -> {
                Written now = kept.getOrDefault(name, new Written(-1, -1));
                assertThat(now.counter).as(name + ", " + seed).isGreaterThanOrEqualTo(written.counter);
                assertThat(now.revision).as(name + ", " + seed).isGreaterThanOrEqualTo(written.revision);
            });
            assertThat(kept.keySet()).as(seed).containsAll(acknowledged.keySet());
        }
    }

    /** Takes its objects away again. */
    void clear(Path kubeconfig) {
        try (KubernetesClient client = client(kubeconfig)) {
            for (String name : attempts.keySet()) {
                client.configMaps().inNamespace("default").withName(name).delete();
            }
        }
    }
}
