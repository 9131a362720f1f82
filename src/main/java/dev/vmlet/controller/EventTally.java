package dev.vmlet.controller;

import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * How often each Event happened, and when its count is to be written: at once where the last write is a minute old,
 * else when it is. So nothing that happens goes uncounted, and one Event costs at most one write a minute. Touched by
 * one thread.
 *
 * <pre>
 *  unknown --saw--> NEW --created--> told --saw, a minute later--> NOW --counted--> told
 *                                    told --saw, sooner--> LATER (a write is due) --counted--> told
 *  told, and ten minutes of silence --saw--> NEW: another Event
 * </pre>
 */
final class EventTally {
    /** The same words for the same object within this time are one Event. */
    static final Duration AGGREGATED = Duration.ofMinutes(10);
    /** An Event's count is written at most this often. */
    static final Duration COUNTED = Duration.ofMinutes(1);

    private static final int REMEMBERED = 4096;

    record Key(String uid, String type, String reason, String message) {}

    /** The Event object of a key as it is to be. {@code lastSeen} is when it happened last. */
    record Count(String namespace, String name, int count, Instant lastSeen) {}

    /** What to do about something that happened. */
    enum Deed {
        /** Make an Event, then say {@link #created}. */
        CREATE,
        /** Write what {@link #due} says. */
        COUNT,
        /** Ask {@link #due} when {@link #COUNTED} has passed. */
        COUNT_LATER,
        /** A later count is under way already. */
        NOTHING
    }

    private record Told(Count seen, int written, Instant writtenAt, boolean underWay) {}

    /** Oldest first. */
    private final Map<Key, Told> all = new LinkedHashMap<>();

    Deed saw(Key key, Instant now) {
        Told told = all.get(key);
        if (told == null || Duration.between(told.seen.lastSeen, now).compareTo(AGGREGATED) >= 0) {
            all.remove(key);
            return Deed.CREATE;
        }
        boolean old = Duration.between(told.writtenAt, now).compareTo(COUNTED) >= 0;
        Count seen = new Count(told.seen.namespace, told.seen.name, told.seen.count + 1, now);
        all.put(key, new Told(seen, told.written, told.writtenAt, told.underWay || !old));
        return old ? Deed.COUNT : told.underWay ? Deed.NOTHING : Deed.COUNT_LATER;
    }

    void created(Key key, String namespace, String name, Instant now) {
        all.put(key, new Told(new Count(namespace, name, 1, now), 1, now, false));
        if (all.size() > REMEMBERED) {
            var oldest = all.keySet().iterator();
            oldest.next();
            oldest.remove();
        }
    }

    /** The count that was not written yet; empty when all is. */
    Optional<Count> due(Key key) {
        Told told = all.get(key);
        return told == null || told.written == told.seen.count ? Optional.empty() : Optional.of(told.seen);
    }

    /** Every key with a count that was not written yet. */
    List<Key> allDue() {
        return new ArrayList<>(
                all.keySet().stream().filter(key -> due(key).isPresent()).toList());
    }

    void counted(Key key, Count count, Instant now) {
        all.computeIfPresent(key, (_, told) -> new Told(told.seen, count.count, now, false));
    }

    /** The write did not succeed: the next time it happens tries again. */
    void notCounted(Key key) {
        all.computeIfPresent(key, (_, told) -> new Told(told.seen, told.written, told.writtenAt, false));
    }

    /** Somebody deleted the Event. */
    void gone(Key key) {
        all.remove(key);
    }
}
