package dev.vmlet.resolve;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSpec;
import dev.vmlet.model.CidrChoice;
import dev.vmlet.model.Given;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.Reason;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class CidrChooserTest {
    private static final Ipv4Prefix POOL = Ipv4Prefix.parse("10.96.0.0/18");

    private static Network asking(@Nullable String cidr, @Nullable Integer nodeLength) {
        Network network = Given.network();
        network.setSpec(new NetworkSpec(
                cidr,
                nodeLength,
                NetworkSpec.Egress.None,
                1500,
                null,
                null,
                NetworkSpec.Isolation.None,
                null,
                null,
                null));
        return network;
    }

    private static Network holding(String cidr) {
        return Given.network("other", "net-2", cidr, NetworkSpec.Egress.None);
    }

    private static CidrChoice choose(Network network, List<Network> others, String... cluster) {
        return CidrChooser.choose(
                network,
                others,
                java.util.Arrays.stream(cluster).map(Ipv4Prefix::parse).toList(),
                POOL);
    }

    private static CidrChoice chosen(String cidr) {
        return new CidrChoice.Chosen(Ipv4Prefix.parse(cidr));
    }

    @Test
    void givesTheFirstFreePartOfThePool() {
        assertThat(choose(asking(null, null), List.of())).isEqualTo(chosen("10.96.0.0/20"));
        assertThat(choose(asking(null, null), List.of(holding("10.96.4.0/24")))).isEqualTo(chosen("10.96.16.0/20"));
    }

    /** Two Networks may be on one LAN, and a LAN may be the cluster's own. */
    @Test
    void choosesNothingOnABridgeOfTheOperators() {
        assertThat(choose(Given.lan("192.168.1.0/24", null), List.of(holding("192.168.1.0/24")), "192.168.0.0/16"))
                .isEqualTo(new CidrChoice.Lan("br0"));
        assertThat(choose(Given.lan(null, null), List.of())).isEqualTo(new CidrChoice.Lan("br0"));
    }

    @Test
    void staysOutOfTheClustersRanges() {
        assertThat(choose(asking(null, null), List.of(), "10.96.0.0/19")).isEqualTo(chosen("10.96.32.0/20"));
    }

    @Test
    void givesAsMuchAsANodeTakes() {
        assertThat(choose(asking(null, 19), List.of())).isEqualTo(chosen("10.96.0.0/19"));
        assertThat(choose(asking(null, 16), List.of())).isEqualTo(chosen("10.96.0.0/18"));
    }

    @Test
    void saysWhenThePoolIsExhausted() {
        assertThat(choose(asking(null, null), List.of(holding("10.96.0.0/16"))))
                .isEqualTo(new CidrChoice.Refused(
                        Reason.PoolExhausted,
                        "no /20 of the pool 10.96.0.0/18 is free; delete a Network, give spec.cidr, or run the"
                                + " controller with a larger --network-pool"));
    }

    @Test
    void takesWhatIsAskedForWhereItIsFree() {
        assertThat(choose(asking("10.1.0.0/16", null), List.of(holding("10.2.0.0/16"))))
                .isEqualTo(chosen("10.1.0.0/16"));
    }

    @Test
    void refusesAnOverlapAndNamesIt() {
        assertThat(choose(asking("10.1.0.0/16", null), List.of(holding("10.1.4.0/24"))))
                .isEqualTo(new CidrChoice.Refused(
                        Reason.CidrOverlaps,
                        "spec.cidr 10.1.0.0/16 overlaps 10.1.4.0/24 of Network lab/other; create the Network with"
                                + " another cidr"));
        assertThat(choose(asking("10.1.0.0/16", null), List.of(), "10.0.0.0/8"))
                .isEqualTo(new CidrChoice.Refused(
                        Reason.CidrOverlaps,
                        "spec.cidr 10.1.0.0/16 overlaps 10.0.0.0/8, a range of the cluster's own; create the Network"
                                + " with another cidr"));
    }

    @Test
    void refusesWhatIsNoPrefix() {
        assertThat(choose(asking("10.1.2.3/16", null), List.of()))
                .isEqualTo(new CidrChoice.Refused(
                        Reason.InvalidSpec, "spec.cidr: prefix 10.1.2.3/16 has host bits set; write 10.1.0.0/16"));
    }
}
