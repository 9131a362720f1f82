package dev.vmlet.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.doctor.Finding;
import dev.vmlet.doctor.Finding.Verdict;
import java.util.List;
import org.junit.jupiter.api.Test;

class DoctorCommandTest {
    private static final Finding FINE = new Finding(Verdict.OK, "kvm", "KVM works", "");
    private static final Finding WARNING = new Finding(Verdict.WARN, "uplink", "no \"way\" out", "ip route add");
    private static final Finding FAILURE = new Finding(Verdict.FAIL, "tun", "no tun", "modprobe tun");

    @Test
    void theLastLineSumsUp() {
        assertThat(DoctorCommand.summary(List.of(FINE))).isEqualTo("All is well: guests can run here.");
        assertThat(DoctorCommand.summary(List.of(FINE, WARNING))).isEqualTo("Guests can run here; 1 warning.");
        assertThat(DoctorCommand.summary(List.of(FAILURE, WARNING, WARNING)))
                .isEqualTo("Guests cannot run here: 1 failure, 2 warnings.");
        assertThat(DoctorCommand.summary(List.of(FAILURE, FAILURE))).isEqualTo("Guests cannot run here: 2 failures.");
    }

    @Test
    void machinesGetTheSameAsJson() throws Exception {
        assertThat(DoctorCommand.json(List.of(FINE, WARNING))).isEqualToNormalizingNewlines("""
                        {
                          "verdict" : "warn",
                          "findings" : [ {
                            "verdict" : "ok",
                            "check" : "kvm",
                            "what" : "KVM works",
                            "remedy" : ""
                          }, {
                            "verdict" : "warn",
                            "check" : "uplink",
                            "what" : "no \\"way\\" out",
                            "remedy" : "ip route add"
                          } ]
                        }""");
    }
}
