package dev.vmlet.host.vmm.cloudhypervisor;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SeekableByteChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Set;

/**
 * What one process wrote into its event file, read on from where the last look ended: pretty-printed JSON objects with
 * blank lines between, not one a line. Events may be lost or torn (the VMM never waits for its reader): they are hints.
 * The file is never cut by us, or the VMM would go on behind a hole of NULs; such a hole is skipped all the same.
 */
final class EventLog {
    private static final ObjectMapper JSON = new ObjectMapper();

    /** At most this much is read in one look; the rest in the next. */
    private static final int CHUNK = 1 << 20;

    private final Path file;
    private final Object key;
    private long offset;
    private boolean booted;
    private boolean panicked;
    private int reboots;

    private EventLog(Path file, Object key) {
        this.file = file;
        this.key = key;
    }

    /** The same file as before continues where it was; another one, or one that became shorter, is read from its start. */
    static EventLog of(Path file, EventLog... before) throws IOException {
        BasicFileAttributes attributes =
                Files.readAttributes(file, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
        // The inode number alone may be given again at once; the creation time is not.
        Object key = String.valueOf(attributes.fileKey()) + attributes.creationTime();
        for (EventLog log : before) {
            if (log.key.equals(key) && attributes.size() >= log.offset) {
                return log;
            }
        }
        return new EventLog(file, key);
    }

    /** The guest was started by this process. */
    boolean booted() {
        return booted;
    }

    boolean panicked() {
        return panicked;
    }

    /** How often the guest started over; the file holds all of the process's life. */
    int reboots() {
        return reboots;
    }

    EventLog readOn() throws IOException {
        try (SeekableByteChannel channel =
                Files.newByteChannel(file, Set.of(StandardOpenOption.READ, LinkOption.NOFOLLOW_LINKS))) {
            channel.position(offset);
            ByteBuffer buffer = ByteBuffer.allocate((int) Math.min(CHUNK, Math.max(0, channel.size() - offset)));
            while (buffer.hasRemaining() && channel.read(buffer) >= 0) {
                // Until it is full or the file ends.
            }
            offset += take(buffer.array(), buffer.position());
        }
        return this;
    }

    /** Takes every whole object; returns how many bytes need not be looked at again. */
    private int take(byte[] bytes, int length) {
        int done = 0;
        int depth = 0;
        int start = 0;
        boolean quoted = false;
        for (int i = 0; i < length; i++) {
            byte c = bytes[i];
            boolean lineStart = i == 0 || bytes[i - 1] == '\n' || bytes[i - 1] == 0;
            if (c == '{' && lineStart) {
                // Only whole objects begin a line: what was open before this one is torn.
                depth = 1;
                start = i;
                quoted = false;
            } else if (quoted) {
                if (c == '\\') {
                    i++;
                } else if (c == '"') {
                    quoted = false;
                }
            } else if (c == '"' && depth > 0) {
                quoted = true;
            } else if (c == '{' && depth > 0) {
                depth++;
            } else if (c == '}' && depth > 0 && --depth == 0) {
                event(new String(bytes, start, i + 1 - start, StandardCharsets.UTF_8));
                done = i + 1;
            } else if (depth == 0) {
                // Blanks between objects, or a hole.
                done = i + 1;
            }
        }
        // An object larger than a chunk is no event.
        return done == 0 && length == CHUNK ? length : done;
    }

    private void event(String text) {
        try {
            JsonNode event = JSON.readTree(text);
            switch (event.path("source").asText() + "/" + event.path("event").asText()) {
                case "vm/booted", "vm/restored" -> booted = true;
                case "vm/rebooted" -> reboots++;
                case "guest/panic" -> panicked = true;
                default -> {}
            }
        } catch (IOException e) {
            // Torn: the others count.
        }
    }
}
