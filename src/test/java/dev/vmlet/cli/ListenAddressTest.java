package dev.vmlet.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import picocli.CommandLine.TypeConversionException;

class ListenAddressTest {
    @Test
    void isALoopbackAddressAndAPort() {
        assertThat(ListenAddress.parse("127.0.0.1:6443").socket()).hasToString("/127.0.0.1:6443");
        assertThat(ListenAddress.parse("127.0.0.2:0").socket()).hasToString("/127.0.0.2:0");
        assertThat(ListenAddress.parse("[::1]:65535").socket()).hasToString("/[0:0:0:0:0:0:0:1]:65535");
    }

    @Test
    void saysWhatItsFormIs() {
        for (String wrong : new String[] {"6443", "localhost:6443", "127.0.0.1", "127.0.0.1:65536", "::1:6443", ""}) {
            assertThatThrownBy(() -> ListenAddress.parse(wrong))
                    .isInstanceOf(TypeConversionException.class)
                    .hasMessage("'" + wrong + "' is not ADDRESS:PORT, for example 127.0.0.1:6443, or 127.0.0.1:0 for a"
                            + " free port");
        }
        assertThatThrownBy(() -> ListenAddress.parse("127.0.0.999:1")).hasMessageContaining("no IP address");
    }

    @Test
    void isNeverOpenToOthers() {
        for (String open : new String[] {"0.0.0.0:6443", "192.0.2.2:6443", "[::]:6443"}) {
            assertThatThrownBy(() -> ListenAddress.parse(open))
                    .hasMessageContaining("is not a loopback address")
                    .hasMessageContaining("ssh -L");
        }
    }
}
