package dev.vmlet.host.vmm;

import dev.vmlet.model.HostException;
import dev.vmlet.model.Seen;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;

/**
 * The files of a guest's cgroup that hold its limits, in both versions of cgroups: set at its launch, held against it
 * later, and set again where somebody wrote something else. A hierarchy without a controller lacks its files.
 */
final class CgroupLimits {
    private static final int CPU_PERIOD_MICROS = 100_000;
    /** The kernel keeps memory limits in whole pages; none is larger than this on the machines we run on. */
    private static final long PAGE_BYTES = 65_536;

    /** The limits of memory, each with the file beside it that tells the use. */
    private static final Map<String, String> MEMORY =
            Map.of("memory.max", "memory.current", "memory.limit_in_bytes", "memory.usage_in_bytes");

    /**
     * As they are set. Memory last: the kernel may refuse it, or take its time to reclaim. A frozen guest thaws first.
     */
    static final List<String> ORDER = List.of(
            "cgroup.freeze",
            "freezer.state",
            "cpu.max",
            "cpu.cfs_quota_us",
            "pids.max",
            "memory.oom.group",
            "memory.max",
            "memory.limit_in_bytes");

    /** By name of the file, sorted: the same order of sentences at each look. */
    private final TreeMap<String, String> values = new TreeMap<>();

    CgroupLimits(Cgroups.Limits limits) {
        long quota = (long) limits.cpus() * CPU_PERIOD_MICROS;
        values.put("memory.max", Long.toString(limits.memoryBytes()));
        values.put("memory.oom.group", "1");
        values.put("memory.limit_in_bytes", Long.toString(limits.memoryBytes()));
        values.put("pids.max", Integer.toString(limits.processes()));
        values.put("cpu.max", String.format(Locale.ROOT, "%d %d", quota, CPU_PERIOD_MICROS));
        values.put("cpu.cfs_quota_us", Long.toString(quota));
        values.put("cgroup.freeze", "0");
        values.put("freezer.state", "THAWED");
    }

    Set<String> names() {
        return values.keySet();
    }

    /** Whether a file of this name holds a limit. */
    static boolean isLimit(String file) {
        return ORDER.contains(file);
    }

    /**
     * Sets what is not so, all that can be, and then tells the first refusal. A memory limit that the guest has outgrown
     * stays as it is: on a write below the use the kernel kills the guest (cgroup v2), and {@link #differences} tells it.
     */
    void set(Path leaf) throws HostException {
        Optional<HostException> refusal = Optional.empty();
        for (String name : ORDER) {
            Path file = leaf.resolve(name);
            if (read(file) instanceof Seen.Present<String>(String now)
                    && !same(name, now)
                    && outgrown(leaf, name, now).equals(Seen.present(false))) {
                try {
                    Files.writeString(file, value(name));
                } catch (IOException e) {
                    HostException refused = new HostException.Refused("set " + file + " to " + value(name), e);
                    refusal = refusal.or(() -> Optional.of(refused));
                }
            }
        }
        if (refusal.isPresent()) {
            throw refusal.get();
        }
    }

    private String value(String name) {
        return String.valueOf(values.get(name));
    }

    /** Whether the limit of the launch lies below what is in use, so that writing it would be the guest's end. */
    private Seen<Boolean> outgrown(Path leaf, String name, String now) {
        String counter = MEMORY.get(name);
        if (counter == null || !isBelow(value(name), now)) {
            return Seen.present(false);
        }
        return switch (read(leaf.resolve(counter))) {
            case Seen.Present<String>(String used) -> Seen.present(isBelow(value(name), needed(leaf, used)));
            case Seen.Missing<String> _ -> Seen.present(false);
            case Seen.Unknown<String>(String cause) -> Seen.unknown(cause);
        };
    }

