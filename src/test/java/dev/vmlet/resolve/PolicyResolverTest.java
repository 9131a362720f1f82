package dev.vmlet.resolve;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSpec;
import dev.vmlet.api.NetworkSpec.Isolation;
import dev.vmlet.api.OpenPort;
import dev.vmlet.model.Destination;
import dev.vmlet.model.Given;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.NetworkPolicy;
import dev.vmlet.model.Protocol;
import dev.vmlet.model.ServicePort;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class PolicyResolverTest {
    private static Network network(
            String name,
            @Nullable Isolation isolation,
            @Nullable List<String> peers,
            @Nullable List<OpenPort> hostAccess,
            @Nullable List<NetworkSpec.Destination> egressAllow) {
        Network network = Given.network(name, "uid-" + name, "10.77.0.0/16", NetworkSpec.Egress.Masquerade);
        network.setSpec(new NetworkSpec(
                null, 24, NetworkSpec.Egress.Masquerade, 1500, null, null, isolation, peers, hostAccess, egressAllow));
        return network;
    }

    private static Network named(String name, String... peers) {
        return network(name, Isolation.None, Arrays.asList(peers), null, null);
    }

    private static NetworkPolicy policy(Network network, Network... others) {
        return PolicyResolver.policy(network, Arrays.asList(others), Given.NAMES);
    }

    private static LinkName bridge(String name) {
        return Given.NAMES.bridge("uid-" + name);
    }

    @Test
    void aNetworkThatAsksForNothingIsPlain() {
        assertThat(policy(named("web"))).isEqualTo(NetworkPolicy.PLAIN);
    }

    @Test
    void onlyNetworksThatNameEachOtherArePeers() {
        Network web = named("web", "db", "cache", "gone", "web");
        Network db = named("db", "web");
        Network cache = named("cache", "db");
        assertThat(policy(web, web, db, cache).peers()).containsExactly(bridge("db"));
        assertThat(policy(db, web, db, cache).peers()).containsExactly(bridge("web"));
        assertThat(policy(cache, web, db, cache).peers()).isEmpty();
        assertThat(PolicyResolver.oneSided(web, List.of(web, db, cache))).containsExactly("cache", "gone");
        assertThat(PolicyResolver.oneSided(db, List.of(web, db, cache))).isEmpty();
    }

    @Test
    void aNetworkOfAnotherNamespaceIsNoPeer() {
        Network web = named("web", "db");
        Network db = named("db", "web");
        db.getMetadata().setNamespace("elsewhere");
        assertThat(policy(web, web, db).peers()).isEmpty();
        assertThat(PolicyResolver.oneSided(web, List.of(web, db))).containsExactly("db");
    }

    @Test
    void isolationThatIsNotKnownIsTheStrictest() {
        assertThat(policy(network("web", null, null, null, null)).isolated()).isTrue();
        assertThat(policy(network("web", Isolation.Members, null, null, null)).isolated())
                .isTrue();
    }

    @Test
    void opensPortsOnceInOrderAndNoneOfAProtocolThatIsNotKnown() {
        assertThat(policy(network(
                                "web",
                                Isolation.None,
                                null,
                                List.of(
                                        new OpenPort(53, OpenPort.Protocol.UDP),
                                        new OpenPort(53, OpenPort.Protocol.TCP),
                                        new OpenPort(53, OpenPort.Protocol.UDP),
                                        new OpenPort(132, null)),
                                null))
                        .hostAccess())
                .containsExactly(new ServicePort(Protocol.TCP, 53), new ServicePort(Protocol.UDP, 53));
    }

    private static NetworkSpec.Destination to(String cidr, OpenPort... ports) {
        return new NetworkSpec.Destination(cidr, ports.length == 0 ? null : List.of(ports));
    }

    private static Network listing(NetworkSpec.Destination... destinations) {
        return network("web", Isolation.None, null, null, List.of(destinations));
    }

    @Test
    void aDestinationWithinAnotherOfTheSamePortGoesWithoutSaying() {
        OpenPort https = new OpenPort(443, OpenPort.Protocol.TCP);
        OpenPort dns = new OpenPort(53, OpenPort.Protocol.UDP);
        assertThat(policy(listing(
                                to("10.0.0.0/8"),
                                to("10.1.0.0/16"),
                                to("0.0.0.0/0", https),
                                to("10.2.0.0/16", https, dns),
                                to("203.0.113.0/24"),
                                to("203.0.113.0/24")))
                        .egressAllow())
                .containsExactly(
                        new Destination(Ipv4Prefix.parse("10.0.0.0/8"), Optional.empty()),
                        new Destination(Ipv4Prefix.parse("203.0.113.0/24"), Optional.empty()),
                        new Destination(Ipv4Prefix.parse("0.0.0.0/0"), Optional.of(new ServicePort(Protocol.TCP, 443))),
                        new Destination(
                                Ipv4Prefix.parse("10.2.0.0/16"), Optional.of(new ServicePort(Protocol.UDP, 53))));
    }

    @Test
    void aListOfWhichNothingIsUnderstoodOpensNothing() {
        Network network = listing(to("10.0.0.0/8", new OpenPort(9, null)));
        assertThat(policy(network).egressAllow()).isEmpty();
        assertThat(PolicyResolver.closesAll(network)).isTrue();
        assertThat(PolicyResolver.closesAll(named("web"))).isFalse();
        assertThat(PolicyResolver.closesAll(listing(to("10.0.0.0/8")))).isFalse();
    }
}
