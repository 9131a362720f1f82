package dev.vmlet.apiserver.store;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Deque;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.LongFunction;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * All objects. A write is compared with the latest state, gets the next revision and waits for the one thread that
 * appends to the journal; that thread takes all writes that wait, makes them durable at once, and only then shows them to
 * readers and watchers. A write that could not be made durable was never there. For many threads.
 */
public final class Store implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(Store.class);

    /** Changes of a resource that a watch can go back to. */
    private static final int HISTORY_MAX = 1_000;

    private static final int HISTORY_BYTES_MAX = 2 << 20;
    private static final int BEHIND_MAX = 1_000;
    /** The journal is written anew when what was appended is more than this and more than what is alive. */
    private static final long GARBAGE_MIN = 4 << 20;

    private static final int BATCH_MAX = 1_000;
    private static final long DURABLE_SECONDS_MAX = 30;

    /** Tells what selectors will ask about an object. */
    public interface Indexer {
        Stored.Index index(Key key, byte[] json);
    }

    /** Somebody else wrote first: read again. */
    public static final class Raced extends Exception {
        public Raced() {
            super("written meanwhile", null, false, false);
        }
    }

    /** The changes since that revision are no longer remembered. */
    public static final class TooOld extends Exception {
        private final long asked;
        private final long oldest;

        TooOld(long asked, long oldest) {
            super("too old: " + asked);
            this.asked = asked;
            this.oldest = oldest;
        }

        /** In kube-apiserver's words. */
        public String sentence() {
            return "too old resource version: " + asked + " (" + oldest + ")";
        }
    }

    /** Objects as they were together at one revision, sorted by namespace and name. */
    public record Snapshot(long revision, List<Stored> objects) {}

    private record Write(Change change, CompletableFuture<Change> done) {
        Journal.Entry entry() {
            Stored after = change.after();
            return after == null
                    ? new Journal.Entry.Delete(change.key(), change.revision())
                    : new Journal.Entry.Put(after);
        }
    }

    private static final class History {
        private final Deque<Change> changes = new ArrayDeque<>();
        /** One may begin after this revision, or any later one. */
        private long from;

        private long bytes;

        History(long from) {
            this.from = from;
        }

        void add(Change change) {
            changes.addLast(change);
            bytes += change.bytes();
            while (changes.size() > HISTORY_MAX || (bytes > HISTORY_BYTES_MAX && changes.size() > 1)) {
                Change oldest = changes.removeFirst();
                bytes -= oldest.bytes();
                from = oldest.revision();
            }
        }
    }

    private final Indexer indexer;
    private final Journal journal;
    private final DirectoryLock lock;
    private final Thread keeper;

    /** Guards what waits to be durable. */
    private final ReentrantLock latest = new ReentrantLock();

    private final Condition waiting = latest.newCondition();
    private final Map<Key, Change> pending = new HashMap<>();
    private List<Write> queue = new ArrayList<>();
    private long nextRevision;
    private boolean closing;

    /** Guards what readers see. Taken after {@link #latest} where both are. */
    private final ReentrantReadWriteLock visible = new ReentrantReadWriteLock();

    private final NavigableMap<Key, Stored> objects = new TreeMap<>();
    private final Map<String, History> histories = new HashMap<>();
    private final Map<String, List<Watcher>> watchers = new HashMap<>();
    private long firstRevision;
    private long revision;
    private long liveBytes;

    private Store(Indexer indexer, Journal.Disk disk, Path directory, DirectoryLock lock) throws StoreException {
        this.indexer = indexer;
        this.lock = lock;
        this.journal = Journal.open(disk, directory, this::replay);
        for (Map.Entry<Key, Stored> entry : objects.entrySet()) {
            Stored stored = entry.getValue();
            entry.setValue(stored(stored.key(), stored.revision(), stored.json()));
            liveBytes += stored.json().length;
        }
        this.firstRevision = journal.revision();
        this.revision = firstRevision;
        this.nextRevision = firstRevision + 1;
        this.keeper = Thread.ofPlatform().name("api-store").daemon().unstarted(this::keep);
    }

    /**
     * @param directory exists
     * @param holder what a second server on the directory is told about this one
     */
    public static Store open(Path directory, String holder, Indexer indexer) throws StoreException {
        return open(DurableFile.DISK, directory, holder, indexer);
    }

    static Store open(Journal.Disk disk, Path directory, String holder, Indexer indexer) throws StoreException {
        DirectoryLock lock = DirectoryLock.acquire(directory, holder);
        try {
            Store store = new Store(indexer, disk, directory, lock);
            store.keeper.start();
            return store;
        } catch (StoreException | RuntimeException e) {
            release(lock);
            throw e;
        }
    }

    private void replay(Journal.Entry entry) {
        switch (entry) {
            case Journal.Entry.Put(Stored stored) -> objects.put(stored.key(), stored);
            case Journal.Entry.Delete(Key key, long ignored) -> objects.remove(key);
        }
    }

    private Stored stored(Key key, long revision, byte[] json) {
        return new Stored(key, revision, json, indexer.index(key, json));
    }

    // Reading

    /** Of the last durable write. */
    public long revision() {
        visible.readLock().lock();
        try {
            return revision;
        } finally {
            visible.readLock().unlock();
        }
    }

    public @Nullable Stored get(Key key) {
        visible.readLock().lock();
        try {
            return objects.get(key);
        } finally {
            visible.readLock().unlock();
        }
    }

    /** The object as the next write will find it: perhaps not durable yet, so nobody may be told of it. */
    public @Nullable Stored latest(Key key) {
        latest.lock();
        try {
            Change change = pending.get(key);
            return change != null ? change.after() : get(key);
        } finally {
            latest.unlock();
        }
    }

    /** @param namespace empty for all */
    public Snapshot list(String resource, String namespace) {
        visible.readLock().lock();
        try {
            return new Snapshot(revision, List.copyOf(range(resource, namespace).values()));
        } finally {
            visible.readLock().unlock();
        }
    }

    /**
     * The list as it was.
     *
     * @throws TooOld where the changes since are forgotten
     */
    public Snapshot listAt(String resource, String namespace, long at) throws TooOld {
        visible.readLock().lock();
        try {
            if (at == revision)
                return new Snapshot(
                        revision, List.copyOf(range(resource, namespace).values()));
            NavigableMap<Key, Stored> then = new TreeMap<>(range(resource, namespace));
            Iterator<Change> newestFirst = history(resource, at).changes.descendingIterator();
            while (newestFirst.hasNext()) {
                Change change = newestFirst.next();
                if (change.revision() <= at) break;
                if (!namespace.isEmpty() && !namespace.equals(change.key().namespace())) continue;
                Stored before = change.before();
                if (before == null) then.remove(change.key());
                else then.put(change.key(), before);
            }
            return new Snapshot(at, List.copyOf(then.values()));
        } finally {
            visible.readLock().unlock();
        }
    }

    /** Every object of every resource. */
    public List<Stored> all() {
        visible.readLock().lock();
        try {
            return List.copyOf(objects.values());
        } finally {
            visible.readLock().unlock();
        }
    }

    private NavigableMap<Key, Stored> range(String resource, String namespace) {
        // U+0000 is the least of all characters and appears in no name.
        return namespace.isEmpty()
                ? objects.subMap(new Key(resource, "", ""), true, new Key(resource + "\0", "", ""), false)
                : objects.subMap(
                        new Key(resource, namespace, ""), true, new Key(resource, namespace + "\0", ""), false);
    }

    private History history(String resource, long after) throws TooOld {
        History history = histories.getOrDefault(resource, new History(firstRevision));
        // A revision from the future is one of a store that was lost: those who hold it must begin anew as well.
        if (after < history.from || after > revision) throw new TooOld(after, history.from);
        return history;
    }

    /**
     * All changes of the resource after that revision.
     *
     * @param namespace empty for all
     */
    public Watcher watch(String resource, String namespace, long after) throws TooOld {
        visible.writeLock().lock();
        try {
            List<Change> past = history(resource, after).changes.stream()
                    .filter(change -> change.revision() > after)
                    .filter(change ->
                            namespace.isEmpty() || namespace.equals(change.key().namespace()))
                    .toList();
            Watcher watcher = new Watcher(this, resource, namespace, past, BEHIND_MAX);
            watchers.computeIfAbsent(resource, r -> new CopyOnWriteArrayList<>())
                    .add(watcher);
            return watcher;
        } finally {
            visible.writeLock().unlock();
        }
    }

    /** Watches cannot go back behind now: what was written so far was written before anybody could see it. */
    public void beginHistory() {
        visible.writeLock().lock();
        try {
            histories.clear();
            firstRevision = revision;
        } finally {
            visible.writeLock().unlock();
        }
    }

    void forget(Watcher watcher) {
        visible.writeLock().lock();
        try {
            Collection<Watcher> of = watchers.get(watcher.resource());
            if (of != null) of.remove(watcher);
        } finally {
            visible.writeLock().unlock();
        }
    }

    // Writing

    /**
     * Writes and waits until it is durable.
     *
     * @param expected revision of what is replaced, as {@link #latest} gave it; 0 for an object that is not there
     * @param json the object, once its revision is known
     */
    public Stored put(Key key, long expected, LongFunction<byte[]> json) throws Raced, StoreException {
        Change change = await(enqueue(key, expected, revision -> stored(key, revision, json.apply(revision))));
        Stored after = change.after();
        if (after == null) throw new IllegalStateException("put " + key + " deleted it");
        return after;
    }

    /** Deletes and waits until that is durable; tells the revision of the deletion. */
    public long delete(Key key, long expected) throws Raced, StoreException {
        return await(enqueue(key, expected, revision -> null)).revision();
    }

    /** Waits until everything that was written before is durable, for an answer that rests on {@link #latest}. */
    public void settle() throws StoreException {
        CompletableFuture<Change> last;
        latest.lock();
        try {
            if (pending.isEmpty()) return;
            last = lastQueued;
        } finally {
            latest.unlock();
        }
        if (last != null) await(last);
    }

    private @Nullable CompletableFuture<Change> lastQueued;

    private CompletableFuture<Change> enqueue(Key key, long expected, LongFunction<@Nullable Stored> made)
            throws Raced, StoreException {
        latest.lock();
        try {
            if (closing) throw notKept("write " + key, new IOException("the server is stopping"));
            Stored before = latest(key);
            if ((before == null ? 0 : before.revision()) != expected) throw new Raced();
            long revision = nextRevision;
            Change change = new Change(revision, key, before, made.apply(revision));
            nextRevision++;
            pending.put(key, change);
            CompletableFuture<Change> done = new CompletableFuture<>();
            queue.add(new Write(change, done));
            lastQueued = done;
            waiting.signal();
            return done;
        } finally {
            latest.unlock();
        }
    }

    private Change await(CompletableFuture<Change> done) throws StoreException {
        try {
            return done.get(DURABLE_SECONDS_MAX, TimeUnit.SECONDS);
        } catch (ExecutionException e) {
            if (e.getCause() instanceof IOException io) throw notKept("write " + journal.file(), io);
            throw new IllegalStateException(e.getCause());
        } catch (TimeoutException e) {
            throw notKept(
                    "write " + journal.file(),
                    new IOException("not durable within " + DURABLE_SECONDS_MAX + " s; it may still become so"));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw notKept("write " + journal.file(), new IOException("interrupted; it may still become durable"));
        }
    }

    private static StoreException.NotKept notKept(String what, IOException e) {
        return Journal.refusal(what, e);
    }

    // The keeper's thread

    private void keep() {
        while (true) {
            List<Write> batch = nextBatch();
            if (batch.isEmpty()) return;
            try {
                if (journal.broken()) rewrite();
                journal.append(batch.stream().map(Write::entry).toList());
                publish(batch);
            } catch (IOException | RuntimeException e) {
                refuse(batch, e);
            }
            compact();
        }
    }

    /** Empty when the store is closing and nothing is left. */
    private List<Write> nextBatch() {
        latest.lock();
        try {
            while (queue.isEmpty() && !closing) waiting.awaitUninterruptibly();
            List<Write> batch = queue;
            queue = new ArrayList<>();
            if (batch.size() > BATCH_MAX) {
                queue.addAll(batch.subList(BATCH_MAX, batch.size()));
                batch = new ArrayList<>(batch.subList(0, BATCH_MAX));
            }
            return batch;
        } finally {
            latest.unlock();
        }
    }

    private void publish(List<Write> batch) {
        latest.lock();
        visible.writeLock().lock();
        try {
            for (Write write : batch) {
                Change change = write.change();
                Stored after = change.after();
                Stored before = after == null ? objects.remove(change.key()) : objects.put(change.key(), after);
                liveBytes += (after == null ? 0 : after.json().length) - (before == null ? 0 : before.json().length);
                revision = change.revision();
                histories
                        .computeIfAbsent(change.key().resource(), r -> new History(firstRevision))
                        .add(change);
                watchers.getOrDefault(change.key().resource(), List.of()).forEach(watcher -> watcher.offer(change));
                pending.remove(change.key(), change);
            }
        } finally {
            visible.writeLock().unlock();
            latest.unlock();
        }
        batch.forEach(write -> write.done().complete(write.change()));
    }

    /** Nothing of the batch, nor of what was built upon it since, has happened. */
    private void refuse(List<Write> batch, Exception e) {
        log.atError().addKeyValue("writes", batch.size()).setCause(e).log("objects could not be kept");
        List<Write> refused = new ArrayList<>(batch);
        latest.lock();
        try {
            refused.addAll(queue);
            queue = new ArrayList<>();
            pending.clear();
        } finally {
            latest.unlock();
        }
        IOException why = e instanceof IOException io ? io : new IOException(e);
        refused.forEach(write -> write.done().completeExceptionally(why));
    }

    private void compact() {
        if (journal.broken() || journal.appended() < Math.max(GARBAGE_MIN, liveBytes)) return;
        try {
            rewrite();
        } catch (IOException e) {
            log.atWarn().setCause(e).log("the store's file could not be written anew; it goes on growing");
        }
    }

    private void rewrite() throws IOException {
        // Only this thread changes what is visible.
        journal.rewrite(revision(), List.copyOf(objects.values()));
    }

    /** Waits for what is under way, at most {@link #DURABLE_SECONDS_MAX}, and lets go of the directory. */
    @Override
    public void close() {
        latest.lock();
        try {
            closing = true;
            waiting.signalAll();
        } finally {
            latest.unlock();
        }
        try {
            keeper.join(TimeUnit.SECONDS.toMillis(DURABLE_SECONDS_MAX));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        Optional.ofNullable(keeper.isAlive() ? null : journal).ifPresent(Store::release);
        release(lock);
    }

    private static void release(AutoCloseable held) {
        try {
            held.close();
        } catch (Exception e) {
            log.atDebug().setCause(e).log("closing the store");
        }
    }
}
