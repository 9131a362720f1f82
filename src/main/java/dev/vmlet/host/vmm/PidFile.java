package dev.vmlet.host.vmm;

import dev.vmlet.model.Seen;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/**
 * What the launcher wrote down before it let the VMM go: one line, {@code pid start boot-id launcher-pid launcher-start}.
 *
 * @param launcherPid the shell that waits for the VMM and records its exit code
 */
record PidFile(int pid, long startTicks, String bootId, int launcherPid, long launcherStartTicks) {
    static Seen<PidFile> read(Path file) {
        try {
            if (!Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)
                    && Files.exists(file, LinkOption.NOFOLLOW_LINKS)) {
                return Seen.unknown(file + " is not a regular file");
            }
            return Seen.present(parse(Files.readString(file)));
        } catch (NoSuchFileException e) {
            return Seen.missing();
        } catch (IOException e) {
            return Seen.unknown("cannot read " + file + ": " + e.getMessage());
        } catch (IllegalArgumentException e) {
            return Seen.unknown(file + ": " + e.getMessage());
        }
    }

    static PidFile parse(String text) {
        String[] words = text.strip().split(" ");
        if (words.length != 5) {
            throw new IllegalArgumentException("not a pid file of ours: " + text.strip());
        }
        return new PidFile(
                Integer.parseInt(words[0]),
                Long.parseLong(words[1]),
                words[2],
                Integer.parseInt(words[3]),
                Long.parseLong(words[4]));
    }
}
