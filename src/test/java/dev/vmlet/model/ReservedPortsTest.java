package dev.vmlet.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ReservedPortsTest {
    private static List<Integer> of(String text, int... ports) {
        ReservedPorts reserved = ReservedPorts.parse(text);
        return IntStream.of(ports)
                .filter(port -> reserved.contains(new ServicePort(Protocol.UDP, port)))
                .boxed()
                .toList();
    }

    @Test
    void aRangeHoldsBothItsEnds() {
        assertThat(of("22, 30000-30002", 21, 22, 23, 29_999, 30_000, 30_001, 30_002, 30_003))
                .isEqualTo(List.of(22, 30_000, 30_001, 30_002));
        assertThat(of("none", 22)).isEmpty();
    }

    @Test
    void theDefaultHoldsWhatTheNodeIsReachedBy() {
        assertThat(of(ReservedPorts.DEFAULT, 22, 53, 80, 443, 2379, 2380, 6443, 8080, 10_250, 10_259, 30_000, 32_767))
                .isEqualTo(List.of(22, 2379, 2380, 6443, 10_250, 10_259, 30_000, 32_767));
    }

    @ParameterizedTest
    @ValueSource(strings = {"22", "none", ReservedPorts.DEFAULT})
    void isWrittenAsItIsRead(String text) {
        assertThat(ReservedPorts.parse(text)).hasToString(text);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "22,", "ssh", "22:23", "-22", "22-23-24"})
    void whatIsNoListOfPortsIsRefused(String text) {
        assertThatThrownBy(() -> ReservedPorts.parse(text))
                .hasMessage("ports and ranges with commas between expected, such as 22,30000-32767, or none, not '"
                        + text + "'");
    }

    @ParameterizedTest
    @ValueSource(strings = {"0-0", "65535-65536", "23-22"})
    void whatIsNoRangeOfPortsIsRefused(String text) {
        assertThatThrownBy(() -> ReservedPorts.parse(text))
                .hasMessage(text + " is no range of ports: 1 to 65535 expected, the smaller one first");
    }
}
