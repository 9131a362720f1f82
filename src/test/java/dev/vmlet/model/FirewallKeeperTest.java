package dev.vmlet.model;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Whose a chain is, and Calico's remedies. Those of others are run as they are printed by PassageIT and RealFirewallsIT. */
class FirewallKeeperTest {
    private static final Ipv4Prefix GUESTS = Ipv4Prefix.parse("10.77.0.0/16");

    @ParameterizedTest
    @CsvSource({
        // Docker, ufw and Felix share iptables' tables, and each has its own chains there.
        "ip, filter, cali-thfw-eth0, FORWARD, CALICO",
        "ip, filter, FORWARD, FORWARD, DOCKER",
        "ip, filter, DOCKER-USER, FORWARD, DOCKER",
        "ip, calico, filter-cali-thfw-eth0, filter-FORWARD, CALICO",
        "ip, calico, filter-FORWARD, filter-FORWARD, CALICO",
        "legacy, filter, cali-FORWARD, FORWARD, CALICO"
    })
    void aChainIsItsKeepersWhateverElseIsInItsTable(
            String family, String table, String chain, String base, FirewallKeeper keeper) {
        assertThat(FirewallKeeper.of(family, table, chain, base, Set.of("DOCKER-USER", "cali-FORWARD")))
                .isEqualTo(keeper);
    }

    @ParameterizedTest
    @CsvSource({
        "ip, filter, cali-thfw-eth0, iptables' cali-thfw-eth0 chain",
        "ip, calico, filter-cali-thfw-eth0, chain filter-cali-thfw-eth0 of nft table ip calico",
    })
    void aChainOfCalicoIsWhereFelixWroteIt(String family, String table, String chain, String place) {
        assertThat(FirewallKeeper.CALICO.place(family, table, chain)).isEqualTo(place);
    }

    record Remedy(String chain, String type, String otherType, String selector) {}

    static Stream<Remedy> remedies() {
        String endpoint = "<of this node's HostEndpoint>";
        String policy = "<as of that policy>";
        return Stream.of(
                new Remedy("cali-thfw-eth0", "Egress", "Ingress", endpoint),
                new Remedy("filter-cali-thfw-eth0", "Egress", "Ingress", endpoint),
                new Remedy("cali-fhfw-any-interface-at-all", "Ingress", "Egress", endpoint),
                new Remedy("filter-cali-fhfw-eth0", "Ingress", "Egress", endpoint),
                new Remedy("cali-po-gnp/nothing-through", "Egress", "Ingress", policy),
                new Remedy("filter-cali-po-gnp/cali-pi-trap", "Egress", "Ingress", policy),
                new Remedy("cali-pi-_Ob8Jxo5Xg7iVd4tbFWz", "Ingress", "Egress", policy),
                new Remedy("cali-gi-abc", "Ingress", "Egress", policy),
                new Remedy("cali-tw-cali475fb3dea51", "Ingress", "Egress", "<of those pods>"));
    }

    @ParameterizedTest
    @MethodSource("remedies")
    void calicoLetsGuestsThroughByAPolicyOfTheTypeThatDropped(Remedy remedy) {
        String type = remedy.type();
        String lower = type.toLowerCase(Locale.ROOT);
        assertThat(FirewallKeeper.CALICO.remedy("ip", "filter", remedy.chain(), "FORWARD", GUESTS, Optional.empty()))
                .isEqualTo("calicoctl apply -f - <<< \"{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy,"
                        + " metadata: {name: vmlet-" + lower + "-10-77-0-0-16}, spec: {order: 0, selector: "
                        + remedy.selector() + ", applyOnForward: true, types: [" + type + "], " + lower
                        + ": [{action: Allow, source: {nets: [10.77.0.0/16]}}, {action: Allow, destination: {nets:"
                        + " [10.77.0.0/16]}}]}}\" (its order, and its tier where there are several, must come before those"
                        + " of what drops; published ports may need the same for " + remedy.otherType()
                        + "; what is written into Calico's chains by hand Felix takes away)");
    }

    @ParameterizedTest
    @CsvSource({"mangle, cali-pi-gnp/early, PREROUTING", "calico, raw-cali-fh-eth0, raw-PREROUTING"})
    void whatCalicoDropsAtTheFirstHooksIsToBeLeftOutOfItsPolicies(String table, String chain, String base) {
        assertThat(FirewallKeeper.CALICO.remedy("ip", table, chain, base, GUESTS, Optional.empty()))
                .isEqualTo("add \"source: {notNets: [10.77.0.0/16]}\" to each Deny in Calico's policies with preDNAT or"
                        + " doNotTrack for this node's HostEndpoint");
    }
}