    /**
     * The counters hold the page cache of disks as well, which the kernel gives back when the limit is written. Only what
     * is clean: it tries no more than sixteen times, and pages on their way to a slow disk may take longer.
     */
    private static String needed(Path leaf, String used) {
        if (!(read(leaf.resolve("memory.stat")) instanceof Seen.Present<String>(String stat))) {
            return used;
        }
        Map<String, Long> counters = new HashMap<>();
        for (String line : stat.lines().toList()) {
            String[] words = line.split(" ", -1);
            if (words.length == 2 && words[1].matches("\\d{1,18}")) {
                counters.put(words[0], Long.parseLong(words[1]));
            }
        }
        // Names of version 2, and of version 1 with what is below it.
        long cache = counters.getOrDefault("total_active_file", counters.getOrDefault("active_file", 0L))
                + counters.getOrDefault("total_inactive_file", counters.getOrDefault("inactive_file", 0L));
        long dirty = counters.getOrDefault("total_dirty", counters.getOrDefault("file_dirty", 0L))
                + counters.getOrDefault("total_writeback", counters.getOrDefault("file_writeback", 0L));
        try {
            return Long.toString(Long.parseLong(used) - Math.max(0, cache - dirty));
        } catch (NumberFormatException e) {
            return used;
        }
    }

    private static boolean isBelow(String bytes, String other) {
        try {
            return Long.parseLong(bytes) < Long.parseLong(other);
        } catch (NumberFormatException e) {
            // "max", or more than a long holds.
            return true;
        }
    }

    /**
     * A sentence for each file that says something else.
     *
     * @param mendable what {@link #set} puts right
     * @param kept what it leaves, because the guest would not survive it
     */
    record Differences(List<String> mendable, List<String> kept) {
        Differences {
            mendable = List.copyOf(mendable);
            kept = List.copyOf(kept);
        }
    }

    /** What the files of the leaf say that is not as at the launch. */
    Seen<Differences> differences(Path leaf) {
        List<String> mendable = new ArrayList<>();
        List<String> kept = new ArrayList<>();
        for (Map.Entry<String, String> limit : values.entrySet()) {
            switch (read(leaf.resolve(limit.getKey()))) {
                case Seen.Present<String>(String now) -> {
                    if (same(limit.getKey(), now)) {
                        continue;
                    }
                    switch (outgrown(leaf, limit.getKey(), now)) {
                        // Not how much it uses: the sentence would be another one at each look.
                        case Seen.Present<Boolean>(Boolean outgrown)
                        when outgrown ->
                            kept.add(limit.getKey() + " stays at " + now + ": the guest uses more than the "
                                    + limit.getValue() + " of its launch, and would be killed; restart it");
                        case Seen.Present<Boolean> _, Seen.Missing<Boolean> _ ->
                            mendable.add(limit.getKey() + " is " + now + ", at its launch it was " + limit.getValue());
                        case Seen.Unknown<Boolean>(String cause) -> {
                            return Seen.unknown(cause);
                        }
                    }
                }
                case Seen.Missing<String> _ -> {}
                case Seen.Unknown<String>(String cause) -> {
                    return Seen.unknown(cause);
                }
            }
        }
        return Seen.present(new Differences(mendable, kept));
    }

    private boolean same(String file, String now) {
        String expected = value(file);
        if (expected.equals(now)) {
            return true;
        }
        try {
            return MEMORY.containsKey(file) && Math.abs(Long.parseLong(expected) - Long.parseLong(now)) < PAGE_BYTES;
        } catch (NumberFormatException e) {
            // "max", or more than a long holds.
            return false;
        }
    }

    private static Seen<String> read(Path file) {
        // Most files are in one of many hierarchies, and an exception costs ten times a look.
        if (!Files.exists(file)) {
            return Seen.missing();
        }
        try {
            return Seen.present(Files.readString(file).strip());
        } catch (IOException e) {
            // Removed between open and read (ENODEV): the look at the process tells that.
            return Files.exists(file) ? Seen.unknown("cannot read " + file + ": " + e.getMessage()) : Seen.missing();
        }
    }
}
