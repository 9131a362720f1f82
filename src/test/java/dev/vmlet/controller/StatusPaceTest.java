package dev.vmlet.controller;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.controller.StatusPace.Change;
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
        assertThat(pace.left("vm-1", Plan.nothing(), Change.NEWS, NOW)).isEqualTo(Duration.ZERO);
        assertThat(pace.left("vm-1", LASTING, Change.NEWS, NOW)).isEqualTo(Duration.ZERO);
    }

    @Test
    void leavesAPassingStateUnwrittenButNotForLong() {
        assertThat(pace.left("vm-1", PASSING, Change.NEWS, NOW)).isEqualTo(StatusPace.LATEST);
        assertThat(pace.left("vm-1", PASSING, Change.NEWS, NOW.plusMillis(100)))
                .isEqualTo(StatusPace.LATEST.minusMillis(100));
        assertThat(pace.left("vm-1", PASSING, Change.NEWS, NOW.plus(StatusPace.LATEST)))
                .isEqualTo(Duration.ZERO);
        assertThat(pace.left("vm-1", PASSING, Change.NEWS, NOW.plusSeconds(5))).isNegative();
    }

    @Test
    void letsAStartThatIsToldOfGoFurtherForAWhileButTellsAtOnceWhatHoldsItUp() {
        Change further = Change.A_STEP_FURTHER;
        assertThat(pace.left("vm-1", PASSING, further, NOW)).isEqualTo(StatusPace.LATEST_STEP);
        assertThat(pace.left("vm-1", PASSING, further, NOW.plus(StatusPace.LATEST_STEP)))
                .isEqualTo(Duration.ZERO);
        assertThat(pace.left("vm-1", LASTING, further, NOW)).isEqualTo(Duration.ZERO);
    }

    @Test
    void waitsAMomentForTheFirstAnswerOfAGuestThatWasThereBefore() {
        assertThat(pace.left("vm-1", Plan.nothing(), Change.BEFORE_A_KNOCK, NOW))
                .isEqualTo(StatusPace.LATEST);
        assertThat(pace.left("vm-1", Plan.nothing(), Change.BEFORE_A_KNOCK, NOW.plus(StatusPace.LATEST)))
                .isEqualTo(Duration.ZERO);
    }

    @Test
    void countsForEachObjectAndAnewAfterAWrite() {
        assertThat(pace.left("vm-1", PASSING, Change.NEWS, NOW)).isEqualTo(StatusPace.LATEST);
        assertThat(pace.left("vm-2", PASSING, Change.NEWS, NOW.plusSeconds(1))).isEqualTo(StatusPace.LATEST);
        pace.sent("vm-1");
        assertThat(pace.left("vm-1", PASSING, Change.NEWS, NOW.plusSeconds(1))).isEqualTo(StatusPace.LATEST);
    }

    @Test
    void tellsWhatOnlyWaitsOneAfterAnother() {
        Plan none = Plan.nothing();
        assertThat(pace.left("vm-1", none, Change.WHAT_WAITS, NOW)).isEqualTo(StatusPace.SOON);
        assertThat(pace.left("vm-2", none, Change.WHAT_WAITS, NOW)).isEqualTo(StatusPace.SOON.plus(StatusPace.APART));
        assertThat(pace.left("vm-3", LASTING, Change.WHAT_WAITS, NOW))
                .isEqualTo(StatusPace.SOON.plus(StatusPace.APART.multipliedBy(2)));
        Instant later = NOW.plus(StatusPace.SOON);
        assertThat(pace.left("vm-1", none, Change.WHAT_WAITS, later)).isEqualTo(Duration.ZERO);
        pace.written("vm-1");
        // Behind those who wait already; with nobody there, soon.
        assertThat(pace.left("vm-1", none, Change.WHAT_WAITS, later))
                .isEqualTo(StatusPace.SOON.plus(StatusPace.APART.multipliedBy(2)));
        assertThat(pace.left("vm-4", none, Change.WHAT_WAITS, NOW.plusSeconds(60)))
                .isEqualTo(StatusPace.SOON);
    }

    @Test
    void turnsThatWereGivenUpPushNobodyFarAway() {
        for (int edit = 0; edit < 500; edit++) {
            pace.left("vm-" + edit, Plan.nothing(), Change.WHAT_WAITS, NOW);
            pace.written("vm-" + edit);
        }
        assertThat(pace.left("vm-web", Plan.nothing(), Change.WHAT_WAITS, NOW)).isEqualTo(StatusPace.SOON);
    }

    @Test
    void tellsAtOnceWhatIsMoreThanThat() {
        assertThat(pace.left("vm-1", Plan.nothing(), Change.WHAT_WAITS, NOW)).isEqualTo(StatusPace.SOON);
        assertThat(pace.left("vm-1", Plan.nothing(), Change.NEWS, NOW)).isEqualTo(Duration.ZERO);
    }

    @Test
    void anApiServerThatDoesNotKeepUpIsSentLessUntilItDoes() {
        assertThat(refusedUntil(NOW)).isEqualTo(Duration.ofSeconds(2));
        // One burst is one reason.
        assertThat(refusedUntil(NOW.plusSeconds(1))).isEqualTo(Duration.ofSeconds(2));
        assertThat(refusedUntil(NOW.plusSeconds(2))).isEqualTo(Duration.ofSeconds(4));
        assertThat(refusedUntil(NOW.plusSeconds(10))).isEqualTo(Duration.ofSeconds(8));
        assertThat(refusedUntil(NOW.plusSeconds(20))).isEqualTo(Duration.ofSeconds(16));
        assertThat(refusedUntil(NOW.plusSeconds(40))).isEqualTo(StatusPace.FAR);
        assertThat(refusedUntil(NOW.plusSeconds(80))).isEqualTo(StatusPace.FAR);
        Instant later = NOW.plusSeconds(1000);
        // News comes sooner than what waits, but one after another too.
        assertThat(pace.left("vm-1", Plan.nothing(), Change.NEWS, later)).isEqualTo(Duration.ZERO);
        assertThat(pace.left("vm-2", Plan.nothing(), Change.NEWS, later)).isEqualTo(StatusPace.FAR.dividedBy(4));
        for (int arrived = 0; arrived < 5; arrived++) {
            pace.sent("vm-1");
            pace.written("vm-1");
            // A look at an object of which nothing was sent says nothing.
            pace.written("vm-3");
        }
        assertThat(apart(later)).isEqualTo(StatusPace.APART);
        assertThat(pace.left("vm-4", Plan.nothing(), Change.NEWS, later)).isEqualTo(Duration.ZERO);
        assertThat(pace.left("vm-5", Plan.nothing(), Change.NEWS, later)).isEqualTo(Duration.ZERO);
    }

    @Test
    void aRefusalOfWhatThisNodeDidNotSendSlowsNothing() {
        pace.refused("vm-1", NOW);
        pace.sent("vm-1");
        pace.forget("vm-1");
        pace.refused("vm-1", NOW);
        assertThat(apart(NOW)).isEqualTo(StatusPace.APART);
    }

    private Duration refusedUntil(Instant now) {
        pace.sent("vm-0");
        pace.refused("vm-0", now);
        return apart(now);
    }

    /** Between the turns of two that wait. */
    private Duration apart(Instant now) {
        Instant quiet = now.plus(Duration.ofHours(1));
        Duration first = pace.left("one", Plan.nothing(), Change.WHAT_WAITS, quiet);
        Duration second = pace.left("two", Plan.nothing(), Change.WHAT_WAITS, quiet);
        pace.forget("one");
        pace.forget("two");
        return second.minus(first);
    }
}
