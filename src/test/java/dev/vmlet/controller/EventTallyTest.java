package dev.vmlet.controller;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.controller.EventTally.Count;
import dev.vmlet.controller.EventTally.Deed;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class EventTallyTest {
    private static final EventTally.Key KEY =
            new EventTally.Key("vm-1", "Normal", "Repaired", "set vmt-a up, because the tap is down");
    private static final Instant T0 = Instant.parse("2026-01-01T12:00:00Z");

    private final EventTally tally = new EventTally();

    private void created() {
        assertThat(tally.saw(KEY, T0)).isEqualTo(Deed.CREATE);
        tally.created(KEY, "lab", "web.1", T0);
    }

    private static Count count(int count, long second) {
        return new Count("lab", "web.1", count, T0.plusSeconds(second));
    }

    @Test
    void whatIsRepeatedWithinAMinuteIsCountedWhenTheMinuteIsOver() {
        created();
        assertThat(tally.due(KEY)).isEmpty();
        assertThat(tally.saw(KEY, T0.plusSeconds(5))).isEqualTo(Deed.COUNT_LATER);
        assertThat(tally.saw(KEY, T0.plusSeconds(7))).isEqualTo(Deed.NOTHING);
        assertThat(tally.due(KEY)).contains(count(3, 7));
        tally.counted(KEY, count(3, 7), T0.plusSeconds(65));
        assertThat(tally.due(KEY)).isEmpty();
        assertThat(tally.saw(KEY, T0.plusSeconds(70))).isEqualTo(Deed.COUNT_LATER);
    }

    @Test
    void whatIsRepeatedLaterIsCountedAtOnce() {
        created();
        assertThat(tally.saw(KEY, T0.plusSeconds(60))).isEqualTo(Deed.COUNT);
        assertThat(tally.due(KEY)).contains(count(2, 60));
    }

    @Test
    void afterTenMinutesOfSilenceItIsAnotherEvent() {
        created();
        assertThat(tally.saw(KEY, T0.plusSeconds(599))).isEqualTo(Deed.COUNT);
        tally.counted(KEY, count(2, 599), T0.plusSeconds(599));
        assertThat(tally.saw(KEY, T0.plusSeconds(599 + 600))).isEqualTo(Deed.CREATE);
    }

    @Test
    void aCountThatCouldNotBeWrittenIsWrittenWithTheNext() {
        created();
        assertThat(tally.saw(KEY, T0.plusSeconds(5))).isEqualTo(Deed.COUNT_LATER);
        tally.notCounted(KEY);
        assertThat(tally.allDue()).isEqualTo(List.of(KEY));
        assertThat(tally.saw(KEY, T0.plusSeconds(6))).isEqualTo(Deed.COUNT_LATER);
        assertThat(tally.due(KEY)).contains(count(3, 6));
    }

    @Test
    void anEventThatSomebodyDeletedIsMadeAnew() {
        created();
        tally.gone(KEY);
        assertThat(tally.saw(KEY, T0.plusSeconds(6))).isEqualTo(Deed.CREATE);
    }

    /** Every occurrence is counted in the end, with at most one write a minute. */
    @Test
    void countsEverythingWithBoundedWrites() {
        for (int seed = 0; seed < 500; seed++) {
            SplittableRandom random = new SplittableRandom(seed);
            EventTally some = new EventTally();
            int seen = 0;
            int last = 0;
            Instant now = T0;
            Instant lastWrite = Instant.MIN;
            Optional<Instant> due = Optional.empty();
            for (int i = 0; i < 100; i++) {
                now = now.plusMillis(random.nextInt(40_000));
                boolean write = due.isPresent() && !now.isBefore(due.get());
                if (write) {
                    due = Optional.empty();
                } else {
                    seen++;
                    switch (some.saw(KEY, now)) {
                        case CREATE -> {
                            some.created(KEY, "lab", "web.1", now);
                            last = 1;
                            lastWrite = now;
                        }
                        case COUNT -> write = true;
                        case COUNT_LATER -> due = Optional.of(now.plus(EventTally.COUNTED));
                        case NOTHING -> {}
                    }
                }
                if (write && some.due(KEY).isPresent()) {
                    assertThat(now).as("seed %d", seed).isAfterOrEqualTo(lastWrite.plus(EventTally.COUNTED));
                    last = some.due(KEY).get().count();
                    some.counted(KEY, some.due(KEY).get(), now);
                    lastWrite = now;
                }
            }
            assertThat(some.due(KEY).map(Count::count).orElse(last))
                    .as("seed %d", seed)
                    .isEqualTo(seen);
        }
    }
}
