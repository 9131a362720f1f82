package dev.vmlet.plan;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.model.Given;
import dev.vmlet.model.Seen;
import dev.vmlet.model.StoreStamp;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class StoreAgeTest {
    private static final StoreStamp TOLD = new StoreStamp("lease-1", Given.NOW);

    private static Optional<String> wentBack(Seen<StoreStamp> found) {
        return StoreAge.wentBack(Optional.of(TOLD), found);
    }

    @Test
    void aStoreThatHasOurLastWordIsAsOldAsEver() {
        assertThat(wentBack(Seen.present(TOLD))).isEmpty();
    }

    @Test
    void aWordWhoseAnswerWasLostIsOursToo() {
        assertThat(wentBack(Seen.present(new StoreStamp("lease-1", Given.NOW.plusSeconds(10)))))
                .isEmpty();
    }

    @Test
    void aStoreThatHasAnEarlierWordOrNoneOrAnotherLeaseWentBack() {
        assertThat(wentBack(Seen.present(new StoreStamp("lease-1", Given.NOW.minusSeconds(10)))))
                .contains("this node renewed its Lease at 2026-01-01T12:00:00Z, and the API server knows of"
                        + " 2026-01-01T11:59:50Z");
        assertThat(wentBack(Seen.missing())).contains("this node's Lease, renewed at 2026-01-01T12:00:00Z, is gone");
        assertThat(wentBack(Seen.present(new StoreStamp("lease-2", Given.NOW.plusSeconds(10)))))
                .contains("this node's Lease is another object than the one renewed at 2026-01-01T12:00:00Z");
    }

    @Test
    void whoWasNotAskedAndWhoNeverSpokeProveNothing() {
        assertThat(wentBack(Seen.unknown("timeout"))).isEmpty();
        assertThat(StoreAge.wentBack(Optional.empty(), Seen.missing())).isEmpty();
        assertThat(StoreAge.wentBack(Optional.empty(), Seen.present(TOLD))).isEmpty();
    }
}
