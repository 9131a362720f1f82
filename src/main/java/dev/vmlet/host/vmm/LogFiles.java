package dev.vmlet.host.vmm;

import static java.nio.file.StandardCopyOption.ATOMIC_MOVE;
import static java.nio.file.StandardCopyOption.REPLACE_EXISTING;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SeekableByteChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Set;

/** Logs of guests: bounded, with one former generation beside them as {@code .1}. */
final class LogFiles {
    /** Above this a log is rotated: twice that much may lie on disk for each. */
    static final long LIMIT = 1 << 20;

    /** Whoever may pass through to a guest's files must not read what it wrote: a console shows passwords too. */
    static final FileAttribute<Set<PosixFilePermission>> PRIVATE =
            PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"));

    private static final int TAIL_BYTES = 8 << 10;
    private static final int TAIL_LINES = 20;

    private LogFiles() {}

    static Path former(Path log) {
        return log.resolveSibling(log.getFileName() + ".1");
    }

    static void rotate(Path log) throws IOException {
        try {
            Files.move(log, former(log), REPLACE_EXISTING, ATOMIC_MOVE);
        } catch (NoSuchFileException e) {
            // Nothing was logged yet.
        }
    }

    /**
     * Rotates a log that another process holds open with O_APPEND: copied, then cut to nothing. What is written between
     * the two is lost; a guest that fills the disk would lose more.
     */
    static void trim(Path log) throws IOException {
        if (!Files.isRegularFile(log, LinkOption.NOFOLLOW_LINKS) || Files.size(log) <= LIMIT) {
            return;
        }
        byte[] tail = lastBytes(log, (int) LIMIT);
        // Anew, so that one of an earlier version does not keep its wider mode.
        Files.deleteIfExists(former(log));
        try (SeekableByteChannel channel = Files.newByteChannel(
                former(log), Set.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE), PRIVATE)) {
            ByteBuffer bytes = ByteBuffer.wrap(tail);
            while (bytes.hasRemaining()) {
                int _ = channel.write(bytes);
            }
        }
        try (SeekableByteChannel channel =
                Files.newByteChannel(log, Set.of(StandardOpenOption.WRITE, LinkOption.NOFOLLOW_LINKS))) {
            channel.truncate(0);
        }
    }

    /** The last lines, printable, without escape sequences; empty when there is nothing to read. */
    static String tail(Path log) {
        try {
            String text = printable(new String(lastBytes(log, TAIL_BYTES), StandardCharsets.UTF_8));
            List<String> lines = text.lines().filter(line -> !line.isBlank()).toList();
            return String.join("\n", lines.subList(Math.max(0, lines.size() - TAIL_LINES), lines.size()));
        } catch (IOException e) {
            return "";
        }
    }

    /** The last whole lines as the guest wrote them, at most {@value #TAIL_LINES}; empty when there is nothing to read. */
    static byte[] lastLines(Path log) {
        try {
            byte[] bytes = lastBytes(log, TAIL_BYTES);
            int from = bytes.length;
            // What follows the last line end is a prompt, and belongs to the lines shown.
            for (int lines = 0; from > 0; from--) {
                if (bytes[from - 1] == '\n' && lines++ == TAIL_LINES) {
                    break;
                }
            }
            return java.util.Arrays.copyOfRange(bytes, from, bytes.length);
        } catch (IOException e) {
            return new byte[0];
        }
    }

    /** A guest writes its console: what reaches a terminal, an Event or a status must not steer any of them. */
    static String printable(String text) {
        return text.replaceAll(
                        "\u001b(\\[[0-9;?]*[ -/]*[@-~]|\\][^\u0007\u001b]*(\u0007|\u001b\\\\)?|[@-Z\\\\^_=>])", "")
                .replace("\r\n", "\n")
                .replace('\r', '\n')
                // Cc and not Cntrl, which is ASCII alone: U+009B begins a sequence as ESC [ does.
                .replaceAll("[\\p{Cc}&&[^\n\t]]", "")
                .replace("\ufffd", "?");
    }

    private static byte[] lastBytes(Path log, int limit) throws IOException {
        try (SeekableByteChannel channel =
                Files.newByteChannel(log, Set.of(StandardOpenOption.READ, LinkOption.NOFOLLOW_LINKS))) {
            long size = channel.size();
            channel.position(Math.max(0, size - limit));
            ByteBuffer buffer = ByteBuffer.allocate((int) Math.min(size, limit));
            while (buffer.hasRemaining() && channel.read(buffer) >= 0) {
                // Until it is full or the file ends, whichever is first: it may have been cut meanwhile.
            }
            return java.util.Arrays.copyOf(buffer.array(), buffer.position());
        }
    }
}
