package dev.vmlet.host.vmm;

import dev.vmlet.model.HostException;
import dev.vmlet.model.Seen;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
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

    private static final Set<String> MEMORY = Set.of("memory.max", "memory.limit_in_bytes");

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

    /** Whether a file of this name holds a limit. */
    static boolean isLimit(String file) {
        return NAMES.contains(file);
    }

    private static final Set<String> NAMES = Set.copyOf(new CgroupLimits(new Cgroups.Limits(0, 0, 0)).values.keySet());

    /** Sets what is not so. Memory last grows into a limit that the kernel may refuse, so the rest is set before. */
    void set(Path leaf) throws HostException {
        for (Map.Entry<String, String> limit : values.descendingMap().entrySet()) {
            Path file = leaf.resolve(limit.getKey());
            if (read(file) instanceof Seen.Present<String>(String now) && !same(limit.getKey(), now)) {
                try {
                    Files.writeString(file, limit.getValue());
                } catch (IOException e) {
                    throw new HostException.Refused("set " + file + " to " + limit.getValue(), e);
                }
            }
        }
    }

    /** A sentence for each file of the leaf that says something else. */
    Seen<List<String>> differences(Path leaf) {
        List<String> differences = new ArrayList<>();
        for (Map.Entry<String, String> limit : values.entrySet()) {
            switch (read(leaf.resolve(limit.getKey()))) {
                case Seen.Present<String>(String now) -> {
                    if (!same(limit.getKey(), now)) {
                        differences.add(limit.getKey() + " is " + now + ", at its launch it was " + limit.getValue());
                    }
                }
                case Seen.Missing<String> _ -> {}
                case Seen.Unknown<String>(String cause) -> {
                    return Seen.unknown(cause);
                }
            }
        }
        return Seen.present(differences);
    }

    private boolean same(String file, String now) {
        String expected = String.valueOf(values.get(file));
        if (expected.equals(now)) {
            return true;
        }
        try {
            return MEMORY.contains(file) && Math.abs(Long.parseLong(expected) - Long.parseLong(now)) < PAGE_BYTES;
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
