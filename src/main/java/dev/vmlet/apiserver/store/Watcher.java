package dev.vmlet.apiserver.store;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * The changes of one resource, for one reader, in order. A reader that falls too far behind is cut off: writers never
 * wait for it.
 */
public final class Watcher implements AutoCloseable {
    private final Store store;
    private final String resource;
    private final String namespace;
    private final LinkedBlockingQueue<Change> changes;
    private volatile boolean cutOff;
    private volatile boolean closed;

    Watcher(Store store, String resource, String namespace, List<Change> past, int behindMax) {
        this.store = store;
        this.resource = resource;
        this.namespace = namespace;
        this.changes = new LinkedBlockingQueue<>(past.size() + behindMax);
        this.changes.addAll(past);
    }

    String resource() {
        return resource;
    }

    /** Called by the store's one publishing thread. */
    void offer(Change change) {
        if (!namespace.isEmpty() && !namespace.equals(change.key().namespace())) return;
        if (!cutOff && !changes.offer(change)) {
            cutOff = true;
            // A reader that does not read may stay for long: it shall not hold what it will never be told.
            changes.clear();
            // Else it would wait for a next change, which nobody offers any more, before it asks whether it was cut
            // off.
            changes.add(change);
        }
    }

    /** Waits for the next change; null when none came in time. */
    public @Nullable Change poll(Duration timeout) throws InterruptedException {
        return changes.poll(timeout.toMillis(), TimeUnit.MILLISECONDS);
    }

    /** What has come since the last poll, at most {@code max}; does not wait. */
    public List<Change> drain(int max) {
        List<Change> drained = new ArrayList<>();
        changes.drainTo(drained, max);
        return drained;
    }

    /** Whether changes were lost because the reader was too slow; it has to begin anew. */
    public boolean cutOff() {
        return cutOff;
    }

    public boolean closed() {
        return closed;
    }

    @Override
    public void close() {
        closed = true;
        store.forget(this);
    }
}
