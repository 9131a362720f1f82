package dev.vmlet.controller;

import dev.vmlet.model.Reason;
import io.fabric8.kubernetes.api.model.Event;
import io.fabric8.kubernetes.api.model.EventBuilder;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.ObjectReference;
import io.fabric8.kubernetes.api.model.ObjectReferenceBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Writes Kubernetes Events, beside the reconcile threads. The same words for the same object within ten minutes count
 * up one Event; a refusal that is repeated by every retry is so told once. When the queue is full, Events are dropped:
 * status says the same.
 */
public final class EventRecorder implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(EventRecorder.class);
    private static final int LONGEST_MESSAGE = 1024;
    private static final int REMEMBERED = 4096;
    private static final Duration AGGREGATED = Duration.ofMinutes(10);
    /** A repeated warning is counted up at most this often. */
    private static final Duration COUNTED = Duration.ofMinutes(1);

    private record Key(String uid, String type, String reason, String message) {}

    private record Written(String namespace, String name, int count, Instant at) {}

    private final KubernetesClient client;
    private final String component;
    private final String nodeName;
    private final Clock clock;
    private final ThreadPoolExecutor writer;
    /** Touched by the writer's one thread only. */
    private final Map<Key, Written> written = new LinkedHashMap<>();

    public EventRecorder(KubernetesClient client, String component, String nodeName, Clock clock) {
        this.client = client;
        this.component = component;
        this.nodeName = nodeName;
        this.clock = clock;
        this.writer = new ThreadPoolExecutor(
                1,
                1,
                0,
                TimeUnit.SECONDS,
                new LinkedBlockingQueue<>(1024),
                Thread.ofPlatform().name("events").daemon().factory(),
                new ThreadPoolExecutor.DiscardPolicy());
    }

    /** The host was changed. */
    public void normal(HasMetadata object, Reason reason, String message) {
        record(object, "Normal", reason, message);
    }

    /** Something was refused, or a person should look. */
    public void warning(HasMetadata object, Reason reason, String message) {
        record(object, "Warning", reason, message);
    }

    private void record(HasMetadata object, String type, Reason reason, String message) {
        String text = message.length() <= LONGEST_MESSAGE ? message : message.substring(0, LONGEST_MESSAGE - 1) + "…";
        ObjectReference about = new ObjectReferenceBuilder()
                .withApiVersion(object.getApiVersion())
                .withKind(object.getKind())
                .withNamespace(object.getMetadata().getNamespace())
                .withName(object.getMetadata().getName())
                .withUid(object.getMetadata().getUid())
                .build();
        Instant now = clock.instant();
        writer.execute(() -> {
            try {
                write(about, type, reason, text, now);
            } catch (KubernetesClientException e) {
                log.atWarn()
                        .addKeyValue("object", about.getNamespace() + "/" + about.getName())
                        .addKeyValue("reason", reason)
                        .setCause(e)
                        .log("event not written");
            }
        });
    }

    private void write(ObjectReference about, String type, Reason reason, String message, Instant now) {
        Key key = new Key(about.getUid(), type, reason.name(), message);
        Written before = written.get(key);
        String time = now.truncatedTo(ChronoUnit.SECONDS).toString();
        if (before != null && Duration.between(before.at, now).compareTo(AGGREGATED) < 0) {
            if (Duration.between(before.at, now).compareTo(COUNTED) < 0) {
                return;
            }
            client.v1()
                    .events()
                    .inNamespace(before.namespace)
                    .withName(before.name)
                    .edit(e -> new EventBuilder(e)
                            .withCount(before.count + 1)
                            .withLastTimestamp(time)
                            .build());
            written.put(key, new Written(before.namespace, before.name, before.count + 1, now));
            return;
        }
        // Events of cluster-scoped objects live in the namespace default, where kubectl describe looks for them.
        String namespace = about.getNamespace() == null ? "default" : about.getNamespace();
        Event event = new EventBuilder()
                .withNewMetadata()
                .withGenerateName(prefix(about.getName()))
                .withNamespace(namespace)
                .endMetadata()
                .withInvolvedObject(about)
                .withType(type)
                .withReason(reason.name())
                .withMessage(message)
                .withCount(1)
                .withFirstTimestamp(time)
                .withLastTimestamp(time)
                .withNewSource(component, nodeName)
                .withReportingComponent("vmlet.dev/" + component)
                .withReportingInstance(nodeName)
                .build();
        Event created =
                client.v1().events().inNamespace(namespace).resource(event).create();
        written.put(key, new Written(namespace, created.getMetadata().getName(), 1, now));
        if (written.size() > REMEMBERED) {
            var oldest = written.keySet().iterator();
            oldest.next();
            oldest.remove();
        }
    }

    private static String prefix(String name) {
        return (name.length() > 200 ? name.substring(0, 200) : name) + ".";
    }

    @Override
    public void close() {
        writer.shutdown();
        try {
            if (!writer.awaitTermination(2, TimeUnit.SECONDS)) {
                writer.shutdownNow();
            }
        } catch (InterruptedException e) {
            writer.shutdownNow();
            Thread.currentThread().interrupt();
        }
    }
}
