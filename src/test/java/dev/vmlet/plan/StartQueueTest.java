package dev.vmlet.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.Given;
import dev.vmlet.model.Reason;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmRecord;
import dev.vmlet.model.VmRecord.Launch;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class StartQueueTest {
    private static final Instant NOW = Given.NOW;
    private static final Launch BEGUN = new Launch(Given.launch().spec(), Given.BOOT, NOW, Optional.empty(), "");

    private StartQueue queue = new StartQueue(2, Map.of(), Map.of());

    private Optional<Integer> ask(String uid, Instant now) {
        StartQueue.Answer answer = queue.ask(uid, now);
        queue = answer.next();
        return answer.before();
    }

    @Test
    void startsAFewAndKnowsOfTheOthersHowManyAreBeforeThem() {
        assertThat(ask("a", NOW)).isEmpty();
        assertThat(ask("b", NOW)).isEmpty();
        assertThat(ask("c", NOW)).contains(0);
        assertThat(ask("d", NOW)).contains(1);
        assertThat(ask("c", NOW)).contains(0);
        assertThat(queue.turns(NOW)).isEmpty();

        queue = queue.settle("b");
        assertThat(queue.turns(NOW)).containsExactly("c");
        assertThat(ask("d", NOW)).contains(1);
        assertThat(ask("e", NOW)).contains(2);
        assertThat(ask("c", NOW)).isEmpty();
    }

    @Test
    void aStartThatHangsGivesItsPlaceAwayAfterAMinute() {
        ask("a", NOW);
        ask("b", NOW);
        assertThat(ask("c", NOW.plusSeconds(59))).contains(0);
        assertThat(ask("c", NOW.plusSeconds(60))).isEmpty();
    }

    @Test
    void whoDoesNotComeWhenItsTurnHasComeDoesNotKeepTheOthers() {
        ask("a", NOW);
        ask("b", NOW);
        assertThat(ask("gone", NOW)).contains(0);
        assertThat(ask("c", NOW)).contains(1);
        queue = queue.settle("a");
        assertThat(ask("c", NOW.plusSeconds(29))).isEqualTo(Optional.of(1));
        assertThat(ask("c", NOW.plusSeconds(30))).isEmpty();
    }

    @Test
    void anAgentThatStartsCountsTheStartsOfTheOneBeforeIt() {
        VmRecord idle = record("idle");
        VmRecord starting = record("starting").withLaunch(BEGUN, 0);
        VmRecord runs = record("runs").withLaunch(BEGUN.withRan(NOW, "1.0"), 0);
        VmRecord ofAnotherBoot =
                record("another-boot").withLaunch(new Launch(BEGUN.spec(), "boot-0", NOW, Optional.empty(), ""), 0);
        VmRecord stops = starting("stops")
                .withStop(new VmRecord.Stop(NOW, Reason.StoppedOnRequest, VmRecord.Rung.POWER_BUTTON, NOW, NOW));
        assertThat(StartQueue.of(3, List.of(idle, starting, runs, ofAnotherBoot, stops), Given.BOOT))
                .isEqualTo(new StartQueue(3, Map.of("starting", NOW), Map.of()));
    }

    @Test
    void whatWaitsDoesAllButStartAndSaysWhy() {
        List<PlannedStep> before = List.of(
                new PlannedStep(new Step.WriteVmRecord(record("vm-1"), "addresses"), "new"),
                new PlannedStep(new Step.SetLinkUp(Given.nic().tap()), "it is down"));
        List<PlannedStep> steps = new ArrayList<>(before);
        steps.add(new PlannedStep(new Step.WriteVmRecord(starting("vm-1"), "what is started"), "it is to run"));
        steps.add(new PlannedStep(new Step.SpawnVmm(BEGUN.spec()), "it is to run"));
        Plan plan = new Plan(steps, Optional.of(new Plan.Wait(Reason.Starting, "waiting", Duration.ofMillis(100))));

        assertThat(StartQueue.starts(plan)).isTrue();
        Plan held = queue.hold(plan);
        assertThat(held)
                .isEqualTo(new Plan(
                        before,
                        Optional.of(new Plan.Wait(
                                Reason.WaitingForTurn,
                                "Waits for its turn: 2 guests start at once (--start-parallelism).",
                                Duration.ofSeconds(10)))));
        assertThat(StartQueue.starts(held)).isFalse();
    }

    @Test
    void refusesToStartNobody() {
        assertThatThrownBy(() -> new StartQueue(0, Map.of(), Map.of()))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("at least one guest must start at once, not 0");
    }

    /**
     * Guests that start, run, hang, die, are deleted and come back, asked for in any order, by an agent that dies now and
     * then. Counted beside the queue: never more than the limit start, nobody who keeps asking is overtaken, and all get
     * their turn.
     */
    @Test
    void theLimitHoldsInAnyHistoryAndEverybodyGetsATurn() {
        for (long seed = 0; seed < 5_000; seed++) {
            try {
                new History(new SplittableRandom(seed)).run();
            } catch (AssertionError e) {
                throw new AssertionError("seed " + seed, e);
            }
        }
    }

    private static final class History {
        private final SplittableRandom random;
        private final int limit;
        private StartQueue queue;
        private Instant now = NOW;
        /** The truth beside the queue: who has been let go when, and not settled. */
        private final Map<String, Instant> begun = new HashMap<>();
        /** In the order of their first question, with the moment of the last. */
        private final Map<String, Instant> line = new java.util.LinkedHashMap<>();

        History(SplittableRandom random) {
            this.random = random;
            this.limit = random.nextInt(1, 6);
            this.queue = new StartQueue(limit, Map.of(), Map.of());
        }

        void run() {
            for (int i = 0; i < 60; i++) {
                String uid = "vm-" + random.nextInt(12);
                switch (random.nextInt(10)) {
                    case 0, 1, 2, 3, 4 -> ask(uid);
                    case 5, 6 -> settle(uid);
                    case 7 -> now = now.plusMillis(random.nextInt(1, 2_000));
                    case 8 -> now = now.plusSeconds(random.nextInt(1, 40));
                    default -> restart();
                }
            }
            Set<String> all = new LinkedHashSet<>();
            for (int i = 0; i < 12; i++) {
                all.add("vm-" + i);
            }
            begun.keySet().stream().toList().forEach(this::settle);
            for (int round = 0; round < 12 && !all.isEmpty(); round++) {
                for (String uid : List.copyOf(all)) {
                    if (ask(uid)) {
                        all.remove(uid);
                    }
                }
                begun.keySet().stream().toList().forEach(this::settle);
                // Who was in the line and never comes again is dropped.
                now = now.plusSeconds(9);
            }
            assertThat(all).as("never had a turn").isEmpty();
        }

        private boolean ask(String uid) {
            StartQueue.Answer answer = queue.ask(uid, now);
            queue = answer.next();
            // Who asks has nothing running: an earlier start of it came to nothing.
            begun.remove(uid);
            begun.values().removeIf(since -> Duration.between(since, now).compareTo(Duration.ofSeconds(60)) >= 0);
            line.values().removeIf(last -> Duration.between(last, now).compareTo(Duration.ofSeconds(30)) >= 0);
            if (answer.before().isPresent()) {
                line.put(uid, now);
                return false;
            }
            long ahead = line.keySet().stream()
                    .takeWhile(other -> !other.equals(uid))
                    .count();
            line.remove(uid);
            begun.put(uid, now);
            assertThat(begun).as("start at once").hasSizeLessThanOrEqualTo(limit);
            assertThat(ahead).as("overtaken without room for them").isLessThan(limit - begun.size() + 1);
            return true;
        }

        private void settle(String uid) {
            begun.remove(uid);
            line.remove(uid);
            queue = queue.settle(uid);
        }

        /** The records are what is left of the queue. */
        private void restart() {
            List<VmRecord> records = new ArrayList<>();
            begun.forEach((uid, since) -> records.add(
                    record(uid).withLaunch(new Launch(BEGUN.spec(), Given.BOOT, since, Optional.empty(), ""), 0)));
            queue = StartQueue.of(limit, records, Given.BOOT);
            line.clear();
        }
    }

    private static VmRecord starting(String uid) {
        return record(uid).withLaunch(BEGUN, 0);
    }

    private static VmRecord record(String uid) {
        List<DesiredNic> nics = List.of();
        return VmRecord.of(new VmId(Given.NAMESPACE, uid, uid), 200_000, nics, List.of(), Duration.ofSeconds(30));
    }
}
