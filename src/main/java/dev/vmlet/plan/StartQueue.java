package dev.vmlet.plan;

import dev.vmlet.model.Reason;
import dev.vmlet.model.VmRecord;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Which guests may start now: a few at a time, the others in the order in which they asked. A value; each question gives
 * the next one.
 *
 * <pre>
 *  (nothing) --ask, a place is free--> starting --settle: it runs, or came to nothing--> (nothing)
 *  (nothing) --ask, none is----------> waiting --ask, its turn--> starting
 *                                      waiting --settle: it wants no start any more, or is silent for 30 s--> (nothing)
 *                                      starting --60 s--> (nothing): it hangs, and the others go on
 * </pre>
 *
 * A guest has its place until its VMM says that it runs, not until it is Ready: what many starts at once would exhaust
 * is what the VMM does before, reading disks and taking memory; how long a guest then takes to open a port is between
 * it and its own limits, and a port that never opens must not keep others waiting.
 *
 * @param starting VM uids with the moment they got their place, oldest first
 * @param waiting VM uids with the moment they asked last, in the order of their turns
 */
public record StartQueue(int parallelism, Map<String, Instant> starting, Map<String, Instant> waiting) {
    /** A start that takes longer counts no more. */
    static final Duration START_PATIENCE = Duration.ofSeconds(60);
    /** Who waits asks again as often, so that it is known to wait still. */
    public static final Duration ASK_AGAIN = Duration.ofSeconds(10);
    /** Who has not asked for so long has gone, or has other troubles. */
    static final Duration SILENCE = ASK_AGAIN.multipliedBy(3);

    public StartQueue {
        if (parallelism < 1) {
            throw new IllegalArgumentException("at least one guest must start at once, not " + parallelism);
        }
        starting = copy(starting);
        waiting = copy(waiting);
    }

    /**
     * @param next the queue after the question
     * @param before how many are ahead of who asked; empty: it may start
     */
    public record Answer(StartQueue next, Optional<Integer> before) {}

    /** As an agent finds it that starts: those whose start an earlier one has begun. */
    public static StartQueue of(int parallelism, List<VmRecord> records, String bootId) {
        Map<String, Instant> starting = new LinkedHashMap<>();
        for (VmRecord record : records) {
            record.launch()
                    .filter(launch -> launch.bootId().equals(bootId)
                            && launch.ranAt().isEmpty()
                            && record.stop().isEmpty())
                    .ifPresent(launch -> starting.put(record.id().uid(), launch.startedAt()));
        }
        return new StartQueue(parallelism, starting, Map.of());
    }

    /** The VM is about to start. */
    public Answer ask(String uid, Instant now) {
        StartQueue current = at(now);
        Map<String, Instant> places = new LinkedHashMap<>(current.starting);
        Map<String, Instant> line = new LinkedHashMap<>(current.waiting);
        places.remove(uid);
        int ahead = line.containsKey(uid) ? List.copyOf(line.keySet()).indexOf(uid) : line.size();
        if (ahead < parallelism - places.size()) {
            line.remove(uid);
            places.put(uid, now);
            return new Answer(new StartQueue(parallelism, places, line), Optional.empty());
        }
        // A new value of a key that is there keeps its place in the line.
        line.put(uid, now);
        return new Answer(new StartQueue(parallelism, places, line), Optional.of(ahead));
    }

    /** The VM neither starts nor waits to, any more. */
    public StartQueue settle(String uid) {
        if (!starting.containsKey(uid) && !waiting.containsKey(uid)) {
            return this;
        }
        Map<String, Instant> places = new LinkedHashMap<>(starting);
        Map<String, Instant> line = new LinkedHashMap<>(waiting);
        places.remove(uid);
        line.remove(uid);
        return new StartQueue(parallelism, places, line);
    }

    /** Those who wait and whose turn it is. */
    public List<String> turns(Instant now) {
        StartQueue current = at(now);
        return current.waiting.keySet().stream()
                .limit(Math.max(0, parallelism - current.starting.size()))
                .toList();
    }

    /** Without those whose time is over. A clock that was set back does not keep them for longer. */
    private StartQueue at(Instant now) {
        return new StartQueue(parallelism, within(starting, now, START_PATIENCE), within(waiting, now, SILENCE));
    }

    private static Map<String, Instant> within(Map<String, Instant> all, Instant now, Duration patience) {
        Map<String, Instant> left = new LinkedHashMap<>();
        all.forEach((uid, since) -> {
            if (Duration.between(since, now).abs().compareTo(patience) < 0) {
                left.put(uid, since);
            }
        });
        return left;
    }

    /** Whether the plan starts a guest. */
    public static boolean starts(Plan plan) {
        return plan.steps().stream().anyMatch(planned -> planned.step() instanceof Step.SpawnVmm);
    }

    /**
     * What of the plan can be done before its VM's turn has come: all but the start and the note of it. Its message does
     * not tell how many are ahead: with each start it would be another for all who wait, and be written for each.
     */
    public Plan hold(Plan plan) {
        List<PlannedStep> steps = new ArrayList<>();
        for (PlannedStep planned : plan.steps()) {
            boolean start = planned.step() instanceof Step.SpawnVmm
                    || planned.step() instanceof Step.WriteVmRecord(VmRecord record, String _)
                            && record.launch().isPresent();
            if (!start) {
                steps.add(planned);
            }
        }
        String message = "Waits for its turn: " + parallelism + (parallelism == 1 ? " guest starts" : " guests start")
                + " at once (--start-parallelism).";
        return new Plan(steps, Optional.of(new Plan.Wait(Reason.WaitingForTurn, message, ASK_AGAIN)));
    }

    private static Map<String, Instant> copy(Map<String, Instant> ordered) {
        return java.util.Collections.unmodifiableMap(new LinkedHashMap<>(ordered));
    }
}
