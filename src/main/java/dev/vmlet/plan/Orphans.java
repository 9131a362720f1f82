package dev.vmlet.plan;

import dev.vmlet.model.Reason;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmId;
import java.time.Duration;
import java.time.Instant;
import java.util.EnumSet;
import java.util.Optional;
import java.util.Set;

/**
 * Decides what becomes of a VM that holds a guest or a disk and whose object the API does not list. Two things that do
 * not hang on each other must say that it is gone: the list, and either a direct read on the cluster that this node
 * belongs to, or a person.
 *
 * <pre>
 *                                     by itself     when a person confirms
 *  API server cannot be asked         held          held
 *  a direct read finds the object     held          held
 *  several lost their objects at once held          taken down
 *  its record, and so its name, lost  held          taken down
 *  another cluster                    held          taken down
 *  same name, another uid             held          taken down
 *  the store went back in time        held          taken down
 *  missing for less than the grace    held          taken down
 *  a look at it fails or disagrees    held          held
 *  none of these                      taken down    taken down
 * </pre>
 */
public final class Orphans {
    private Orphans() {}

    /** What speaks against taking an orphan down. The names show in {@code VmNode}. */
    public enum Cause {
        /** The API server did not answer, so that nothing is known. */
        CannotAsk,
        /** A direct read found the object that the list lacks. */
        ObjectFound,
        /** It lost its object together with others of the node: what a lost or restored object store looks like. */
        ManyAtOnce,
        /** Nobody knows its name, so that nobody can be asked. */
        RecordLost,
        /** The API server is not the one this node belongs to. */
        OtherCluster,
        /** An object of its name is there, and is another one: what a restored backup looks like. */
        Recreated,
        /** The object store went back in time, and has not shown this object since. */
        StoreRestored,
        /** It may be back in a moment. */
        GracePeriod,
        /** The host did not show all of it, or what it shows disagrees. */
        CannotLook
    }

    private static final Set<Cause> FOR_A_PERSON =
            EnumSet.of(Cause.ManyAtOnce, Cause.RecordLost, Cause.OtherCluster, Cause.Recreated, Cause.StoreRestored);

    /** @param sentence the cause in words, without full stop */
    public record Doubt(Cause cause, String sentence) {
        /** Whether it is never taken down without a person; the others pass by themselves. */
        public boolean waitsForAPerson() {
            return FOR_A_PERSON.contains(cause);
        }
    }

    /**
     * What is not taken down.
     *
     * @param kind of the object it belonged to: VirtualMachine or Network
     * @param name of that object, as far as it is known
     * @param since when that object was first missed
     */
    public record Held(String kind, String name, String uid, Doubt doubt, Instant since) {}

    /**
     * A VM without an object.
     *
     * @param confirmed whether a person has named its uid
     * @param unseen whether the object store went back in time, and has not shown its object since
     * @param together how many of the node lost their objects at the same time, this one included
     * @param missing for how long
     * @param grace for how long at least
     */
    public record Orphan(VmId vm, boolean confirmed, boolean unseen, int together, Duration missing, Duration grace) {
        boolean hasName() {
            return !vm.isNameless();
        }
    }

    /**
     * What the API server says when it is asked past every cache.
     *
     * @param home uid of the kube-system that this node remembers
     * @param cluster uid of the kube-system that is there now
     * @param object uid of the object of the orphan's name
     */
    public record Answers(Seen<String> home, Seen<String> cluster, Seen<String> object) {}

    /** The API server did not answer when it was asked whether the object is really gone. */
    public static Doubt silent(String cause) {
        return new Doubt(
                Cause.CannotAsk,
                "its VirtualMachine object is not in the list, and the API server could not be asked for it: " + cause);
    }

    /** It was to be taken down, and its plan touches nothing because a look failed or the evidence disagrees. */
    public static Optional<Doubt> blind(Plan plan) {
        return plan.waitingFor()
                .filter(w ->
                        plan.isEmpty() && (w.reason() == Reason.CannotLook || w.reason() == Reason.EvidenceDisagrees))
                .map(w -> new Doubt(Cause.CannotLook, "it is to be taken down, and cannot: " + w.message()));
    }

    /** A person has named it before it was held, for another loss or by mistake. */
    public static Doubt again(Doubt doubt) {
        return new Doubt(
                doubt.cause,
                doubt.sentence + "; the confirmation that stands was given before, and does not count for this: take it"
                        + " away and give it again");
    }

    /** What can be doubted without asking anybody. */
    public static Optional<Doubt> beforeAsking(Orphan orphan) {
        if (orphan.confirmed) {
            return Optional.empty();
        }
        if (orphan.together > 1) {
            return doubt(
                    Cause.ManyAtOnce,
                    orphan.together + " VMs of this node lost their objects together, which looks like a lost or"
                            + " restored object store; nothing is touched until a person decides");
        }
        return orphan.hasName()
                ? Optional.empty()
                : doubt(Cause.RecordLost, "its record is lost, so nobody can be asked whether its object exists");
    }

    /** What is left to be doubted once the API server was asked; empty: it is taken down. */
    public static Optional<Doubt> afterAsking(Orphan orphan, Answers answers) {
        if (!orphan.confirmed) {
            Optional<Doubt> elsewhere = elsewhere(answers);
            if (elsewhere.isPresent()) {
                return elsewhere;
            }
        }
        Optional<Doubt> object = orphan.hasName() ? object(orphan, answers.object) : Optional.empty();
        if (object.isPresent() || orphan.confirmed) {
            return object;
        }
        if (orphan.unseen) {
            return doubt(
                    Cause.StoreRestored,
                    "the object store went back in time, as a backup that was restored, and the object of this VM is not"
                            + " in it; nothing is touched until a person decides");
        }
        return orphan.missing.compareTo(orphan.grace) < 0
                ? doubt(
                        Cause.GracePeriod,
                        "its VirtualMachine object is gone without our release; it is taken down when that lasts "
                                + orphan.grace.toSeconds() + " s")
                : Optional.empty();
    }

    /** Whether this is the cluster that the node belongs to. */
    public static Optional<Doubt> elsewhere(Answers answers) {
        if (answers.cluster instanceof Seen.Unknown<String>(String cause)) {
            return doubt(Cause.CannotAsk, "the API server could not be asked: " + cause);
        }
        return answers.cluster instanceof Seen.Present && answers.home.equals(answers.cluster)
                ? Optional.empty()
                : doubt(
                        Cause.OtherCluster,
                        "the API server is not the one this node belongs to (uid of kube-system differs)");
    }

    private static Optional<Doubt> object(Orphan orphan, Seen<String> object) {
        return switch (object) {
            case Seen.Unknown<String>(String cause) ->
                doubt(Cause.CannotAsk, "the API server could not be asked: " + cause);
            case Seen.Present<String>(String uid)
            when uid.equals(orphan.vm.uid()) ->
                doubt(Cause.ObjectFound, "a direct read found its object, though the list did not");
            case Seen.Present<String>(String uid) ->
                orphan.confirmed
                        ? Optional.empty()
                        : doubt(
                                Cause.Recreated,
                                "an object of its name is there again with another uid (" + uid + "), as after a"
                                        + " restored backup; guest and disks of the former one are kept until a person"
                                        + " decides");
            case Seen.Missing<String> _ -> Optional.empty();
        };
    }

    private static Optional<Doubt> doubt(Cause cause, String sentence) {
        return Optional.of(new Doubt(cause, sentence));
    }
}
