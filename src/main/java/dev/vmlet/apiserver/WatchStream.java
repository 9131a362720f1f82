package dev.vmlet.apiserver;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.vmlet.apiserver.store.Change;
import dev.vmlet.apiserver.store.Store;
import dev.vmlet.apiserver.store.Stored;
import dev.vmlet.apiserver.store.Watcher;
import java.io.IOException;
import java.io.OutputStream;
import java.time.Duration;
import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.BooleanSupplier;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/** One watch: what is there, if asked for, then every change, one JSON object a line, until its time is over. */
final class WatchStream {
    private static final String INITIAL_EVENTS_END = "k8s.io/initial-events-end";
    private static final Duration BOOKMARK_EVERY = Duration.ofSeconds(45);
    private static final int SECONDS_MIN = 1_800;
    private static final long SECONDS_MAX = 86_400;

    private final Store store;
    private final Reads reads;
    private final Call call;
    private final Predicate<Stored> selected;
    private final boolean bookmarks;
    private final boolean initialEvents;
    private final long from;
    private final Duration lasts;
    private long seen;
    private boolean columnsTold;

    /** @throws ApiException for parameters that make no sense */
    WatchStream(Store store, Reads reads, Call call) throws ApiException {
        this.store = store;
        this.reads = reads;
        this.call = call;
        this.selected = Reads.selected(call);
        Query query = call.query();
        this.bookmarks = query.flag("allowWatchBookmarks");
        OptionalLong revision = query.revision();
        this.from = revision.orElse(0);
        this.initialEvents = query.flag("sendInitialEvents");
        checkInitialEvents(query);
        OptionalLong seconds = query.number("timeoutSeconds");
        // Watches that nobody limits end at different times, so that not all begin anew at once.
        long unlimited = SECONDS_MIN + ThreadLocalRandom.current().nextLong(SECONDS_MIN);
        // As a real server: 0 is no limit.
        long asked = seconds.orElse(0);
        this.lasts = Duration.ofSeconds(asked == 0 ? unlimited : Math.min(asked, SECONDS_MAX));
    }

    private void checkInitialEvents(Query query) throws ApiException {
        String match = query.text("resourceVersionMatch");
        if (query.has("sendInitialEvents") && !match.equals("NotOlderThan")) {
            throw invalid("resourceVersionMatch", "resourceVersionMatch must be NotOlderThan with sendInitialEvents");
        }
        if (!query.has("sendInitialEvents") && !match.isEmpty()) {
            throw invalid(
                    "resourceVersionMatch",
                    "resourceVersionMatch is forbidden for watch unless sendInitialEvents is" + " provided");
        }
        if (initialEvents && !bookmarks) {
            throw invalid("allowWatchBookmarks", "sendInitialEvents requires setting allowWatchBookmarks to true");
        }
    }

    private ApiException invalid(String field, String why) {
        return ApiException.invalid("ListOptions", "", field, "FieldValueForbidden", "Forbidden: " + why);
    }

    /** Returns when the watch is over, because of time, of the client, or of {@code stopping}; interrupt it for that. */
    void run(OutputStream to, BooleanSupplier stopping) throws IOException, InterruptedException {
        long ends = System.nanoTime() + lasts.toNanos();
        String resource = Versions.storedResource(call.type());
        boolean all = initialEvents || (from == 0 && !call.query().has("sendInitialEvents"));
        List<Stored> there = List.of();
        long begin = from;
        Watcher watcher;
        try {
            if (all || from == 0) {
                // What happens between the list and the watch is told twice rather than not at all: never, for both
                // begin at one revision.
                Store.Snapshot snapshot = store.list(resource, call.namespace());
                begin = snapshot.revision();
                there = all ? snapshot.objects() : List.of();
            }
            watcher = store.watch(resource, call.namespace(), begin);
        } catch (Store.TooOld e) {
            write(to, "ERROR", ApiException.expired(e.sentence()).status());
            to.flush();
            return;
        }
        try (watcher) {
            seen = begin;
            for (Stored stored : there) {
                if (selected.test(stored)) tell(to, "ADDED", Reads.object(call.type(), stored));
            }
            // Also for those who did not ask for initial events by name, as a real server does.
            if (all && bookmarks) bookmark(to, true);
            to.flush();
            follow(to, watcher, ends, stopping);
        }
    }

