package dev.vmlet.host.net;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.doctor.ForwardChain;
import dev.vmlet.doctor.ForwardChain.Let;
import dev.vmlet.doctor.ForwardChain.Side;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

class LegacyIptablesTest {
    @Test
    void readsPolicyChainsAndWhatLetsPass() {
        assertThat(ForeignFirewalls.legacy(List.of(
                        "-P INPUT ACCEPT",
                        "-P FORWARD DROP",
                        "-N DOCKER-USER",
                        "-A FORWARD -j DOCKER-USER",
                        "-A FORWARD -s 10.208.0.0/12 -j ACCEPT",
                        "-A DOCKER-USER -i vmb-+ -o eth0 -j ACCEPT",
                        "-A DOCKER-USER ! -i eth1 -j ACCEPT",
                        "-A FORWARD -d 10.0.0.0/8 -j DROP")))
                .isEqualTo(new ForwardChain(
                        "legacy",
                        "filter",
                        "FORWARD",
                        true,
                        Set.of("DOCKER-USER"),
                        List.of(
                                new Let(Side.FROM, "10.208.0.0/12"),
                                new Let(Side.FROM, "vmb-*"),
                                new Let(Side.TO, "eth0"))));
    }

    @Test
    void aRuleWithoutAConditionCountsAsThePolicy() {
        assertThat(ForeignFirewalls.legacy(
                                List.of("-P FORWARD ACCEPT", "-A FORWARD -j REJECT --reject-with icmp-host-prohibited"))
                        .drops())
                .isTrue();
        assertThat(ForeignFirewalls.legacy(List.of("-P FORWARD ACCEPT", "-A FORWARD -i a -j DROP", "-A OTHER -j DROP"))
                        .drops())
                .isFalse();
    }
}
