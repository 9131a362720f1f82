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
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.Semaphore;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Writes Kubernetes Events, beside the reconcile threads. The same words for the same object within ten minutes count
 * up one Event, with at most one write a minute. When the queue is full, Events are dropped: status says the same.
 */
public final class EventRecorder implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(EventRecorder.class);
    private static final int LONGEST_MESSAGE = 1024;
    private static final int QUEUED_MAX = 1024;

    private final KubernetesClient client;
    private final String component;
    private final String nodeName;
    private final Clock clock;
    private final ScheduledThreadPoolExecutor writer;
    private final Semaphore room = new Semaphore(QUEUED_MAX);
    /** Touched by the writer's one thread only. */
    private final EventTally tally = new EventTally();

    public EventRecorder(KubernetesClient client, String component, String nodeName, Clock clock) {
        this.client = client;
        this.component = component;
        this.nodeName = nodeName;
        this.clock = clock;
        this.writer = new ScheduledThreadPoolExecutor(
                1, Thread.ofPlatform().name("events").daemon().factory(), new ThreadPoolExecutor.DiscardPolicy());
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
        if (!room.tryAcquire()) {
            return;
        }
        writer.execute(() -> {
            room.release();
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
        EventTally.Key key = new EventTally.Key(about.getUid(), type, reason.name(), message);
        switch (tally.saw(key, now)) {
            case CREATE -> create(key, about, type, reason, message, now);
            case COUNT -> count(key);
            case COUNT_LATER -> {
                var _ = writer.schedule(() -> count(key), EventTally.COUNTED.toMillis(), TimeUnit.MILLISECONDS);
            }
            case NOTHING -> {}
        }
    }

    private void count(EventTally.Key key) {
        Optional<EventTally.Count> due = tally.due(key);
        if (due.isEmpty()) {
            return;
        }
        EventTally.Count count = due.get();
        try {
            client.v1()
                    .events()
                    .inNamespace(count.namespace())
                    .withName(count.name())
                    .edit(e -> new EventBuilder(e)
                            .withCount(count.count())
                            .withLastTimestamp(time(count.lastSeen()))
                            .build());
            tally.counted(key, count, clock.instant());
        } catch (KubernetesClientException e) {
            if (e.getCode() == 404) {
                tally.gone(key);
                return;
            }
            tally.notCounted(key);
            log.atWarn().addKeyValue("event", count.name()).setCause(e).log("event not counted");
        }
    }

    private static String time(Instant at) {
        return at.truncatedTo(ChronoUnit.SECONDS).toString();
    }

    private void create(
            EventTally.Key key, ObjectReference about, String type, Reason reason, String message, Instant now) {
        String time = time(now);
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
        tally.created(key, namespace, created.getMetadata().getName(), now);
    }

    private static String prefix(String name) {
        return (name.length() > 200 ? name.substring(0, 200) : name) + ".";
    }

    @Override
    public void close() {
        if (writer.isShutdown()) {
            return;
        }
        // Waited for before the end: an ended pool drops what is queued, which is what was told last.
        var last = writer.submit(() -> tally.allDue().forEach(this::count));
        try {
            var _ = last.get(2, TimeUnit.SECONDS);
        } catch (ExecutionException | TimeoutException e) {
            log.atDebug().setCause(e).log("not every event was written");
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } finally {
            writer.shutdownNow();
        }
    }
}
