package dev.vmlet.apiserver.store;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** One process at a time in a directory. The kernel lets go of the lock when its holder dies, however it dies. */
public final class DirectoryLock implements AutoCloseable {
    private static final String NAME = "lock";

    private final FileChannel channel;

    private DirectoryLock(FileChannel channel) {
        this.channel = channel;
    }

    /**
     * @param holder what a second one is told, for example {@code process 41, started at 2026-11-26T12:00:00Z}
     * @throws StoreException.Locked naming the holder
     */
    public static DirectoryLock acquire(Path directory, String holder) throws StoreException {
        Path file = directory.resolve(NAME);
        try {
            FileChannel channel = FileChannel.open(
                    file,
                    Set.of(StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE),
                    PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
            if (tryLock(channel) == null) {
                channel.close();
                throw new StoreException.Locked(
                        directory + " is in use by " + nameOf(file) + ": stop that one, or choose another directory");
            }
            channel.truncate(0);
            channel.write(ByteBuffer.wrap(holder.getBytes(StandardCharsets.UTF_8)), 0);
            return new DirectoryLock(channel);
        } catch (IOException e) {
            throw Journal.refusal("lock " + file, e);
        }
    }

    private static @Nullable FileLock tryLock(FileChannel channel) throws IOException {
        try {
            return channel.tryLock();
        } catch (OverlappingFileLockException e) {
            return null;
        }
    }

    private static String nameOf(Path file) throws IOException {
        String holder = Files.readString(file).strip();
        return holder.isEmpty() ? "another process" : holder;
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }
}
