package dev.vmlet.model;

import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;

/**
 * What is kept on disk for a VM: written before its first host object, removed after its last is proved gone. Addresses
 * and the user id belong to the VM for as long as this exists.
 *
 * @param retained names of the disks that outlive the object
 * @param grace how long the guest is given to shut down before its power is cut
 * @param launch what was last started and has not been seen to end
 * @param stop the stop in progress
 * @param lastExit how the last guest ended
 * @param restarts how often the guest was started again after it ended by itself
 * @param failures ends in a row without ten minutes of health between them; sets the pause before the next start
 * @param lastRun what the guest that ran last was started with: what it is started with again while its object cannot be
 *     followed; a start that no guest came of is nothing to go back to
 */
public record VmRecord(
        VmId id,
        int userId,
        List<DesiredNic> nics,
        List<String> retained,
        Duration grace,
        Optional<Launch> launch,
        Optional<Stop> stop,
        Optional<Exit> lastExit,
        int restarts,
        int failures,
        Optional<LaunchSpec> lastRun) {
    public VmRecord {
        nics = List.copyOf(nics);
        retained = List.copyOf(retained);
    }

    /**
     * @param bootId of the host when it was started; another boot id means that nothing of it runs
     * @param ranAt when the guest was first seen running
     * @param version the VMM's own version, empty until it has answered
     */
    public record Launch(LaunchSpec spec, String bootId, Instant startedAt, Optional<Instant> ranAt, String version) {
        public Launch withRan(Instant at, String seenVersion) {
            return new Launch(spec, bootId, startedAt, Optional.of(at), seenVersion);
        }
    }

    /**
     * How far a stop has come. The rungs are climbed in order, each written down before it is tried.
     *
     * @param rungAt when the rung was tried last
     * @param tries how often this rung was begun
     * @param done whether the host took it; a crash in between leaves false
     */
    public record Stop(
            Instant askedAt, Reason reason, Rung rung, Instant rungAt, Instant pressedAt, int tries, boolean done) {
        /** A rung that was tried once and taken. */
        public Stop(Instant askedAt, Reason reason, Rung rung, Instant rungAt, Instant pressedAt) {
            this(askedAt, reason, rung, rungAt, pressedAt, 1, true);
        }

        public Stop begun(Rung next, Instant at) {
            return new Stop(askedAt, reason, next, at, pressedAt, next == rung && !done ? tries + 1 : 1, false);
        }

        public Stop taken() {
            return new Stop(askedAt, reason, rung, rungAt, pressedAt, tries, true);
        }
    }

    public enum Rung {
        POWER_BUTTON,
        POWER_OFF,
        TERMINATE,
        KILL
    }

    /** {@code generation} and {@code restartToken} of the launch that ended. */
    public record Exit(Reason reason, String message, Instant at, long generation, String restartToken) {}

    /** A VM that was never started here. */
    public static VmRecord of(VmId id, int userId, List<DesiredNic> nics, List<String> retained, Duration grace) {
        return new VmRecord(
                id,
                userId,
                nics,
                retained,
                grace,
                Optional.empty(),
                Optional.empty(),
                Optional.empty(),
                0,
                0,
                Optional.empty());
    }

    public VmRecord withAsked(int newUserId, List<DesiredNic> newNics, List<String> newRetained, Duration newGrace) {
        return new VmRecord(
                id, newUserId, newNics, newRetained, newGrace, launch, stop, lastExit, restarts, failures, lastRun);
    }

    public VmRecord withLaunch(Launch newLaunch, int newRestarts) {
        return new VmRecord(
                id,
                userId,
                nics,
                retained,
                grace,
                Optional.of(newLaunch),
                Optional.empty(),
                lastExit,
                newRestarts,
                failures,
                lastRun);
    }

    public VmRecord withoutLaunch(int newRestarts, int newFailures) {
        return new VmRecord(
                id,
                userId,
                nics,
                retained,
                grace,
                Optional.empty(),
                Optional.empty(),
                lastExit,
                newRestarts,
                newFailures,
                lastRun);
    }

    public VmRecord withStop(Stop newStop) {
        return new VmRecord(
                id, userId, nics, retained, grace, launch, Optional.of(newStop), lastExit, restarts, failures, lastRun);
    }

    public VmRecord withFailures(int newFailures) {
        return new VmRecord(id, userId, nics, retained, grace, launch, stop, lastExit, restarts, newFailures, lastRun);
    }

    public VmRecord withExit(Exit exit, int newFailures) {
        return new VmRecord(
                id,
                userId,
                nics,
                retained,
                grace,
                Optional.empty(),
                Optional.empty(),
                Optional.of(exit),
                restarts,
                newFailures,
                launch.filter(l -> l.ranAt().isPresent()).map(Launch::spec).or(() -> lastRun));
    }
}
