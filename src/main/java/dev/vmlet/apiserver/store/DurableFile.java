package dev.vmlet.apiserver.store;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Set;

/** A file that can be told to be durable. */
interface DurableFile extends AutoCloseable {
    /** Writes all of it at that offset. */
    void write(ByteBuffer bytes, long at) throws IOException;

    /** Returns when everything written is on the disk. */
    void sync() throws IOException;

    void truncate(long size) throws IOException;

    @Override
    void close() throws IOException;

    /** The real one. */
    Journal.Disk DISK = new Journal.Disk() {
        @Override
        public DurableFile create(Path file) throws IOException {
            return new OnChannel(FileChannel.open(
                    file,
                    Set.of(StandardOpenOption.CREATE, StandardOpenOption.TRUNCATE_EXISTING, StandardOpenOption.WRITE),
                    PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"))));
        }

        @Override
        public DurableFile open(Path file) throws IOException {
            return new OnChannel(FileChannel.open(file, StandardOpenOption.WRITE));
        }

        @Override
        public void rename(Path from, Path to) throws IOException {
            Files.move(from, to, StandardCopyOption.ATOMIC_MOVE);
            try (FileChannel folder =
                    FileChannel.open(to.toAbsolutePath().resolveSibling("."), StandardOpenOption.READ)) {
                folder.force(true);
            }
        }
    };

    /** On the operating system's file. */
    record OnChannel(FileChannel channel) implements DurableFile {
        @Override
        public void write(ByteBuffer bytes, long at) throws IOException {
            long to = at;
            while (bytes.hasRemaining()) {
                to += channel.write(bytes, to);
            }
        }

        @Override
        public void sync() throws IOException {
            channel.force(false);
        }

        @Override
        public void truncate(long size) throws IOException {
            channel.truncate(size);
        }

        @Override
        public void close() throws IOException {
            channel.close();
        }
    }
}
