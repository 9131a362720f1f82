package dev.vmlet.resolve;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSlice;
import dev.vmlet.api.NetworkSpec;
import dev.vmlet.model.DesiredNetwork;
import dev.vmlet.model.Egress;
import dev.vmlet.model.Given;
import dev.vmlet.model.InterfaceAddress;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.NetworkId;
import dev.vmlet.model.NetworkRecord;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Resolution;
import dev.vmlet.model.Route;
import dev.vmlet.resolve.NetworkResolver.HostAddressing;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;

class NetworkResolverTest {
    private static final HostAddressing NOTHING = new HostAddressing(Map.of(), List.of(), List.of());

    private static Resolution<DesiredNetwork> resolve(
            Network network, List<NetworkSlice> slices, boolean used, HostAddressing host) {
        return NetworkResolver.resolve(
                network, List.of(network), slices, Given.NODE, used, Optional.empty(), host, Given.INSTALLATION);
    }

    @Test
    void choosesEverything() {
        assertThat(resolve(Given.network(), List.of(Given.slice()), true, NOTHING))
                .isEqualTo(new Resolution.Desired<>(Given.desiredNetwork(Egress.MASQUERADE)));
    }

    @Test
    void isAbsentWhereNobodyUsesIt() {
        assertThat(resolve(Given.network(), List.of(Given.slice()), false, NOTHING))
                .isEqualTo(new Resolution.Absent<DesiredNetwork>());
    }

    @Test
    void isRealisedUnusedWhereThatIsAskedFor() {
        Network network = Given.network();
        network.setSpec(new NetworkSpec(
                null,
                24,
                NetworkSpec.Egress.None,
                1500,
                null,
                NetworkSpec.Realize.Always,
                NetworkSpec.Isolation.None,
                null,
                null,
                null));
        assertThat(resolve(network, List.of(Given.slice()), false, NOTHING))
                .isEqualTo(new Resolution.Desired<>(Given.desiredNetwork(Egress.NONE)));
        network.getMetadata().setDeletionTimestamp("2026-01-01T00:00:00Z");
        assertThat(resolve(network, List.of(Given.slice()), false, NOTHING))
                .isEqualTo(new Resolution.Absent<DesiredNetwork>());
    }

    @Test
    void anUnknownEgressOpensNothing() {
        Network network = Given.network();
        network.setSpec(
                new NetworkSpec(null, 24, null, null, null, null, NetworkSpec.Isolation.None, null, null, null));
        assertThat(resolve(network, List.of(Given.slice()), true, NOTHING))
                .isEqualTo(new Resolution.Desired<>(Given.desiredNetwork(Egress.NONE)));
    }

    @Test
    void waitsForTheControllersChoice() {
        Network network = Given.network();
        network.setStatus(null);
        assertThat(resolve(network, List.of(Given.slice()), true, NOTHING))
                .isEqualTo(new Resolution.Unresolved<DesiredNetwork>(
                        Reason.WaitingForCidr, Reason.WaitingForCidr.sentence()));
    }

    @Test
    void waitsForItsSliceAndTakesNoneOfAnotherNodeOrAnEarlierNetwork() {
        NetworkSlice earlier =
                Given.slice(Given.network("net", "net-0", "10.77.0.0/16", NetworkSpec.Egress.None), "10.77.4.0/24");
        NetworkSlice elsewhere = Given.slice();
        elsewhere.setSpec(new dev.vmlet.api.NetworkSliceSpec("net", "b", "10.77.4.0/24"));
        assertThat(resolve(Given.network(), List.of(earlier, elsewhere), true, NOTHING))
                .isEqualTo(new Resolution.Unresolved<DesiredNetwork>(
                        Reason.NetworkNotReady, "this node has no slice of the Network yet"));
    }

    @Test
    void refusesToCoverTheHostsOwnAddresses() {
        HostAddressing host = new HostAddressing(
                Map.of(new LinkName("eth0"), Set.of(new InterfaceAddress(Ipv4Address.parse("10.77.4.7"), 16))),
                List.of(),
                List.of());
        assertThat(resolve(Given.network(), List.of(Given.slice()), true, host))
                .isEqualTo(new Resolution.Unresolved<DesiredNetwork>(
                        Reason.CidrOverlaps,
                        "slice 10.77.4.0/24 overlaps address 10.77.4.7/16 on eth0 of this node; use a Network with"
                                + " another cidr, or keep the range out of --network-pool"));
        assertThat(NetworkResolver.resolve(
                        Given.network(),
                        List.of(),
                        List.of(Given.slice()),
                        Given.NODE,
                        true,
                        Optional.of(Ipv4Prefix.parse("10.77.4.0/24")),
                        host,
                        Given.INSTALLATION))
                .as("what is realised stays")
                .isInstanceOf(Resolution.Desired.class);
    }

    @Test
    void refusesTheAddressesOfANetworkWhoseGuestsAreStillHere() {
        DesiredNetwork former = Given.desiredNetwork(Egress.MASQUERADE);
        NetworkId gone = new NetworkId("lab", "net", "net-0");
        HostAddressing host = new HostAddressing(Map.of(), List.of(), List.of(new NetworkRecord(gone, former)));
        assertThat(resolve(Given.network(), List.of(Given.slice()), true, host))
                .isEqualTo(new Resolution.Unresolved<DesiredNetwork>(
                        Reason.CidrOverlaps,
                        "slice 10.77.4.0/24 overlaps Network lab/net (uid net-0), which is 10.77.4.0/24 on this node;"
                                + " restart or delete the VMs that are still on that Network, or use a Network with"
                                + " another cidr"));
        assertThat(resolve(
                        Given.network(),
                        List.of(Given.slice()),
                        true,
                        new HostAddressing(Map.of(), List.of(), List.of(new NetworkRecord(Given.NET, former)))))
                .as("its own record is in nobody's way")
                .isInstanceOf(Resolution.Desired.class);
    }

    @Test
    void theDefaultRouteOverlapsNothing() {
        LinkName eth0 = new LinkName("eth0");
        Route all = new Route(Ipv4Prefix.parse("0.0.0.0/0"), eth0, 0);
        assertThat(resolve(
                        Given.network(),
                        List.of(Given.slice()),
                        true,
                        new HostAddressing(Map.of(), List.of(all), List.of())))
                .isInstanceOf(Resolution.Desired.class);
        Route some = new Route(Ipv4Prefix.parse("10.64.0.0/10"), eth0, 0);
        assertThat(resolve(
                        Given.network(),
                        List.of(Given.slice()),
                        true,
                        new HostAddressing(Map.of(), List.of(some), List.of())))
                .isInstanceOf(Resolution.Unresolved.class);
    }
}
