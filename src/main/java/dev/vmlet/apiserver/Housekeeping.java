package dev.vmlet.apiserver;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.vmlet.apiserver.schema.ResourceType;
import dev.vmlet.apiserver.store.Key;
import dev.vmlet.apiserver.store.Store;
import dev.vmlet.apiserver.store.StoreException;
import dev.vmlet.apiserver.store.Stored;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.format.DateTimeParseException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Predicate;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What kube-controller-manager does in a cluster: deletes what belongs to nobody any more, empties namespaces that are
 * being deleted, and drops old Events. One thread, woken by deletions and every half minute.
 */
final class Housekeeping implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(Housekeeping.class);
    private static final Duration EVERY = Duration.ofSeconds(30);
    private static final Duration EVENTS_LIVE = Duration.ofHours(1);
    static final int EVENTS_MAX = 2_000;
    private static final String EVENTS = "events";

    private final Types types;
    private final Store store;
    private final Writes writes;
    private final Clock clock;
    private final Thread thread;
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition due = lock.newCondition();
    private boolean woken;
    private boolean closing;

    Housekeeping(Types types, Store store, Writes writes, Clock clock) {
        this.types = types;
        this.store = store;
        this.writes = writes;
        this.clock = clock;
        this.thread = Thread.ofPlatform().name("api-housekeeping").daemon().unstarted(this::keep);
    }

    void start() {
        thread.start();
    }

    void wake() {
        lock.lock();
        try {
            woken = true;
            due.signal();
        } finally {
            lock.unlock();
        }
    }

    private void keep() {
        while (await()) {
            try {
                pass();
            } catch (StoreException | RuntimeException e) {
                log.atWarn().setCause(e).log("housekeeping was interrupted; it goes on later");
            }
        }
    }

    /** False when it is time to end. */
    private boolean await() {
        lock.lock();
        try {
            long left = EVERY.toNanos();
            while (!woken && !closing && left > 0) left = due.awaitNanos(left);
            woken = false;
            return !closing;
        } catch (InterruptedException e) {
            return false;
        } finally {
            lock.unlock();
        }
    }

    void pass() throws StoreException {
        List<Stored> all = store.all();
        expireEvents(all);
        Set<String> uids = new HashSet<>();
        all.forEach(stored -> uids.add(stored.index().uid()));
        for (Stored stored : all) {
            if (!stored.index().owners().isEmpty()) collect(stored, uids);
            if (stored.key().resource().equals(BuiltIns.NAMESPACES)) empty(stored);
        }
        for (Stored stored : all) {
            propagate(stored, all);
        }
    }

    private void expireEvents(List<Stored> all) throws StoreException {
        List<Stored> events = all.stream()
                .filter(stored -> stored.key().resource().equals(EVENTS))
                .sorted(Comparator.comparingLong(Stored::revision))
                .toList();
        Instant oldest = clock.instant().minus(EVENTS_LIVE);
        int tooMany = events.size() - EVENTS_MAX;
        for (int i = 0; i < events.size(); i++) {
            if (i < tooMany || lastSeen(events.get(i)).isBefore(oldest)) delete(events.get(i), DeleteOptions.PLAIN);
        }
    }

    private static Instant lastSeen(Stored event) {
        ObjectNode object = Json.own(event.json());
        for (JsonNode at : List.of(
                object.path("series").path("lastObservedTime"),
                object.path("lastTimestamp"),
                object.path("eventTime"),
                object.path("metadata").path("creationTimestamp"))) {
            try {
                if (at.isTextual()) return Instant.parse(at.asText());
            } catch (DateTimeParseException e) {
                // The next one may be better.
            }
        }
        return Instant.EPOCH;
    }

    /** Deletes an object all of whose owners are gone; one that has others forgets those that are. */
    private void collect(Stored stored, Set<String> uids) throws StoreException {
        if (uids.containsAll(stored.index().owners())) return;
        JsonNode metadata = Json.own(stored.json()).path("metadata");
        if (metadata.has("deletionTimestamp")) return;
        List<String> gone = new ArrayList<>();
        for (JsonNode owner : metadata.path("ownerReferences")) {
            if (isGone(owner, stored.key().namespace())) gone.add(Json.text(owner, "uid"));
        }
        if (gone.size() < stored.index().owners().size()) {
            types.ofStore(stored.key().resource())
                    .ifPresent(type -> gone.forEach(uid -> amend(type, stored.key(), object -> forget(object, uid))));
            return;
        }
        log.atInfo().addKeyValue("object", stored.key()).log("deleted, for its owners are gone");
        // As we saw it: meanwhile somebody may have given it another owner.
        String revision = Long.toString(stored.revision());
        delete(stored, new DeleteOptions(false, stored.index().uid(), revision, "Background"));
    }

    /** An owner of a kind that is not served here is left alone. */
    private boolean isGone(JsonNode owner, String namespace) {
        Optional<ResourceType> type = types.ofKind(Json.text(owner, "apiVersion"), Json.text(owner, "kind"));
        if (type.isEmpty()) return false;
        String in = type.get().namespaced() ? namespace : "";
        // What is durable: a deletion that waits for the disk may yet be refused.
        Stored now = store.get(new Key(Versions.storedResource(type.get()), in, Json.text(owner, "name")));
        return now == null || !now.index().uid().equals(Json.text(owner, "uid"));
    }

    private void delete(Stored stored, DeleteOptions options) throws StoreException {
        ResourceType type = types.ofStore(stored.key().resource()).orElseThrow();
        try {
            writes.delete(type, stored.key(), options);
        } catch (ApiException e) {
            log.atDebug().addKeyValue("object", stored.key()).log("not deleted: {}", e.getMessage());
        }
    }

    /** Deletes what is in a namespace that is being deleted, and lets it go when nothing is left. */
    private void empty(Stored stored) throws StoreException {
        ObjectNode namespace = Json.own(stored.json());
        if (!namespace.path("metadata").has("deletionTimestamp")) return;
        String name = stored.key().name();
        boolean left = false;
        for (ResourceType type : types.stored()) {
            if (!type.namespaced()) continue;
            for (Stored inside : store.list(type.groupResource(), name).objects()) {
                delete(inside, DeleteOptions.PLAIN);
                left |= store.latest(inside.key()) != null;
            }
        }
        if (left) return;
        types.ofStore(BuiltIns.NAMESPACES).ifPresent(type -> amend(type, stored.key(), BuiltIns::emptied));
    }

    /** Foreground: dependents first. Orphan: dependents forget their owner. */
    private void propagate(Stored stored, List<Stored> all) throws StoreException {
        JsonNode metadata = Json.own(stored.json()).path("metadata");
        if (!metadata.has("deletionTimestamp")) return;
        Optional<ResourceType> type = types.ofStore(stored.key().resource());
        if (type.isEmpty()) return;
        String uid = stored.index().uid();
        List<Stored> dependents =
                all.stream().filter(each -> each.index().owners().contains(uid)).toList();
        if (Finalizers.has(metadata, Finalizers.ORPHAN)) {
            for (Stored dependent : dependents) {
                types.ofStore(dependent.key().resource())
                        .ifPresent(of -> amend(of, dependent.key(), object -> forget(object, uid)));
            }
            amend(type.get(), stored.key(), object -> Finalizers.remove(Json.metadata(object), Finalizers.ORPHAN));
        } else if (Finalizers.has(metadata, Finalizers.FOREGROUND)) {
            boolean left = false;
            for (Stored dependent : dependents) {
                delete(dependent, new DeleteOptions(false, dependent.index().uid(), "", "Background"));
                left |= store.latest(dependent.key()) != null && blocks(dependent, uid);
            }
            if (!left) {
                amend(
                        type.get(),
                        stored.key(),
                        object -> Finalizers.remove(Json.metadata(object), Finalizers.FOREGROUND));
            }
        }
    }

    private static boolean blocks(Stored dependent, String uid) {
        for (JsonNode owner : Json.own(dependent.json()).path("metadata").path("ownerReferences")) {
            if (Json.text(owner, "uid").equals(uid))
                return owner.path("blockOwnerDeletion").asBoolean();
        }
        return false;
    }

    private static boolean forget(ObjectNode object, String uid) {
        ObjectNode metadata = Json.metadata(object);
        ArrayNode others = Json.object().putArray("others");
        metadata.path("ownerReferences").forEach(owner -> {
            if (!Json.text(owner, "uid").equals(uid)) others.add(owner);
        });
        if (others.size() == metadata.path("ownerReferences").size()) return false;
        if (others.isEmpty()) metadata.remove("ownerReferences");
        else metadata.set("ownerReferences", others);
        return true;
    }

    private void amend(ResourceType type, Key key, Predicate<ObjectNode> change) {
        try {
            writes.amend(type, key, change);
        } catch (StoreException e) {
            log.atWarn().addKeyValue("object", key).setCause(e).log("housekeeping could not write");
        }
    }

    @Override
    public void close() {
        lock.lock();
        try {
            closing = true;
            due.signal();
        } finally {
            lock.unlock();
        }
        try {
            thread.join(TimeUnit.SECONDS.toMillis(5));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
