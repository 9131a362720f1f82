package dev.vmlet.status;

import dev.vmlet.api.VmNode;
import dev.vmlet.api.VmNodeSpec.Tombstone;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * VMs that were deleted by force while their node was lost: what the controller asks the node for, in {@code
 * spec.tombstones}, and what the node says that it has done, in {@code status.buried}. Each side writes its own list and
 * reads the other's, so that a crash of either loses nothing.
 *
 * <pre>
 *   controller             puts a stone, then lets the object go
 *   agent                  takes the guest down, then writes the uid into buried
 *   controller             takes the stone away
 *   agent                  takes the uid away
 * </pre>
 */
public final class Tombstones {
    private Tombstones() {}

    public static List<Tombstone> of(VmNode node) {
        if (node.getSpec() == null || node.getSpec().tombstones() == null) {
            return List.of();
        }
        return node.getSpec().tombstones().stream().filter(t -> t.uid() != null).toList();
    }

    /** Disks that are to be kept, by uid of the VM. */
    public static Map<String, List<String>> retained(VmNode node) {
        TreeMap<String, List<String>> all = new TreeMap<>();
        for (Tombstone stone : of(node)) {
            all.put(String.valueOf(stone.uid()), stone.retained() == null ? List.of() : stone.retained());
        }
        return all;
    }

    /** What the agent has said, of stones that still stand. */
    public static List<String> buried(VmNode node) {
        if (node.getStatus() == null || node.getStatus().buried() == null) {
            return List.of();
        }
        Set<String> stand = retained(node).keySet();
        return node.getStatus().buried().stream().filter(stand::contains).toList();
    }

    /** @param remains uids of VMs of which something is left on this node */
    public static List<String> buried(VmNode node, Set<String> remains) {
        Set<String> gone = new TreeSet<>(retained(node).keySet());
        gone.removeAll(remains);
        return List.copyOf(gone);
    }

    /** Those that stand when this one is put; an older one of the same VM gives way. */
    public static List<Tombstone> with(VmNode node, Tombstone stone) {
        List<Tombstone> all = new ArrayList<>(of(node));
        all.removeIf(t -> String.valueOf(t.uid()).equals(stone.uid()));
        all.add(stone);
        return all;
    }

    /** Those that stand when what is buried is taken away. */
    public static List<Tombstone> withoutBuried(VmNode node) {
        Set<String> buried = Set.copyOf(buried(node));
        return of(node).stream()
                .filter(t -> !buried.contains(String.valueOf(t.uid())))
                .toList();
    }
}
