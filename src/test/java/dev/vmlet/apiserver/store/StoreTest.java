package dev.vmlet.apiserver.store;

import static java.nio.charset.StandardCharsets.UTF_8;
import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.fail;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class StoreTest {
    private static final Store.Indexer BY_NAME =
            (key, json) -> new Stored.Index(Map.of("name", key.name()), Map.of(), "", List.of());
    private static final Key WEB = vm("web");
    private static final Key DB = vm("db");

    @TempDir
    Path directory;

    private static Key vm(String name) {
        return new Key("vms", "default", name);
    }

    private Store open() throws StoreException {
        return Store.open(directory, "the test", BY_NAME);
    }

    private static Stored put(Store store, Key key, String text) throws StoreException {
        try {
            Stored before = store.latest(key);
            return store.put(key, before == null ? 0 : before.revision(), revision -> text.getBytes(UTF_8));
        } catch (Store.Raced e) {
            throw new AssertionError(e);
        }
    }

    private static Map<String, String> contents(Store store) {
        Map<String, String> contents = new TreeMap<>();
        for (Stored stored : store.all()) {
            contents.put(stored.key().name(), new String(stored.json(), UTF_8) + "@" + stored.revision());
        }
        return contents;
    }

    @Test
    void objectsAndRevisionsSurviveARestart() throws Exception {
        long revision;
        try (Store store = open()) {
            put(store, WEB, "one");
            put(store, DB, "two");
            put(store, WEB, "three");
            store.delete(DB, requireNonNull(store.latest(DB)).revision());
            revision = store.revision();
        }
        try (Store store = open()) {
            assertThat(contents(store)).isEqualTo(Map.of("web", "three@4"));
            assertThat(store.revision()).isEqualTo(revision).isEqualTo(5);
            assertThat(requireNonNull(store.get(WEB)).index().labels()).isEqualTo(Map.of("name", "web"));
            assertThat(put(store, DB, "again").revision()).isEqualTo(6);
        }
    }

    @Test
    void aWriteThatExpectsAnotherRevisionLosesTheRace() throws Exception {
        try (Store store = open()) {
            long first = put(store, WEB, "one").revision();
            put(store, WEB, "two");
            assertThatThrownBy(() -> store.put(WEB, first, revision -> new byte[0]))
                    .isInstanceOf(Store.Raced.class);
            assertThatThrownBy(() -> store.put(WEB, 0, revision -> new byte[0])).isInstanceOf(Store.Raced.class);
            assertThatThrownBy(() -> store.delete(DB, 7)).isInstanceOf(Store.Raced.class);
            assertThat(contents(store)).isEqualTo(Map.of("web", "two@3"));
        }
    }

    @Test
    void aTornTailIsCutOffWhereverItTears() throws Exception {
        long whole;
        try (Store store = open()) {
            put(store, WEB, "kept");
            whole = Files.size(file());
            put(store, DB, "torn");
        }
        byte[] bytes = Files.readAllBytes(file());
        for (int length = (int) whole; length < bytes.length; length++) {
            Files.write(file(), Arrays.copyOf(bytes, length));
            try (Store store = open()) {
                assertThat(contents(store)).as("cut at " + length).isEqualTo(Map.of("web", "kept@2"));
                assertThat(put(store, DB, "new").revision()).isEqualTo(3);
            }
            try (Store store = open()) {
                assertThat(contents(store)).isEqualTo(Map.of("web", "kept@2", "db", "new@3"));
            }
        }
    }

    @Test
    void damageToWhatWasDurableIsReportedAndNothingIsTouched() throws Exception {
        try (Store store = open()) {
            put(store, WEB, "one");
            put(store, DB, "two");
            put(store, WEB, "three");
        }
        byte[] bytes = Files.readAllBytes(file());
        int last = lastIndexOf(bytes, "three") - 60;
        for (int at = 0; at < last; at++) {
            byte[] damaged = bytes.clone();
            damaged[at] ^= 0x40;
            Files.write(file(), damaged);
            try (Store store = open()) {
                fail("opened with byte " + at + " damaged: " + contents(store));
            } catch (StoreException.Damaged e) {
                assertThat(e).hasMessageContaining(file().toString()).hasMessageContaining("backup");
            }
            assertThat(Files.readAllBytes(file())).isEqualTo(damaged);
        }
    }

    private static int lastIndexOf(byte[] bytes, String text) {
        return new String(bytes, java.nio.charset.StandardCharsets.ISO_8859_1).lastIndexOf(text);
    }

    @Test
    void aNewerFormatIsRefused() throws Exception {
        open().close();
        byte[] bytes = Files.readAllBytes(file());
        // Mark, length, checksum, durable length and kind come before it.
        ByteBuffer.wrap(bytes).putInt(12 + 9, 2);
        byte[] payload = Arrays.copyOfRange(bytes, 12, bytes.length);
        var crc = new java.util.zip.CRC32C();
        crc.update(ByteBuffer.allocate(4).putInt(payload.length).flip());
        crc.update(payload);
        ByteBuffer.wrap(bytes).putInt(8, (int) crc.getValue());
        Files.write(file(), bytes);
        assertThatThrownBy(this::open)
                .isInstanceOf(StoreException.Newer.class)
                .hasMessage(
                        file() + " has format 2, and this version of vmlet knows format 1: run the version that wrote"
                                + " it, or choose another directory");
    }

    @Test
    void aSecondServerIsToldWhoHoldsTheDirectory() throws Exception {
        try (Store store = open()) {
            assertThatThrownBy(() -> Store.open(directory, "another", BY_NAME))
                    .isInstanceOf(StoreException.Locked.class)
                    .hasMessage(directory + " is in use by the test: stop that one, or choose another directory");
            put(store, WEB, "goes on");
        }
        open().close();
    }

    @Test
    void aFullDiskRefusesWritesAndKeepsWhatWasThere() throws Exception {
        FlakyDisk disk = new FlakyDisk();
        try (Store store = Store.open(disk, directory, "the test", BY_NAME)) {
            put(store, WEB, "one");
            for (Fault fault : List.of(Fault.HALF_WRITTEN, Fault.WRITTEN_NOT_TAKEN_BACK, Fault.NOT_SYNCED)) {
                disk.fault = fault;
                assertThatThrownBy(() -> put(store, WEB, "lost"))
                        .as(fault.name())
                        .isInstanceOf(StoreException.NotKept.class)
                        .hasMessageContaining("No space left on device; free some space")
                        .satisfies(e -> assertThat(((StoreException.NotKept) e).noSpace())
                                .isTrue());
                assertThatThrownBy(() -> put(store, DB, "lost too")).isInstanceOf(StoreException.NotKept.class);
                assertThat(contents(store)).containsOnlyKeys("web");
                assertThat(contents(store).get("web")).startsWith("one@");
                disk.fault = Fault.NONE;
                put(store, WEB, "one");
                assertThat(contents(store).get("web")).startsWith("one@");
            }
        }
        try (Store store = open()) {
            assertThat(contents(store)).containsOnlyKeys("web");
        }
    }

    @Test
    void aListCanBeHadAsItWas() throws Exception {
        try (Store store = open()) {
            put(store, WEB, "one");
            put(store, DB, "two");
            long then = store.revision();
            put(store, WEB, "three");
            store.delete(DB, requireNonNull(store.latest(DB)).revision());
            put(store, vm("new"), "four");
            put(store, new Key("vms", "other", "far"), "five");
            put(store, new Key("nets", "default", "lab"), "six");
            assertThat(names(store.listAt("vms", "default", then))).containsExactly("db=two", "web=one");
            assertThat(names(store.list("vms", "default"))).containsExactly("new=four", "web=three");
            assertThat(names(store.list("vms", ""))).containsExactly("new=four", "web=three", "far=five");
            assertThatThrownBy(() -> store.listAt("vms", "", store.revision() + 1))
                    .isInstanceOf(Store.TooOld.class);
        }
    }

    private static List<String> names(Store.Snapshot snapshot) {
        return snapshot.objects().stream()
                .map(stored -> stored.key().name() + "=" + new String(stored.json(), UTF_8))
                .toList();
    }

    @Test
    void aWatchGoesOnFromWhereItWas() throws Exception {
        try (Store store = open()) {
            put(store, WEB, "one");
            long seen = store.revision();
            put(store, new Key("nets", "default", "lab"), "not asked for");
            put(store, WEB, "two");
            try (Watcher watcher = store.watch("vms", "default", seen)) {
                store.delete(WEB, requireNonNull(store.latest(WEB)).revision());
                Change changed = requireNonNull(watcher.poll(Duration.ofSeconds(10)));
                Change deleted = requireNonNull(watcher.poll(Duration.ofSeconds(10)));
                assertThat(new String(requireNonNull(changed.before()).json(), UTF_8))
                        .isEqualTo("one");
                assertThat(new String(requireNonNull(changed.after()).json(), UTF_8))
                        .isEqualTo("two");
                assertThat(changed.revision()).isEqualTo(4);
                assertThat(deleted.after()).isNull();
                assertThat(deleted.revision()).isEqualTo(5);
                assertThat(watcher.poll(Duration.ZERO)).isNull();
            }
        }
        try (Store store = open()) {
            store.watch("vms", "default", store.revision()).close();
            assertThatThrownBy(() -> store.watch("vms", "default", 3))
                    .isInstanceOfSatisfying(
                            Store.TooOld.class,
                            e -> assertThat(e.sentence()).isEqualTo("too old resource version: 3 (5)"));
        }
    }

    @Test
    void theHistoryIsBounded() throws Exception {
        try (Store store = open()) {
            for (int i = 0; i < 1_100; i++) put(store, WEB, "value " + i);
            assertThatThrownBy(() -> store.watch("vms", "", 50)).isInstanceOf(Store.TooOld.class);
            store.watch("vms", "", store.revision() - 1_000).close();
        }
    }

    @Test
    void aWatcherThatDoesNotReadIsCutOffAndWritersGoOn() throws Exception {
        try (Store store = open();
                Watcher slow = store.watch("vms", "", store.revision());
                Watcher quick = store.watch("vms", "", store.revision())) {
            for (int i = 0; i < 1_100; i++) {
                put(store, WEB, "value " + i);
                assertThat(quick.poll(Duration.ofSeconds(10))).isNotNull();
            }
            assertThat(slow.cutOff()).isTrue();
            assertThat(quick.cutOff()).isFalse();
            // One is left, which ends the reader's waiting at once.
            assertThat(slow.poll(Duration.ZERO)).isNotNull();
            assertThat(slow.drain(10)).isEmpty();
        }
    }

    @Test
    void manyWritersGetRevisionsOfTheirOwnAndWatchersSeeThemInOrder() throws Exception {
        int writers = 16;
        int writes = 50;
        Map<Key, String> last = new HashMap<>();
        try (Store store = open();
                Watcher watcher = store.watch("vms", "", store.revision());
                var threads = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Future<String>> done = new ArrayList<>();
            for (int w = 0; w < writers; w++) {
                Key key = vm("vm-" + w);
                done.add(threads.submit((Callable<String>) () -> {
                    String text = "";
                    for (int i = 0; i < writes; i++) {
                        text = key.name() + " write " + i;
                        put(store, key, text);
                    }
                    return text;
                }));
                last.put(key, "vm-" + w + " write " + (writes - 1));
            }
            for (Future<String> each : done) each.get();
            List<Long> revisions =
                    watcher.drain(10_000).stream().map(Change::revision).toList();
            assertThat(revisions).hasSize(writers * writes).isSorted().doesNotHaveDuplicates();
        }
        try (Store store = open()) {
            last.forEach((key, text) -> assertThat(
                            new String(requireNonNull(store.get(key)).json(), UTF_8))
                    .isEqualTo(text));
        }
    }

    @Test
    void theFileIsWrittenAnewBeforeItGrowsWithoutEnd() throws Exception {
        String big = "x".repeat(512 << 10);
        try (Store store = open()) {
            put(store, DB, "stays");
            for (int i = 0; i < 40; i++) put(store, WEB, big + i);
            assertThat(Files.size(file())).isLessThan(6 << 20);
        }
        try (Store store = open()) {
            assertThat(contents(store)).isEqualTo(Map.of("db", "stays@2", "web", big + "39@42"));
        }
    }

    private Path file() {
        return directory.resolve(Journal.NAME);
    }

    private enum Fault {
        NONE,
        HALF_WRITTEN,
        WRITTEN_NOT_TAKEN_BACK,
        NOT_SYNCED
    }

    /** The real disk, which can run full in several ways. */
    private static final class FlakyDisk implements Journal.Disk {
        private volatile Fault fault = Fault.NONE;

        @Override
        public DurableFile create(Path file) throws IOException {
            if (fault != Fault.NONE) throw full();
            return new Flaky(DurableFile.DISK.create(file));
        }

        @Override
        public DurableFile open(Path file) throws IOException {
            return new Flaky(DurableFile.DISK.open(file));
        }

        @Override
        public void rename(Path from, Path to) throws IOException {
            DurableFile.DISK.rename(from, to);
        }

        private static IOException full() {
            return new IOException("No space left on device");
        }

        private final class Flaky implements DurableFile {
            private final DurableFile real;

            Flaky(DurableFile real) {
                this.real = real;
            }

            @Override
            public void write(ByteBuffer bytes, long at) throws IOException {
                if (fault == Fault.HALF_WRITTEN || fault == Fault.WRITTEN_NOT_TAKEN_BACK) {
                    real.write(bytes.slice(bytes.position(), bytes.remaining() / 2), at);
                    throw full();
                }
                real.write(bytes, at);
            }

            @Override
            public void sync() throws IOException {
                if (fault == Fault.NOT_SYNCED) throw full();
                real.sync();
            }

            @Override
            public void truncate(long size) throws IOException {
                if (fault == Fault.WRITTEN_NOT_TAKEN_BACK) throw full();
                real.truncate(size);
            }

            @Override
            public void close() throws IOException {
                real.close();
            }
        }
    }
}
