package dev.vmlet.host.vmm;

import dev.vmlet.doctor.Facts;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.TreeSet;

/** Finds the cgroup hierarchies of this host: pure v2, v1, or both side by side. */
public final class CgroupMounts {
    /** Super block options of a v1 hierarchy that are not names of controllers. */
    private static final Set<String> FLAGS =
            Set.of("rw", "ro", "xattr", "noprefix", "clone_children", "cpuset_v2_mode");

    private CgroupMounts() {}

    /**
     * One hierarchy.
     *
     * @param mount where its root lies
     * @param unified whether it is cgroup v2
     * @param controllers of this hierarchy, {@code name=…} for a named v1 hierarchy; empty for v2, whose controllers
     *     show in each directory
     */
    record Hierarchy(Path mount, boolean unified, Set<String> controllers) {
        Hierarchy {
            controllers = Set.copyOf(controllers);
        }

        boolean has(String controller) {
            return controllers.contains(controller);
        }
    }

    static List<Hierarchy> find() throws IOException {
        return parse(Files.readString(Path.of("/proc/self/mountinfo")));
    }

    /** What guests could be limited by, without touching anything. */
    public static List<Facts.Cgroup> facts() throws IOException {
        List<Facts.Cgroup> facts = new ArrayList<>();
        for (Hierarchy hierarchy : find()) {
            Path root = hierarchy.mount();
            Set<String> controllers =
                    hierarchy.unified() ? words(root.resolve("cgroup.controllers")) : hierarchy.controllers();
            boolean inside = hierarchy.unified() && Files.exists(root.resolve("cgroup.type"));
            boolean handedOn = words(root.resolve("cgroup.subtree_control")).containsAll(controllers);
            // No cgroup but the true root may hold processes and hand controllers on (cgroups(7)).
            boolean blocked =
                    inside && !handedOn && !words(root.resolve("cgroup.procs")).isEmpty();
            facts.add(new Facts.Cgroup(
                    root.toString(),
                    hierarchy.unified(),
                    controllers,
                    blocked ? root + " is not the root of the tree and holds processes" : ""));
        }
        return facts;
    }

    /** Empty where there is no such file. */
    private static Set<String> words(Path file) {
        try {
            Set<String> words = new TreeSet<>(List.of(Files.readString(file).split("\\s+")));
            words.remove("");
            return words;
        } catch (IOException e) {
            return Set.of();
        }
    }

    /** v2 first; each hierarchy once, however often it is mounted. Read-only mounts are of no use and left out. */
    static List<Hierarchy> parse(String mountinfo) {
        List<Hierarchy> found = new ArrayList<>();
        Set<String> devices = new HashSet<>();
        for (String line : mountinfo.lines().toList()) {
            int dash = line.indexOf(" - ");
            if (dash < 0) {
                continue;
            }
            String[] left = line.substring(0, dash).split(" ");
            String[] right = line.substring(dash + 3).split(" ");
            if (left.length < 6 || right.length < 3 || !right[0].startsWith("cgroup")) {
                continue;
            }
            boolean readOnly = List.of(left[5].split(",")).contains("ro");
            if (readOnly || !devices.add(left[2])) {
                continue;
            }
            boolean unified = right[0].equals("cgroup2");
            Set<String> controllers = new TreeSet<>();
            if (!unified) {
                for (String option : right[2].split(",")) {
                    if (!FLAGS.contains(option)
                            && !option.toLowerCase(Locale.ROOT).startsWith("release_agent=")) {
                        controllers.add(option);
                    }
                }
            }
            Hierarchy hierarchy = new Hierarchy(Path.of(unescape(left[4])), unified, controllers);
            found.add(unified ? 0 : found.size(), hierarchy);
        }
        return found;
    }

    /** Blanks, tabs, newlines and backslashes are octal escapes in mountinfo (proc(5)). */
    private static String unescape(String text) {
        return text.replace("\\040", " ")
                .replace("\\011", "\t")
                .replace("\\012", "\n")
                .replace("\\134", "\\");
    }
}