    private void follow(OutputStream to, Watcher watcher, long ends, BooleanSupplier stopping)
            throws IOException, InterruptedException {
        long bookmarkAt = System.nanoTime() + BOOKMARK_EVERY.toNanos();
        while (!stopping.getAsBoolean()) {
            long left = ends - System.nanoTime();
            if (left <= 0) {
                if (bookmarks && catchUp(to, watcher)) bookmark(to, false);
                to.flush();
                return;
            }
            long next = Math.min(left, Math.max(bookmarkAt - System.nanoTime(), 0));
            Change change = watcher.poll(Duration.ofNanos(next));
            List<Change> more = watcher.drain(100);
            // Asked after the taking, so that nothing is told that came after a gap.
            if (watcher.cutOff()) {
                write(
                        to,
                        "ERROR",
                        ApiException.expired("this watch fell too far behind; list again")
                                .status());
                to.flush();
                return;
            }
            if (change != null) tell(to, change);
            for (Change another : more) tell(to, another);
            if (change != null || !more.isEmpty()) to.flush();
            if (System.nanoTime() - bookmarkAt >= 0) {
                if (!bookmarks) {
                    // Space between JSON values: only a write tells that the client has gone, and its connection with
                    // it.
                    to.write('\n');
                } else if (catchUp(to, watcher)) {
                    bookmark(to, false);
                }
                to.flush();
                bookmarkAt = System.nanoTime() + BOOKMARK_EVERY.toNanos();
            }
        }
    }

    /**
     * So that a bookmark is about now: what was written to other resources needs no telling. False where changes were lost:
     * a bookmark would say that they had been told.
     */
    private boolean catchUp(OutputStream to, Watcher watcher) throws IOException {
        long now = store.revision();
        List<Change> missing = watcher.drain(Integer.MAX_VALUE);
        if (watcher.cutOff()) return false;
        for (Change change : missing) tell(to, change);
        seen = Math.max(seen, now);
        return true;
    }

    private void tell(OutputStream to, Change change) throws IOException {
        seen = change.revision();
        Stored before = matching(change.before());
        Stored after = matching(change.after());
        if (after != null) {
            tell(to, before == null ? "ADDED" : "MODIFIED", Reads.object(call.type(), after));
        } else if (before != null) {
            // Gone, or gone from what was selected: as it was last, with the revision of its going.
            ObjectNode last = Reads.object(call.type(), before);
            Json.metadata(last).put("resourceVersion", Long.toString(change.revision()));
            tell(to, "DELETED", last);
        }
    }

    private @Nullable Stored matching(@Nullable Stored stored) {
        return stored != null && selected.test(stored) ? stored : null;
    }

    private void bookmark(OutputStream to, boolean endOfInitialEvents) throws IOException {
        ObjectNode mark = Json.object();
        mark.put("kind", call.type().kind()).put("apiVersion", call.type().apiVersion());
        ObjectNode metadata = mark.putObject("metadata").put("resourceVersion", Long.toString(seen));
        metadata.putNull("creationTimestamp");
        if (endOfInitialEvents) metadata.putObject("annotations").put(INITIAL_EVENTS_END, "true");
        tell(to, "BOOKMARK", mark);
    }

    private void tell(OutputStream to, String type, ObjectNode object) throws IOException {
        ObjectNode shown = switch (call.form()) {
            case TABLE -> table(object);
            case PARTIAL, PARTIAL_LIST -> Reads.partial(object);
            case OBJECT, DISCOVERY -> object;
        };
        write(to, type, shown);
    }

    private ObjectNode table(ObjectNode object) throws IOException {
        ObjectNode metadata =
                Json.object().put("resourceVersion", Json.text(object.path("metadata"), "resourceVersion"));
        boolean withColumns = !columnsTold;
        columnsTold = true;
        try {
            return reads.table(call, List.of(object), metadata, withColumns);
        } catch (ApiException e) {
            throw new IOException(e);
        }
    }

    private static void write(OutputStream to, String type, ObjectNode object) throws IOException {
        ObjectNode event = Json.object().put("type", type);
        event.set("object", object);
        to.write(Json.bytes(event));
        to.write('\n');
    }
}
