package dev.vmlet.host.survey;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.TreeSet;

/** Which file system a path is on, by /proc/self/mountinfo (proc_pid_mountinfo(5)). */
final class Mounts {
    /** @param options those of the mount and of the file system together */
    record Mount(Path at, String type, Set<String> options) {
        Mount {
            options = Set.copyOf(options);
        }
    }

    private Mounts() {}

    /** @param path an existing one, absolute and without links */
    static Mount of(Path path) throws IOException {
        return of(path, Files.readString(Path.of("/proc/self/mountinfo")));
    }

    static Mount of(Path path, String mountinfo) throws IOException {
        Mount found = null;
        for (String line : mountinfo.lines().toList()) {
            int dash = line.indexOf(" - ");
            String[] left = line.substring(0, Math.max(0, dash)).split(" ");
            String[] right = line.substring(dash + 3).split(" ");
            if (dash < 0 || left.length < 6 || right.length < 3) {
                continue;
            }
            Path at =
                    Path.of(left[4].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\"));
            // The later one of two at the same place lies on top.
            if (path.startsWith(at)
                    && (found == null || at.getNameCount() >= found.at().getNameCount())) {
                Set<String> options = new TreeSet<>(Set.of(left[5].split(",")));
                options.addAll(Set.of(right[2].split(",")));
                found = new Mount(at, right[0], options);
            }
        }
        if (found == null) {
            throw new IOException("no mount holds " + path);
        }
        return found;
    }
}
