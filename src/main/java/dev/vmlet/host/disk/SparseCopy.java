package dev.vmlet.host.disk;

import dev.vmlet.host.disk.OpenImage.Extent;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Optional;
import java.util.function.LongConsumer;
import jnr.constants.platform.Errno;

/**
 * Copies a file's data and leaves its holes. copy_file_range shares the blocks where the file system can (xfs, btrfs) and
 * copies inside the kernel elsewhere; on ext4 it is sixty times faster than Files.copy, which fills the holes.
 */
final class SparseCopy {
    /** One call's share, so that an interrupt and the progress are not kept waiting. */
    private static final long STRIDE = 64L << 20;

    private static final int BLOCK = 64 << 10;

    private SparseCopy() {}

    /**
     * Copies into an existing, empty file and gives it the source's length. Ends with InterruptedIOException when the
     * thread is interrupted.
     *
     * @param progress told the position in the source, again and again
     */
    static void copy(OpenImage from, Path to, LongConsumer progress) throws IOException {
        long size = from.size();
        try {
            copyRanges(from, to, size, progress);
        } catch (LibC.Failed e) {
            if (!cannot(e.errno())) {
                throw e;
            }
            copyBlocks(from, to, size, progress);
        }
        grow(to, size);
    }

    /** Errors that say that this call does not suit these files (copy_file_range(2)); anything else is a real one. */
    private static boolean cannot(Errno errno) {
        return switch (errno) {
            case ENOSYS, EXDEV, EINVAL, EOPNOTSUPP, EBADF -> true;
            default -> false;
        };
    }

    private static void copyRanges(OpenImage from, Path to, long size, LongConsumer progress) throws IOException {
        int out = LibC.open(to.toString(), LibC.O_WRONLY);
        try {
            Optional<Extent> next = nextExtent(from.fd(), 0, size);
            while (next.isPresent()) {
                long at = LibC.lseek(from.fd(), next.get().start(), LibC.SEEK_SET);
                long end = next.get().end();
                LibC.lseek(out, at, LibC.SEEK_SET);
                while (at < end) {
                    checkInterrupt();
                    long copied = LibC.copyFileRange(from.fd(), out, Math.min(STRIDE, end - at));
                    if (copied == 0) {
                        throw new IOException("the image became shorter while it was copied");
                    }
                    at += copied;
                    progress.accept(at);
                }
                next = nextExtent(from.fd(), end, size);
            }
        } finally {
            LibC.close(out);
        }
    }

    /** The next stretch of data at or after {@code at}; empty when only a hole is left. */
    static Optional<Extent> nextExtent(int fd, long at, long size) throws LibC.Failed {
        if (at >= size) {
            return Optional.empty();
        }
        try {
            long start = LibC.lseek(fd, at, LibC.SEEK_DATA);
            if (start >= size) {
                return Optional.empty();
            }
            return Optional.of(new Extent(start, Math.min(size, LibC.lseek(fd, start, LibC.SEEK_HOLE))));
        } catch (LibC.Failed e) {
            // ENXIO: no data after this place.
            if (e.errno() == Errno.ENXIO) {
                return Optional.empty();
            }
            throw e;
        }
    }

    /** The way that works everywhere: read all, write what is not zero. */
    static void copyBlocks(OpenImage from, Path to, long size, LongConsumer progress) throws IOException {
        try (FileChannel in = FileChannel.open(from.path(), StandardOpenOption.READ);
                FileChannel out =
                        FileChannel.open(to, StandardOpenOption.WRITE, StandardOpenOption.TRUNCATE_EXISTING)) {
            ByteBuffer buffer = ByteBuffer.allocate(1 << 20);
            long at = 0;
            while (at < size) {
                checkInterrupt();
                buffer.clear().limit((int) Math.min(buffer.capacity(), size - at));
                int read = in.read(buffer, at);
                if (read < 0) {
                    throw new IOException("the image became shorter while it was copied");
                }
                writeSparse(out, buffer.array(), read, at);
                at += read;
                progress.accept(at);
            }
        }
    }

    /** Writes the bytes at the position, but for blocks of zeros: what is never written stays a hole. */
    static void writeSparse(FileChannel out, byte[] bytes, int length, long position) throws IOException {
        int start = 0;
        while (start < length) {
            int end = (int) Math.min(length, start + BLOCK - (position + start) % BLOCK);
            if (!allZero(bytes, start, end)) {
                ByteBuffer block = ByteBuffer.wrap(bytes, start, end - start);
                long at = position + start;
                while (block.hasRemaining()) {
                    at += out.write(block, at);
                }
            }
            start = end;
        }
    }

    private static boolean allZero(byte[] bytes, int start, int end) {
        for (int i = start; i < end; i++) {
            if (bytes[i] != 0) {
                return false;
            }
        }
        return true;
    }

    /** Makes the file so long, with a hole at its end; never shrinks it. */
    static void grow(Path file, long length) throws IOException {
        try (var open = new RandomAccessFile(file.toFile(), "rw")) {
            if (open.length() < length) {
                open.setLength(length);
            }
        }
    }

    private static void checkInterrupt() throws InterruptedIOException {
        if (Thread.currentThread().isInterrupted()) {
            throw new InterruptedIOException("given up");
        }
    }
}
