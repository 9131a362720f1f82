package dev.vmlet.host.files;

import dev.vmlet.model.HostException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/**
 * The format of the state directory as a whole, a number in its file {@code format}. An older one is read and converted
 * record by record as each is next written; a newer one is left alone, because what it says cannot be guessed.
 */
final class StateFormat {
    /** 1: until November 2026, without this file. 2: records carry a digest. */
    static final int CURRENT = 2;

    private StateFormat() {}

    /** What is wrong with a newer format and what helps, without a subject. */
    static String newer(int format) {
        return "it has format " + format + ", which a newer vmlet wrote, and this one understands formats up to "
                + CURRENT + "; start that newer vmlet again, it is the only one that can read this";
    }

    /** @throws HostException.Refused when a newer vmlet has used the directory */
    static void check(Path file) throws HostException {
        int format;
        try {
            format = Integer.parseInt(new String(Files.readAllBytes(file), StandardCharsets.ISO_8859_1).strip());
        } catch (NoSuchFileException | NumberFormatException e) {
            // Older than the file, or torn: every record tells its own format besides.
            return;
        } catch (IOException e) {
            throw DurableFiles.refusal("read " + file, e);
        }
        if (format > CURRENT) {
            throw new HostException.Refused(
                    "open state directory " + DurableFiles.folderOf(file) + ": " + newer(format), null);
        }
    }

    /** Written before the first record is: no older vmlet takes the directory for its own afterwards. */
    static void mark(Path file) throws IOException {
        byte[] content = (CURRENT + "\n").getBytes(StandardCharsets.US_ASCII);
        try {
            if (java.util.Arrays.equals(Files.readAllBytes(file), content)) {
                return;
            }
        } catch (NoSuchFileException e) {
            // The first start of this version.
        }
        DurableFiles.write(file, content, "rw-r--r--");
    }
}
