package dev.vmlet.host;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.model.Ipv4Address;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class LeasesTest {
    private final Leases leases = new Leases();

    private Optional<String> heard(String... spoken) {
        List<Ipv4Address> all = Stream.of(spoken).map(Ipv4Address::parse).toList();
        return leases.of("vm-1", "lan-1", all).map(Ipv4Address::toString);
    }

    @Test
    void aGuestKeepsItsAddressUntilItIsHeardWithOthersAlone() {
        assertThat(heard()).isEmpty();
        assertThat(heard("192.168.1.77")).contains("192.168.1.77");
        assertThat(heard("192.168.1.99", "192.168.1.77")).contains("192.168.1.77");
        assertThat(heard()).contains("192.168.1.77");
        assertThat(heard("192.168.1.99")).contains("192.168.1.99");
        leases.forget("vm-1");
        assertThat(heard()).isEmpty();
    }

    @Test
    void whatAGuestTakesWhileItWaitsGivesWayToWhatTheLanGivesIt() {
        assertThat(heard("169.254.7.7")).contains("169.254.7.7");
        assertThat(heard("192.168.1.77", "169.254.7.7")).contains("192.168.1.77");
    }

    @Test
    void guestsAndNetworksHaveTheirOwn() {
        assertThat(heard("192.168.1.77")).contains("192.168.1.77");
        assertThat(leases.of("vm-1", "lan-2", List.of())).isEmpty();
        assertThat(leases.of("vm-2", "lan-1", List.of())).isEmpty();
    }
}
