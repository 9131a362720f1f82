package dev.vmlet.status;

import dev.vmlet.api.VmNode;
import dev.vmlet.api.VmNodeStatus.Hold;
import dev.vmlet.plan.Orphans.Cause;
import dev.vmlet.plan.Orphans.Held;
import java.time.temporal.ChronoUnit;
import java.util.Collection;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;

/**
 * What is said of orphans that are not taken down, and what a person answers: the annotation {@link
 * VmNode#CONFIRM_REMOVAL} names the uids whose removal is confirmed. It counts for what is held, for as long as it stands;
 * nobody but people writes it.
 */
public final class Holds {
    private static final String UID = "uid ";
    /** Orphans that a condition names; the list in status names more. */
    private static final int NAMED = 3;

    private Holds() {}

    /** Uids that people have confirmed on this node. */
    public static Set<String> confirmed(VmNode node) {
        String value = node.getMetadata().getAnnotations() == null
                ? ""
                : node.getMetadata().getAnnotations().getOrDefault(VmNode.CONFIRM_REMOVAL, "");
        Set<String> uids = new TreeSet<>(List.of(value.split("[,\\s]+")));
        uids.remove("");
        return uids;
    }

    /** What confirms the removal of these, to be copied into a shell. */
    public static String command(String node, Collection<String> uids) {
        return "kubectl annotate vmnode " + node + " " + VmNode.CONFIRM_REMOVAL + "="
                + String.join(",", new TreeSet<>(uids)) + " --overwrite";
    }

    /** What takes a confirmation away that was given before, and leaves those that count. */
    private static String takeBack(String node, Set<String> left) {
        return left.isEmpty()
                ? "kubectl annotate vmnode " + node + " " + VmNode.CONFIRM_REMOVAL + "-"
                : command(node, left);
    }

    /** What a person is to do about it; one that is confirmed and waits was confirmed for something else. */
    private static String answer(String node, Held held, Set<String> confirmed, Set<String> underWay) {
        Set<String> uids = new TreeSet<>(underWay);
        if (confirmed.contains(held.uid())) {
            uids.remove(held.uid());
            return takeBack(node, uids);
        }
        uids.add(held.uid());
        return command(node, uids);
    }

    /** As they stand in status. Who waits for a person has the command that confirms it, with what is confirmed already. */
    static List<Hold> of(String node, List<Held> held, Set<String> confirmed) {
        Set<String> underWay = held.stream().map(Held::uid).collect(Collectors.toSet());
        underWay.retainAll(confirmed);
        return held.stream().map(h -> hold(node, h, confirmed, underWay)).toList();
    }

    private static Hold hold(String node, Held held, Set<String> confirmed, Set<String> underWay) {
        return new Hold(
                held.kind(),
                held.name(),
                UID + held.uid(),
                held.doubt().cause().name(),
                held.doubt().sentence(),
                held.doubt().waitsForAPerson() ? answer(node, held, confirmed, underWay) : null,
                held.since().truncatedTo(ChronoUnit.SECONDS).toString());
    }

    /** One orphan, for an Event. */
    public static String sentence(String node, Held held, Set<String> confirmed) {
        return "kept " + held.kind() + " " + who(held) + ": " + held.doubt().sentence()
                + (held.doubt().waitsForAPerson()
                        ? ". If it is to go, " + disks(held) + ": " + answer(node, held, confirmed, Set.of())
                        : "");
    }

    /** Where nothing tells whether the disks were to outlive their VM, they do. */
    private static String disks(Held held) {
        return held.doubt().cause() == Cause.RecordLost ? "all but its disks" : "with its disks";
    }

    /** All of them, for the node's condition. */
    static String summary(String node, List<Held> held) {
        List<Held> waiting =
                held.stream().filter(h -> h.doubt().waitsForAPerson()).toList();
        if (waiting.isEmpty()) {
            return named(held) + " without an object: "
                    + held.getFirst().doubt().sentence() + ".";
        }
        return named(waiting) + " without an object " + (waiting.size() == 1 ? "waits" : "wait")
                + " for a person: " + waiting.getFirst().doubt().sentence() + ". Bring the objects back, or have "
                + (waiting.stream().allMatch(h -> h.doubt().cause() == Cause.RecordLost)
                        ? "the guests removed, all but their disks: "
                        : "guests and disks removed: ")
                + command(node, waiting.stream().map(Held::uid).toList());
    }

    private static String named(List<Held> held) {
        String names =
                held.stream().limit(NAMED).map(h -> h.kind() + " " + who(h)).collect(Collectors.joining(", "));
        return held.size() <= NAMED ? names : names + " and " + (held.size() - NAMED) + " more";
    }

    private static String who(Held held) {
        return held.name().endsWith("uid-" + held.uid())
                ? UID + held.uid()
                : held.name() + " (" + UID + held.uid() + ")";
    }

    /** What somebody confirmed that nothing here has; said once for each new word. */
    public static String unknown(String node, Set<String> uids, List<Held> held) {
        String known = held.isEmpty()
                ? "nothing is held here"
                : "held here: " + held.stream().map(Holds::who).collect(Collectors.joining(", "));
        return "annotation " + VmNode.CONFIRM_REMOVAL + " names " + String.join(", ", uids)
                + ", which nothing that is held on this node has: it is gone already, or the uid is wrong; " + known
                + ". To take the annotation away: kubectl annotate vmnode " + node + " " + VmNode.CONFIRM_REMOVAL + "-";
    }

    /**
     * Uids that an earlier agent held because several were missing at once. One's own status is read back only to hold
     * more, never to do more: of two that were lost together, the second does not become a lone orphan when the first is
     * taken down.
     */
    public static Set<String> heldTogether(VmNode node) {
        if (node.getStatus() == null
                || node.getStatus().sweep() == null
                || node.getStatus().sweep().holds() == null) {
            return Set.of();
        }
        return node.getStatus().sweep().holds().stream()
                .filter(h -> Cause.ManyAtOnce.name().equals(h.cause()) && h.owner() != null)
                .map(h -> String.valueOf(h.owner()).substring(UID.length()))
                .collect(Collectors.toSet());
    }
}
