package dev.vmlet.host.net;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.model.HostException;
import dev.vmlet.model.Seen;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What the kernel under us says to the questions. */
class RulesetTrialIT {
    @BeforeEach
    void alone() {
        OwnNamespace.require();
    }

    @Test
    void aKernelThatTakesTheWholeTakesEachPartAndKeepsNothing() throws HostException, NftRefusal {
        try (RulesetTrial trial = new RulesetTrial();
                Nftables nft = new Nftables()) {
            String before = nft.run("list", "list ruleset");
            assertThat(trial.whole()).isInstanceOf(Seen.Present.class);
            assertThat(trial.refused()).isEmpty();
            assertThat(nft.run("list", "list ruleset")).isEqualTo(before);
        }
    }

    @Test
    void aRefusalIsTheKernelsOwnAndNotOnlyThatOfTheLibrary() throws HostException {
        try (RulesetTrial trial = new RulesetTrial()) {
            String chain = "type nat hook %s priority -100; policy accept;";
            assertThat(trial.takes("inet", chain.formatted("output"))).isTrue();
            // The library lets any hook pass that it knows; only the kernel knows that nothing is translated there.
            assertThat(trial.takes("inet", chain.formatted("forward"))).isFalse();
        }
    }
}
