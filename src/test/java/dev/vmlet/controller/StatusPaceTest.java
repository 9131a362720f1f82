package dev.vmlet.controller;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.model.Reason;
import dev.vmlet.plan.Plan;
import java.time.Duration;
import java.time.Instant;
import org.junit.jupiter.api.Test;

class StatusPaceTest {
    private static final Instant NOW = Instant.parse("2026-01-01T12:00:00Z");
    private static final Plan PASSING = Plan.waiting(Reason.Starting, "soon", Duration.ofMillis(100));
    private static final Plan LASTING = Plan.waiting(Reason.ForeignObject, "in the way", Duration.ofSeconds(30));

    private final StatusPace pace = new StatusPace();

    @Test
    void writesWhatIsNoPassingStateAtOnce() {
        assertThat(pace.left("vm-1", Plan.nothing(), NOW)).isEqualTo(Duration.ZERO);
        assertThat(pace.left("vm-1", LASTING, NOW)).isEqualTo(Duration.ZERO);
    }

    @Test
    void leavesAPassingStateUnwrittenButNotForLong() {
        assertThat(pace.left("vm-1", PASSING, NOW)).isEqualTo(StatusPace.LATEST);
        assertThat(pace.left("vm-1", PASSING, NOW.plusMillis(100))).isEqualTo(StatusPace.LATEST.minusMillis(100));
        assertThat(pace.left("vm-1", PASSING, NOW.plus(StatusPace.LATEST))).isEqualTo(Duration.ZERO);
        assertThat(pace.left("vm-1", PASSING, NOW.plusSeconds(5))).isNegative();
    }

    @Test
    void countsForEachObjectAndAnewAfterAWrite() {
        assertThat(pace.left("vm-1", PASSING, NOW)).isEqualTo(StatusPace.LATEST);
        assertThat(pace.left("vm-2", PASSING, NOW.plusSeconds(1))).isEqualTo(StatusPace.LATEST);
        pace.written("vm-1");
        assertThat(pace.left("vm-1", PASSING, NOW.plusSeconds(1))).isEqualTo(StatusPace.LATEST);
    }
}
