package dev.vmlet.cli;

import dev.vmlet.model.HostException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** The privilege that commands need which touch links, firewalls or other users' files. */
final class Root {
    private Root() {}

    /** @throws HostException.NotPermitted naming who wants it, for any other user */
    static void require(String who) throws HostException {
        if (!is()) {
            throw new HostException.NotPermitted(
                    who + " needs root: it looks at links, firewall and guests' files", null);
        }
    }

    private static boolean is() {
        try {
            for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
                if (line.startsWith("Uid:")) {
                    return line.split("\\s+")[2].equals("0");
                }
            }
        } catch (IOException e) {
            // Whoever cannot read that will be told by the next door.
        }
        return true;
    }
}
