package dev.vmlet.apiserver.store;

import java.io.BufferedInputStream;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The store's one file. It begins with a header and every object at the time it was written anew, then the writes since
 * in their order. Each record is framed by a mark, its length and a checksum, and says how much of the file was durable
 * when it was appended: so a record that cannot be read is known for a torn tail (nothing after it was appended later:
 * cut off) or for damage to what was durable (something was: refused). Written anew under a temporary name and renamed,
 * so there is always one whole file. Used by one thread at a time.
 */
final class Journal implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(Journal.class);

    static final String NAME = "objects.log";
    static final int FORMAT = 1;
    private static final int MARK = 0x564d6c31;
    private static final int FRAME_HEAD = 12;
    private static final int RECORD_MAX = 64 << 20;
    private static final int PIECE = 1 << 20;

    /** What is in the file. */
    sealed interface Entry {
        long revision();

        record Put(Stored stored) implements Entry {
            @Override
            public long revision() {
                return stored.revision();
            }
        }

        record Delete(Key key, long revision) implements Entry {}
    }

    /** Where bytes are kept; a test has one that fails. */
    interface Disk {
        /** Creates the file with mode 0600, or empties it. */
        DurableFile create(Path file) throws IOException;

        DurableFile open(Path file) throws IOException;

        void rename(Path from, Path to) throws IOException;
    }

    private final Disk disk;
    private final Path file;
    private @Nullable DurableFile open;
    private long size;
    private long appended;
    private long revision;

    private Journal(Disk disk, Path file) {
        this.disk = disk;
        this.file = file;
    }

    /** Reads the file, or makes an empty one. {@code entries} is told what it holds, in order. */
    static Journal open(Disk disk, Path directory, Consumer<Entry> entries) throws StoreException {
        Journal journal = new Journal(disk, directory.resolve(NAME));
        try {
            Files.deleteIfExists(journal.temporary());
            // Where even that cannot be told, reading fails and says why: an unreadable file is not a missing one.
            if (Files.notExists(journal.file)) {
                journal.rewrite(1, List.of());
            } else {
                journal.replay(entries);
            }
        } catch (IOException e) {
            throw refusal("open " + journal.file, e);
        }
        return journal;
    }

    /** The highest revision that was ever in the file. */
    long revision() {
        return revision;
    }

    /** Bytes appended since it was written anew. */
    long appended() {
        return appended;
    }

    /** Whether appending failed so that only {@link #rewrite} helps. */
    boolean broken() {
        return open == null;
    }

    /** Durable when it returns. When it throws, nothing of it will be there at the next start. */
    void append(List<Entry> entries) throws IOException {
        DurableFile to = open;
        if (to == null) throw new IOException("an earlier write to " + file + " failed");
        ByteBuffer frames = frames(entries, size);
        long length = frames.remaining();
        boolean written = false;
        try {
            to.write(frames, size);
            written = true;
            to.sync();
        } catch (IOException e) {
            // After a failed sync nobody knows what reached the disk, so that file is not trusted again.
            takeBack(to, written, e);
            throw e;
        }
        size += length;
        appended += length;
        revision = entries.getLast().revision();
    }

    private void takeBack(DurableFile to, boolean unsure, IOException because) {
        try {
            to.truncate(size);
            to.sync();
        } catch (IOException e) {
            because.addSuppressed(e);
            unsure = true;
        }
        if (unsure) giveUp();
    }

    /** Replaces the file by one that holds just these objects. When it throws, the old file is still there. */
    void rewrite(long revision, Collection<Stored> objects) throws IOException {
        DurableFile fresh = disk.create(temporary());
        boolean renaming = false;
        long at = 0;
        try {
            ByteBuffer head = ByteBuffer.wrap(frame(header(revision, objects.size())));
            at += head.remaining();
            fresh.write(head, 0);
            ByteArrayOutputStream piece = new ByteArrayOutputStream();
            for (Stored stored : objects) {
                piece.writeBytes(frame(payload(new Entry.Put(stored), 0)));
                if (piece.size() >= PIECE) at = flush(piece, fresh, at);
            }
            at = flush(piece, fresh, at);
            fresh.sync();
            renaming = true;
            disk.rename(temporary(), file);
        } catch (IOException e) {
            closeQuietly(fresh);
            if (renaming) giveUp();
            Files.deleteIfExists(temporary());
            throw e;
        }
        giveUp();
        open = fresh;
        size = at;
        appended = 0;
        this.revision = Math.max(this.revision, revision);
    }

    /** Nothing more may be appended to the file as it was opened. */
    private void giveUp() {
        DurableFile old = open;
        open = null;
        if (old != null) closeQuietly(old);
    }

    private static long flush(ByteArrayOutputStream piece, DurableFile to, long at) throws IOException {
        int length = piece.size();
        to.write(ByteBuffer.wrap(piece.toByteArray()), at);
        piece.reset();
        return at + length;
    }

    private Path temporary() {
        return file.resolveSibling(NAME + ".new");
    }

    private static void closeQuietly(DurableFile file) {
        try {
            file.close();
        } catch (IOException e) {
            log.atDebug().setCause(e).log("closing the store's old file");
        }
    }

    // Reading

    private void replay(Consumer<Entry> entries) throws IOException, StoreException {
        long length = Files.size(file);
        long objects = 0;
        long read = 0;
        try (InputStream in = new BufferedInputStream(Files.newInputStream(file), 1 << 16)) {
            DataInputStream from = new DataInputStream(in);
            long at = 0;
            while (at < length) {
                byte[] payload = nextFrame(from, length - at);
                if (payload == null) {
                    if (at == 0 || read < objects) throw damaged(at);
                    refuseUnlessTail(at);
                    log.atWarn()
                            .addKeyValue("file", file)
                            .addKeyValue("bytes", length - at)
                            .log("cut off the end of the store's file: a write that was never acknowledged");
                    break;
                }
                if (at == 0) {
                    objects = readHeader(payload);
                } else {
                    Entry entry = entry(payload);
                    revision = Math.max(revision, entry.revision());
                    entries.accept(entry);
                    read++;
                }
                at += FRAME_HEAD + payload.length;
                if (read > objects) appended += FRAME_HEAD + payload.length;
            }
            if (at == 0 || read < objects) throw damaged(at);
            size = at;
        }
        DurableFile opened = disk.open(file);
        if (size < length) {
            opened.truncate(size);
            opened.sync();
        }
        open = opened;
    }

    private StoreException.Damaged damaged(long at) {
        return new StoreException.Damaged(
                file + " is damaged at byte " + at + ": objects kept there before cannot be read"
                        + " back. Put a backup of the file in its place, or move it away to start with no objects");
    }

    /** A later record that was appended when the unreadable one was already durable proves damage, not a torn tail. */
    private void refuseUnlessTail(long at) throws IOException, StoreException {
        byte[] rest;
        try (InputStream in = Files.newInputStream(file)) {
            in.skipNBytes(at);
            rest = in.readAllBytes();
        }
        ByteBuffer buffer = ByteBuffer.wrap(rest);
        for (int i = 1; i + FRAME_HEAD <= rest.length; i++) {
            if (buffer.getInt(i) != MARK) continue;
            DataInputStream from = new DataInputStream(new ByteArrayInputStream(rest, i, rest.length - i));
            byte[] payload = nextFrame(from, rest.length - i);
            if (payload != null && ByteBuffer.wrap(payload).getLong() > at) throw damaged(at);
        }
    }

    /** The payload of the frame that begins here, or null where there is no whole and sound one. */
    private static byte @Nullable [] nextFrame(DataInputStream from, long available) throws IOException {
        if (available < FRAME_HEAD) return null;
        int mark = from.readInt();
        int length = from.readInt();
        int checksum = from.readInt();
        // A payload begins with the eight bytes that tell what was durable, and the kind.
        if (mark != MARK || length < 9 || length > RECORD_MAX || length > available - FRAME_HEAD) return null;
        byte[] payload = from.readNBytes(length);
        return payload.length == length && checksum(payload) == checksum ? payload : null;
    }

    private long readHeader(byte[] payload) throws IOException, StoreException {
        DataInputStream from = new DataInputStream(new ByteArrayInputStream(payload));
        from.readLong();
        if (from.readByte() != 'H') throw damaged(0);
        int format = from.readInt();
        if (format != FORMAT) {
            throw new StoreException.Newer(file + " has format " + format + ", and this version of vmlet knows format "
                    + FORMAT + ": run the version that wrote it, or choose another directory");
        }
        revision = from.readLong();
        return from.readLong();
    }

    private Entry entry(byte[] payload) throws IOException, StoreException {
        DataInputStream from = new DataInputStream(new ByteArrayInputStream(payload));
        from.readLong();
        byte kind = from.readByte();
        try {
            Key key = new Key(from.readUTF(), from.readUTF(), from.readUTF());
            long at = from.readLong();
            return switch (kind) {
                case 'P' -> new Entry.Put(new Stored(key, at, from.readAllBytes(), Stored.Index.NONE));
                case 'D' -> new Entry.Delete(key, at);
                default ->
                    throw new StoreException.Newer(
                            file + " holds records of kind " + kind + " that this version of vmlet does not know");
            };
        } catch (EOFException e) {
            throw new StoreException.Damaged(file + " holds a record that is too short");
        }
    }

    // Writing

    private static ByteBuffer frames(List<Entry> entries, long durable) throws IOException {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        for (Entry entry : entries) {
            all.writeBytes(frame(payload(entry, durable)));
        }
        return ByteBuffer.wrap(all.toByteArray());
    }

    private static byte[] payload(Entry entry, long durable) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        DataOutputStream to = new DataOutputStream(bytes);
        to.writeLong(durable);
        switch (entry) {
            case Entry.Put(Stored stored) -> {
                to.writeByte('P');
                writeKey(to, stored.key(), stored.revision());
                to.write(stored.json());
            }
            case Entry.Delete(Key key, long at) -> {
                to.writeByte('D');
                writeKey(to, key, at);
            }
        }
        return bytes.toByteArray();
    }

    private static void writeKey(DataOutputStream to, Key key, long revision) throws IOException {
        to.writeUTF(key.resource());
        to.writeUTF(key.namespace());
        to.writeUTF(key.name());
        to.writeLong(revision);
    }

    private static byte[] header(long revision, long objects) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        DataOutputStream to = new DataOutputStream(bytes);
        to.writeLong(0);
        to.writeByte('H');
        to.writeInt(FORMAT);
        to.writeLong(revision);
        to.writeLong(objects);
        return bytes.toByteArray();
    }

    private static byte[] frame(byte[] payload) {
        return ByteBuffer.allocate(FRAME_HEAD + payload.length)
                .putInt(MARK)
                .putInt(payload.length)
                .putInt(checksum(payload))
                .put(payload)
                .array();
    }

    private static int checksum(byte[] payload) {
        CRC32C crc = new CRC32C();
        crc.update(ByteBuffer.allocate(4).putInt(payload.length).flip());
        crc.update(payload);
        return (int) crc.getValue();
    }

    /** What the operating system said about a file, with the remedy. */
    static StoreException.NotKept refusal(String what, IOException e) {
        String cause = switch (e) {
            case NoSuchFileException ignored -> "no such file or folder";
            case AccessDeniedException ignored -> "permission denied";
            case FileSystemException f when f.getReason() != null -> f.getReason();
            default -> String.valueOf(e.getMessage());
        };
        String lower = cause.toLowerCase(Locale.ROOT);
        if (lower.contains("no space left") || lower.contains("quota exceeded")) {
            return new StoreException.NotKept(what + ": " + cause + "; free some space on that file system", true, e);
        }
        if (lower.contains("read-only file system")) {
            return new StoreException.NotKept(
                    what + ": " + cause + "; mount it writable or choose another directory", false, e);
        }
        return new StoreException.NotKept(what + ": " + cause, false, e);
    }

    Path file() {
        return file;
    }

    @Override
    public void close() throws IOException {
        DurableFile closing = open;
        open = null;
        if (closing != null) closing.close();
    }
}
