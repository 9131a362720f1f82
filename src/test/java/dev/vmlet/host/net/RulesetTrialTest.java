package dev.vmlet.host.net;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.doctor.RulesetPart;
import dev.vmlet.model.HostException;
import java.util.Set;
import org.junit.jupiter.api.Test;

class RulesetTrialTest {
    /** A kernel that refuses a table when the word is in it, or is its family. */
    private static Set<RulesetPart> without(String word) {
        return RulesetTrial.refused((family, chain) -> !family.equals(word) && !chain.contains(word));
    }

    @Test
    void namesThePartThatIsRefusedByItself() {
        assertThat(without("nothing")).isEmpty();
        assertThat(without("fib")).containsExactly(RulesetPart.FIB);
        assertThat(without("type nat")).containsExactly(RulesetPart.NAT_CHAINS);
        assertThat(without("dnat")).containsExactly(RulesetPart.DNAT);
        assertThat(without("masquerade")).containsExactly(RulesetPart.MASQUERADE);
        assertThat(without("numgen")).containsExactly(RulesetPart.CHANCE);
        assertThat(without("jhash")).containsExactly(RulesetPart.HASH);
        assertThat(without("ct state")).containsExactly(RulesetPart.CONNECTIONS);
        assertThat(without("bridge")).containsExactly(RulesetPart.BRIDGE);
    }

    @Test
    void saysNothingOfWhatStandsInATableThatIsRefused() {
        assertThat(without("inet")).containsExactly(RulesetPart.INET);
        assertThat(RulesetTrial.refused((_, _) -> false)).containsExactly(RulesetPart.INET, RulesetPart.BRIDGE);
    }

    @Test
    void knowsNothingWhereItMayNotAsk() {
        assertThat(RulesetTrial.refused((_, chain) -> {
                    if (chain.contains("fib")) {
                        throw new HostException.NotPermitted("try it: Operation not permitted", null);
                    }
                    return false;
                }))
                .isEmpty();
    }
}
