package dev.vmlet.host.vmm;

import dev.vmlet.model.HostException;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.SeekableByteChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.StandardWatchEventKinds;
import java.nio.file.WatchKey;
import java.nio.file.WatchService;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Set;
import java.util.concurrent.TimeUnit;

/** Reads the log of a guest's console, former generation and all, while others write it. */
public final class SerialLog {
    /** More than two generations ever hold, unless the VMM outran the trimming. */
    private static final int READ_MAX = 16 << 20;

    private static final long LOOK_SECONDS = 1;

    private final Path log;
    private final Text text;

    /** How the bytes reach the reader. */
    public enum Text {
        /** Without what steers a terminal. */
        PLAIN,
        AS_WRITTEN
    }

    public SerialLog(VmFiles files, Text text) {
        this.log = files.serialLog();
        this.text = text;
    }

    /**
     * Prints the last lines, and with {@code follow} what comes after them until the log is gone.
     *
     * @param lines at least 0; what follows the last line end counts as a line
     * @throws HostException.Refused when there is no log
     * @throws IOException when {@code out} takes no more
     */
    public void print(int lines, boolean follow, OutputStream out) throws HostException, IOException {
        Printer printer = text == Text.PLAIN ? plain(out) : bytes -> write(out, bytes);
        try (Generation first = open()) {
            ByteBuffer now = first.rest();
            byte[] former = former(first);
            ByteBuffer all = ByteBuffer.allocate(former.length + now.remaining())
                    .put(former)
                    .put(now)
                    .flip();
            printer.print(lastLines(all, lines));
            out.flush();
            if (follow) {
                follow(first, printer, out);
            }
        } catch (NoSuchFileException e) {
            throw new HostException.Refused(
                    "read " + log + ": there is none yet; a guest's console is recorded from its first start", e);
        } catch (AccessDeniedException e) {
            throw new HostException.NotPermitted("read " + log + ": permission denied", e);
        }
    }

    /** Where the bytes go. */
    private interface Printer {
        void print(ByteBuffer bytes) throws IOException;
    }

    private static Printer plain(OutputStream out) {
        PlainText plain = new PlainText();
        return bytes -> out.write(plain.of(bytes).getBytes(StandardCharsets.UTF_8));
    }

    private static void write(OutputStream out, ByteBuffer bytes) throws IOException {
        out.write(bytes.array(), bytes.arrayOffset() + bytes.position(), bytes.remaining());
    }

    private Generation open() throws IOException {
        return new Generation(
                Files.newByteChannel(log, Set.of(StandardOpenOption.READ, LinkOption.NOFOLLOW_LINKS)), key(log));
    }

    /** Identity of the file at a path (device and inode). */
    private static Object key(Path file) throws IOException {
        Object key = Files.readAttributes(file, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS)
                .fileKey();
        return key == null ? file : key;
    }

    /** One file that was the log when it was opened. */
    private record Generation(SeekableByteChannel channel, Object key) implements AutoCloseable {
        /** What was not read yet. */
        ByteBuffer rest() throws IOException {
            if (channel.size() < channel.position()) {
                // Cut by its trimming: what it holds now is new.
                channel.position(0);
            }
            long left = channel.size() - channel.position();
            if (left > READ_MAX) {
                channel.position(channel.size() - READ_MAX);
            }
            ByteBuffer bytes = ByteBuffer.allocate((int) Math.min(left, READ_MAX));
            while (bytes.hasRemaining() && channel.read(bytes) >= 0) {
                // Until it is full or the file ends: it may have been cut meanwhile.
            }
            return bytes.flip();
        }

        @Override
        public void close() throws IOException {
            channel.close();
        }
    }

    /** The generation before the one that was opened; empty when it has become that itself. */
    private byte[] former(Generation current) throws IOException {
        Path file = LogFiles.former(log);
        try {
            return key(file).equals(current.key()) ? new byte[0] : Files.readAllBytes(file);
        } catch (NoSuchFileException e) {
            return new byte[0];
        }
    }

    static ByteBuffer lastLines(ByteBuffer all, int lines) {
        int seen = 0;
        for (int i = all.limit() - 1; i >= all.position() && lines > 0; i--) {
            // The line end at the very end ends the last line, it does not begin one.
            if (all.get(i) == '\n' && i < all.limit() - 1 && ++seen == lines) {
                return all.slice(i + 1, all.limit() - i - 1);
            }
        }
        return lines > 0 ? all : ByteBuffer.allocate(0);
    }

    private void follow(Generation first, Printer printer, OutputStream out) throws IOException {
        try (WatchService watch = log.getFileSystem().newWatchService()) {
            WatchKey changes = directory()
                    .register(watch, StandardWatchEventKinds.ENTRY_MODIFY, StandardWatchEventKinds.ENTRY_CREATE);
            Generation current = first;
            while (changes.isValid() && Files.isDirectory(directory())) {
                Generation next = successor(current);
                printer.print(current.rest());
                if (!next.equals(current)) {
                    current.close();
                    current = next;
                    printer.print(current.rest());
                }
                out.flush();
                // With a limit: an event may be lost, the log may be on a file system that tells none.
                WatchKey key = watch.poll(LOOK_SECONDS, TimeUnit.SECONDS);
                if (key != null) {
                    key.pollEvents();
                    boolean _ = key.reset();
                }
            }
            printer.print(current.rest());
            current.close();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** The file that is the log now, opened at its beginning where it is another than before. */
    private Generation successor(Generation current) throws IOException {
        try {
            return key(log).equals(current.key()) ? current : open();
        } catch (NoSuchFileException e) {
            // Between two generations, or gone with its VM.
            return current;
        }
    }

    private Path directory() {
        return log.resolveSibling(".").normalize();
    }
}
