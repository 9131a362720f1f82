package dev.vmlet.controller;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.time.Instant;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class LeaseWatchTest {
    private static final Instant T0 = Instant.parse("2026-01-01T12:00:00Z");
    private static final Optional<Instant> FIRST = Optional.of(Instant.parse("2020-01-01T00:00:00Z"));

    private final LeaseWatch watch = new LeaseWatch();

    private long left(Optional<Instant> written, long second) {
        return watch.left("a", written, Duration.ofSeconds(40), T0.plusSeconds(second))
                .toSeconds();
    }

    @Test
    void aLeaseCountsFromWhenItsRenewalWasSeenWhateverItsClockSays() {
        assertThat(left(FIRST, 0)).isEqualTo(40);
        assertThat(left(FIRST, 39)).isEqualTo(1);
        assertThat(left(FIRST, 40)).isZero();
        assertThat(watch.since("a")).contains(T0);
        assertThat(left(FIRST.map(t -> t.plusSeconds(1)), 41)).isEqualTo(40);
    }

    @Test
    void aLossIsToldOfEachVmOnceUntilTheLeaseIsRenewed() {
        assertThat(left(FIRST, 0)).isEqualTo(40);
        watch.told("a", "vm-1");
        assertThat(watch.isTold("a", "vm-1")).isTrue();
        assertThat(watch.isTold("a", "vm-2")).isFalse();
        assertThat(left(FIRST, 100)).isNegative();
        assertThat(watch.isTold("a", "vm-1")).isTrue();
        assertThat(watch.left("a", FIRST.map(t -> t.plusSeconds(9)), Duration.ofSeconds(40), T0.plusSeconds(101)))
                .isEqualTo(Duration.ofSeconds(40));
        assertThat(watch.isTold("a", "vm-1")).isFalse();
    }

    @Test
    void answersOfTheApiServerAddUpUntilItIsSilentOrTellsOfARenewal() {
        assertThat(left(FIRST, 0)).isEqualTo(40);
        assertThat(watch.answering("a", T0.plusSeconds(20))).isZero();
        assertThat(watch.answering("a", T0.plusSeconds(30))).isEqualTo(Duration.ofSeconds(10));
        watch.silent("a");
        assertThat(watch.answering("a", T0.plusSeconds(40))).isZero();
        assertThat(left(FIRST.map(t -> t.plusSeconds(1)), 50)).isEqualTo(40);
        assertThat(watch.answering("a", T0.plusSeconds(60))).isZero();
    }
}
