package dev.vmlet.model;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * Ports of the node that no VM is given, of TCP and UDP alike, whether anything listens on them at the moment or not.
 *
 * @param ranges none for a node that keeps no port to itself
 */
public record ReservedPorts(List<Range> ranges) {
    /**
     * ssh, and what Kubernetes takes on a node: etcd, API server, kubelet, scheduler, controller manager and kube-proxy
     * with their health ports, and NodePorts, which lead on without anybody listening.
     */
    public static final String DEFAULT = "22,2379-2380,6443,10248-10259,30000-32767";

    private static final String NONE = "none";
    private static final Pattern RANGE = Pattern.compile("([0-9]{1,5})(?:-([0-9]{1,5}))?");

    public ReservedPorts {
        ranges = List.copyOf(ranges);
    }

    /** Both ends are in it; 1 to 65535. */
    public record Range(int first, int last) {
        public Range {
            if (first < 1 || last > 65_535 || first > last) {
                throw new IllegalArgumentException(
                        first + "-" + last + " is no range of ports: 1 to 65535 expected, the smaller one first");
            }
        }

        @Override
        public String toString() {
            return first == last ? String.valueOf(first) : first + "-" + last;
        }
    }

    /**
     * Reads ports and ranges with commas between, or {@code none}.
     *
     * @throws IllegalArgumentException with a sentence that says what is expected
     */
    public static ReservedPorts parse(String text) {
        List<Range> ranges = new ArrayList<>();
        if (text.equals(NONE)) {
            return new ReservedPorts(ranges);
        }
        for (String part : text.split(",", -1)) {
            Matcher range = RANGE.matcher(part.strip());
            if (!range.matches()) {
                throw new IllegalArgumentException("ports and ranges with commas between expected, such as "
                        + "22,30000-32767, or " + NONE + ", not '" + text + "'");
            }
            int first = Integer.parseInt(range.group(1));
            ranges.add(new Range(first, range.group(2) == null ? first : Integer.parseInt(range.group(2))));
        }
        return new ReservedPorts(ranges);
    }

    public boolean contains(ServicePort port) {
        return ranges.stream().anyMatch(range -> range.first() <= port.port() && port.port() <= range.last());
    }

    /** As {@link #parse} reads it. */
    @Override
    public String toString() {
        return ranges.isEmpty() ? NONE : ranges.stream().map(Range::toString).collect(Collectors.joining(","));
    }
}
